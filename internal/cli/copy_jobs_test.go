package cli

import (
	"path/filepath"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/layout"
)

func TestAMoverOpensTheStoreOnce(t *testing.T) {
	f := newFactory(Stdio{}, func(string) string { return "" })
	f.Flags.Store = filepath.Join(t.TempDir(), "store")
	m, err := f.newMover(moverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.openStore()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "app:1", "registry.example/team/app:1"} {
		src, err := m.source(t.Context(), endpoint.InStore(name))
		if err != nil {
			t.Fatal(err)
		}
		sink, err := m.sink(t.Context(), endpoint.InStore(name), endpoint.Endpoint{})
		if err != nil {
			t.Fatal(err)
		}
		read, _ := content.As[*layout.Store](src)
		written, _ := content.As[*layout.Store](sink)
		if read != want || written != want {
			t.Errorf("%q: it was opened again", name)
		}
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
