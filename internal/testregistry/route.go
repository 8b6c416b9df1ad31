package testregistry

import (
	"regexp"
	"strings"
)

// A route is a path of the API, taken apart.
type route struct {
	kind Kind
	repo string
	ref  string
}

// repoName is the grammar of the distribution spec for <name>.
var repoName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// tagName is the grammar of the distribution spec for a tag as <reference>.
var tagName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

func parseRoute(path, tokenPath string) route {
	switch path {
	case tokenPath:
		return route{kind: KindToken}
	case "/v2", "/v2/":
		return route{kind: KindPing}
	case "/v2/_catalog":
		return route{kind: KindCatalog}
	}
	if to, is := stored(path); is {
		return to
	}
	if to, is := parseListing(path); is {
		return to
	}
	if rest, is := strings.CutPrefix(path, elsewhere); is {
		path = "/v2/" + rest
	}
	rest, isAPI := strings.CutPrefix(path, "/v2/")
	if !isAPI {
		return route{kind: KindOther}
	}
	s := strings.Split(rest, "/")
	n := len(s)
	if n >= 4 && s[n-3] == "blobs" && s[n-2] == "uploads" {
		return route{KindUpload, strings.Join(s[:n-3], "/"), s[n-1]}
	}
	if n >= 3 && s[n-2] == "tags" && s[n-1] == "list" {
		return route{KindTags, strings.Join(s[:n-2], "/"), ""}
	}
	if n >= 4 && s[n-3] == "tags" && s[n-2] == "reference" {
		return route{KindTags, strings.Join(s[:n-3], "/"), s[n-1]}
	}
	kind := map[string]Kind{"manifests": KindManifest, "blobs": KindBlob, "referrers": KindReferrers}
	if n >= 3 && kind[s[n-2]] != "" {
		return route{kind[s[n-2]], strings.Join(s[:n-2], "/"), s[n-1]}
	}
	return route{kind: KindOther}
}
