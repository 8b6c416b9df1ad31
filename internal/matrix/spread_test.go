package matrix

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

const bigLayer = 18 // MiB, more than what is read over one connection whatever it takes

// perConnection is a registry that gives so many bytes a second over a connection.
func perConnection(t *testing.T, img testimage.Image, more ...testregistry.Fault) *testregistry.Registry {
	t.Helper()
	const slow = 4 << 20
	r := testregistry.Start(t, testregistry.Config{Faults: append(more, testregistry.Fault{Effect: testregistry.Rate, N: slow})})
	img.PutTo(r, repo, tag)
	return r
}

// sentBlobs returns how many bytes of blobs r has sent, and over how many
// answers.
func sentBlobs(r *testregistry.Registry) (bytes int64, answers int) {
	for _, q := range r.Requests() {
		if q.Kind == testregistry.KindBlob && q.Method == http.MethodGet {
			bytes += q.Sent
			answers++
		}
	}
	return bytes, answers
}

// A big blob over connections that are slow: that it comes over several changes
// nothing about what arrives, and hardly anything about what is sent.
func TestABigBlobComesOverSeveralConnections(t *testing.T) {
	ignored := testregistry.Fault{Effect: testregistry.IgnoreRange}
	for _, tt := range []struct {
		name   string
		goal   func(*testing.T) *goal
		faults []testregistry.Fault
		least  int // answers with bytes of it
		most   float64
	}{
		{"to a layout", toLayout, nil, 4, 1.05},
		{"to a registry", toRegistry, nil, 4, 1.05},
		{"to an archive", toOCIArchive, nil, 4, 1.05},
		{"from a host that gives the whole", toLayout, []testregistry.Fault{ignored}, 2, 1.3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			img := testimage.Big(5, bigLayer)
			r := perConnection(t, img, tt.faults...)
			client := &registry.Client{}
			t.Cleanup(client.Close)
			src, err := client.Source(r.Host(), repo)
			if err != nil {
				t.Fatal(err)
			}
			g := tt.goal(t)
			if err := run(t, &transfer.Copier{}, transfer.Job{Src: src, Ref: tag, Dst: []transfer.Target{g.target(t)}}).Err(); err != nil {
				t.Fatal(err)
			}
			g.read(t).check(t, whole(img).renamed(g.name))
			sent, answers := sentBlobs(r)
			if float64(sent) > tt.most*float64(img.BlobBytes()) || answers < tt.least {
				t.Errorf("%d bytes of %d were sent in %d answers", sent, img.BlobBytes(), answers)
			}
		})
	}
}

// Of three mirrors that give a blob together one lies: it is found out, and it
// alone.
func TestAMirrorThatLiesAboutAPartIsFoundOut(t *testing.T) {
	t.Parallel()
	img := testimage.Big(6, bigLayer)
	own := testregistry.Start(t, testregistry.Config{})
	img.PutTo(own, repo, tag)
	var mirrors []*testregistry.Registry
	for i := range 3 {
		var lies []testregistry.Fault
		if i == 0 { // the first is asked for the beginning
			lies = append(lies, testregistry.Fault{Effect: testregistry.Flip, N: 1000})
		}
		mirrors = append(mirrors, perConnection(t, img, lies...))
	}
	var log warnings
	log.on = func(string) {}
	client := &registry.Client{Log: slog.New(&log)}
	t.Cleanup(client.Close)
	client.Routes = func(host, repository string) (registry.Route, error) {
		at := registry.Endpoint{Host: host, Repository: repository}
		route := registry.Route{Read: at, Write: at}
		for _, r := range mirrors {
			if host == own.Host() {
				route.Mirrors = append(route.Mirrors, registry.Mirror{Endpoint: registry.Endpoint{Host: r.Host(), Repository: repository}})
			}
		}
		return route, nil
	}
	src, err := client.Source(own.Host(), repo)
	if err != nil {
		t.Fatal(err)
	}
	g := toLayout(t)
	if err := run(t, &transfer.Copier{Lanes: 2}, transfer.Job{Src: src, Ref: tag, Dst: []transfer.Target{g.target(t)}}).Err(); err != nil {
		t.Fatal(err)
	}
	g.read(t).check(t, whole(img).renamed(g.name))
	for i, r := range mirrors {
		if got, want := log.about("sent wrong bytes", r), 1-min(i, 1); got != want {
			t.Errorf("mirror %d was named %d times, want %d: %q", i, got, want, log.lines)
		}
		if sent, _ := sentBlobs(r); sent < 1<<20 {
			t.Errorf("mirror %d gave %d bytes", i, sent)
		}
	}
}
