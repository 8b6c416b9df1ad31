//go:build cloud

package cloud_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

// What a cloud gives is what its registry takes: a password in every request, one
// for tokens, or an identity token for them.
func TestARegistryTakesWhatItsCloudGives(t *testing.T) {
	refresh := jwt(time.Now().Add(3 * time.Hour))
	for _, tt := range []struct {
		host    string
		auth    testregistry.Auth
		env     map[string]string
		answers map[string]http.HandlerFunc
	}{
		{
			ecrHost,
			testregistry.Auth{Scheme: testregistry.Basic, Users: map[string]string{"AWS": canary}},
			keys,
			map[string]http.HandlerFunc{askECR: says(200, ecrToken(canary, time.Now().Add(time.Hour)))},
		},
		{
			garHost,
			testregistry.Auth{Scheme: testregistry.Bearer, Users: map[string]string{"oauth2accesstoken": canary + "-ya29"}},
			map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": file(t, "adc.json", googleUser)},
			map[string]http.HandlerFunc{askGoogle: says(200, googleSays)},
		},
		{
			acrHost,
			testregistry.Auth{Scheme: testregistry.Bearer, TokenPath: "/oauth2/token", RefreshTokens: map[string]string{refresh: "principal"}},
			map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": canary},
			with(entraAnswers("login.microsoftonline.com"), map[string]http.HandlerFunc{"POST " + acrHost + "/oauth2/exchange": exchanges(t, acrHost, refresh)}),
		},
	} {
		t.Run(tt.host, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Auth: tt.auth})
			testimage.Single(1).PutTo(server, "app", "v1")
			w := newWorld(t, tt.answers)
			k := w.keychain(tt.env)
			c := &registry.Client{
				Hosts: func(string) (*registry.Host, error) {
					return &registry.Host{Address: server.Host(), PlainHTTP: true}, nil
				},
				Keychain: registry.CredentialFunc(func(ctx context.Context, host, _ string) (registry.Credential, error) {
					found, _, err := k.Find(ctx, host)
					return found, err
				}),
			}
			defer c.Close()
			repo, err := c.Repository(tt.host, "app")
			if err != nil {
				t.Fatal(err)
			}
			d, err := repo.Resolve(t.Context(), "v1")
			if err != nil || d.Digest != server.Digest("app", "v1") {
				t.Errorf("got %s, %v; asked %q", d.Digest, err, w.requests())
			}
		})
	}
}
