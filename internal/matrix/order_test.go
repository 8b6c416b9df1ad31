package matrix

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/transfer"
)

// puts lists what was put into r, in order.
func puts(r *testregistry.Registry) []string {
	var put []string
	for _, q := range r.Requests() {
		if q.Method == http.MethodPut {
			put = append(put, string(q.Kind)+" "+q.Ref)
		}
	}
	return put
}

// TestNamesAreWrittenLast is about blobs, manifests, the root by its digest, what
// refers to it and its name, in this order.
func TestNamesAreWrittenLast(t *testing.T) {
	for _, kind := range []string{"index", "nested-index", "referrers", "cosign"} {
		t.Run(kind, func(t *testing.T) {
			img, _ := testimage.Named(kind, 15)
			from, to := fromLayout(t, img), toRegistry(t)
			copyOnce(t, &transfer.Copier{Jobs: 8}, from, to)
			put := puts(to.registry)
			isManifest := func(what string) bool { return strings.HasPrefix(what, "manifest ") }
			blobs := slices.IndexFunc(put, isManifest)
			if blobs != len(img.Blobs) || slices.ContainsFunc(put[:blobs], isManifest) {
				t.Errorf("%d of %d blobs are there before the first manifest", blobs, len(img.Blobs))
			}
			if last := put[len(put)-1]; last != "manifest "+tag {
				t.Errorf("%s is written last", last)
			}
			if strings.Count(strings.Join(put, "\n"), "manifest "+tag) != 1 {
				t.Error("the name is written twice")
			}
			checkAfterRoot(t, put, img)
		})
	}
}

// checkAfterRoot reports what refers to img and was put before it.
func checkAfterRoot(t *testing.T, put []string, img testimage.Image) {
	t.Helper()
	root := slices.Index(put, "manifest "+img.Root.Digest.String())
	var refer []string
	for _, d := range img.Referrers {
		refer = append(refer, d.Digest.String())
	}
	for tag := range img.Tags {
		refer = append(refer, tag)
	}
	if len(refer) > 0 && root < 0 {
		t.Error("the root is not put by its digest")
	}
	for _, ref := range refer {
		if at := slices.Index(put, "manifest "+ref); at < root {
			t.Errorf("%s is written %d, the root %d", ref, at, root)
		}
	}
}

func TestTheSameSaveIsTheSameBytes(t *testing.T) {
	images := map[string]testimage.Image{"team/app": testimage.Index(16), "team/base": testimage.Layers(17, 6, 3000), "team/signed": testimage.WithReferrers(18)}
	names := []string{"team/base", "team/app", "team/signed"}
	save := func(t *testing.T, seed uint64) string {
		t.Helper()
		from := testregistry.Start(t, testregistry.Config{Faults: []testregistry.Fault{
			{Kind: testregistry.AnyKind, Effect: testregistry.Delay, Max: 8 * time.Millisecond, Seed: seed},
		}})
		for name, img := range images {
			img.PutTo(from, name, tag)
		}
		file := filepath.Join(t.TempDir(), "images.tar")
		w := closing[*archive.Writer](t)(archive.Create(file))
		jobs := jobsOf(t, from, func(name string) transfer.Target {
			return transfer.Target{Name: name, Sink: w, Names: []string{"registry.example/" + name + ":" + tag}}
		}, names...)
		for i := range jobs {
			jobs[i].Filter.Referrers = true
		}
		if err := run(t, &transfer.Copier{Jobs: 8}, jobs...).Err(); err != nil {
			t.Fatal(err)
		}
		return digestOfFile(t, file)
	}
	want := save(t, 0)
	for seed := range uint64(6) {
		if got := save(t, seed+1); got != want {
			t.Errorf("with delays of seed %d the file is %s, want %s", seed+1, got, want)
		}
	}
}

func digestOfFile(t *testing.T, file string) string {
	t.Helper()
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(p).String()
}
