package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A pair is two registries and a box that copies between them.
type pair struct {
	t        *testing.T
	b        *box
	src, dst *registry
}

// copy runs a copy of app:v1 and returns what it asked of each side.
func (p pair) copy(args ...string) (src, dst traffic) {
	p.t.Helper()
	src = p.src.during(p.t, func() {
		dst = p.dst.during(p.t, func() {
			p.b.wherry(append([]string{"copy", p.src.ref("app:v1"), p.dst.ref("mirror/app:v1")}, args...)...)
		})
	})
	return src, dst
}

// copyAsksLittle copies what is there already, and allows so many requests and none for blobs.
func (p pair) copyAsksLittle(most int) {
	p.t.Helper()
	src, dst := p.copy()
	if n := len(src) + len(dst); n > most {
		p.t.Errorf("a second copy asks %d times, at most %d are allowed:\n%v\nand\n%v", n, most, src, dst)
	}
	if blobs := append(src.of("/blobs/"), dst.of("/blobs/")...); len(blobs) > 0 {
		p.t.Errorf("a second copy asks for blobs:\n%v", blobs)
	}
}

// TestASecondCopyAsksLittleAndMovesNothing counts in the registries' own logs.
func TestASecondCopyAsksLittleAndMovesNothing(t *testing.T) {
	for _, kind := range registryKinds {
		for _, to := range []registryKind{distribution3, withReferrers} {
			t.Run("from "+kind.Name+" to "+to.Name, func(t *testing.T) {
				t.Parallel()
				p := pair{t: t, b: newBox(t), src: startRegistry(t, kind), dst: startRegistry(t, to)}
				f := smallFleet(t, p.src, "app")
				p.copy()

				src, dst := p.copy("--no-referrers")
				if len(src) != 1 || len(dst) != 1 || src[0].Method != http.MethodHead || dst[0].Method != http.MethodHead {
					t.Errorf("without referrers a second copy asks for more than a HEAD a side:\n%v\nand\n%v", src, dst)
				}
				most := 6
				if kind.Referrers {
					most = 3
				}
				p.copyAsksLittle(most)
				p.copyAsksLittle(most)
				sameFleet(t, f, p.dst.remote(t, "mirror/app"), "v1")
			})
		}
	}
}

// TestCopySignCopyBringsTheSignature adds what refers to the image after it was copied, one thing at a time. What a
// second copy may ask does not go further than the referrers of the root, or its tags where the registry has no referrers
// API; --deep finds the rest.
func TestCopySignCopyBringsTheSignature(t *testing.T) {
	for _, kind := range registryKinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			p := pair{t: t, b: newBox(t), src: startRegistry(t, kind), dst: startRegistry(t, distribution2)}
			f := smallFleet(t, p.src, "app")
			p.copy()
			f.Signature = p.signByTag(f)

			here, there := p.src.remote(t, "app"), p.dst.remote(t, "mirror/app")
			for i, args := range [][]string{nil, {"--deep"}} {
				subject := []descriptor{f.Index, f.Children["amd64"]}[i]
				d := here.refer(subject, "application/vnd.example.signature", fmt.Sprintf(`{"signature":%d}`, i))
				f.Referrers[subject.Digest] = append(f.Referrers[subject.Digest], d)
				p.copy(args...)
				sameFleet(t, f, there, "v1")
			}
			// What refers to a referrer comes too.
			d := here.refer(f.Referrers[f.Index.Digest][0], "application/vnd.example.signature", `{"signature":"of an SBOM"}`)
			f.Referrers[f.Referrers[f.Index.Digest][0].Digest] = []descriptor{d}
			p.copy("--deep")
			sameFleet(t, f, there, "v1")
		})
	}
}

// signByTag puts one cosign tag after the other beside the image and copies each time. It returns the signature that
// took the place of the first.
func (p pair) signByTag(f fleet) descriptor {
	p.t.Helper()
	var look []string
	if p.src.Kind.Referrers {
		look = []string{"--deep"}
	}
	here, there := p.src.remote(p.t, "app"), p.dst.remote(p.t, "mirror/app")
	_, signature, _ := here.manifest(f.SigTag)
	var last descriptor
	for _, suffix := range []string{".att", ".sbom", ".sig"} {
		tag := strings.TrimSuffix(f.SigTag, ".sig") + suffix
		signature.Annotations = map[string]string{"org.example.kind": suffix}
		last = here.putManifest(signature, tag)
		_, dst := p.copy(look...)
		if !there.has(tag) || there.digest(tag) != last.Digest {
			p.t.Errorf("%s was not brought", tag)
		}
		if moved := dst.uploads(); len(moved) > 0 {
			p.t.Errorf("its blobs were there, and still were sent:\n%v", moved)
		}
	}
	return last
}

// TestFallbackTagsAreMerged copies into a registry whose list of referrers has entries that the source knows nothing of.
func TestFallbackTagsAreMerged(t *testing.T) {
	for _, kind := range []registryKind{distribution3, distribution2, craneServe} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			p := pair{t: t, b: newBox(t), src: startRegistry(t, withReferrers), dst: startRegistry(t, kind)}
			f := smallFleet(t, p.src, "app")
			p.copy("--no-referrers")
			there := p.dst.remote(t, "mirror/app")
			own := there.refer(f.Index, "application/vnd.example.scan", `{"found":0}`)
			p.copy()
			f.Referrers[f.Index.Digest] = append(f.Referrers[f.Index.Digest], own)
			sameFleet(t, f, there, "v1")
		})
	}
}
