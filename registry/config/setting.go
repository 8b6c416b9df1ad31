package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A Setting is one that is in force, for people to read.
type Setting struct {
	Name  string // as in our own file; roots and allowHTTP only others have
	Value string // of a header its name: what it says may be a secret
	From  Origin
}

// String returns name, value and origin.
func (s Setting) String() string { return s.Name + " " + s.Value + " (" + s.From.String() + ")" }

// Settings lists what is set but for the proxy, which is not chosen by the host
// alone: see [View.Proxy].
func (h Host) Settings() []Setting {
	var list []Setting
	say := func(name, value string, from Origin) {
		if (from != Origin{}) {
			list = append(list, Setting{name, value, from})
		}
	}
	say("plainHTTP", strconv.FormatBool(h.PlainHTTP.Value), h.PlainHTTP.From)
	if h.AllowHTTP.Value { // else it is only what plainHTTP means
		say("allowHTTP", "true", h.AllowHTTP.From)
	}
	say("skipVerify", strconv.FormatBool(h.SkipVerify.Value), h.SkipVerify.From)
	for _, file := range h.CA.Value {
		say("ca", file, h.CA.From)
	}
	for _, root := range h.Roots {
		say("roots", root.Value, root.From)
	}
	for _, pair := range h.Client.Value {
		say("clientCertificate", pair.Certificate, h.Client.From)
		say("clientKey", pair.Key, h.Client.From)
	}
	for _, header := range h.Headers {
		say("header", header.Name, header.Values.From)
	}
	say("address", h.Address.Value, h.Address.From)
	say("dialTimeout", h.DialTimeout.Value.String(), h.DialTimeout.From)
	say("concurrency", strconv.Itoa(h.Concurrency.Value), h.Concurrency.From)
	say("requestsPerSecond", fmt.Sprintf("%g", h.RequestsPerSecond.Value), h.RequestsPerSecond.From)
	return list
}

// URL returns the address of the endpoint's API, up to its repository, in that scheme.
func (e Endpoint) URL(scheme string) *url.URL {
	u := &url.URL{Scheme: scheme, Host: authority(e.Host), Path: strings.TrimSuffix(e.Path, "/") + "/" + e.Repository}
	if e.Namespace != "" {
		u.RawQuery = url.Values{"ns": {e.Namespace}}.Encode()
	}
	return u
}

// authority returns where the URLs of a host lead.
func authority(host string) string {
	if host == hubName {
		return hubAddress
	}
	return host
}
