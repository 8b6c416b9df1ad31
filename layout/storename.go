package layout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/reference"
)

// A storeName is what an image of a store is called, read once.
type storeName struct {
	full       string // docker.io/library/nginx:latest; empty for a digest tag alone
	shown      string // nginx:latest
	repository string // docker.io/library/nginx
	tag        string // empty for a name by digest
}

// parseStoreName reads name as docker does. A tag beside a digest is left out, and
// a digest tag alone is that of an image without a name, in no repository. What is
// no reference is [content.ErrInvalid].
func parseStoreName(name string) (storeName, error) {
	if content.IsDigestTag(name) && !content.IsFullName(name) {
		return storeName{shown: name, tag: name}, nil
	}
	named, err := reference.ParseNormalized(name)
	if err != nil {
		return storeName{}, fmt.Errorf("name %q: %w: %w", name, err, content.ErrInvalid)
	}
	n := storeName{repository: named.Name()}
	if named.Digest != "" {
		return n.byDigest(named.Digest), nil
	}
	image := named.Image()
	n.full, n.shown, n.tag = image.String(), image.Familiar().String(), image.Tag
	return n, nil
}

func parseStoreNames(names []string) ([]storeName, error) {
	var parsed []storeName
	for _, name := range names {
		if _, alone := byDigest(name); alone && !strings.Contains(name, "@") {
			continue // a digest alone is no name
		}
		n, err := parseStoreName(name)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, n)
	}
	return parsed, nil
}

// byDigest returns what an image of the same repository without a tag is called.
func (n storeName) byDigest(d digest.Digest) storeName {
	shown := n.repository
	if named, err := reference.ParseNormalized(n.repository); err == nil {
		shown = named.Familiar().Name()
	}
	return storeName{full: n.repository + "@" + d.String(), shown: shown + "@" + d.String(), repository: n.repository}
}

// entry returns what stands in index.json about d called n.
func (n storeName) entry(d ocispec.Descriptor) (entry, error) {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: n.shown}
	if n.full != "" {
		d.Annotations[content.AnnotationContainerdName] = n.full
	}
	return newEntry(d)
}

// storeName returns what a store calls the entry; false for one without a name,
// and for one that has only a tag.
func (e entry) storeName() (storeName, bool) {
	if n, ok := e.ownName(); ok {
		return n, true
	}
	name := e.fullName()
	if name == "" && content.IsFullName(e.refName()) {
		name = e.refName()
	}
	n, err := parseStoreName(name)
	return n, name != "" && err == nil
}

// ownName is storeName for an entry whose annotations a store has written, which
// is most of what there is: then nothing has to be made out.
func (e entry) ownName() (storeName, bool) {
	full, shown := e.fullName(), e.refName()
	end := strings.LastIndexAny(full, ":@")
	if end < 0 || full != shown && full != "docker.io/"+shown && full != "docker.io/library/"+shown {
		return storeName{}, false
	}
	n := storeName{full: full, shown: shown}
	if repository, _, byDigest := strings.Cut(full, "@"); byDigest {
		n.repository = repository
		return n, true
	}
	n.repository, n.tag = full[:end], full[end+1:]
	return n, content.IsFullName(shown) && !strings.Contains(n.tag, "/")
}

// isCalled reports whether the entry has name n. What this package and others
// write for containerd is spelt in full, and not read for this.
func (e entry) isCalled(n storeName) bool {
	if full := e.fullName(); full != "" {
		return full == n.full || full == n.shown
	}
	return e.refName() == n.shown || e.refName() == n.full && n.full != "" ||
		strings.HasPrefix(n.full, e.refName()) && content.IsFullName(e.refName()) && content.NormalName(e.refName()) == n.full
}

// holder returns the place of the entry that is called n, -1 for none.
func (x *index) holder(n storeName) int {
	return slices.IndexFunc(x.entries, func(e entry) bool { return e.isCalled(n) })
}

// tagBeside returns the place of an entry that has a tag in the repository of n, a
// name by digest, and stands for that digest; -1 for none.
func (x *index) tagBeside(n storeName) int {
	d, byDigest := byDigest(n.full)
	if n.tag != "" || !byDigest {
		return -1
	}
	return slices.IndexFunc(x.entries, func(e entry) bool {
		other, ok := e.storeName()
		return e.digest == d && ok && other.tag != "" && other.repository == n.repository
	})
}

func (x *index) holds(name string) bool {
	n, err := parseStoreName(name)
	return err == nil && x.holder(n) >= 0
}

// call makes names stand for d, and d an entry without a name where there are none.
func (x *index) call(d ocispec.Descriptor, names []storeName) (changed bool, err error) {
	for _, n := range names {
		moved, err := x.move(n, d)
		if err != nil {
			return false, err
		}
		changed = changed || moved
	}
	rooted, err := x.root(d)
	return changed || rooted, err
}

// move makes n stand for d. The image that had the name is called by its digest,
// unless it has another; d needs none of that any more in the same repository.
func (x *index) move(n storeName, d ocispec.Descriptor) (changed bool, err error) {
	if x.tagBeside(n) >= 0 {
		return false, nil
	}
	if i := x.holder(n); i >= 0 {
		old := x.entries[i]
		if old.digest == d.Digest {
			return false, nil
		}
		x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return e.isCalled(n) })
		if err := x.keep(old.descriptor(), n); err != nil {
			return false, err
		}
	}
	x.entries = slices.DeleteFunc(x.entries, func(e entry) bool {
		return e.digest == d.Digest && (e.name() == "" || n.tag != "" && e.isCalled(n.byDigest(d.Digest)))
	})
	e, err := n.entry(d)
	x.entries = append(x.entries, e)
	return true, err
}

// keep gives old, which was called n, a name by its digest where it has no other.
// Of its annotations only the names are kept, which are the new ones. What referred to an image under a tag needs none: another list has its place.
func (x *index) keep(old ocispec.Descriptor, n storeName) error {
	named := func(e entry) bool { return e.digest == old.Digest && e.name() != "" }
	if content.IsDigestTag(n.tag) || slices.ContainsFunc(x.entries, named) {
		return nil
	}
	e, err := n.byDigest(old.Digest).entry(old)
	x.entries = append(x.entries, e)
	return err
}

// tagged reports whether the image d has a tag.
func (x *index) tagged(d digest.Digest) bool {
	return slices.ContainsFunc(x.entries, func(e entry) bool {
		return e.digest == d && e.name() != "" && !strings.Contains(e.name(), "@")
	})
}

// named reports whether the image d has any name.
func (x *index) named(d digest.Digest) bool {
	return slices.ContainsFunc(x.entries, func(e entry) bool { return e.digest == d && e.named() })
}

// dropIn removes the entries of d that have a name in a repository, and returns
// these.
func (x *index) dropIn(repository string, d digest.Digest) (names []string) {
	x.entries = slices.DeleteFunc(x.entries, func(e entry) bool {
		n, ok := e.storeName()
		if !ok || e.digest != d || n.repository != repository {
			return false
		}
		names = append(names, n.shown)
		return true
	})
	return names
}

// allNames returns what each image is called, as a store shows it. One without a
// name is there too.
func (x *index) allNames() map[digest.Digest][]string {
	names := make(map[digest.Digest][]string, len(x.entries))
	for _, e := range x.entries {
		names[e.digest] = append(names[e.digest], e.shownNames()...)
	}
	return names
}

func (e entry) shownNames() []string {
	if name := e.shown(); name != "" {
		return []string{name}
	}
	return nil
}

// drop removes all entries of d and returns the names they had.
func (x *index) drop(d digest.Digest) (names []string) {
	x.entries = slices.DeleteFunc(x.entries, func(e entry) bool {
		if e.digest == d && e.name() != "" {
			names = append(names, e.shown())
		}
		return e.digest == d
	})
	return names
}

// shown returns the entry's name as a store shows it, "" for none.
func (e entry) shown() string {
	if n, ok := e.storeName(); ok {
		return n.shown
	}
	return e.name()
}

// tags returns the tags of a repository, sorted.
func (x *index) tags(repository string) []string {
	var tags []string
	for _, e := range x.entries {
		if n, ok := e.storeName(); ok && n.repository == repository && n.tag != "" {
			tags = append(tags, n.tag)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}
