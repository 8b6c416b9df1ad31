package httpx_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/httpx"
)

var kinds = map[httpx.Kind]string{
	httpx.Redirect: "redirect", httpx.UploadLocation: "upload location", httpx.NextPage: "next page",
	httpx.TokenServer: "token server", httpx.TokenRedirect: "token redirect", httpx.ForeignLayer: "foreign layer",
}

// far is where a registry on the internet asks from.
const far = "https://r.example/v2/a/x?q=1"

func parse(tb testing.TB, text string) *url.URL {
	tb.Helper()
	u, err := url.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// What no server may name, whatever for.
func TestNoURLOfAnyKindMayBe(t *testing.T) {
	for trick, text := range map[string]string{
		"nothing":                        "",
		"a file":                         "file:///etc/passwd",
		"a socket":                       "unix:///run/docker.sock",
		"a script":                       "javascript:alert(1)",
		"an opaque URL":                  "https:s.example/x",
		"no host":                        "https:///x",
		"only a port":                    "https://:443/x",
		"weaker":                         "http://s.example/x",
		"a user":                         "https://ann@s.example/x",
		"a password":                     "https://ann:s3cret@r.example/x",
		"an empty user":                  "https://@s.example/x",
		"another host after a user":      "https://r.example:x@s.example/",
		"a header":                       "https://s.example/x\r\nAuthorization: Basic x",
		"a line":                         "https://s.example/x\nx",
		"a zero byte":                    "https://s.example/\x00",
		"a broken escape":                "https://%zz",
		"an escape in the host":          "https://%31%32%37.0.0.1/x",
		"a backslash":                    `https://s.example\@r.example/x`,
		"a space in the host":            "https://s.example r.example/x",
		"too many bytes":                 "https://s.example/" + strings.Repeat("x", 16<<10),
		"a port that is none":            "https://s.example:99999/x",
		"port 0":                         "https://s.example:0/x",
		"metadata":                       "https://169.254.169.254/latest/meta-data",
		"metadata in IPv6":               "https://[::ffff:169.254.169.254]/x",
		"metadata in IPv6, hexadecimal":  "https://[::ffff:a9fe:a9fe]/x",
		"metadata by NAT64":              "https://[64:ff9b::a9fe:a9fe]/x",
		"metadata by 6to4":               "https://[2002:a9fe:a9fe::1]/x",
		"metadata by Teredo":             "https://[2001:0:1::5601:5601]/x",
		"metadata, IPv4-compatible":      "https://[::169.254.169.254]/x",
		"metadata as a number":           "https://2852039166/x",
		"metadata as an octal number":    "https://025177524776/x",
		"metadata in octal":              "https://0251.0376.0251.0376/x",
		"metadata as a hexadecimal":      "https://0xa9fea9fe/x",
		"metadata in hexadecimal":        "https://0xa9.0xfe.0xa9.0xfe/x",
		"metadata in three parts":        "https://169.254.43518/x",
		"metadata with a dot at the end": "https://169.254.169.254./x",
		"metadata in other digits":       "https://１６９.２５４.１６９.２５４/x",
		"metadata in circled digits":     "https://①⑥⑨.②⑤④.①⑥⑨.②⑤④/x",
		"metadata of another cloud":      "https://100.100.100.200/x",
		"metadata at a public address":   "https://168.63.129.16/x",
		"metadata of clouds in IPv6":     "https://[fd00:ec2::254]/x",
		"loopback":                       "https://127.0.0.1/x",
		"loopback in short":              "https://127.1/x",
		"loopback in IPv6":               "https://[::1]/x",
		"loopback by NAT64":              "https://[64:ff9b::7f00:1]/x",
		"loopback by name":               "https://localhost/x",
		"loopback by another name":       "https://a.LocalHost/x",
		"loopback with a dot":            "https://localhost./x",
		"private":                        "https://10.0.0.1/x",
		"private in IPv6":                "https://[fd00::1]/x",
		"private by local NAT64":         "https://[64:ff9b:1::1.2.3.4]/x",
		"reserved":                       "https://240.0.0.1/x",
		"carriers'":                      "https://100.64.0.1/x",
		"no address":                     "https://0.0.0.0/x",
		"no address in IPv6":             "https://[::]/x",
		"link-local in IPv6":             "https://[fe80::1]/x",
		"with a zone":                    "https://[fe80::1%25eth0]/x",
		"a public one with a zone":       "https://[2606:2800::1%25eth0]/x",
		"multicast":                      "https://224.0.0.1/x",
		"broadcast":                      "https://255.255.255.255/x",
	} {
		for kind, name := range kinds {
			named, err := httpx.Policy{Kind: kind, From: parse(t, far)}.Decide(text)
			if _, refused := errors.AsType[*httpx.RefusedError](err); !refused {
				t.Errorf("%s as %s: got %v, %v; want a refusal", trick, name, named.URL, err)
				continue
			}
			if strings.Contains(err.Error(), "s3cret") || strings.ContainsAny(err.Error(), "\r\n\x00１①") || len(err.Error()) > 400 {
				t.Errorf("%s as %s: error %q", trick, name, err)
			}
			if host := hostOf(text); !strings.Contains(err.Error(), host) {
				t.Errorf("%s as %s: error %v does not name %s", trick, name, err, host)
			}
		}
	}
}

// hostOf returns the host that a refusal must name, the one that named the URL
// where that has none that can be told.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || len(text) > 1000 {
		return "r.example"
	}
	return strings.Trim((&url.URL{Host: u.Host}).String(), "/")
}

// For each kind: what is asked, and whether it is trusted. "" is a refusal.
func TestURLsAreDecidedByKind(t *testing.T) {
	const (
		own   = "https://r.example"
		plain = "http://r.example/v2/"
	)
	all := []httpx.Kind{httpx.Redirect, httpx.UploadLocation, httpx.NextPage, httpx.TokenServer, httpx.TokenRedirect, httpx.ForeignLayer}
	type verdicts [6]string // in the order of all; a + in front is trusted
	same := func(s string) verdicts { return verdicts{s, s, s, s, s, s} }
	for _, tt := range []struct {
		name, from, text string
		reach            httpx.Reach
		want             verdicts
	}{
		{"at the origin", far, own + "/y?s=%2F", 0, verdicts{"+", "+", "+", "+", "+", own + "/y?s=%2F"}},
		{"relative to the root", far, "/y?_s=a%3D%3D&b", 0, verdicts{"+" + own + "/y?_s=a%3D%3D&b", "+" + own + "/y?_s=a%3D%3D&b", "+" + own + "/y?_s=a%3D%3D&b", "", "+" + own + "/y?_s=a%3D%3D&b", ""}},
		{"relative", far, "../y?s=%7E", 0, verdicts{"+" + own + "/v2/y?s=%7E", "+" + own + "/v2/y?s=%7E", "+" + own + "/v2/y?s=%7E", "", "+" + own + "/v2/y?s=%7E", ""}},
		{"with a fragment", far, own + "/y#f", 0, verdicts{"+" + own + "/y", "+" + own + "/y", "+" + own + "/y", "+" + own + "/y", "+" + own + "/y", own + "/y"}},
		{"with the scheme's own port", far, own + ":443/y", 0, verdicts{"+", "+", "+", "+", "+", own + ":443/y"}},
		{"in other letters", far, "HTTPS://R.Example/y", 0, verdicts{"+https://R.Example/y", "+https://R.Example/y", "+https://R.Example/y", "+https://R.Example/y", "+https://R.Example/y", "https://R.Example/y"}},
		{"in letters that Unicode takes for the same", "https://k.example/", "https://\u212a.example/", 0, same("")},
		{"at another port", far, own + ":5000/y", 0, verdicts{own + ":5000/y", own + ":5000/y", "", "+", own + ":5000/y", own + ":5000/y"}},
		{"at the name with a dot", far, "https://r.example./y", 0, verdicts{"https://r.example./y", "https://r.example./y", "", "+", "https://r.example./y", "https://r.example./y"}},
		{"at another host", far, "https://s.example/y?X-Sig=%2f", 0, verdicts{"https://s.example/y?X-Sig=%2f", "https://s.example/y?X-Sig=%2f", "", "+", "https://s.example/y?X-Sig=%2f", "https://s.example/y?X-Sig=%2f"}},
		{"at another host, without a scheme", far, "//s.example/y", 0, verdicts{"https://s.example/y", "https://s.example/y", "", "", "https://s.example/y", ""}},
		{"in http at the origin's name", far, plain + "y", 0, verdicts{"", "+" + own + "/v2/y", "+" + own + "/v2/y", "", "", ""}},
		{"in http at the origin's name and a port behind a proxy", far, "http://R.example:5000/y", 0, verdicts{"", "+" + own + "/y", "+" + own + "/y", "", "", ""}},

		{"in http by one in http", plain, "http://r.example:80/y", 0, verdicts{"+", "+", "+", "+", "+", ""}},
		{"in https by one in http", plain, own + "/y", 0, verdicts{own + "/y", own + "/y", "", "+", own + "/y", own + "/y"}},
		{"in http by one in http, at another port", plain, "http://r.example:5001/y", 0, verdicts{"http://r.example:5001/y", "http://r.example:5001/y", "", "+", "http://r.example:5001/y", ""}},
		{"in http by one in http, at another host", plain, "http://s.example/y", 0, verdicts{"http://s.example/y", "http://s.example/y", "", "http://s.example/y", "http://s.example/y", ""}},

		{"at this machine by one there", "http://localhost:5000/", "http://127.0.0.1:5001/y", httpx.Loopback, verdicts{"http://127.0.0.1:5001/y", "http://127.0.0.1:5001/y", "", "+", "http://127.0.0.1:5001/y", "http://127.0.0.1:5001/y"}},
		{"at a name that DNS may have, by one at this machine", "http://localhost:5000/", "http://a.localhost/y", httpx.Loopback, verdicts{"http://a.localhost/y", "http://a.localhost/y", "", "http://a.localhost/y", "http://a.localhost/y", "http://a.localhost/y"}},
		{"at a private address by one at this machine", "http://localhost:5000/", "https://10.0.0.1/y", httpx.Loopback, verdicts{"https://10.0.0.1/y", "https://10.0.0.1/y", "", "+", "https://10.0.0.1/y", "https://10.0.0.1/y"}},
		{"at a private address by one at one", "https://10.0.0.2:5000/", "https://10.0.0.1/y", httpx.Private, verdicts{"https://10.0.0.1/y", "https://10.0.0.1/y", "", "+", "https://10.0.0.1/y", "https://10.0.0.1/y"}},
		{"at its own private address", "https://10.0.0.2:5000/", "https://10.0.0.2:5000/token", httpx.Private, verdicts{"+", "+", "+", "+", "+", "https://10.0.0.2:5000/token"}},
		{"at this machine by one at a private address", "https://10.0.0.2:5000/", "https://127.0.0.1/y", httpx.Private, same("")},
		{"at metadata by one at a private address", "https://10.0.0.2:5000/", "https://169.254.169.254/y", httpx.Private, same("")},
		{"at metadata by one at this machine", "http://127.0.0.1:5000/", "http://169.254.169.254/y", httpx.Loopback, same("")},
		{"at a public address", far, "https://93.184.216.34/y", 0, verdicts{"https://93.184.216.34/y", "https://93.184.216.34/y", "", "+", "https://93.184.216.34/y", "https://93.184.216.34/y"}},
		{"at a public address by NAT64", far, "https://[64:ff9b::5db8:d822]/y", 0, verdicts{"https://[64:ff9b::5db8:d822]/y", "https://[64:ff9b::5db8:d822]/y", "", "+", "https://[64:ff9b::5db8:d822]/y", "https://[64:ff9b::5db8:d822]/y"}},
	} {
		for i, kind := range all {
			named, err := httpx.Policy{Kind: kind, From: parse(t, tt.from), Reach: tt.reach}.Decide(tt.text)
			got, want := "", tt.want[i]
			if err == nil {
				got = named.URL.String()
				if named.Trusted {
					got = "+" + got
				}
			}
			if want == "+" {
				want += tt.text
			}
			if got != want {
				t.Errorf("%s as %s: got %q, %v; want %q", tt.name, kinds[kind], got, err, want)
			}
		}
	}
}

func TestOriginsAreSchemeHostAndPort(t *testing.T) {
	const origin = "https://r.example/x"
	for text, want := range map[string]bool{
		"https://r.example": true, "https://R.EXAMPLE:443/y": true, "https://r.example:/": true,
		"http://r.example:443/": false, "http://r.example/": false, "https://r.example:80/": false, "https://r.example.": false,
		"https://a.r.example/": false, "https://xr.example/": false, "https://r.example.s.example/": false, "https://r.example:0443/": false,
	} {
		if got := httpx.SameOrigin(parse(t, origin), parse(t, text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	if httpx.SameOrigin(parse(t, "https://k.example/"), parse(t, "https://\u212a.example/")) {
		t.Error("the sign for Kelvin is no k")
	}
}

func TestWhatIsThisMachine(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "localhost.": true, "a.b.localhost": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "::1%lo": true,
		"xlocalhost": false, "localhost.example": false, "128.0.0.1": false, "2002:7f00:1::": false, "64:ff9b::7f00:1": false, "0.0.0.0": false, "": false,
	} {
		if got := httpx.IsLoopbackHost(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func FuzzNamedURL(f *testing.F) {
	f.Add("/v2/a/blobs/uploads/1?_state=a%3D%3D&b")
	f.Add("http://r.example/u/1?q=%2f")
	f.Add("https://[64:ff9b::a9fe:a9fe]/x")
	f.Fuzz(func(t *testing.T, text string) {
		for kind := range kinds {
			named, err := httpx.Policy{Kind: kind, From: parse(t, far)}.Decide(text)
			if err != nil {
				continue
			}
			u := named.URL
			if u.Scheme != "https" || u.Host == "" || u.User != nil || named.Trusted && kind != httpx.TokenServer && !httpx.SameOrigin(u, parse(t, far)) {
				t.Errorf("%q as %s: %s, trusted: %t", text, kinds[kind], u, named.Trusted)
			}
			if addr, err := netip.ParseAddr(u.Hostname()); err == nil && httpx.ReachOf(addr) != httpx.Public {
				t.Errorf("%q as %s: %s", text, kinds[kind], u)
			}
		}
	})
}
