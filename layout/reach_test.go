package layout

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// graphOf reads a graph: blobs apart by spaces, each with what it needs behind a >
// and its subject behind a ^, as in "m>c,l r>e^m c l e".
func graphOf(text string) graph {
	g := graph{}
	for blob := range strings.FieldsSeq(text) {
		var v vertex
		blob, subject, _ := strings.Cut(blob, "^")
		name, needs, _ := strings.Cut(blob, ">")
		if needs != "" {
			v.needs = list(strings.Split(needs, ","))
		}
		v.subject = digest.Digest(subject)
		g[digest.Digest(name)] = v
	}
	return g
}

func list(names []string) []digest.Digest {
	var all []digest.Digest
	for _, name := range names {
		all = append(all, digest.Digest(name))
	}
	return all
}

// claimsOf reads claims: "m r^m x^a,b".
func claimsOf(text string) []claim {
	var claims []claim
	for one := range strings.FieldsSeq(text) {
		name, subjects, refers := strings.Cut(one, "^")
		c := claim{digest: digest.Digest(name)}
		if refers {
			c.subjects = list(strings.Split(subjects, ","))
		}
		claims = append(claims, c)
	}
	return claims
}

func TestWhatIsReached(t *testing.T) {
	tests := []struct {
		name                string
		blobs, claims, held string
		doomed              string // in their order
	}{
		{name: "nothing"},
		{name: "an image", blobs: "m>c,l c l", claims: "m"},
		{name: "nothing is named", blobs: "m>c,l c l", doomed: "m c l"},
		{name: "what two images need", blobs: "m>c,l n>d,l c d l", claims: "n", doomed: "m c"},
		{name: "an index and those of its children that are there", blobs: "x>m,n m>c c", claims: "x"},
		{name: "an index that has lost its name", blobs: "x>m,n m>c n>c c", doomed: "x m n c"},
		{name: "an index whose child has a name", blobs: "x>m,n m>c n>d c d", claims: "m", doomed: "x n d"},
		{name: "indexes within indexes", blobs: "x>y y>z z>m m>c c", claims: "x"},
		{name: "an entry of which nothing is there", blobs: "c", claims: "m", doomed: "c"},
		{name: "an entry that leads nowhere", blobs: "u c", claims: "u", doomed: "c"},
		{name: "a referrer of an image", blobs: "m>c r>e^m c e", claims: "m r^m"},
		{name: "a referrer of what has lost its name", blobs: "m>c r>e^m c e", claims: "r^m", doomed: "m r c e"},
		{name: "a referrer whose subject is not there", blobs: "r>e^m e", claims: "r^m"},
		{name: "a referrer that is named", blobs: "m>c r>e^m c e", claims: "r", doomed: "m c"},
		{name: "a referrer without an entry", blobs: "m>c r>e^m c e", claims: "m", doomed: "r e"},
		{name: "referrers of referrers", blobs: "m>c r>e^m s>f^r q>h^s c e f h", claims: "q^s s^r r^m m"},
		{name: "referrers of referrers of what is gone", blobs: "m>c r>e^m s>f^r q>h^s c e f h", claims: "q^s s^r r^m", doomed: "m q r s c h e f"},
		{name: "a referrer of a child", blobs: "x>m m>c r>e^m c e", claims: "x r^m"},
		{name: "a referrer of a layer", blobs: "m>l r>e^l l e", claims: "m r^l"},
		{name: "a referrer of what a referrer needs", blobs: "m>c r>e^m s^e c e", claims: "m r^m s^e"},
		{name: "two subjects, of which one is kept", blobs: "m n r^m", claims: "n r^m,n", doomed: "m"},
		{name: "two subjects, of which one is not there", blobs: "m r^m", claims: "r^m,n", doomed: "m r"},
		{name: "two entries of one, one of them an image", blobs: "m r^m", claims: "r^m r", doomed: "m"},
		{name: "what the fallback tag of an image lists", blobs: "m>c t>r r>e^m c e", claims: "m t^m"},
		{name: "what the fallback tag lists of what is gone", blobs: "m>c t>r r>e^m c e", claims: "t^m", doomed: "m t c r e"},
		{name: "a layer that is held", blobs: "m>c,l c l", held: "l", doomed: "m c"},
		{name: "a manifest that is held", blobs: "m>c,l n c l", held: "m", doomed: "n"},
		{name: "a manifest that is held and its referrers", blobs: "m>c r>e^m c e", claims: "r^m", held: "m"},
		{name: "a referrer that is held", blobs: "m>c r>e^m c e", claims: "r^m", held: "r", doomed: "m c"},
		{name: "what is held and is not there", blobs: "c", held: "m", doomed: "c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := graphOf(tt.blobs)
			kept := g.reach(claimsOf(tt.claims), list(strings.Fields(tt.held))...)
			doomed := g.doomed(kept)
			if want := list(strings.Fields(tt.doomed)); !slices.Equal(doomed, want) {
				t.Errorf("doomed are %s, want %s", doomed, want)
			}
			left := maps.Clone(g)
			for _, d := range doomed {
				delete(left, d)
				wantNothingLost(t, g, left)
			}
		})
	}
}

// wantNothingLost wants all that is left of g to have what it had.
func wantNothingLost(t *testing.T, g, left graph) {
	t.Helper()
	for d, v := range left {
		for _, need := range v.needs {
			if g.has(need) && !left.has(need) {
				t.Errorf("%s is there without %s", d, need)
			}
		}
	}
}
