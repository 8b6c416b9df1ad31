package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/transfer"
)

// listed returns what the fallback tag of subject lists in r.
func listed(t *testing.T, r *testregistry.Registry, subject digest.Digest) []digest.Digest {
	t.Helper()
	m, ok := r.Manifest(repo, subject.Algorithm().String()+"-"+subject.Encoded())
	if !ok {
		t.Fatal("there is no fallback tag")
	}
	var index ocispec.Index
	if err := json.Unmarshal(m.Bytes, &index); err != nil {
		t.Fatal(err)
	}
	var found []digest.Digest
	for _, d := range index.Manifests {
		found = append(found, d.Digest)
	}
	slices.Sort(found)
	return found
}

// signed returns an image with n referrers that everybody has, and as many more
// that only one has who was given that number. A referrer that nobody has who
// copies is listed by the fallback tag of others.
func signed(n, one int) (img, others testimage.Image) {
	b := testimage.Builder{Seed: 40}
	root := b.Image("linux/amd64", b.Layer(testimage.Gzip, 1000))
	for range n {
		b.Refer(root, "application/vnd.example.signature")
	}
	for i := range n {
		b.Refer(root, fmt.Sprintf("application/vnd.example.of-%d-%d", one, i))
	}
	img = b.Done(root)
	other := testimage.Builder{Seed: 41}
	other.Fallback(root, other.Refer(root, "application/vnd.example.other"))
	return img, other.Done(root)
}

func TestTheFallbackIndexIsMerged(t *testing.T) {
	const processes, many = 4, 6
	to := testregistry.Start(t, testregistry.Config{NoReferrers: true, AllowMissing: true})
	wanted := map[digest.Digest]bool{}
	var subject digest.Digest
	var jobs []transfer.Job
	for i := range processes {
		img, others := signed(many, i)
		others.PutTo(to, repo, "other")
		for _, d := range slices.Concat(img.Referrers, others.Referrers) {
			wanted[d.Digest] = true
		}
		subject = img.Root.Digest
		jobs = append(jobs, transfer.Job{
			Name: "image", Src: fromRegistry(t, img).open(t), Ref: tag, Filter: transfer.Filter{Referrers: true},
			Dst: []transfer.Target{{Name: "there", Sink: repository(t, to, repo), Names: []string{tag}}},
		})
	}

	g, ctx := errgroup.WithContext(t.Context())
	for _, job := range jobs { // each with a client of its own, as processes have that know nothing of each other
		g.Go(func() error {
			copier := &transfer.Copier{Jobs: 8}
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
	if len(wanted) != processes*many+many+1 {
		t.Fatalf("%d different referrers were made", len(wanted))
	}
	want := slices.Sorted(maps.Keys(wanted))
	if got := listed(t, to, subject); !slices.Equal(got, want) {
		t.Errorf("%d referrers are listed, want %d", len(got), len(want))
	}
}

func TestACopyListsAgainWhatIsThereAndNotListed(t *testing.T) {
	img, _ := signed(2, 0)
	from := fromRegistry(t, img)
	to := testregistry.Start(t, testregistry.Config{NoReferrers: true})
	var want []digest.Digest
	for _, d := range img.Referrers {
		want = append(want, d.Digest)
	}
	slices.Sort(want)
	for range 2 {
		result := run(t, &transfer.Copier{}, transfer.Job{
			Name: "image", Src: from.open(t), Ref: tag, Filter: transfer.Filter{Referrers: true},
			Dst: []transfer.Target{{Name: "there", Sink: repository(t, to, repo), Names: []string{tag}}},
		})
		if err := result.Err(); err != nil {
			t.Fatal(err)
		}
		if got := listed(t, to, img.Root.Digest); !slices.Equal(got, want) {
			t.Errorf("%d referrers are listed, want %d", len(got), len(want))
		}
		to.Untag(repo, "sha256-"+img.Root.Digest.Encoded()) // as a process leaves it that ended too early
	}
}

func TestReferrersComeFromTheFallbackTag(t *testing.T) {
	img := testimage.WithFallback(42)
	r := testregistry.Start(t, testregistry.Config{NoReferrers: true})
	img.PutTo(r, repo, tag)
	for _, to := range goals() {
		t.Run(to.name, func(t *testing.T) {
			g := to.make(t)
			from := origin{registry: r, ref: tag, open: func(t *testing.T) content.Source { t.Helper(); return repository(t, r, repo) }}
			copyOnce(t, &transfer.Copier{}, from, g)
			checkReferrers(t, g, img)
		})
	}
}

// checkReferrers looks for what refers to img at g, and lists it there.
func checkReferrers(t *testing.T, g *goal, img testimage.Image) {
	t.Helper()
	got := g.read(t)
	for _, d := range img.Referrers {
		if _, ok := got.bytes[d.Digest]; !ok {
			t.Errorf("referrer %s did not come along", d.Digest)
		}
	}
	lister, ok := content.As[content.ReferrerLister](g.source(t))
	if !ok {
		t.Fatal("the destination lists no referrers")
	}
	found := 0
	for _, err := range lister.Referrers(t.Context(), img.Root.Digest, "") {
		if err != nil {
			t.Fatal(err)
		}
		found++
	}
	if found != len(img.Referrers) {
		t.Errorf("%d referrers are listed, want %d", found, len(img.Referrers))
	}
}

func TestASecondCopyAsksLittle(t *testing.T) {
	tests := []struct {
		name      string
		config    testregistry.Config
		kind      string
		referrers bool
		most      int
	}{
		{"without referrers", testregistry.Config{}, "index", false, 2},
		{"with the referrers API", testregistry.Config{}, "index", true, 3},
		{"with the referrers API, of a signed image", testregistry.Config{}, "referrers", true, 3},
		{"without the API", testregistry.Config{NoReferrers: true}, "index", true, 6},
		{"without the API, of an image with cosign's tags", testregistry.Config{NoReferrers: true}, "cosign", true, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img, _ := testimage.Named(tt.kind, 43)
			source, there := testregistry.Start(t, tt.config), testregistry.Start(t, tt.config)
			img.PutTo(source, repo, tag)
			remembered := contenttest.NewFacts()
			copying := func() *transfer.TargetResult {
				result := run(t, &transfer.Copier{Facts: remembered}, transfer.Job{
					Name: "image", Src: remembering(t, source, remembered), Ref: tag, Filter: transfer.Filter{Referrers: tt.referrers},
					Dst: []transfer.Target{{Name: "there", Sink: remembering(t, there, remembered), Names: []string{tag}}},
				})
				if err := result.Err(); err != nil {
					t.Fatal(err)
				}
				return result.Images[0].Targets[0]
			}
			copying()
			reset(source, there)
			second := copying()
			if n := source.Count(testregistry.NotToken) + there.Count(testregistry.NotToken); n > tt.most || !second.UpToDate || blobBytes(source, there) > 0 {
				t.Errorf("%d requests, want at most %d; %+v", n, tt.most, second)
			}
		})
	}
}

func TestCopySignCopyAgainBringsTheSignature(t *testing.T) {
	for name, config := range map[string]testregistry.Config{"with the referrers API": {}, "without it": {NoReferrers: true}} {
		t.Run(name, func(t *testing.T) {
			b := testimage.Builder{Seed: 44}
			root := b.Image("linux/amd64", b.Layer(testimage.Gzip, 1000))
			source, there := testregistry.Start(t, config), testregistry.Start(t, config)
			b.Done(root).PutTo(source, repo, tag)
			remembered := contenttest.NewFacts()
			copying := func() {
				result := run(t, &transfer.Copier{Facts: remembered}, transfer.Job{
					Name: "image", Src: remembering(t, source, remembered), Ref: tag, Filter: transfer.Filter{Referrers: true},
					Dst: []transfer.Target{{Name: "there", Sink: remembering(t, there, remembered), Names: []string{tag}}},
				})
				if err := result.Err(); err != nil {
					t.Fatal(err)
				}
			}
			copying()
			for i := range 2 {
				signature := b.Refer(root, "application/vnd.example.signature")
				if config.NoReferrers {
					b.Fallback(root, b.Done(root).Referrers...)
				}
				b.Done(root).PutTo(source, repo, tag)
				copying()
				if _, ok := there.Manifest(repo, signature.Digest.String()); !ok {
					t.Errorf("signature %d did not come along", i+1)
				}
			}
		})
	}
}
