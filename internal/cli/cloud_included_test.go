//go:build cloud

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/registry"
)

const garHost = "europe-docker.pkg.dev"

// googleMachine makes f one on a machine of Google's, which answers so; what is
// returned counts the questions.
func googleMachine(t *testing.T, f *Factory, status int) *atomic.Int32 {
	t.Helper()
	asked := &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		rw.Header().Set("Metadata-Flavor", "Google")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, `{"access_token": "s3cret", "expires_in": 3000}`)
	}))
	t.Cleanup(server.Close)
	f.Cloud = func() (*cloud.Keychain, error) {
		k, err := f.newCloud()
		if err != nil {
			return nil, err
		}
		k.System = fstest.MapFS{"sys/class/dmi/id/product_name": {Data: []byte("Google Compute Engine\n")}}
		k.Connect = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		}
		return k, nil
	}
	return asked
}

func TestCloudsAreTheLastPlaceOfCredentials(t *testing.T) {
	home := t.TempDir()
	f := testFactory(t, map[string]string{"HOME": home})
	asked := googleMachine(t, f, 200)
	got, err := (&credentials{f: f}).find(t.Context(), garHost, "app")
	if err != nil || got.Username != "oauth2accesstoken" || got.Password != "s3cret" || got.from != "Google Artifact Registry, service account of the machine" {
		t.Errorf("got %v from %q, %v", got.Credential, got.from, err)
	}
	if got, err := (&credentials{f: f}).find(t.Context(), "pkg.dev.attacker.com", "app"); err != nil || got != (found{}) || asked.Load() != 1 {
		t.Errorf("another host: got %v from %q, %v; asked %d times", got.Credential, got.from, err, asked.Load())
	}
	write(t, home, map[string]string{".docker/config.json": auth(garHost, "home")})
	if got, err := (&credentials{f: f}).find(t.Context(), garHost, "app"); err != nil || got.Username != "home" {
		t.Errorf("with a file: got %v, %v", got.Credential, err)
	}
	f = testFactory(t, nil)
	asked = googleMachine(t, f, 200)
	write(t, home, map[string]string{"named.json": "{}"})
	f.Flags.AuthFile = home + "/named.json"
	if got, err := (&credentials{f: f}).find(t.Context(), garHost, "app"); err != nil || got != (found{}) || asked.Load() != 0 {
		t.Errorf("with --authfile: got %v, %v; asked %d times", got.Credential, err, asked.Load())
	}
	f = testFactory(t, map[string]string{"WHERRY_NO_CLOUD": "1"})
	asked = googleMachine(t, f, 200)
	if got, err := (&credentials{f: f}).find(t.Context(), garHost, "app"); err != nil || got != (found{}) || asked.Load() != 0 {
		t.Errorf("with WHERRY_NO_CLOUD: got %v, %v; asked %d times", got.Credential, err, asked.Load())
	}
}

func TestCloudsThatFailAreToldWithAWayOut(t *testing.T) {
	f := testFactory(t, nil)
	googleMachine(t, f, 503)
	_, err := (&credentials{f: f}).forRepository(t.Context(), garHost, "app")
	if !errors.Is(err, registry.ErrOptional) || !strings.Contains(err.Error(), "service account of the machine: ask for a token: 503") {
		t.Fatalf("error %v", err)
	}
	want := "renew that identity (gcloud auth application-default login, say), or log in with: wherry login " + garHost + "; WHERRY_NO_CLOUD=1 leaves identities of clouds out"
	refused := fmt.Errorf("credentials for %s: %w: %w", garHost, err, content.ErrUnauthorized) // as registry has it
	if got := f.hint(refused); got != want {
		t.Errorf("hint %q", got)
	}
}
