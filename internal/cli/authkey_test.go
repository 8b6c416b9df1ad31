package cli

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestAPatternFitsHostNamesAndNothingElse(t *testing.T) {
	const ecr = "*.dkr.ecr.*.amazonaws.com"
	const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	for _, tt := range []struct {
		pattern, host string
		fits          bool
	}{
		{ecr, host, true},
		{"https://" + ecr, host, true},
		{"https://" + ecr + "/v1/", host, true},
		{ecr, "123456789012.DKR.ecr.eu-west-1.amazonaws.com", true},
		{"*.example.com", "a.example.com", true},
		{"team-*.example.com", "team-a.example.com", true},
		{"*-*.example.com", "a-b-c.example.com", true},
		{"*.example.com:5000", "a.example.com:5000", true},

		{ecr, host + ".attacker.example", false},
		{ecr, host + ".cn", false},
		{ecr, "attacker.example." + host, false},
		{ecr, "a.b.dkr.ecr.eu-west-1.amazonaws.com", false},
		{ecr, "dkr.ecr.eu-west-1.amazonaws.com", false},
		{ecr, "a.dkr.ecr.b.c.amazonaws.com", false},
		{ecr, "a.dkr.ecr..amazonaws.com", false},
		{ecr, "a.dkr.ecr.b.evilamazonaws.com", false},
		{ecr, "a.dkr.ecr.b.amazonaws.com.", false},
		{ecr, "a-dkr.ecr.b.amazonaws.com", false},
		{ecr, host + ":5000", false},
		{ecr, "a.dkr.ecr.b.amazonaws.com@attacker.example", false},
		{"*.example.com:5000", "a.example.com", false},
		{"*.example.com:*", "a.example.com:5000", false},
		{"*.example.com", "example.com", false},
		{"*.example.com", "a.xexample.com", false},
		{"*", "localhost", false},
		{"*.*", "example.com", false},
		{"*.com*", "example.com", false},
		{"registry.*", "registry.attacker", false},
		{"*.0.0.1", "127.0.0.1", false},
		{"127.*.0.1", "127.0.0.1", false},
		{"*::1]", "[::1]", false},
		{"[a-z]*.example.com", "a.example.com", false},
		{"?.example.com", "a.example.com", false},
	} {
		_, got := dockers.bestKey(slices.Values([]string{tt.pattern}), tt.host, "")
		if got != tt.fits {
			t.Errorf("%s fits %s: %v, want %v", tt.pattern, tt.host, got, tt.fits)
		}
	}
}

func TestTheKeyThatSaysMostCounts(t *testing.T) {
	keys := []string{
		"quay.io", "quay.io/team", "quay.io/team/app", "quay.io/v2", "*.example.com", "*.b.example.com", "a-*.b.example.com", "c.b.example.com",
		"*.example.com/team", "https://index.docker.io/v1/", "docker.io", "docker.io/library/nginx",
	}
	for _, tt := range []struct {
		format           authFormat
		host, repository string
		want             string
	}{
		{podmans, "quay.io", "", "quay.io"},
		{podmans, "quay.io", "other/app", "quay.io"},
		{podmans, "quay.io", "team", "quay.io/team"},
		{podmans, "quay.io", "team/other", "quay.io/team"},
		{podmans, "quay.io", "team/app", "quay.io/team/app"},
		{podmans, "quay.io", "team/app/part", "quay.io/team/app"},
		{podmans, "quay.io", "team/app2", "quay.io/team"},
		{podmans, "quay.io", "teams/app", "quay.io"},
		{podmans, "quay.io", "v2/app", "quay.io/v2"},
		{podmans, "docker.io", "library/nginx", "docker.io/library/nginx"},
		{podmans, "docker.io", "library/other", "https://index.docker.io/v1/"},
		{podmans, "c.b.example.com", "team/app", "c.b.example.com"},
		{dockers, "quay.io", "team/app", "quay.io"},
		{dockers, "docker.io", "library/nginx", "https://index.docker.io/v1/"},
		{dockers, "c.b.example.com", "", "c.b.example.com"},
		{dockers, "a-1.b.example.com", "", "a-*.b.example.com"},
		{dockers, "b-1.b.example.com", "", "*.b.example.com"},
		{dockers, "x.example.com", "team/app", "*.example.com"},
		{podmans, "x.example.com", "team/app", "*.example.com"},
		{dockers, "evil-quay.io", "", ""},
	} {
		for range 5 { // whatever the order
			set := map[string]bool{}
			for _, key := range keys {
				set[key] = true
			}
			if got, _ := tt.format.bestKey(maps.Keys(set), tt.host, tt.repository); got != tt.want {
				t.Errorf("%s/%s in a file of kind %d: %q, want %q", tt.host, tt.repository, tt.format, got, tt.want)
			}
		}
	}
}

func FuzzKeysOfCredentials(f *testing.F) {
	f.Add("*.dkr.ecr.*.amazonaws.com", "a.dkr.ecr.b.amazonaws.com", "team/app")
	f.Add("quay.io/team", "quay.io", "team/app")
	f.Add("https://index.docker.io/v1/", "docker.io", "library/nginx")
	f.Fuzz(func(t *testing.T, key, host, repository string) {
		for _, format := range []authFormat{dockers, podmans} {
			k := format.parse(key)
			if !k.covers(host, repository) {
				continue
			}
			if k.isPattern() && strings.Count(host, ".") != strings.Count(k.host, ".") {
				t.Errorf("%q covers %q", key, host)
			}
			if !k.isPattern() && k.host != host {
				t.Errorf("%q covers %q", key, host)
			}
		}
	})
}
