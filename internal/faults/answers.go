package faults

import (
	"time"

	"github.com/wherry-dev/wherry/content"
)

// login is a registry that wants a token of ann.
var login = []string{"bearer=ann:secret"}

// answers is what registries say in place of what was asked for.
var answers = []Fault{
	{
		Name: "http-503", Part: Reading, Does: "503", Strikes: []string{"status=503"}, Want: survives(0, 1),
	},
	{
		Name: "http-503-always", Part: Reading, Row: "http-503", Does: "503 every time", Lasts: true,
		Strikes: []string{"status=503"}, Want: fails(content.ErrUnavailable, 4, "503", "{host}", "{digest}"),
	},
	temporary("http-408", "status=408"), temporary("http-425", "status=425"), temporary("http-500", "status=500"),
	temporary("http-502", "status=502"), temporary("http-504", "status=504"), temporary("http-520", "status=520"),
	temporary("http-521", "status=521"), temporary("http-522", "status=522"), temporary("http-523", "status=523"), temporary("http-524", "status=524"),
	{
		Name: "busy-seconds", Part: Reading, Does: "429, and Retry-After says 8 seconds",
		Strikes: []string{"status=429,retry-after=8"}, Want: survives(0, 1).waits(8 * time.Second),
	},
	{
		Name: "busy-date", Part: Reading, Does: "429, and Retry-After says a time 4 seconds ahead",
		Strikes: []string{"status=429,retry-after=@4s"}, Want: survives(0, 1).waits(3 * time.Second), // dates have whole seconds
	},
	{
		Name: "busy", Part: Reading, Does: "429 without a word about when", Strikes: []string{"status=429"}, Want: survives(0, 1),
	},
	{
		Name: "busy-long", Part: Reading, Row: "busy-seconds", Does: "429, and Retry-After says a day", Lasts: true,
		Strikes: []string{"status=429,retry-after=86400"}, Want: fails(content.ErrRateLimited, 0, "{host}", "24h"),
	},
	{
		Name: "token-revoked", Part: Reading, Shared: true, Does: "401: tokens end before their time", Server: login,
		Strikes: []string{"revoke"}, Want: survives(1, 9),
		Thrice: fails(content.ErrUnauthorized, 9, "401", "{host}").also(),
	},
	{
		Name: "url-403", Part: Reading, Does: "the URL a blob is led to has run out: 403 there", At: blobs, Server: []string{"storage"},
		Strikes: []string{"status=403,kind=storage"}, Want: survives(0, 2),
	},
	{
		Name: "redirect-loop", Part: Reading, Does: "a redirect to itself", Lasts: true,
		Strikes: []string{"redirect=loop"}, Want: fails(content.ErrUnavailable, 11, "more than 10 redirects", "→"),
	},
	{
		Name: "redirect-to-http", Part: Reading, Does: "a redirect from https to http", Lasts: true, Protocols: []Protocol{HTTPS, HTTP2},
		Strikes: []string{"redirect=http://127.0.0.1:1"}, Want: fails(content.ErrInvalid, 1, "from https to http"),
	},
	{
		Name: "redirect-blocked", Part: Network, Does: "blobs are at a host that cannot be reached", Lasts: true, At: blobs, Protocols: []Protocol{HTTP},
		Strikes: []string{"redirect=http://127.0.0.1:1"}, Want: fails(content.ErrUnavailable, 5, "127.0.0.1:1"),
	},
	{
		Name: "head-404", Part: Reading, Does: "404 to HEAD, 200 to GET", At: []Position{Manifest}, Server: []string{"blind-head"},
		Strikes: []string{"header=X-Faulty:1,method=HEAD,about=any,times=0"}, Lasts: true, Want: survives(0, 1),
	},
	{
		Name: "no-digest", Part: Reading, Does: "no Docker-Content-Digest", Lasts: true, At: []Position{Manifest},
		Strikes: []string{"digest=none,method=any"}, Want: survives(0, 1),
	},
	{
		Name: "other-digest", Part: Reading, Does: "Docker-Content-Digest is not that of the body", Lasts: true, At: []Position{Manifest},
		Strikes: []string{"digest=wrong,method=any"}, Want: fails(content.ErrCorrupt, 4, "{digest}"),
	},
	{
		Name: "huge-manifest", Part: Reading, Does: "a manifest of 600 MiB", Lasts: true, At: []Position{Manifest},
		Strikes: []string{"longer=600MiB"}, Want: fails(content.ErrInvalid, 1, "over the limit").again(20_000),
	},
	{
		Name: "web-page", Part: Network, Does: "a captive portal answers with its page", Lasts: true, At: manifests,
		Strikes: []string{"html"}, Want: fails(content.ErrUnavailable, 5, "web page"),
	},
	{
		Name: "web-page-blob", Part: Network, Row: "web-page", Does: "a captive portal answers with its page in place of a blob", Lasts: true, At: blobs,
		Strikes: []string{"html"}, Want: fails(content.ErrUnavailable, 5, "web page", "{host}"),
	},
	{
		Name: "not-found", Part: Reading, Row: "http-503", Does: "404, which is no reason to ask again", Lasts: true,
		Strikes: []string{"status=404"}, Want: fails(content.ErrNotFound, 1, "404", "{host}"),
	},
}

// temporary is a status that passes.
func temporary(name, strike string) Fault {
	return Fault{
		Name: name, Row: "http-503", Part: Reading, Does: name[len("http-"):], At: []Position{Middle, Manifest},
		Strikes: []string{strike}, Want: survives(0, 1),
	}
}
