package config

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/wherry-dev/wherry/content"
)

// proxies say which proxy goes where, as the environment does.
type proxies struct {
	http, https Value[Proxy]
	none        Value[string] // hosts, domains and networks, each with a port or without
}

// or returns p, and from o what p does not have.
func (p proxies) or(o proxies) proxies {
	return proxies{p.http.or(o.http), p.https.or(o.https), p.none.or(o.none)}
}

// environmentProxies reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in upper case or
// else in lower case, as Go's own client does.
func environmentProxies(env func(string) string) (p proxies, err error) {
	if p.http, err = environmentProxy(env, "HTTP_PROXY"); err != nil {
		return p, err
	}
	if p.https, err = environmentProxy(env, "HTTPS_PROXY"); err != nil {
		return p, err
	}
	p.none = variable(env, "NO_PROXY")
	return p, nil
}

func environmentProxy(env func(string) string, name string) (Value[Proxy], error) {
	v := variable(env, name)
	if !v.Set() {
		return Value[Proxy]{}, nil
	}
	p, ok := parseProxy(v.Value)
	if !ok {
		return Value[Proxy]{}, fmt.Errorf("%s: not the URL of a proxy: %w", v.From, content.ErrInvalid)
	}
	return Value[Proxy]{p, v.From}, nil
}

// variable reads an environment variable by its name or its name in lower case.
func variable(env func(string) string, name string) Value[string] {
	for _, n := range []string{name, strings.ToLower(name)} {
		if text := env(n); text != "" {
			return Value[string]{text, Origin{Variable: n}}
		}
	}
	return Value[string]{}
}

// proxy reads the URL of a proxy. It is not quoted: there may be a password in it.
func (r *reader) proxy(n *node) Value[Proxy] {
	text := r.text(n)
	if text.Value == "" {
		return Value[Proxy]{}
	}
	p, ok := parseProxy(text.Value)
	if !ok {
		r.refuse(n.at, "not the URL of a proxy")
	}
	return Value[Proxy]{p, text.From}
}

// parseProxy parses the URL of a proxy: http, https or socks5. One without a
// scheme is http. One that has an @ where no user ends, or a colon without a port,
// was not meant as it reads: a password may stand where it would be shown.
func parseProxy(text string) (Proxy, bool) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return Proxy{}, false
	}
	if port := u.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return Proxy{}, false
		}
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return Proxy{u}, true
	}
	return Proxy{}, false
}

// choose returns the proxy for requests to u. Where it is none although one is
// set, the origin is of the setting that says so; a loopback host never has one.
func (p proxies) choose(u *url.URL) Value[Proxy] {
	set := p.set(u)
	if !set.Set() {
		return Value[Proxy]{}
	}
	// httpproxy decides by name and network; which proxy it is is known already.
	c := httpproxy.Config{HTTPProxy: "http://proxy.invalid", HTTPSProxy: "http://proxy.invalid"}
	if through(c, u) {
		c.NoProxy = p.none.Value
		if through(c, u) {
			return set
		}
		return Value[Proxy]{From: p.none.From}
	}
	return Value[Proxy]{}
}

// set returns the proxy for the scheme of u.
func (p proxies) set(u *url.URL) Value[Proxy] {
	if u.Scheme == "http" {
		return p.http
	}
	return p.https
}

func through(c httpproxy.Config, u *url.URL) bool {
	p, err := c.ProxyFunc()(u)
	return err == nil && p != nil
}

// Proxy returns what requests to u go through: the proxy of u's host in our own
// file, else what the environment says, else daemon.json, each of HTTP_PROXY,
// HTTPS_PROXY and NO_PROXY by itself. It serves for the hosts that a registry
// leads to as well.
func (v *View) Proxy(u *url.URL) Value[Proxy] {
	if own := v.own.settings(canonical(u.Host), "").Proxy; own.Set() {
		return own
	}
	return v.proxies.choose(u)
}

// WhyDirect says why requests to u go through no proxy although there is one for
// its scheme: which entry of which setting keeps it from them. It is "" where
// there is no such reason.
func (v *View) WhyDirect(u *url.URL) string {
	if own := v.own.settings(canonical(u.Host), "").Proxy; own.Set() {
		if own.Value.URL() == nil {
			return "proxy: direct"
		}
		return ""
	}
	p := v.proxies
	for entry := range strings.SplitSeq(p.none.Value, ",") {
		only := proxies{p.http, p.https, Value[string]{strings.TrimSpace(entry), p.none.From}}
		if only.none.Value != "" && only.choose(u) == (Value[Proxy]{From: p.none.From}) {
			return named(p.none) + " has " + only.none.Value
		}
	}
	if bare := (proxies{http: p.http, https: p.https}); bare.set(u).Set() && !bare.choose(u).Set() {
		return "a host of this machine never has one"
	}
	return ""
}

// named returns what a list of hosts without a proxy is called where it was found.
func named(none Value[string]) string { return cmp.Or(none.From.Variable, "no-proxy") }

// Proxies returns what the environment, and else daemon.json, says of proxies for
// http and for https, and the hosts, domains and networks that have none.
func (v *View) Proxies() (http, https Value[Proxy], none Value[string]) {
	return v.proxies.http, v.proxies.https, v.proxies.none
}
