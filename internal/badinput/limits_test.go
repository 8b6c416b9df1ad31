package badinput

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

// TestALimitThatIsOffRefusesNothing reads what the tables have above a limit with that limit turned off: nothing else
// would have refused it, so that the case in the table fails if the limit is gone.
func TestALimitThatIsOffRefusesNothing(t *testing.T) {
	cases := map[string]func(w *workshop) ocispec.Descriptor{}
	for _, c := range counts() {
		cases[c.name] = c.make
	}
	tests := []struct {
		name string // of the case
		off  content.Limits
	}{
		{"5 MiB of annotations", content.Limits{ManifestSize: -1}},
		{"4,097 children", content.Limits{Children: -1}},
		{"1,025 layers", content.Limits{Layers: -1}},
		{"two indexes a level, 24 deep", content.Limits{Depth: -1}},
		{"69,632 manifests in 17 indexes", content.Limits{Nodes: -1, GraphSize: -1}},
		{"35 MiB of annotations in 9 manifests", content.Limits{GraphSize: -1}},
		{"JSON nested 1,000 deep", content.Limits{Nesting: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testregistry.Start(t, testregistry.Config{AllowMissing: true, MaxManifest: 1 << 30})
			var w workshop
			w.Done(cases[tt.name](&w)).PutTo(r, repo, tag)
			if err := load(t, r, content.Limits{}); !errors.Is(err, content.ErrInvalid) {
				t.Errorf("with all limits: %v, want invalid content", err)
			}
			if err := load(t, r, tt.off); errors.Is(err, content.ErrInvalid) {
				t.Errorf("without the limit: %v", err)
			}
		})
	}
}

// load reads all manifests of app:v1. That some are not there is as good as if they were.
func load(t *testing.T, r *testregistry.Registry, l content.Limits) error {
	t.Helper()
	client := registry.Client{Limits: l}
	from, err := client.Repository(r.Host(), repo)
	must(t, err)
	root, err := from.Manifest(t.Context(), tag)
	if err != nil {
		return err
	}
	_, err = content.Loader{Limits: l}.Load(t.Context(), from, root)
	return err
}

// TestBombsAreRefusedByTheirLimit reads one with and without it.
func TestBombsAreRefusedByTheirLimit(t *testing.T) {
	t.Parallel()
	raw := packed(t, append(image(), file("zeros", strings.Repeat("\x00", 4<<20)), saved("c.json", "1/layer.tar"))...)
	path := filepath.Join(t.TempDir(), "in.tar.gz")
	must(t, os.WriteFile(path, gzipped(t, raw), 0o600))
	for most, want := range map[int64]error{1 << 20: content.ErrInvalid, -1: nil, 0: nil} {
		a, err := archive.Open(t.Context(), path, archive.Options{TempDir: t.TempDir(), MaxUnpacked: most})
		if !errors.Is(err, want) {
			t.Errorf("with a limit of %d: %v, want %v", most, err, want)
		}
		if err == nil {
			must(t, a.Close())
		}
	}
}

// TestArchivesJustBelowTheirLimits reads them. The tables have each just above its limit, or far, with a message that
// names the limit: without it they would be read, or refused in other words.
func TestArchivesJustBelowTheirLimits(t *testing.T) {
	tests := []struct {
		name string
		make func(tb testing.TB) io.Reader
		over func(tb testing.TB) io.Reader
		says string
	}{
		{
			"entries",
			of(append(emptyFiles(131_072-3), append(image(), saved("c.json", "1/layer.tar"))...)...),
			of(append(emptyFiles(131_072-2), append(image(), saved("c.json", "1/layer.tar"))...)...), "more than 131072 entries",
		},
		{
			"bytes of a name",
			good(file(strings.Repeat("n", 4096), "")), good(file(strings.Repeat("n", 4097), "")), "more than 4096 bytes",
		},
		{
			"bytes of manifest.json",
			of(append(image(), padded(1<<20))...), of(append(image(), padded(1<<20+1))...), "more than 1048576",
		},
		{
			"bytes of padding",
			tailed(16<<20 - 2048), tailed(16<<20 + 1024), "padding",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := open(t.Context(), t.TempDir(), tt.make(t)); err != nil {
				t.Errorf("below the limit: %v", err)
			}
			if err := open(t.Context(), t.TempDir(), tt.over(t)); !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("above the limit: %v, want %q", err, tt.says)
			}
		})
	}
}

func open(ctx context.Context, temp string, r io.Reader) error {
	a, err := archive.Read(ctx, r, archive.Options{TempDir: temp})
	if err != nil {
		return err
	}
	_, err = a.Manifest(ctx, "app:v2")
	return errors.Join(err, a.Close())
}

func emptyFiles(n int) []testimage.Entry {
	all := make([]testimage.Entry, n)
	for i := range all {
		all[i] = special(tar.TypeReg, strconv.Itoa(i))
	}
	return all
}

// padded is manifest.json with spaces up to so many bytes.
func padded(size int) testimage.Entry {
	e := saved("c.json", "1/layer.tar")
	e.Body = append(e.Body, strings.Repeat(" ", size-len(e.Body))...)
	return e
}

// tailed is a good archive with so many zeros after its end.
func tailed(n int64) func(tb testing.TB) io.Reader {
	return func(tb testing.TB) io.Reader {
		tb.Helper()
		return io.MultiReader(good()(tb), io.LimitReader(repeated(strings.Repeat("\x00", 1<<20), 0), n))
	}
}
