package matrix

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

// hasty opens a repository of r with a client that gives up soon.
func hasty(t *testing.T, r *testregistry.Registry, name string) *registry.Repository {
	t.Helper()
	client := &registry.Client{Retries: 1, Backoff: time.Millisecond}
	t.Cleanup(client.Close)
	opened, err := client.Repository(r.Host(), name)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func TestADeadDestinationStopsNoneOfTheOthers(t *testing.T) {
	closed := func(t *testing.T) content.Sink {
		t.Helper()
		r := testregistry.Start(t, testregistry.Config{})
		r.Close()
		return hasty(t, r, repo)
	}
	breaking := func(faults ...testregistry.Fault) func(t *testing.T) content.Sink {
		return func(t *testing.T) content.Sink {
			t.Helper()
			return hasty(t, testregistry.Start(t, testregistry.Config{Faults: faults}), repo)
		}
	}
	tests := []struct {
		name string
		dead func(t *testing.T) content.Sink
		read int64 // how often each blob is read at most
	}{
		{"nobody listens", closed, 1},
		{"every upload is refused", breaking(testregistry.Fault{Kind: testregistry.KindUpload, Effect: testregistry.Answer, N: http.StatusForbidden}), 1},
		{"every upload breaks", breaking(testregistry.Fault{Method: "PUT", Kind: testregistry.KindUpload, Effect: testregistry.ResetAfter, N: 100}), 3},
		{"the manifest is refused", breaking(testregistry.Fault{Method: "PUT", Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: http.StatusBadRequest}), 1},
	}
	img := testimage.Layers(7, 4, 200_000)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from := fromRegistry(t, img)
			goals := []*goal{toRegistry(t), toLayout(t), toDockerArchive(t)}
			job := transfer.Job{Name: "image", Src: from.open(t), Ref: tag}
			job.Dst = append(job.Dst, transfer.Target{Name: "dead", Sink: tt.dead(t), Names: []string{tag}})
			for _, g := range goals {
				job.Dst = append(job.Dst, g.target(t))
			}
			result := run(t, &transfer.Copier{}, job)
			if failed, all := result.Failed(); failed != 1 || all != 4 {
				t.Errorf("%d of %d failed: %v", failed, all, result.Err())
			}
			if dead := result.Images[0].Targets[0]; dead.Err == nil || len(dead.Names) > 0 {
				t.Errorf("the dead one is %+v", dead)
			}
			for _, g := range goals {
				g.read(t).check(t, from.want(t).renamed(g.name))
			}
			// What broke is tried again, for which that destination reads again.
			if sent := from.registry.BlobBytesSent(); sent < img.BlobBytes() || sent > tt.read*img.BlobBytes() {
				t.Errorf("the source sent %d bytes, want each blob %d times: %d", sent, tt.read, img.BlobBytes())
			}
		})
	}
}

func TestSeveralDestinationsReadTheSourceOnce(t *testing.T) {
	img := testimage.Index(8)
	from := fromRegistry(t, img)
	goals := []*goal{toRegistry(t), toRegistry(t), toLayout(t), toOCIArchive(t), toDockerArchive(t), toDir(t)}
	job := transfer.Job{Name: "image", Src: from.open(t), Ref: tag}
	for _, g := range goals {
		job.Dst = append(job.Dst, g.target(t))
	}
	if err := run(t, &transfer.Copier{}, job).Err(); err != nil {
		t.Fatal(err)
	}
	for _, g := range goals {
		g.read(t).check(t, from.want(t).renamed(g.name))
	}
	wantRequests(t, "source", from.registry, tally{"HEAD manifest": 1, "GET manifest": len(img.Manifests), "GET blob": len(img.Blobs)})
}

// jobsOf copies each of repos of r, by tag, to the same name in sink.
func jobsOf(t *testing.T, r *testregistry.Registry, sink func(repo string) transfer.Target, repos ...string) []transfer.Job {
	t.Helper()
	var jobs []transfer.Job
	for _, name := range repos {
		jobs = append(jobs, transfer.Job{Name: name, Src: repository(t, r, name), Ref: tag, Dst: []transfer.Target{sink(name)}})
	}
	return jobs
}

// intoOne names images as they are called in one repository of r.
func intoOne(t *testing.T, r *testregistry.Registry) func(name string) transfer.Target {
	t.Helper()
	sink := repository(t, r, repo)
	return func(name string) transfer.Target {
		return transfer.Target{Name: name, Sink: sink, Names: []string{name}}
	}
}

// intoEach names images as they are called in a repository each.
func intoEach(t *testing.T, r *testregistry.Registry) func(name string) transfer.Target {
	t.Helper()
	client := &registry.Client{}
	t.Cleanup(client.Close)
	return func(name string) transfer.Target {
		t.Helper()
		sink, err := client.Repository(r.Host(), name)
		if err != nil {
			t.Fatal(err)
		}
		return transfer.Target{Name: name, Sink: sink, Names: []string{tag}}
	}
}

func TestASharedBlobIsMovedOnce(t *testing.T) {
	one, two := testimage.Shared(9)
	all := maps.Clone(one.Blobs)
	maps.Copy(all, two.Blobs)
	bytes := testimage.Image{Blobs: all}.BlobBytes()
	tests := []struct {
		name   string
		mounts int
		sinks  func(t *testing.T, to *testregistry.Registry) func(name string) transfer.Target
	}{
		{"into one repository", 0, intoOne},
		{"into two repositories of a registry", len(one.Blobs) + len(two.Blobs) - len(all), intoEach},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, to := testregistry.Start(t, testregistry.Config{}), testregistry.Start(t, testregistry.Config{})
			one.PutTo(from, "one", tag)
			two.PutTo(from, "two", tag)
			result := run(t, &transfer.Copier{}, jobsOf(t, from, tt.sinks(t, to), "one", "two")...)
			if err := result.Err(); err != nil {
				t.Fatal(err)
			}
			if from.BlobBytesSent() != bytes || to.BlobBytesReceived() != bytes {
				t.Errorf("%d bytes were read and %d written, want %d", from.BlobBytesSent(), to.BlobBytesReceived(), bytes)
			}
			if n := result.Images[0].Targets[0].Mounted + result.Images[1].Targets[0].Mounted; n != tt.mounts {
				t.Errorf("%d blobs were mounted, want %d", n, tt.mounts)
			}
		})
	}
}

func TestCopyWithinARegistryMounts(t *testing.T) {
	img := testimage.Index(10)
	r := testregistry.Start(t, testregistry.Config{})
	img.PutTo(r, "a/app", tag)
	client := &registry.Client{}
	t.Cleanup(client.Close)
	src, err := client.Repository(r.Host(), "a/app")
	if err != nil {
		t.Fatal(err)
	}
	dst, err := client.Repository(r.Host(), "b/app")
	if err != nil {
		t.Fatal(err)
	}
	result := run(t, &transfer.Copier{}, transfer.Job{Name: "image", Src: src, Ref: tag, Dst: []transfer.Target{{Name: "b", Sink: dst, Names: []string{tag}}}})
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	if got := result.Images[0].Targets[0]; got.Mounted != len(img.Blobs) || got.Stored > 0 || blobBytes(r) > 0 {
		t.Errorf("%+v, and %d bytes of blobs were moved", got, blobBytes(r))
	}
	mounts := r.Count(func(q testregistry.Request) bool { return strings.Contains(q.Query, "mount=") })
	if mounts != len(img.Blobs) {
		t.Errorf("%d requests to mount, want %d", mounts, len(img.Blobs))
	}
	inRegistry(t, r, "b/app").check(t, whole(img))
}

func TestOneImagesFailureLeavesTheOthersAlone(t *testing.T) {
	from := testregistry.Start(t, testregistry.Config{})
	images := map[string]testimage.Image{"bad": testimage.Single(11), "corrupt": testimage.Single(12), "good": testimage.Index(13), "fine": testimage.DockerV2(14)}
	for name, img := range images {
		img.PutTo(from, name, tag)
	}
	from.DeleteBlob("bad", images["bad"].Largest())
	from.CorruptBlob("corrupt", images["corrupt"].Largest())
	to := testregistry.Start(t, testregistry.Config{})
	sink := func(name string) transfer.Target {
		return transfer.Target{Name: name, Sink: repository(t, to, name), Names: []string{tag}}
	}
	result := run(t, &transfer.Copier{}, jobsOf(t, from, sink, "bad", "good", "corrupt", "fine", "absent")...)
	wants := map[string]error{"bad": content.ErrNotFound, "corrupt": content.ErrCorrupt, "absent": content.ErrNotFound}
	for _, image := range result.Images {
		err := errors.Join(image.Err, image.Targets[0].Err)
		if !errors.Is(err, wants[image.Name]) || (err == nil) != (wants[image.Name] == nil) {
			t.Errorf("%s: %v, want %v", image.Name, err, wants[image.Name])
		}
		if wants[image.Name] == nil {
			inRegistry(t, to, image.Name).check(t, whole(images[image.Name]))
		} else if tags := to.Tags(image.Name); len(tags) > 0 {
			t.Errorf("%s has a name although it is not whole: %v", image.Name, tags)
		}
	}
}

func TestEightSinksOfOneLayoutKeepAllNames(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "layout")
	from := testregistry.Start(t, testregistry.Config{})
	want := newStore()
	var jobs []transfer.Job
	for i := range 8 {
		b := testimage.Builder{Seed: 19}
		base := b.Layer(testimage.Stored, 300_000) // the same in all
		b.Seed = 20 + uint64(i)
		img := b.Done(b.Image("linux/amd64", base, b.Layer(testimage.Gzip, 500)))
		name := fmt.Sprintf("v%d", i)
		img.PutTo(from, name, tag)
		maps.Copy(want.bytes, whole(img).bytes)
		want.names[name] = img.Root.Digest
		sink := closing[*layout.Layout](t)(layout.Create(folder))
		jobs = append(jobs, transfer.Job{
			Name: name, Src: repository(t, from, name), Ref: tag,
			Dst: []transfer.Target{{Name: name, Sink: sink, Names: []string{name}}},
		})
	}
	g, ctx := errgroup.WithContext(t.Context())
	for _, job := range jobs {
		g.Go(func() error { // each is a process of its own
			copier := &transfer.Copier{}
			plan, err := copier.Plan(ctx, job)
			if err != nil {
				return err
			}
			_, err = copier.Run(ctx, plan)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	inFolder(t, folder).asLayout(t).check(t, want)
}

// A layout writes a large layer in any order where it is alone. Beside a registry it
// takes part in the one reading that both share.
func TestALargeLayerForARegistryAndALayoutIsReadOnce(t *testing.T) {
	img := testimage.Layers(9, 1, 9<<20)
	from := fromRegistry(t, img)
	job := transfer.Job{Name: "image", Src: from.open(t), Ref: tag}
	goals := []*goal{toRegistry(t), toLayout(t)}
	for _, g := range goals {
		job.Dst = append(job.Dst, g.target(t))
	}
	// On a busy machine a second lane may join, and cut short what the first was sent.
	if err := run(t, &transfer.Copier{Lanes: 1}, job).Err(); err != nil {
		t.Fatal(err)
	}
	for _, g := range goals {
		g.read(t).check(t, from.want(t).renamed(g.name))
	}
	if sent := from.registry.BlobBytesSent(); sent != img.BlobBytes() {
		t.Errorf("the source sent %d bytes of %d", sent, img.BlobBytes())
	}
}
