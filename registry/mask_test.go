package registry_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/registry"
)

func TestWhatIsHiddenOfAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, said, want  string
		header, value     string // configured for the host
		password, proxied string
	}{
		{
			name: "a secret that is a part of another", header: "X-Corp", value: "secret-value", proxied: "secret-value-and-more",
			said: "secret-value-and-more or secret-value", want: "*** or ***",
		},
		{
			name: "a secret that another is a part of", header: "X-Corp", value: "secret-value-and-more", proxied: "secret-value",
			said: "secret-value-and-more or secret-value", want: "*** or ***",
		},
		{
			name: "no word that others are made of", header: "X-Lang", value: "en", password: "a", proxied: "n",
			said: "authentication is needed", want: "authentication is needed",
		},
		{name: "a short password as it is sent", password: "a", said: "not YW5uOmE=!", want: "not ***!"},
		{name: "a header of a few bytes", header: "X-Corp", value: "corp-eu", said: "not for corp-eu", want: "not for corp-eu"},
		{name: "a longer one", header: "X-Corp", value: "corp-key", said: "not for corp-key", want: "not for ***"},
		{name: "a cookie", header: "Cookie", value: "sid=1", said: "sid=1 is over", want: "*** is over"},
		{name: "what proves who asks", header: "Authorization", value: "Key k3y1", said: "k3y1 of Key k3y1", want: "*** of ***"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if tt.password != "" && req.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, tt.said)
			}))
			t.Cleanup(server.Close)
			c := client(t)
			settings := &registry.Host{PlainHTTP: true, Header: http.Header{}}
			if tt.header != "" {
				settings.Header.Set(tt.header, tt.value)
			}
			c.Hosts = func(string) (*registry.Host, error) { return settings, nil }
			c.Keychain = registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) {
				return registry.Credential{Username: "ann", Password: tt.password}, nil
			})
			c.Proxy = func(*http.Request) (*url.URL, error) {
				return &url.URL{Scheme: "http", Host: strings.TrimPrefix(server.URL, "http://"), User: url.UserPassword("bob", tt.proxied)}, nil
			}
			repo, err := c.Repository("r.example", "app")
			if err != nil {
				t.Fatal(err)
			}
			_, err = repo.Manifest(t.Context(), "v1")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			if got := c.Mask(tt.said); got != tt.want {
				t.Errorf("Mask gives %q, want %q", got, tt.want)
			}
		})
	}
}
