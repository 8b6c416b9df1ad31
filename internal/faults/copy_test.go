package faults_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/faults"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

const (
	repo = "team/app"
	tag  = "v1"
)

// A scene is one copy: the registries it has, and the places on disk.
type scene struct {
	t    *testing.T
	net  *memnet
	pair faults.Pair
	img  testimage.Image
	path string // of the layout or archive

	source bool // the fault is there

	faulty *testregistry.Registry // where the fault is
	other  *testregistry.Registry // the registry at the other end; nil is a place on disk
	client *registry.Client

	trusting *registry.Host // settings of the registry with the fault
}

// ann has the password that registries of faults want.
type ann struct{}

func (ann) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: "ann", Password: "secret"}), nil
}

// newScene sets up a copy between a registry that is set up like this and whatever the pair says.
func newScene(t *testing.T, pair faults.Pair, img testimage.Image, config testregistry.Config, source bool) *scene {
	t.Helper()
	s := &scene{t: t, net: newMemnet(), pair: pair, img: img, source: source, path: filepath.Join(t.TempDir(), "place")}
	s.faulty = s.listen(config)
	if pair == faults.Between {
		s.other = s.listen(testregistry.Config{})
	}
	switch {
	case source:
		img.PutTo(s.faulty, repo, tag)
	case s.other != nil:
		img.PutTo(s.other, repo, tag)
	default:
		if err := faults.Write(img, s.path, tag); err != nil {
			t.Fatal(err)
		}
	}
	s.trusting = &registry.Host{Roots: trust(s.roots(config.TLS))}
	hosts := map[string]*registry.Host{s.faulty.Host(): s.trusting, s.faulty.StorageHost(): s.trusting}
	s.client = &registry.Client{
		Dial:     s.net.dial,
		Keychain: ann{},
		Hosts:    func(host string) (*registry.Host, error) { return hosts[host], nil },
	}
	return s
}

func (s *scene) listen(config testregistry.Config) *testregistry.Registry {
	s.t.Helper()
	r := testregistry.New(config)
	if err := r.ListenOn("127.0.0.1:0", s.net.listen); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *scene) roots(tls bool) *x509.CertPool { //nolint:revive // what there is
	if !tls {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.faulty.CertificatePEM())
	return pool
}

// trust is what a host's settings say of whom to trust.
func trust(pool *x509.CertPool) func() (*x509.CertPool, error) {
	return func() (*x509.CertPool, error) { return pool, nil }
}

func (s *scene) close() {
	s.client.Close()
	s.faulty.Close()
	if s.other != nil {
		s.other.Close()
	}
}

// run copies the image, as a process of its own.
func (s *scene) run(ctx context.Context) (err error) {
	src, dst, err := s.ends()
	if err != nil {
		return err
	}
	for _, end := range []any{src, dst} {
		if c, ok := end.(io.Closer); ok {
			defer func() { err = errors.Join(err, c.Close()) }()
		}
	}
	c := &transfer.Copier{}
	plan, err := c.Plan(ctx, transfer.Job{Name: "image", Src: src, Ref: tag, Dst: []transfer.Target{{Name: "there", Sink: dst, Names: []string{tag}}}})
	if err != nil {
		return err
	}
	result, err := c.Run(ctx, plan)
	if result == nil {
		return err
	}
	return result.Err()
}

func (s *scene) ends() (content.Source, content.Sink, error) {
	at, err := s.client.Repository(s.faulty.Host(), repo)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case s.pair == faults.ToLayout:
		dst, err := layout.Create(s.path)
		return at, dst, err
	case s.pair == faults.ToArchive:
		dst, err := archive.Create(s.path)
		return at, dst, err
	case s.pair == faults.ToFresh:
		src, err := layout.Open(s.path)
		return src, at, err
	case s.source:
		dst, err := s.client.Repository(s.other.Host(), repo)
		return at, dst, err
	}
	src, err := s.client.Repository(s.other.Host(), repo)
	return src, at, err
}

// all is every manifest and blob of the image.
func (s *scene) all() map[digest.Digest][]byte {
	all := maps.Clone(s.img.Blobs)
	for d, m := range s.img.Manifests {
		all[d] = m.Bytes
	}
	return all
}

// arrived reads what is at the destination without wherry: content by digest, and what the tag stands for.
func (s *scene) arrived() (map[digest.Digest][]byte, digest.Digest) {
	s.t.Helper()
	switch s.pair {
	case faults.ToLayout:
		return s.inFiles(filesBelow(s.t, s.path))
	case faults.ToArchive:
		return s.inFiles(filesOfTar(s.t, s.path))
	case faults.ToFresh, faults.Between:
	}
	r := s.faulty
	if s.other != nil && s.source {
		r = s.other
	}
	got := map[digest.Digest][]byte{}
	for _, d := range r.Blobs(repo) {
		got[d], _ = r.Blob(repo, d)
	}
	for _, d := range r.Manifests(repo) {
		m, _ := r.Manifest(repo, d.String())
		got[d] = m.Bytes
	}
	return got, r.Digest(repo, tag)
}

func (s *scene) inFiles(files map[string][]byte) (map[digest.Digest][]byte, digest.Digest) {
	s.t.Helper()
	got := map[digest.Digest][]byte{}
	for name, p := range files {
		if rest, is := strings.CutPrefix(name, "blobs/"); is {
			got[digest.Digest(strings.Replace(rest, "/", ":", 1))] = p
		}
	}
	var index ocispec.Index
	if raw, there := files["index.json"]; there {
		if err := json.Unmarshal(raw, &index); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, d := range index.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] == tag {
			return got, d.Digest
		}
	}
	return got, ""
}

func filesBelow(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(folder, func(name string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(folder, name)
		if err == nil {
			files[filepath.ToSlash(rel)], err = os.ReadFile(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func filesOfTar(t *testing.T, name string) map[string][]byte {
	t.Helper()
	packed, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(packed)); err == nil; {
		var h *tar.Header
		if h, err = r.Next(); err == nil {
			files[h.Name], err = io.ReadAll(r)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return files
}

// cost is what a copy took: bytes are those of blobs and manifests, out of the source and into the destination.
type cost struct {
	requests int
	there    int64 // bytes at the registry with the fault
	opposite int64 // bytes at the other one
	took     time.Duration
}

func (c cost) less(base cost) cost {
	return cost{c.requests - base.requests, c.there - base.there, c.opposite - base.opposite, c.took}
}

func (s *scene) cost(took time.Duration) cost {
	c := cost{took: took, requests: len(s.faulty.Requests()), there: moved(s.faulty)}
	if s.other != nil {
		c.requests += len(s.other.Requests())
		c.opposite = moved(s.other)
	}
	return c
}

func moved(r *testregistry.Registry) (n int64) {
	for _, q := range r.Requests() {
		n += q.Received
		if q.Status/100 == 2 && q.Method == http.MethodGet {
			n += q.Sent
		}
	}
	return n
}

func (s *scene) log() string {
	var b strings.Builder
	for _, r := range []*testregistry.Registry{s.faulty, s.other} {
		if r == nil {
			continue
		}
		fmt.Fprintln(&b, r.Host())
		for _, q := range r.Requests() {
			fmt.Fprintf(&b, "  %s %s %s %.20s %s: %d, out %d, in %d %v\n", q.At.Format("05.000"), q.Method, q.Kind, q.Ref, q.Range, q.Status, q.Sent, q.Received, q.Faults)
		}
	}
	return b.String()
}
