package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/registry"
)

func TestWhoIsNotLetInToACloudsRegistryIsToldHow(t *testing.T) {
	for host, want := range map[string][2]string{
		"123456789012.dkr.ecr.us-east-1.amazonaws.com": {"docker-credential-ecr-login", "configured as for the tools of Amazon ECR"},
		"europe-docker.pkg.dev":                        {"docker-credential-gcr", "configured as for the tools of Google"},
		"contoso.azurecr.io":                           {"docker-credential-acr-env", "configured as for the tools of Azure"},
	} {
		hint := testFactory(t, nil).hint(&registry.Error{Method: "GET", URL: "https://" + host + "/v2/", Status: 401})
		part := want[0]
		if cloud.Included {
			part = want[1]
		}
		if !strings.Contains(hint, part) || !strings.Contains(hint, "wherry login "+host) {
			t.Errorf("%s: hint %q", host, hint)
		}
	}
	hint := testFactory(t, nil).hint(&registry.Error{Method: "GET", URL: "https://azurecr.io.attacker.com/v2/", Status: 401})
	if !strings.HasPrefix(hint, "log in with: wherry login azurecr.io.attacker.com (") {
		t.Errorf("another host: hint %q", hint)
	}
}

func TestWhereCredentialsOfCloudsWouldBeFound(t *testing.T) {
	none := map[string]string{"WHERRY_NO_CLOUD": "1"}
	for _, tt := range []struct {
		host string
		env  map[string]string
		asks bool
	}{{"gcr.io", nil, cloud.Included}, {"gcr.io", none, false}, {"gcr.io.attacker.com", nil, false}} {
		places, err := testFactory(t, tt.env).whereCredential(question{tt.host, "app"})
		if asks := slices.Equal(places, []credentialPlace{{cloud: cloud.Google, from: "Google Artifact Registry"}}); err != nil || asks != tt.asks || !asks && len(places) > 0 {
			t.Errorf("%s: %v, %v", tt.host, places, err)
		}
	}
}
