package layout

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// refName returns what the specification's annotation says.
func (e entry) refName() string { return e.called.Ref }

// fullName returns what containerd's annotation says, which docker and podman
// write as well.
func (e entry) fullName() string { return e.called.Full }

// name returns what the entry is called, "" for nothing.
func (e entry) name() string {
	names := e.names()
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

func (e entry) names() []string { return e.called.Shown() }

// byDigest returns the digest that ref is, or ends in.
func byDigest(ref string) (digest.Digest, bool) {
	if i := strings.LastIndexByte(ref, '@'); i >= 0 {
		ref = ref[i+1:]
	}
	d := digest.Digest(ref)
	return d, content.CheckDigest(d) == nil
}

// find returns the entry that ref names.
func (x *index) find(ref string) (entry, error) {
	found := distinct(content.FindName(x.entries, entry.names, ref))
	switch len(found) {
	case 0:
		return entry{}, fmt.Errorf("no image is called %q: %w", ref, content.ErrNotFound)
	case 1:
		return found[0], nil
	}
	return entry{}, fmt.Errorf("name %q stands for several images, which can be named by digest: %s: %w", ref, listed(found), content.ErrInvalid)
}

// distinct returns the entries, each digest once.
func distinct(entries []entry) []entry {
	var found []entry
	for _, e := range entries {
		if !slices.ContainsFunc(found, func(f entry) bool { return f.digest == e.digest }) {
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
		name := e.digest.String()
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

// images returns the entries that can be meant when no name is given.
func (x *index) images() []entry {
	return distinct(slices.DeleteFunc(slices.Clone(x.entries), func(e entry) bool { return content.IsDigestTag(e.name()) }))
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
		there = there || stays.digest == d.Digest && stays.is(name)
		changed = changed || stays.raw != e.raw
		if stays.raw != "" {
			kept = append(kept, stays)
		}
	}
	x.entries = kept
	if there {
		return changed, nil
	}
	e, err := newEntry(content.WithName(d, name))
	x.entries = append(x.entries, e)
	return true, err
}

// is reports whether name finds the entry by more than its tag. What the entry
// is called is looked at last: it takes long to see.
func (e entry) is(name string) bool {
	if e.refName() == name || e.fullName() == name {
		return true
	}
	either := content.SameName(e.refName(), name) || content.SameName(e.fullName(), name)
	return either && content.SameName(e.name(), name)
}

// named reports whether the entry is called anything.
func (e entry) named() bool { return e.refName() != "" || e.fullName() != "" }

// yield returns what stays of e when name is to stand for d: the zero entry
// when nothing does.
func (e entry) yield(name string, d ocispec.Descriptor) (entry, error) {
	switch {
	case e.digest == d.Digest && !e.named() && e.adds(d):
		return entry{}, nil // an unnamed entry that says no more than the named one will
	case e.digest == d.Digest || !e.is(name):
		return e, nil
	case content.SameName(e.name(), name):
		return entry{}, nil
	}
	// The name was only the tag beside another image's full reference.
	return e.without(ocispec.AnnotationRefName)
}

// adds reports whether the entry has nothing that the entry for d will not have.
func (e entry) adds(d ocispec.Descriptor) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(e.raw), &fields) != nil {
		return false
	}
	for key := range fields {
		if !slices.Contains([]string{"mediaType", "digest", "size", "artifactType", "annotations"}, key) {
			return false
		}
	}
	for key, value := range e.descriptor().Annotations {
		if d.Annotations[key] != value {
			return false
		}
	}
	return true
}

// root makes d an entry without a name, unless it has an entry.
func (x *index) root(d ocispec.Descriptor) (changed bool, err error) {
	if slices.ContainsFunc(x.entries, func(e entry) bool { return e.digest == d.Digest }) {
		return false, nil
	}
	e, err := newEntry(d)
	x.entries = append(x.entries, e)
	return true, err
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
		if !content.SameName(e.name(), name) && e.fullName() != name {
			keys = keys[:1]
		}
		bare, err := e.without(keys...)
		if err != nil {
			return false, err
		}
		kept = append(kept, bare)
	}
	named := map[digest.Digest]bool{}
	for _, e := range kept {
		named[e.digest] = named[e.digest] || e.named()
	}
	// Another name keeps what has an entry without one too.
	x.entries = slices.DeleteFunc(kept, func(e entry) bool { return !e.named() && named[e.digest] })
	return found, nil
}
