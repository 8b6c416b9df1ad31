package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// span reads a span of raw from the first replica of src.
func span(ctx context.Context, src content.Replicated, raw []byte, r content.Range) ([]byte, error) {
	replicas := src.Replicas(ctx, descriptorOf(raw))
	if len(replicas) == 0 {
		return nil, errNone
	}
	rc, err := replicas[0].Open(ctx, descriptorOf(raw), r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(rc)
	return got, errors.Join(err, rc.Close())
}

var errNone = errors.New("no replica")

func TestAReplicaDoesNotInsist(t *testing.T) {
	raw := random(1<<20, 11)
	gets := testregistry.Is("GET", testregistry.KindBlob)
	for _, tt := range []struct {
		name   string
		fault  fault
		want   error
		again  error // of the next span
		asked  int   // requests for both
		allows int   // blobs at once that the settings allow
	}{
		{"a host that gives spans", fault{Effect: testregistry.Pass}, nil, nil, 2, 0},
		{"one that ignores Range", fault{Effect: testregistry.IgnoreRange}, errors.ErrUnsupported, errNone, 1, 0},
		{"one that gives another span", fault{Effect: testregistry.ContentRange, Value: "shift"}, errors.ErrUnsupported, errors.ErrUnsupported, 2, 0},
		{"too many requests", fault{Kind: testregistry.KindBlob, Method: "GET", Effect: testregistry.Answer, N: 429, RetryAfter: "0", Times: 1}, content.ErrRateLimited, nil, 2, 0},
		{"a host that is down for a moment", fault{Kind: testregistry.KindBlob, Method: "GET", Effect: testregistry.Answer, N: 503, RetryAfter: "0", Times: 1}, content.ErrUnavailable, nil, 2, 0},
		{"settings that allow one", fault{Effect: testregistry.Pass}, nil, nil, 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Faults: []fault{tt.fault}})
			server.PutBlob("app", raw)
			c := client(t)
			c.Hosts = func(string) (*registry.Host, error) { return &registry.Host{Concurrency: tt.allows}, nil }
			repo := repository(t, c, server, "app")
			if _, err := repo.Has(t.Context(), descriptorOf(raw)); err != nil { // settles the scheme
				t.Fatal(err)
			}
			for i, want := range []error{tt.want, tt.again} {
				r := content.Range{Off: int64(1+i) * 1000, Len: 5000}
				got, err := span(t.Context(), repo, raw, r)
				if errors.Is(err, content.ErrOwnLimit) {
					t.Errorf("%v, and our settings allow it", err)
				}
				if !errors.Is(err, want) || err == nil && !bytes.Equal(got, raw[r.Off:r.Off+r.Len]) {
					t.Errorf("span %d: %d bytes, %v, want %v", i, len(got), err, want)
				}
			}
			if n := server.Count(gets); n != tt.asked {
				t.Errorf("%d requests, want %d", n, tt.asked)
			}
		})
	}
}

func TestAReplicaWaitsForNoSlot(t *testing.T) {
	raw := random(1<<20, 12)
	server := testregistry.Start(t, testregistry.Config{})
	server.PutBlob("app", raw)
	c := client(t)
	c.Hosts = func(string) (*registry.Host, error) { return &registry.Host{Concurrency: 1}, nil }
	repo := repository(t, c, server, "app")
	rc, err := repo.Open(t.Context(), descriptorOf(raw), content.Range{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := span(t.Context(), repo, raw, content.Range{Len: 10}); !errors.Is(err, content.ErrOwnLimit) || !errors.Is(err, content.ErrRateLimited) {
		t.Errorf("while another blob is read: %v", err)
	}
	if err := rc.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := span(t.Context(), repo, raw, content.Range{Len: 10}); err != nil {
		t.Errorf("then: %v", err)
	}
}

// What our own settings do not allow at a mirror is no fault of the mirror's.
func TestAMirrorIsNotBenchedForOurOwnSettings(t *testing.T) {
	n := newNet(t)
	n.client.Hosts = func(string) (*registry.Host, error) { return &registry.Host{Concurrency: 1}, nil }
	src := n.source(t)
	root, err := src.Manifest(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	d := root.Blobs()[1]
	first := src.(content.Replicated).Replicas(t.Context(), d)[0]
	rc, err := first.Open(t.Context(), d, content.Range{Len: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := first.Open(t.Context(), d, content.Range{Len: 1000}); !errors.Is(err, content.ErrOwnLimit) {
			t.Fatalf("a second at once: %v", err)
		}
	}
	if err := rc.Close(); err != nil {
		t.Error(err)
	}
	if hosts := src.(content.Replicated).Replicas(t.Context(), d); len(hosts) != 2 || n.log.Len() > 0 {
		t.Errorf("%d hosts are left; %s", len(hosts), n.log.String())
	}
}

// A range costs the registry no request while the URL that it led to is good, and
// nobody shows credentials there.
func TestWhereABlobIsIsRemembered(t *testing.T) {
	raw := random(1<<20, 13)
	for _, tt := range []struct {
		name   string
		faults []fault // of the storage
		asked  int     // requests that the registry had
	}{
		{"a URL that stays good", nil, 1},
		{"one that runs out", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 403, Nth: 3, Times: 1}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			storage := testregistry.Start(t, testregistry.Config{Faults: tt.faults})
			storage.PutBlob("app", raw)
			server := testregistry.Start(t, testregistry.Config{
				Auth:   testregistry.Auth{Scheme: testregistry.Basic, Users: map[string]string{"ann": "secret"}},
				Faults: []fault{{Kind: testregistry.KindBlob, Method: "GET", Effect: testregistry.Redirect, Value: storage.URL()}},
			})
			repo := repository(t, client(t), server, "app")
			for off := int64(0); off < 1<<20; off += 1 << 18 {
				r := content.Range{Off: off, Len: 1 << 18}
				got, err := span(t.Context(), repo, raw, r)
				if err != nil || !bytes.Equal(got, raw[off:off+r.Len]) {
					t.Fatalf("span at %d: %d bytes, %v", off, len(got), err)
				}
			}
			if n := server.Count(func(q testregistry.Request) bool { return q.Kind == testregistry.KindBlob && q.Status == 307 }); n != tt.asked {
				t.Errorf("%d requests at the registry, want %d", n, tt.asked)
			}
			if n := storage.Count(func(q testregistry.Request) bool { return q.Auth != "" }); n != 0 {
				t.Errorf("%d requests with credentials at the storage", n)
			}
		})
	}
}
