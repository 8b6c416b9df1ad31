package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// A home is the environment in which one user's runs keep what they learn.
type home map[string]string

// run runs a command line there.
func (h home) run(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(t.Context(), args, Stdio{In: strings.NewReader(""), Out: &out, Err: &errs}, testEnv(t, h))
	return outcome{code, out.String(), errs.String()}
}

// fill puts n tags into team/app of each registry. To some of them something
// refers, in every way there is.
func fill(n uint64, registries ...*testregistry.Registry) {
	kinds := []func(uint64) testimage.Image{testimage.WithCosign, testimage.WithReferrers, testimage.WithFallback, testimage.Index}
	for i := range n {
		image := testimage.Single(i)
		if i%10 == 0 {
			image = kinds[i/10%4](i)
		}
		for _, r := range registries {
			image.PutTo(r, "team/app", fmt.Sprintf("v%d", i))
		}
	}
}

func TestACopyThatMovesNothingCostsNoPull(t *testing.T) {
	for _, tt := range []struct {
		name  string
		noAPI bool
		tags  uint64
		first int // who has never seen a fallback tag has to read what is behind it
	}{
		{"with the referrers API", false, 110, 0},
		{"with fallback tags", true, 110, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := testregistry.Hub(100)
			config.NoReferrers = tt.noAPI
			hub, dst := testregistry.Start(t, config), testregistry.Start(t, testregistry.Config{})
			fill(tt.tags, hub, dst)
			user := home{"HOME": t.TempDir()}
			for _, want := range []int{tt.first, 0} {
				got := user.run(t, "copy", "--quiet", "--all-tags", hub.Host()+"/team/app", dst.Host()+"/team/app")
				if got.code != 0 || hub.Pulls() != want || dst.BlobBytesReceived() > 0 {
					t.Errorf("%d pulls, want %d; exit code %d, %s", hub.Pulls(), want, got.code, got.errors)
				}
				hub.NewWindow()
			}
		})
	}
}

func TestASecondCopyCostsNoPullWhereverItGoes(t *testing.T) {
	config := testregistry.Hub(1000)
	config.NoReferrers = true
	hub, dst := testregistry.Start(t, config), testregistry.Start(t, testregistry.Config{})
	fill(40, hub)
	for name, args := range map[string][]string{
		"to a layout":     {"oci:" + filepath.Join(t.TempDir(), "layout")},
		"of one platform": {dst.Host() + "/team/app", "--platform", "linux/amd64"},
	} {
		t.Run(name, func(t *testing.T) {
			user := home{"HOME": t.TempDir()}
			for n := range 2 {
				hub.NewWindow()
				got := user.run(t, append([]string{"copy", "--quiet", "--all-tags", hub.Host() + "/team/app"}, args...)...)
				if got.code != 0 || (hub.Pulls() > 0) != (n == 0) {
					t.Errorf("copy %d: %d pulls, exit code %d, %s", n, hub.Pulls(), got.code, got.errors)
				}
			}
		})
	}
}

func TestACopyThatRunsOutOfPullsGoesOnLater(t *testing.T) {
	hub, dst := testregistry.Start(t, testregistry.Hub(30)), testregistry.Start(t, testregistry.Config{})
	for i := range uint64(60) {
		testimage.Single(i).PutTo(hub, "team/app", fmt.Sprintf("v%d", i))
	}
	user := home{"HOME": t.TempDir()}
	for n, want := range []struct{ code, pulls, tags, refused int }{
		{8, 30, 30, 16}, // as many as were on their way
		{8, 30, 30, 16},
		{0, 30, 60, 0},
	} {
		if n == 2 {
			hub.NewWindow()
		}
		hub.Reset()
		got := user.run(t, "copy", "--quiet", "--all-tags", hub.Host()+"/team/app", dst.Host()+"/team/app")
		refused := hub.Count(func(q testregistry.Request) bool { return q.Status == 429 })
		if got.code != want.code || hub.Pulls() != want.pulls || len(dst.Tags("team/app")) != want.tags || refused > want.refused {
			t.Errorf("copy %d: exit code %d, %d pulls, %d tags, %d refusals, want %+v; %s",
				n, got.code, hub.Pulls(), len(dst.Tags("team/app")), refused, want, got.errors[max(0, len(got.errors)-600):])
		}
		if warned := strings.Count(got.errors, "the limit of the registry is"); warned != 1 {
			t.Errorf("copy %d: warned %d times", n, warned)
		}
		if want.code == 8 && !strings.Contains(got.errors, "it goes on from what is there; what is left tells: wherry ratelimit "+hub.Host()) {
			t.Errorf("copy %d does not say what to do: %s", n, got.errors[max(0, len(got.errors)-600):])
		}
	}
}

// Some registries tell of their limit in the answers to manifests alone, and not all
// machines have a place where manifests are kept.
func TestOnceALimitIsKnownTagsAreAskedForTheirDigests(t *testing.T) {
	const tags = 40
	r := testregistry.Start(t, testregistry.Config{})
	for i := range tags {
		testimage.Single(1).PutTo(r, "team/app", fmt.Sprintf("v%d", i))
	}
	r.SetFaults(testregistry.Fault{Kind: testregistry.KindManifest, Header: http.Header{
		"Ratelimit-Limit": {"1000;w=21600"}, "Ratelimit-Remaining": {"1000;w=21600"},
	}})
	got := home{"HOME": ""}.run(t, "tags", "-l", r.Host()+"/team/app")
	if got.code != 0 || strings.Count(got.out, "linux/amd64") != tags {
		t.Fatalf("exit code %d, %s%s", got.code, got.out, got.errors)
	}
	gets, heads := r.Count(testregistry.Is("GET", testregistry.KindManifest)), r.Count(testregistry.Is("HEAD", testregistry.KindManifest))
	if gets > listJobs || heads < tags-listJobs {
		t.Errorf("%d manifests were got and %d digests asked for, want %d at most and the rest", gets, heads, listJobs)
	}
}
