package registry_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/registry"
)

// leadsTo answers every request of r.example with a redirect, and all others with 404.
func leadsTo(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.Host == "r.example" && !strings.Contains(req.URL.RawQuery, "led=1") {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}
}

func (n *internet) repository(t *testing.T, c *registry.Client) *registry.Repository {
	t.Helper()
	r, err := c.Repository("r.example", "app")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// origins returns who was visited, each once.
func (n *internet) origins() (all []string) {
	for _, v := range n.all() {
		if !slices.Contains(all, v.origin) {
			all = append(all, v.origin)
		}
	}
	return all
}

// A registry in the user's own network leads there; nobody leads to addresses
// that clouds answer at, nor to this machine but what is there itself.
func TestARegistryLeadsAsNearAsItIs(t *testing.T) {
	for _, tt := range []struct {
		registry, to string
		refused      bool
	}{
		{"93.184.216.35", "93.184.216.34", false},
		{"2606:2800::1", "64:ff9b::5db8:d822", false},
		{"93.184.216.35", "10.0.0.5", true},
		{"10.0.0.2", "192.168.0.1", false},
		{"10.0.0.2", "64:ff9b::a00:5", false},
		{"fd00::1", "10.0.0.5", false},
		{"10.0.0.2", "93.184.216.34", false},
		{"10.0.0.2", "127.0.0.1", true},
		{"10.0.0.2", "169.254.169.254", true},
		{"10.0.0.2", "100.100.100.200", true},
		{"fd00::1", "fd00:ec2::254", true},
		{"127.0.0.1", "10.0.0.5", false},
		{"127.0.0.1", "::1", false},
		{"127.0.0.1", "169.254.169.254", true},
		{"::1", "::ffff:169.254.169.254", true},
	} {
		t.Run(tt.registry+" to "+tt.to, func(t *testing.T) {
			n := newInternet(t, map[string]string{"r.example": tt.registry, "a.example": tt.to})
			n.begin(leadsTo("https://a.example/x?led=1"))
			c, _ := n.client(t, password, &registry.Host{})
			_, err := n.repository(t, c).Manifest(t.Context(), "v1")
			_, refusal := errors.AsType[*httpx.RefusedError](err)
			if asked := len(n.origins()) > 1; refusal != tt.refused || asked == tt.refused {
				t.Errorf("asked: %t, error %v; want refused: %t", asked, err, tt.refused)
			}
		})
	}
}

// A registry is as near as its connections lead, whoever has made them.
func TestARegistryIsAsNearForAllThatItIsAskedAs(t *testing.T) {
	for name, before := range map[string]func(context.Context, *registry.Client) error{
		"for its own sake before it is a mirror": func(ctx context.Context, c *registry.Client) error {
			r, err := c.Repository("r.example", "app")
			if err != nil {
				return err
			}
			_, err = r.Manifest(ctx, "v1")
			return err
		},
		"with a login before": func(ctx context.Context, c *registry.Client) error {
			_, err := c.Login(ctx, "r.example", password)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newInternet(t, map[string]string{"r.example": "10.0.0.2", "a.example": "192.168.0.1"})
			n.begin(leadsTo("https://a.example/x?led=1"))
			c, _ := n.client(t, password, &registry.Host{})
			c.Routes = mirroredAt("r.example")
			if err := before(t.Context(), c); !errors.Is(err, content.ErrNotFound) {
				t.Fatal(err)
			}
			n.begin(leadsTo("https://a.example/x?led=1"))
			src, err := c.Source("b.example", "app")
			if err != nil {
				t.Fatal(err)
			}
			_, err = src.Manifest(t.Context(), string(descriptorOf(nil).Digest))
			if !errors.Is(err, content.ErrNotFound) || !slices.Contains(n.origins(), "https://a.example") {
				t.Errorf("asked %v, error %v; want a.example asked", n.origins(), err)
			}
		})
	}
}

// What a name stands for is looked at with every connection.
func TestANameThatIsBoundAnewIsRefused(t *testing.T) {
	n := newInternet(t, map[string]string{"a.example": "93.184.216.34"})
	n.begin(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Connection", "close")
		leadsTo("https://a.example/x?led=1")(w, req)
	})
	c, _ := n.client(t, password, &registry.Host{})
	r := n.repository(t, c)
	if _, err := r.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
		t.Fatal(err)
	}
	n.bind("a.example", "169.254.169.254")
	if _, err := r.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "a.example") {
		t.Errorf("error %v, want a refusal", err)
	}
	n.bind("a.example", "10.0.0.5")
	n.bind("r.example", "10.0.0.2")
	if _, err := r.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("the registry, once far away, came near: error %v, want a refusal", err)
	}
}

// Behind a proxy, the addresses that names stand for are the proxy's matter.
// What is written as an address is not.
func TestAddressesAreRefusedBehindAProxyToo(t *testing.T) {
	for to, refused := range map[string]bool{
		"http://a.example/x": false, "http://169.254.169.254/x": true, "http://2852039166/x": true, "http://localhost/x": true,
		"http://proxy.example:80/x": true, "http://93.184.216.34/x": false,
	} {
		t.Run(to, func(t *testing.T) {
			n := newInternet(t, map[string]string{"proxy.example": "10.0.0.9"})
			n.begin(leadsTo(to + "?led=1"))
			c, _ := n.client(t, password, &registry.Host{PlainHTTP: true})
			c.Proxy = func(req *http.Request) (*url.URL, error) {
				if req.URL.Hostname() == "proxy.example" {
					return nil, nil //nolint:nilnil // what http.Transport.Proxy wants for "no proxy"
				}
				return &url.URL{Scheme: "http", Host: "proxy.example:80"}, nil
			}
			r := n.repository(t, c)
			_, _ = r.Manifest(t.Context(), "v0") // what is refused now was a proxy before
			_, err := r.Manifest(t.Context(), "v1")
			_, refusal := errors.AsType[*httpx.RefusedError](err)
			if asked := len(n.origins()) > 1; refusal != refused || asked == refused {
				t.Errorf("asked: %v, error %v; want refused: %t", n.origins(), err, refused)
			}
		})
	}
}

// tokenServers is r.example with a token server for each repository.
func tokenServers(realms map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_, repo, _ := strings.Cut(req.URL.Path, "/v2/")
		repo, _, _ = strings.Cut(repo, "/")
		host := strings.TrimSuffix(req.Host, ":443")
		switch {
		case strings.HasSuffix(req.URL.Path, "/token"):
			_, _ = io.WriteString(w, `{"token":"of-`+host+`"}`)
		case strings.Contains(realms[repo], strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer of-")) && req.Header.Get("Authorization") != "":
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realms[repo]+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

// A token goes to the registry, never to the token server that is named next.
func TestTokenServersSeeNoTokensOfOthers(t *testing.T) {
	n := newInternet(t, nil)
	n.begin(tokenServers(map[string]string{"one": "https://a.example/token", "two": "https://b.example/token"}))
	c, _ := n.client(t, password, &registry.Host{Header: http.Header{"X-Corp": {canaryHeader}}})
	for _, name := range []string{"one", "two", "one"} {
		r, err := c.Repository("r.example", name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, v := range n.all() {
		atRegistry := v.origin == "https://r.example"
		if shown := v.canaries(); !atRegistry && !slices.Equal(shown, []string{canaryPassword}) || atRegistry && slices.Contains(shown, canaryPassword) {
			t.Errorf("%s saw %v", v.origin, shown)
		}
		if strings.Contains(v.text, "of-") && !atRegistry {
			t.Errorf("%s saw a token:\n%s", v.origin, v.text)
		}
	}
	if got := n.origins(); len(got) != 3 {
		t.Errorf("only %v were asked", got)
	}
}

// That a registry's certificate is not looked at says nothing about others'.
func TestATokenServerNeedsACertificateOfItsOwn(t *testing.T) {
	n := newInternet(t, nil)
	n.begin(tokenServers(map[string]string{"app": "https://a.example/token"}))
	c, _ := n.client(t, password, &registry.Host{})
	own := &registry.Host{SkipVerify: true}
	c.Hosts = func(host string) (*registry.Host, error) {
		if host == "r.example" {
			return own, nil
		}
		return &registry.Host{Roots: trust(x509.NewCertPool())}, nil
	}
	_, err := n.repository(t, c).Manifest(t.Context(), "v1")
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown || !strings.Contains(err.Error(), "a.example") {
		t.Errorf("error %v, want an unknown authority", err)
	}
	if got := n.origins(); !slices.Equal(got, []string{"https://r.example"}) {
		t.Errorf("asked: %v", got)
	}
}

// What a registry that speaks plain http is told in the open stays with it.
func TestPlainHTTPTakesNoPasswordToAnotherHost(t *testing.T) {
	for _, tt := range []struct {
		realm string
		cred  registry.Credential
		asked string // who sees the password, or is asked without; "" is nobody
	}{
		{"http://r.example/token", password, "http://r.example"},
		{"https://r.example/token", password, "https://r.example"},
		{"https://a.example/token", password, "https://a.example"},
		{"http://a.example/token", password, ""},
		{"http://a.example/token", registry.Credential{}, "http://a.example"},
		{"http://a.localhost/token", password, ""},
	} {
		t.Run(tt.realm+" "+tt.cred.Username, func(t *testing.T) {
			n := newInternet(t, nil)
			n.begin(tokenServers(map[string]string{"app": tt.realm}))
			c, _ := n.client(t, tt.cred, &registry.Host{PlainHTTP: true})
			_, err := n.repository(t, c).Manifest(t.Context(), "v1")
			asked := ""
			for _, v := range n.all() {
				if strings.Contains(v.text, "/token") {
					asked = v.origin
				}
			}
			_, refusal := errors.AsType[*httpx.RefusedError](err)
			if asked != tt.asked || refusal != (tt.asked == "") {
				t.Errorf("asked %q, error %v; want %q", asked, err, tt.asked)
			}
		})
	}
}

// Whoever leads on and on is left.
func TestChainsOfRedirectsEnd(t *testing.T) {
	for name, do := range map[string]func(context.Context, *registry.Repository, string) error{
		"a blob": openLayer, "a list": listTags, "a foreign layer": openForeign,
	} {
		t.Run(name, func(t *testing.T) {
			n := newInternet(t, nil)
			other := map[string]string{"a.example": "b.example", "b.example": "a.example", "r.example": "a.example"}
			n.begin(func(w http.ResponseWriter, req *http.Request) {
				if name == "a foreign layer" && req.Host == "r.example" {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				w.Header().Set("Location", "https://"+other[req.Host]+"/x?sig="+canarySigned)
				w.WriteHeader(http.StatusFound)
			})
			c, out := n.client(t, password, &registry.Host{})
			err := do(t.Context(), n.repository(t, c), "https://a.example/x?sig="+canarySigned)
			if err == nil || len(n.all()) > 13 || !strings.Contains(err.Error(), "b.example") {
				t.Errorf("%d requests, error %v", len(n.all()), err)
			}
			checkUnseen(t, out.String()+err.Error(), []string{canarySigned})
		})
	}
	n := newInternet(t, nil)
	n.begin(func(w http.ResponseWriter, req *http.Request) {
		if req.Host == "r.example" {
			tokenServers(map[string]string{"app": "https://a.example/x"})(w, req)
			return
		}
		w.Header().Set("Location", "https://a.example/x?sig="+canarySigned)
		w.WriteHeader(http.StatusFound)
	})
	c, out := n.client(t, password, &registry.Host{})
	_, err := n.repository(t, c).Manifest(t.Context(), "v1")
	if err == nil || len(n.all()) > 13 || !strings.Contains(err.Error(), "a.example") {
		t.Errorf("a token server: %d requests, error %v", len(n.all()), err)
	}
	checkUnseen(t, out.String()+err.Error(), []string{canarySigned})
}
