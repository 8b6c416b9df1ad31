package config_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/content"
)

func TestWhatAShortNameStandsFor(t *testing.T) {
	const (
		conf  = "etc/containers/registries.conf"
		cache = "home/.cache/containers/short-name-aliases.conf"
		dropA = "etc/containers/registries.conf.d/a.conf"
	)
	tests := []struct {
		name, short string
		files       map[string]string
		want        []string
	}{
		{"on Docker Hub when nobody says otherwise", "nginx", nil, []string{"docker.io/library/nginx default"}},
		{"at each registry that is to be searched", "team/app", map[string]string{
			conf: "unqualified-search-registries = [\n  'quay.io',\n  'docker.io',\n  'localhost:5000']\n",
		}, []string{"quay.io/team/app " + conf + ":1", "docker.io/team/app " + conf + ":1", "localhost:5000/team/app " + conf + ":1"}},
		{"nothing when no registry is to be searched", "nginx", map[string]string{
			conf: "unqualified-search-registries = ['quay.io']\n", dropA: "unqualified-search-registries = []\n",
		}, nil},
		{"its alias", "app", map[string]string{
			conf: "unqualified-search-registries = ['quay.io']\n[aliases]\napp = 'old.example/app'\n", dropA: "[aliases]\n'app' = 'docker.io/app'\n",
		}, []string{"docker.io/library/app " + dropA + ":2"}},
		{"the user's alias first", "team/app", map[string]string{
			conf:  "[aliases]\n'team/app' = 'old.example/app'\n",
			cache: "[aliases]\n'team/app' = 'new.example/app'\n",
			"var/cache/containers/short-name-aliases.conf": "[aliases]\n'team/app' = 'system.example/app'\n",
		}, []string{"new.example/app " + cache + ":2"}},
		{"what it is without the alias that was taken back", "app", map[string]string{
			conf: "unqualified-search-registries = ['quay.io']\n[aliases]\napp = 'old.example/app'\n", dropA: "[aliases]\napp = ''\n",
		}, []string{"quay.io/app " + conf + ":1"}},
		{"itself when it has a host", "localhost/a", map[string]string{
			conf: "unqualified-search-registries = ['quay.io']\n",
		}, []string{"localhost/a default"}},
		{"itself on Docker Hub in full", "docker.io/nginx", nil, []string{"docker.io/library/nginx default"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.files)
			found, err := m.load(t).ShortName(tt.short)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.Value+" "+m.short(f.From.String()))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamesThatAreNoNameAreRefused(t *testing.T) {
	v := newMachine(t, nil).load(t)
	for _, name := range []string{"", "A", "a:1", "a b", "a@sha256:0123", "a//b"} {
		if got, err := v.ShortName(name); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: got %v and %v, want ErrInvalid", name, got, err)
		}
	}
}

func TestHowSureAShortNameHasToBe(t *testing.T) {
	m := newMachine(t, nil)
	if mode := m.load(t).ShortNameMode(); mode.Value != "permissive" || mode.Set() {
		t.Errorf("got %v", mode)
	}
	m.write(t, "etc/containers/registries.conf", "short-name-mode = \"enforcing\"\n")
	m.write(t, "etc/containers/registries.conf.d/a.conf", "")
	if mode := m.load(t).ShortNameMode(); mode.Value != "enforcing" || m.short(mode.From.String()) != "etc/containers/registries.conf:1" {
		t.Errorf("got %v", mode)
	}
}
