package installed_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/installed"
)

func TestVersionsAreComparedAsTheManagerDoes(t *testing.T) {
	tests := []struct {
		m        installed.Manager
		was, now string
		want     installed.Order
	}{
		{installed.Dpkg, "1.0-1", "1.0-1", installed.Equal},
		{installed.Dpkg, "1.9-1", "1.10-1", installed.Higher},
		{installed.Dpkg, "1.0", "1.0~rc1", installed.Lower},
		{installed.Dpkg, "9", "1:1", installed.Higher},
		{installed.Dpkg, "1", "one", installed.Unknown},
		{installed.Apk, "1.36.1-r29", "1.36.1-r3", installed.Lower},
		{installed.Apk, "3.3.1_rc1-r0", "3.3.1-r0", installed.Higher},
		{installed.Apk, "1", "not one", installed.Unknown},
		{installed.Dpkg, "1", strings.Repeat("1", 300), installed.Unknown},
		{installed.RPM, "1", "2", installed.Unknown},
	}
	for _, tt := range tests {
		if got := installed.Compare(tt.m, tt.was, tt.now); got != tt.want {
			t.Errorf("%s %s, %s: %d, want %d", tt.m, tt.was, tt.now, got, tt.want)
		}
	}
}

func TestNotesTellOfSoManyPackagesOnly(t *testing.T) {
	const one = "P:x\nV:1\n\n"
	if all, err := installed.Read(installed.Apk, []byte(strings.Repeat(one, installed.MaxPackages))); err != nil || len(all) != installed.MaxPackages {
		t.Errorf("got %d packages, %v", len(all), err)
	}
	if _, err := installed.Read(installed.Apk, []byte(strings.Repeat(one, installed.MaxPackages+1))); !errors.Is(err, installed.ErrUnread) {
		t.Errorf("got %v", err)
	}
}

func TestNotesAreFoundByTheirPath(t *testing.T) {
	for path, want := range map[string]installed.Manager{
		"var/lib/dpkg/status": installed.Dpkg, "var/lib/dpkg/status.d/base-files": installed.Dpkg, "var/lib/dpkg/status.d/base-files.md5sums": "",
		"var/lib/dpkg/status.d/x/y": "", "lib/apk/db/installed": installed.Apk, "usr/lib/sysimage/rpm/Packages.db": installed.RPM, "etc/passwd": "",
	} {
		if m, ok := installed.Of(path); ok != (want != "") || ok && m != want {
			t.Errorf("%s: %s, %v", path, m, ok)
		}
	}
}

// FuzzRead reads anything as a list of packages: there is no panic, and what is found has a name and a version.
func FuzzRead(f *testing.F) {
	f.Add("Package: a\nVersion: 1\nStatus: install ok installed\n\nPackage: b\n c: d\n")
	f.Add("P:a\nV:1\r\n\nP:b\n\nV:2")
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range []installed.Manager{installed.Dpkg, installed.Apk} {
			all, err := installed.Read(m, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range all {
				if p.Name == "" || p.Version == "" || p.Manager != m {
					t.Errorf("got %+v", p)
				}
				installed.Compare(m, p.Version, text)
			}
		}
	})
}
