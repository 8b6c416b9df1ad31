package layout

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// A graph is what is known of the blobs of a layout. One that is there is in it,
// also where it leads nowhere.
type graph map[digest.Digest]vertex

// A vertex is what one blob leads to.
type vertex struct {
	needs   []digest.Digest // config, layers, children: what it is not whole without, some of which may be left out on purpose
	subject digest.Digest   // what it refers to; empty for nothing
}

// A claim is what an entry of index.json asks to be kept.
type claim struct {
	digest digest.Digest

	// subjects are what it lives and dies with, by what it says itself and by its
	// tag. An image has none, and neither has what has a name of its own.
	subjects []digest.Digest
}

// A set is digests of which each is in it once.
type set map[digest.Digest]bool

// reach returns what is kept: each claim that is an image or whose subjects are
// not there, what is held besides, what all these need, and again each claim of
// which a subject is kept.
func (g graph) reach(claims []claim, held ...digest.Digest) set {
	start := slices.Clone(held)
	for _, c := range claims {
		if !slices.ContainsFunc(c.subjects, g.has) {
			start = append(start, c.digest)
		}
	}
	return g.from(start, claims)
}

// from returns start, what that needs, and each claim of which a subject is among
// all these, with what it needs.
func (g graph) from(start []digest.Digest, claims []claim) set {
	referrers := map[digest.Digest][]digest.Digest{}
	for _, c := range claims {
		for _, subject := range c.subjects {
			referrers[subject] = append(referrers[subject], c.digest)
		}
	}
	found := set{}
	for todo := slices.Clone(start); len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if found[d] {
			continue
		}
		found[d] = true
		todo = append(todo, g[d].needs...)
		todo = append(todo, referrers[d]...)
	}
	return found
}

func (g graph) has(d digest.Digest) bool {
	_, there := g[d]
	return there
}

// between returns the blobs that are in more and not in less, sorted.
func (g graph) between(less, more set) []digest.Digest {
	var found []digest.Digest
	for d := range more {
		if !less[d] && g.has(d) {
			found = append(found, d)
		}
	}
	slices.Sort(found)
	return found
}

// doomed returns the blobs that are there and not kept, in the order in which
// they can be removed: each before what it needs. Then there is never a manifest
// that lacks something only because the work was broken off.
func (g graph) doomed(kept set) []digest.Digest {
	wanted := map[digest.Digest]int{} // by how many of those that are still there
	var free []digest.Digest
	for d, v := range g {
		if kept[d] {
			continue
		}
		for _, need := range v.needs {
			wanted[need]++
		}
	}
	for d := range g {
		if !kept[d] && wanted[d] == 0 {
			free = append(free, d)
		}
	}
	slices.Sort(free)
	for i := 0; i < len(free); i++ {
		for _, need := range g[free[i]].needs {
			if wanted[need]--; wanted[need] == 0 && g.has(need) && !kept[need] {
				free = append(free, need)
			}
		}
	}
	return free
}
