package doctor

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// wellKnown are registries that others pretend to be: who owns ghrc.io only has to
// answer 401 to be sent the credentials of people who cannot type.
var wellKnown = []string{
	"docker.io", "ghcr.io", "quay.io", "gcr.io", "icr.io", "nvcr.io", "lscr.io", "mcr.microsoft.com", "public.ecr.aws",
	"registry.k8s.io", "registry.gitlab.com",
}

// IsWellKnown reports whether host, in lower case and without a port, is a registry that
// many people use.
func IsWellKnown(host string) bool { return slices.Contains(wellKnown, host) }

// LooksLike returns the registry that host, which may have a port, looks like and
// is not, "" for none: the one that one edit makes of it, or two where its name is
// so long that few hosts are that near by chance.
func LooksLike(host string) string {
	const long = len("ghcr.io")
	u := url.URL{Host: strings.ToLower(host)}
	name := u.Hostname()
	if slices.Contains(wellKnown, name) {
		return ""
	}
	best, least := "", 3
	for _, known := range wellKnown {
		if far := distance(name, known); far < least && (far == 1 || len(known) >= long) {
			best, least = known, far
		}
	}
	return best
}

// distance is how many letters have to be put in, taken out, changed or swapped
// with their neighbour to make b of a.
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}

// maxNear is how many names are proposed in place of one.
const maxNear = 3

// nearest returns the names that are most like want, the likest first: those of
// which half or more is right.
func nearest(want string, names []string) []string {
	type candidate struct {
		name string
		far  int
	}
	var near []candidate
	for _, name := range names {
		if far := distance(want, name); 2*far <= max(len(want), len(name)) {
			near = append(near, candidate{name, far})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.far, b.far) })
	var found []string
	for _, c := range near[:min(maxNear, len(near))] {
		found = append(found, c.name)
	}
	return found
}
