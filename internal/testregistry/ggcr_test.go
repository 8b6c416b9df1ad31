package testregistry_test

import (
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

// ggcr is a client that knows nothing of this package: it pushes, mounts, lists and pulls under each kind of access.
func TestGGCRPushesMountsAndPulls(t *testing.T) {
	users := map[string]string{"ann": "secret"}
	tests := []struct {
		name   string
		config testregistry.Config
	}{
		{"open", testregistry.Config{}},
		{"basic", testregistry.Config{Auth: testregistry.Auth{Scheme: testregistry.Basic, Users: users}}},
		{"bearer", testregistry.Config{Auth: testregistry.Auth{Scheme: testregistry.Bearer, Users: users}}},
		{"https", testregistry.Config{TLS: true}},
		{"no single post", testregistry.Config{NoSinglePost: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := testregistry.Start(t, tt.config)
			options := []remote.Option{
				remote.WithAuth(&authn.Basic{Username: "ann", Password: "secret"}),
			}
			if tt.config.TLS {
				tr := http.DefaultTransport.(*http.Transport).Clone()
				tr.TLSClientConfig = r.ClientTLS()
				options = append(options, remote.WithTransport(tr))
			}
			pushMountPull(t, r, options)
		})
	}
}

func pushMountPull(t *testing.T, r *testregistry.Registry, options []remote.Option) {
	t.Helper()
	index, err := random.Index(1000, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	tag := parseTag(t, r.Host()+"/team/app:v1")
	if err := remote.WriteIndex(tag, index, options...); err != nil {
		t.Fatal(err)
	}
	want, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Digest("team/app", "v1"); got.String() != want.String() {
		t.Errorf("tag is %s, want %s", got, want)
	}
	if n := len(r.Blobs("team/app")); n != 9 {
		t.Errorf("%d blobs, want 3 × (2 layers and a config)", n)
	}
	got, err := remote.Index(tag, options...)
	if err != nil {
		t.Fatal(err)
	}
	r.Reset()
	if err := remote.WriteIndex(parseTag(t, r.Host()+"/team/copy:v1"), got, options...); err != nil {
		t.Fatal(err)
	}
	if r.BlobBytesReceived() != 0 {
		t.Errorf("%d bytes came in where mounts would do", r.BlobBytesReceived())
	}
	tags, err := remote.List(tag.Repository, options...)
	if err != nil || len(tags) != 1 {
		t.Errorf("tags %v, %v", tags, err)
	}
}

func parseTag(t *testing.T, s string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(s)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}
