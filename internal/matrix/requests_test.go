package matrix

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/transfer"
)

// A tally is how many requests of a method there were for a part of the API.
type tally map[string]int

func (n tally) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(n)) {
		if n[what] > 0 {
			parts = append(parts, fmt.Sprintf("%d × %s", n[what], what))
		}
	}
	return strings.Join(parts, ", ")
}

// wantRequests compares what r noted with want. No registry has no requests.
func wantRequests(t *testing.T, when string, r *testregistry.Registry, want tally) {
	t.Helper()
	if r == nil {
		return
	}
	got := tally{}
	for _, q := range r.Requests() {
		got[q.Method+" "+string(q.Kind)]++
	}
	if got.String() != want.String() {
		t.Errorf("%s: %s; want %s", when, got, want)
	}
}

// graphOf says how many manifests, blobs that have bytes and foreign layers
// there are below the root of want.
func graphOf(t *testing.T, want store) (manifests, blobs, foreign int) {
	t.Helper()
	seen := map[string]bool{}
	for todo := []content.Manifest{parsed(t, want, want.names[tag].String())}; len(todo) > 0; todo = todo[1:] {
		manifests++
		for _, e := range todo[0].Edges() {
			d := e.Descriptor
			if e.Role == content.RoleSubject || seen[d.Digest.String()] {
				continue
			}
			seen[d.Digest.String()] = true
			switch {
			case e.Role == content.RoleChild:
				todo = append(todo, parsed(t, want, d.Digest.String(), d.MediaType))
			case content.IsForeign(d.MediaType):
				foreign++
			case d.Size > 0:
				blobs++
			}
		}
	}
	return manifests, blobs, foreign
}

func parsed(t *testing.T, s store, digest string, mediaType ...string) content.Manifest {
	t.Helper()
	for d, p := range s.bytes {
		if d.String() == digest {
			m, err := content.ParseManifest(strings.Join(mediaType, ""), p, content.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	t.Fatalf("%s is not there", digest)
	return content.Manifest{}
}

// firstRead is what a first copy asks of the source: the name once, each
// manifest once, each blob once, each foreign layer once, in vain, and what
// refers to each manifest.
func firstRead(t *testing.T, kind string, want store) tally {
	t.Helper()
	manifests, blobs, foreign := graphOf(t, want)
	n := asked(kind, manifests)
	n["GET manifest"] = manifests + extras[kind].manifests
	n["GET blob"] = blobs + foreign + extras[kind].blobs
	return n
}

// asked is the price of the name, and of finding out what refers to so many
// manifests.
func asked(kind string, manifests int) tally {
	switch {
	case kind == "referrers":
		// Of three manifests, of the three found, and of the one found on those, which
		// has three digest tags.
		return tally{"HEAD manifest": 1 + 3, "GET referrers": 3 + 3 + 1, "GET tags": 2}
	case kind == "cosign":
		// Nothing by the API, of three manifests and of six; seven tags, two a page, twice.
		return tally{"HEAD manifest": 1, "GET referrers": 3 + 6, "GET tags": 2 * 4}
	case manifests > 2:
		// One list is less than asking for every digest tag.
		return tally{"HEAD manifest": 1, "GET referrers": manifests, "GET tags": 1}
	}
	return tally{"HEAD manifest": 1 + 3*manifests, "GET referrers": manifests}
}

// extras is how many manifests refer to the image of a kind, with how many
// blobs, to how many subjects, and under which names.
var extras = map[string]struct{ manifests, blobs, subjects, tags int }{
	"referrers": {manifests: 4, blobs: 5, subjects: 3},
	"cosign":    {manifests: 6, blobs: 4, tags: 6},
}

// refers reports whether want has more than the image.
func refers(t *testing.T, kind string, want store) bool {
	t.Helper()
	manifests, blobs, _ := graphOf(t, want)
	return extras[kind].manifests > 0 && len(want.bytes) > manifests+blobs
}

// firstWrite is what a first copy asks of the destination: the name; each blob
// once, then an upload of each in two requests; and each manifest, the root twice
// where something refers to it, for it is named last.
func firstWrite(t *testing.T, kind string, result *transfer.TargetResult, want store) tally {
	t.Helper()
	n := tally{
		"HEAD manifest": 1, "HEAD blob": result.Stored,
		"POST upload": result.Stored, "PUT upload": result.Stored,
		"PUT manifest": len(want.bytes) - result.Stored,
	}
	if refers(t, kind, want) {
		n["PUT manifest"]++
	}
	return n
}

// wantSecond checks what a second copy asks for. Between registries that is the
// name at either end, and whether what refers to the image has changed; who reads
// files cannot tell, and looks for all that refers to it. A place on disk is
// looked at blob by blob. It has the manifests, unless it cannot tell that they
// are those of the image.
func wantSecond(t *testing.T, from origin, to *goal, kind string) {
	t.Helper()
	want := from.want(t)
	manifests, _, foreign := graphOf(t, want)
	read, write := tally{"HEAD manifest": 1, "GET referrers": 1}, tally{"HEAD manifest": 1}
	if from.registry == nil && refers(t, kind, want) {
		write["HEAD manifest"] += extras[kind].manifests
		write["HEAD blob"] = extras[kind].blobs
		write["GET referrers"] = extras[kind].subjects // that they are there does not say that they are listed
	}
	if to.registry == nil {
		read = asked(kind, manifests)
		read["GET blob"] = foreign
		if to.unnamed {
			read["GET manifest"] = manifests + extras[kind].manifests
		} else {
			read["HEAD manifest"] += extras[kind].tags // what they stand for is there
		}
	}
	wantRequests(t, "second run, source", from.registry, read)
	wantRequests(t, "second run, destination", to.registry, write)
}
