package cli

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
)

func TestPlaceUnderKeepsTheLastPartOfAName(t *testing.T) {
	tests := []struct{ to, repository, tag, want string }{
		{"r.example/mirror", "docker.io/library/nginx", "1.27", "r.example/mirror/nginx:1.27"},
		{"r.example/mirror/", "nginx", "1.27", "r.example/mirror/nginx:1.27"},
		{"r.example", "a/b/c", "v1", "r.example/c:v1"},
		{"localhost:5000", "nginx", "v1", "localhost:5000/nginx:v1"},
		{"user", "nginx", "v1", "docker.io/user/nginx:v1"},
		{"r.example/team/app", "", "v1", "r.example/team/app:v1"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			got, err := placeUnder(tt.to, tt.repository, tt.tag)
			if err != nil || got.String() != tt.want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
	for _, tt := range []struct{ to, repository, tag string }{
		{"r.example/mirror", "Upper", "v1"},
		{"r.example/mirror", "app", "no tag"},
		{"localhost", "", "v1"},
	} {
		if got, err := placeUnder(tt.to, tt.repository, tt.tag); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s:%s under %s: got %s, %v", tt.repository, tt.tag, tt.to, got, err)
		}
	}
}

func TestRawLayersBecomeWhatTheDestinationWants(t *testing.T) {
	registry := endpoint.Endpoint{Transport: endpoint.Registry}
	layout := endpoint.Endpoint{Transport: endpoint.Layout}
	tests := []struct {
		name, flag string
		dst        []endpoint.Endpoint
		want       archive.Compression
	}{
		{"gzip to a registry", "", []endpoint.Endpoint{registry}, archive.Gzip},
		{"as they are to a layout", "", []endpoint.Endpoint{layout}, archive.None},
		{"gzip where one of several is a registry", "", []endpoint.Endpoint{layout, registry}, archive.Gzip},
		{"what was asked for", "zstd", []endpoint.Endpoint{registry}, archive.Zstd},
		{"raw when asked for", "none", []endpoint.Endpoint{registry}, archive.None},
		{"gzip when asked for", "gzip", []endpoint.Endpoint{layout}, archive.Gzip},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			flag := newCompress()
			if tt.flag != "" {
				if err := flag.Set(tt.flag); err != nil {
					t.Fatal(err)
				}
			}
			if got := compression(flag, tt.dst); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestSummariesSayWhatBecameOfImages(t *testing.T) {
	one, two := digest.FromString("one"), digest.FromString("two")
	result := MoveResult{Images: []MovedImage{
		{Name: "app:1\x1b", SourceDigest: one, Digest: one, Referrers: 1, Destinations: []MovedTo{
			{Name: "a", Stored: 1, Existed: 2, Mounted: 3, Bytes: 1500},
			{Name: "b", UpToDate: true},
			{Name: "c", Error: "gone"},
			{Name: "d", UpToDate: true, Kept: []string{"v1"}},
			{Name: "e", Existed: 2, Manifests: 1},
		}},
		{Name: "web:2", SourceDigest: one, Digest: two, Orphaned: 2, LeftOut: 1, Destinations: []MovedTo{{Name: "a"}}},
		{Name: "none", Error: "gone", Destinations: []MovedTo{{Name: "a"}}},
	}}
	rewritten := "index rewritten: " + one.String() + " is now " + two.String()
	want := `app:1\x1b to a: 1 blob moved (1.5kB), 3 blobs mounted, 2 there, 1 referrer
app:1\x1b to b: up to date
app:1\x1b to d: tag v1 exists and was left alone
app:1\x1b to e: 1 manifest written, 2 there, 1 referrer
web:2 to a: up to date
  ` + rewritten + `
  2 referrers of the original index stayed behind
  1 foreign layer left out
`
	if got := result.summary(); got != want {
		t.Errorf("summary:\n%s\nwant\n%s", got, want)
	}
	want = `5 of 7 copies: 1 blob moved (1.5kB), 3 blobs mounted, 4 there, 4 referrers
app:1\x1b to d: tag v1 exists and was left alone
  web:2: ` + rewritten + `
  web:2: 2 referrers of the original index stayed behind
  web:2: 1 foreign layer left out
`
	if got := result.sum(); got != want {
		t.Errorf("sum:\n%s\nwant\n%s", got, want)
	}
}

func TestReferencesEndInTheDigestOfWhatIsThere(t *testing.T) {
	d := digest.FromString("root")
	for arg, want := range map[string]string{
		"r.example/a/b:v1":  "r.example/a/b@" + d.String(),
		"nginx":             "docker.io/library/nginx@" + d.String(),
		"oci:layout:v1":     "oci:layout:v1@" + d.String(),
		"oci-archive:a.tar": "oci-archive:a.tar@" + d.String(),
		"-":                 "",
	} {
		e, err := endpoint.Parse(arg)
		if err != nil {
			t.Fatal(err)
		}
		if got := referenceAt(e, ocispec.Descriptor{Digest: d}); got != want {
			t.Errorf("%s: got %s, want %s", arg, got, want)
		}
	}
}
