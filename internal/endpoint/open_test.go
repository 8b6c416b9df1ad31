package endpoint_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry"
)

const (
	hex64  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	sha256 = "sha256:" + hex64
)

func parse(t *testing.T, arg string) endpoint.Endpoint {
	t.Helper()
	e, err := endpoint.Parse(arg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNamesOfADestination(t *testing.T) {
	tests := []struct {
		src, dst string
		want     []string
	}{
		{"nginx:1.27", "q.io/a", []string{"latest"}},
		{"nginx:1.27", "q.io/a:t", []string{"t"}},
		{"nginx:1.27", "q.io/a@" + sha256, []string{sha256}},
		{"nginx:1.27", "q.io/a:t@" + sha256, []string{"t", sha256}},
		{"nginx:1.27", "oci:l", []string{"docker.io/library/nginx:1.27"}},
		{"nginx", "oci:l", []string{"docker.io/library/nginx:latest"}},
		{"nginx:1.27", "oci:l:mine", []string{"mine"}},
		{"nginx:1.27@" + sha256, "oci:l", []string{"docker.io/library/nginx:1.27"}},
		{"nginx@" + sha256, "oci:l", nil},
		{"nginx:1.27", "oci:l@" + sha256, []string{sha256}},
		{"nginx:1.27", "x.tar", []string{"docker.io/library/nginx:1.27"}},
		{"nginx:1.27", "-", []string{"docker.io/library/nginx:1.27"}},
		{"oci:l:v1", "x.tar", []string{"v1"}},
		{"oci:l", "x.tar", nil},
		{"oci:l:v1", "q.io/a", []string{"latest"}},
	}
	for _, tt := range tests {
		t.Run(tt.src+" to "+tt.dst, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, parse(t, tt.dst).Names(parse(t, tt.src))); diff != "" {
				t.Errorf("names differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTaggedReplacesTagAndDigest(t *testing.T) {
	tests := []struct{ arg, want string }{
		{"q.io/a", "q.io/a:t"},
		{"q.io/a:u@" + sha256, "q.io/a:t"},
		{"oci:l", "oci:l:t"},
	}
	for _, tt := range tests {
		if got := parse(t, tt.arg).Tagged("t").String(); got != tt.want {
			t.Errorf("%s tagged t is %s, want %s", tt.arg, got, tt.want)
		}
	}
}

// image puts a small image into sink.
func image(ctx context.Context, t *testing.T, sink *endpoint.Sink) content.Manifest {
	t.Helper()
	config := contenttest.NewBlob(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`))
	raw, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config.Descriptor(),
		Layers:    []ocispec.Descriptor{},
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := content.ParseManifest(ocispec.MediaTypeImageManifest, raw, content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.PutBlob(ctx, config); err != nil {
		t.Fatal(err)
	}
	if err := sink.PutManifest(ctx, m, sink.Names...); err != nil {
		t.Fatal(err)
	}
	if c, ok := content.As[content.Committer](sink); ok {
		if err := c.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

func shut(t *testing.T, src *endpoint.Source) {
	t.Helper()
	if err := src.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenerWritesAndReadsEveryPlaceOnDisk(t *testing.T) {
	tests := []struct{ dst, src string }{
		{"oci:DIR/l:v1", "oci:DIR/l:v1"},
		{"oci:DIR/l:v1", "oci:DIR/l"},
		{"oci:DIR/l:v1", "archive:DIR/l"},
		{"ocidir://DIR/l:v1", "DIR/l"},
		{"oci-archive:DIR/x:v1", "oci-archive:DIR/x:v1"},
		{"docker-archive:DIR/x:a:v1", "docker-archive:DIR/x:a:v1"},
		{"archive:DIR/x", "archive:DIR/x"},
		{"DIR/x.tar", "DIR/x.tar"},
		{"DIR/new/", "oci:DIR/new"},
		{"dir:DIR/d", "dir:DIR/d"},
		{"dir:DIR/d", "DIR/d"},
		{"oci:~/l:v1", "~/l"},
	}
	for _, tt := range tests {
		t.Run(tt.dst, func(t *testing.T) {
			ctx, dir := t.Context(), t.TempDir()
			o := endpoint.Opener{Home: filepath.Join(dir, "home")}
			dst := parse(t, strings.ReplaceAll(tt.dst, "DIR", dir))
			sink, err := o.Sink(t.Context(), dst, parse(t, "oci:other:v0"))
			if err != nil {
				t.Fatal(err)
			}
			want := image(ctx, t, sink)
			src, err := o.Source(ctx, parse(t, strings.ReplaceAll(tt.src, "DIR", dir)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { shut(t, src) })
			got, err := src.Manifest(ctx, src.Ref)
			if err != nil {
				t.Fatal(err)
			}
			if got.Digest() != want.Digest() {
				t.Errorf("got %s, want %s", got.Digest(), want.Digest())
			}
			if _, ok := content.As[content.Sizer](src); !ok {
				t.Error("the place's abilities are hidden")
			}
		})
	}
}

func TestOpenerStreams(t *testing.T) {
	var pipe bytes.Buffer
	o := endpoint.Opener{In: &pipe, Out: &pipe}
	sink, err := o.Sink(t.Context(), parse(t, "-"), parse(t, "nginx:1"))
	if err != nil {
		t.Fatal(err)
	}
	want := image(t.Context(), t, sink)
	src, err := o.Source(t.Context(), parse(t, "-"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, src) })
	got, err := src.Manifest(t.Context(), "nginx:1")
	if err != nil || got.Digest() != want.Digest() {
		t.Errorf("got %s, %v, want %s", got.Digest(), err, want.Digest())
	}
}

func TestOpenerSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		arg  string
		want error
	}{
		{"oci:" + dir + "/none", content.ErrNotFound},
		{"dir:" + dir + "/none", content.ErrNotFound},
		{dir + "/none", content.ErrNotFound},
		{"-", content.ErrNotFound},
		{"oci:" + dir + "/file", content.ErrInvalid},
		{dir + "/file", content.ErrInvalid},
		{"nginx", errors.ErrUnsupported}, // without a client
	}
	for _, tt := range tests {
		t.Run(tt.arg, func(t *testing.T) {
			var o endpoint.Opener
			if src, err := o.Source(t.Context(), parse(t, tt.arg)); !errors.Is(err, tt.want) {
				t.Errorf("Source = %v, %v, want %v", src, err, tt.want)
			}
		})
	}
}

func TestOpenerAsksNothingOfARegistry(t *testing.T) {
	o := endpoint.Opener{Client: &registry.Client{}}
	src, err := o.Source(t.Context(), parse(t, "q.example/a:t"))
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := content.As[content.Originer](src); !ok {
		t.Error("it has no origin")
	} else if host, repository := at.Origin(); host != "q.example" || repository != "a" || src.Ref != "t" {
		t.Errorf("got %s %s %s", host, repository, src.Ref)
	}
}
