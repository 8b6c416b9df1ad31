package config_test

import (
	"strings"
	"testing"
)

func TestWhoIsAskedForCredentials(t *testing.T) {
	const (
		conf = "etc/containers/registries.conf"
		drop = "etc/containers/registries.conf.d/a.conf"
	)
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"the files when nobody says otherwise", nil, "containers-auth.json by default"},
		{"the files when nobody is named", map[string]string{conf: "credential-helpers = []\n"}, "containers-auth.json by " + conf + ":1"},
		{"who is named, in order", map[string]string{conf: "\ncredential-helpers = ['pass', 'containers-auth.json', 'x']\n"}, "pass containers-auth.json x by " + conf + ":2"},
		{"whom a drop-in names instead", map[string]string{
			conf: "credential-helpers = ['pass']\n", drop: "credential-helpers = ['secretservice']\n",
		}, "secretservice by " + drop + ":1"},
		{"whom no drop-in names otherwise", map[string]string{
			conf: "credential-helpers = ['pass']\n", drop: "short-name-mode = 'disabled'\n",
		}, "pass by " + conf + ":1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.files)
			got := m.load(t).CredentialHelpers()
			if said := strings.Join(got.Value, " ") + " by " + m.short(got.From.String()); said != tt.want {
				t.Errorf("got %s, want %s", said, tt.want)
			}
		})
	}
}
