package layout

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// refName returns what the specification's annotation says.
func (e entry) refName() string { return e.desc.Annotations[ocispec.AnnotationRefName] }

// fullName returns what containerd's annotation says, which docker and podman
// write as well.
func (e entry) fullName() string { return e.desc.Annotations[content.AnnotationContainerdName] }

// name returns what the entry is called: docker writes the bare tag into one
// annotation and the full reference into the other, and then this is the full
// one.
func (e entry) name() string {
	if e.fullName() == "" || same(e.refName(), e.fullName()) {
		return e.refName()
	}
	return e.fullName()
}

// looksFull reports whether name is more than a tag.
func looksFull(name string) bool { return strings.ContainsAny(name, "/:") }

// normalised returns the full reference that docker means by name, or "".
func normalised(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return ""
	}
	return reference.TagNameOnly(named).String()
}

// same reports whether a and b, which look full, mean the same to docker.
func same(a, b string) bool {
	if a == b {
		return true
	}
	return looksFull(a) && looksFull(b) && normalised(a) != "" && normalised(a) == normalised(b)
}

// tagOf returns the tag of a full reference.
func tagOf(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return ""
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
		return tagged.Tag()
	}
	return ""
}

// byDigest returns the digest that ref is, or ends in.
func byDigest(ref string) (digest.Digest, bool) {
	if i := strings.LastIndexByte(ref, '@'); i >= 0 {
		ref = ref[i+1:]
	}
	d := digest.Digest(ref)
	return d, content.CheckDigest(d) == nil
}

// find returns the entry that ref names. Closer readings of ref come first:
// an entry's own name, one of its annotations, the full reference docker means
// by it, its tag.
func (x *index) find(ref string) (entry, error) {
	full := normalised(ref)
	readings := []func(e entry) bool{
		func(e entry) bool { return e.name() == ref },
		func(e entry) bool { return e.refName() == ref || e.fullName() == ref },
		func(e entry) bool { return full != "" && looksFull(e.name()) && normalised(e.name()) == full },
		func(e entry) bool { return !looksFull(ref) && looksFull(e.name()) && tagOf(e.name()) == ref },
	}
	for _, reads := range readings {
		found := distinct(x.entries, reads)
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return entry{}, fmt.Errorf("name %q stands for several images, which can be named by digest: %s: %w", ref, listed(found), content.ErrInvalid)
	}
	return entry{}, fmt.Errorf("no image is called %q: %w", ref, content.ErrNotFound)
}

// distinct returns the entries that match, each digest once.
func distinct(entries []entry, matches func(e entry) bool) []entry {
	var found []entry
	for _, e := range entries {
		had := func(f entry) bool { return f.desc.Digest == e.desc.Digest }
		if matches(e) && !slices.ContainsFunc(found, had) {
			found = append(found, e)
		}
	}
	return found
}

// listed names entries for a message.
func listed(entries []entry) string {
	const most = 10
	var names []string
	for _, e := range entries[:min(most, len(entries))] {
		name := e.desc.Digest.String()
		if e.name() != "" {
			name += fmt.Sprintf(" (%q)", e.name())
		}
		names = append(names, name)
	}
	if len(entries) > most {
		names = append(names, fmt.Sprintf("and %d more", len(entries)-most))
	}
	return strings.Join(names, ", ")
}

// digestTag matches the names under which clients keep what refers to an image
// where a registry has no referrers API: the specification's and cosign's.
var digestTag = regexp.MustCompile(`^(?:.*:)?sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{64,128})(?:\.[a-z]+)?$`)

// images returns the entries that can be meant when no name is given.
func (x *index) images() []entry {
	return distinct(x.entries, func(e entry) bool { return !digestTag.MatchString(e.name()) })
}

// checkName refuses what cannot be a name.
func checkName(name string) error {
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("name %q: %w", name, content.ErrInvalid)
	}
	return nil
}

// point makes name stand for d, and reports whether that changes anything.
func (x *index) point(name string, d ocispec.Descriptor) (changed bool, err error) {
	there := false
	kept := make([]entry, 0, len(x.entries)+1)
	for _, e := range x.entries {
		stays, err := e.yield(name, d)
		if err != nil {
			return false, err
		}
		there = there || stays.desc.Digest == d.Digest && stays.is(name)
		changed = changed || string(stays.raw) != string(e.raw)
		if stays.raw != nil {
			kept = append(kept, stays)
		}
	}
	x.entries = kept
	if there {
		return changed, nil
	}
	e, err := newEntry(named(d, name))
	x.entries = append(x.entries, e)
	return true, err
}

// is reports whether name finds the entry by more than its tag.
func (e entry) is(name string) bool {
	return e.refName() == name || e.fullName() == name || same(e.name(), name)
}

// yield returns what stays of e when name is to stand for d: the zero entry
// when nothing does.
func (e entry) yield(name string, d ocispec.Descriptor) (entry, error) {
	switch {
	case e.desc.Digest == d.Digest && e.name() == "" && e.adds(d):
		return entry{}, nil // an unnamed entry that says no more than the named one will
	case e.desc.Digest == d.Digest || !e.is(name):
		return e, nil
	case same(e.name(), name):
		return entry{}, nil
	}
	// The name was only the tag beside another image's full reference.
	return e.without(ocispec.AnnotationRefName)
}

// adds reports whether the entry has nothing that the entry for d will not have.
func (e entry) adds(d ocispec.Descriptor) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(e.raw, &fields) != nil {
		return false
	}
	for key := range fields {
		if !slices.Contains([]string{"mediaType", "digest", "size", "artifactType", "annotations"}, key) {
			return false
		}
	}
	for key, value := range e.desc.Annotations {
		if d.Annotations[key] != value {
			return false
		}
	}
	return true
}

// root makes d an entry without a name, unless it has an entry.
func (x *index) root(d ocispec.Descriptor) (changed bool, err error) {
	if slices.ContainsFunc(x.entries, func(e entry) bool { return e.desc.Digest == d.Digest }) {
		return false, nil
	}
	e, err := newEntry(d)
	x.entries = append(x.entries, e)
	return true, err
}

// named returns d with the annotations that give it a name.
func named(d ocispec.Descriptor, name string) ocispec.Descriptor {
	annotations := map[string]string{}
	maps.Copy(annotations, d.Annotations)
	annotations[ocispec.AnnotationRefName] = name
	if looksFull(name) {
		full := normalised(name)
		if full == "" {
			full = name
		}
		annotations[content.AnnotationContainerdName] = full
	}
	d.Annotations = annotations
	return d
}

// untag takes name away from what it stands for, which keeps an entry.
func (x *index) untag(name string) (found bool, err error) {
	var kept []entry
	for _, e := range x.entries {
		if !e.is(name) {
			kept = append(kept, e)
			continue
		}
		found = true
		keys := []string{ocispec.AnnotationRefName, content.AnnotationContainerdName}
		if !same(e.name(), name) && e.fullName() != name {
			keys = keys[:1]
		}
		bare, err := e.without(keys...)
		if err != nil {
			return false, err
		}
		kept = append(kept, bare)
	}
	x.entries = x.entries[:0]
	for _, e := range kept {
		other := func(o entry) bool { return o.desc.Digest == e.desc.Digest && o.name() != "" }
		if e.name() == "" && slices.ContainsFunc(kept, other) {
			continue // another name keeps it
		}
		x.entries = append(x.entries, e)
	}
	return found, nil
}
