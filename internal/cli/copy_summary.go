package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/wherry-dev/wherry/internal/term"
)

// summary says in a line or a few what became of each image.
func (r MoveResult) summary() string {
	var b strings.Builder
	for _, image := range r.Images {
		for _, to := range image.arrived() {
			fmt.Fprintf(&b, "%s to %s: %s\n", term.Safe(image.Name), term.Safe(to.Name), to.outcome(image.Referrers))
		}
		image.remark(&b, "", r.whole)
	}
	r.hosts(&b)
	return b.String()
}

// hosts says what each host gave, where that is not plain.
func (r MoveResult) hosts(b *strings.Builder) {
	if !r.mirrored || len(r.Served) == 0 {
		return
	}
	var parts []string
	for _, host := range slices.Sorted(maps.Keys(r.Served)) {
		parts = append(parts, host+" "+term.Size(r.Served[host]))
	}
	fmt.Fprintf(b, "  served by %s\n", strings.Join(parts, ", "))
}

// sum says in a line what became of all images together, and in further lines
// what has to be said of one.
func (r MoveResult) sum() string {
	var b strings.Builder
	var all MovedTo
	referrers, images := 0, 0
	for _, image := range r.Images {
		for _, to := range image.arrived() {
			all.Stored += to.Stored
			all.Existed += to.Existed
			all.Mounted += to.Mounted
			all.Manifests += to.Manifests
			all.Bytes += to.Bytes
			images++
			referrers += image.Referrers
		}
	}
	fmt.Fprintf(&b, "%d of %s", images, count(r.pairs(), "copy"))
	if images > 0 {
		b.WriteString(": " + all.outcome(referrers))
	}
	b.WriteByte('\n')
	for _, image := range r.Images {
		for _, to := range image.arrived() {
			if to.Replaced {
				fmt.Fprintf(&b, "%s to %s: %s\n", term.Safe(image.Name), term.Safe(to.Name), fileReplaced)
			}
			for _, name := range to.Kept {
				fmt.Fprintf(&b, "%s to %s: %s\n", term.Safe(image.Name), term.Safe(to.Name), kept(name))
			}
		}
		image.remark(&b, term.Safe(image.Name)+": ", r.whole)
	}
	r.hosts(&b)
	return b.String()
}

// pairs counts the pairs of image and destination.
func (r MoveResult) pairs() int {
	n := 0
	for _, image := range r.Images {
		n += len(image.Destinations)
	}
	return n
}

// arrived returns the destinations where the image is now.
func (i MovedImage) arrived() []MovedTo {
	var there []MovedTo
	for _, to := range i.Destinations {
		if i.Error == "" && to.Error == "" {
			there = append(there, to)
		}
	}
	return there
}

// remark says what is not as the user may expect. name is put in front, whole
// behind a rewritten index.
func (i MovedImage) remark(b *strings.Builder, name, whole string) {
	if !i.written() {
		return
	}
	if i.Digest != i.SourceDigest {
		what := "index rewritten"
		if i.Compressed {
			what, whole = "layers compressed", ""
		}
		fmt.Fprintf(b, "  %s%s: %s is now %s%s\n", name, what, i.SourceDigest, i.Digest, whole)
	}
	if i.Orphaned > 0 {
		fmt.Fprintf(b, "  %s%s of the original index stayed behind\n", name, count(i.Orphaned, "referrer"))
	}
	if i.LeftOut > 0 {
		fmt.Fprintf(b, "  %s%s left out\n", name, count(i.LeftOut, "foreign layer"))
	}
}

// outcome says what became of an image at one destination.
func (to MovedTo) outcome(referrers int) string {
	var parts []string
	switch {
	case to.UpToDate && len(to.Kept) > 0:
	case to.UpToDate, to.Stored+to.Mounted+to.Manifests == 0:
		parts = append(parts, "up to date")
	default:
		parts = to.blobs()
	}
	if referrers > 0 && !to.UpToDate {
		parts = append(parts, count(referrers, "referrer"))
	}
	if to.Replaced {
		parts = append(parts, fileReplaced)
	}
	for _, name := range to.Kept {
		parts = append(parts, kept(name))
	}
	return strings.Join(parts, ", ")
}

// blobs counts what was done with blobs, or with manifests alone; what does not
// occur is left out.
func (to MovedTo) blobs() []string {
	var parts []string
	if to.Stored > 0 {
		parts = append(parts, fmt.Sprintf("%s moved (%s)", count(to.Stored, "blob"), term.Size(to.Bytes)))
	}
	if to.Mounted > 0 {
		parts = append(parts, count(to.Mounted, "blob")+" mounted")
	}
	if len(parts) == 0 {
		parts = append(parts, count(to.Manifests, "manifest")+" written")
	}
	if to.Existed > 0 {
		parts = append(parts, fmt.Sprintf("%d there", to.Existed))
	}
	return parts
}

// fileReplaced says that an archive took the place of another file.
const fileReplaced = "the file that was there is replaced"

// kept says that name is what it was.
func kept(name string) string { return "tag " + term.Safe(name) + " exists and was left alone" }

func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return strconv.Itoa(n) + " " + strings.TrimSuffix(what, "y") + "ies"
	}
	return strconv.Itoa(n) + " " + what + "s"
}
