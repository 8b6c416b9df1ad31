package content

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/reference"
)

// Names in places that are files. An entry of index.json has its name in two
// annotations: the image specification's, org.opencontainers.image.ref.name,
// and containerd's, io.containerd.image.name, which docker and podman read and
// write too. A name is full when it says more than a tag: it has a slash or a
// colon.

// NamesOf returns what the entry d of an index.json is called, the name to show
// first: containerd's where the two differ, because docker writes only the tag
// into the other. An entry without a name has none.
func NamesOf(d ocispec.Descriptor) []string { return EntryNamesOf(d).Shown() }

// EntryNames are the two names of an entry, as its annotations have them; one that
// is not there is empty.
type EntryNames struct {
	Ref  string // the image specification's
	Full string // containerd's
}

// EntryNamesOf returns the names that the annotations of d have.
func EntryNamesOf(d ocispec.Descriptor) EntryNames {
	return EntryNames{Ref: d.Annotations[ocispec.AnnotationRefName], Full: d.Annotations[AnnotationContainerdName]}
}

// Shown returns the names that count, as [NamesOf] does.
func (n EntryNames) Shown() []string {
	switch {
	case n.Ref == "" && n.Full == "":
		return nil
	case n.Ref == "":
		return []string{n.Full}
	case n.Full == "" || SameName(n.Ref, n.Full):
		return []string{n.Ref}
	}
	return []string{n.Full, n.Ref}
}

// WithName returns d with the annotations that call it name: a full name goes
// into both, as docker would write it into containerd's.
func WithName(d ocispec.Descriptor, name string) ocispec.Descriptor {
	annotations := map[string]string{}
	maps.Copy(annotations, d.Annotations)
	annotations[ocispec.AnnotationRefName] = name
	if IsFullName(name) {
		annotations[AnnotationContainerdName] = NormalName(name)
	}
	d.Annotations = annotations
	return d
}

// IsFullName reports whether name says more than a tag.
func IsFullName(name string) bool { return strings.ContainsAny(name, "/:") }

// NormalName returns the reference docker means by name,
// docker.io/library/nginx:latest for nginx. What is no reference stays as it is.
func NormalName(name string) string {
	named, err := reference.ParseNormalized(name)
	if err != nil {
		return name
	}
	return named.Image().String()
}

// FamiliarName returns a full name as docker shows it, nginx:latest. It is empty
// where docker cannot call an image that: for a tag alone, and for a digest.
func FamiliarName(name string) string {
	named, err := reference.ParseNormalized(name)
	if err != nil || !IsFullName(name) || named.Digest != "" {
		return ""
	}
	return named.Image().Familiar().String()
}

// SameName reports whether two names mean the same to docker.
func SameName(a, b string) bool {
	return a == b || IsFullName(a) && IsFullName(b) && lastPart(a) == lastPart(b) && NormalName(a) == NormalName(b)
}

// lastPart returns what is behind the last slash of name, without the tag that a
// name has where it has none. Two names that differ in it are never the same to
// docker, which costs less to see than what the names mean.
func lastPart(name string) string {
	return strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ":latest")
}

// TagOf returns the tag that a name ends in: latest where a full name has none,
// and a short name is a tag itself. What is no reference has no tag.
func TagOf(name string) string {
	if !IsFullName(name) {
		return name
	}
	named, err := reference.ParseNormalized(name)
	if err != nil {
		return ""
	}
	return named.Image().Tag
}

// SplitName takes name apart without reading a meaning into it: a repository,
// empty where name is a tag or a digest alone, and a tag. Where a repository
// stands alone the tag is latest; what follows an @ is left out.
func SplitName(name string) (repository, tag string) {
	name, _, _ = strings.Cut(name, "@")
	slash, colon := strings.LastIndexByte(name, '/'), strings.LastIndexByte(name, ':')
	switch {
	case strings.HasPrefix(name, "sha") && CheckDigest(digest.Digest(name)) == nil: // an error takes long to make
		return "", ""
	case colon > slash:
		return name[:colon], name[colon+1:]
	case slash >= 0:
		return name, "latest"
	}
	return "", name
}

// BesideName returns tag as a name in the repository of name, and as it is
// where name has none: docker.io/library/nginx:1 has docker.io/library/nginx:tag
// beside it, and v1 has tag.
func BesideName(name, tag string) string {
	repository, _ := SplitName(name)
	if repository == "" {
		return tag
	}
	return repository + ":" + tag
}

// FindName returns those of entries that ref means: the ones it means most
// closely. Closest is the name an entry shows; then any of its names; then the
// same reference to docker; then a tag alone for a full name with that tag.
// names returns an entry's names, as NamesOf has them.
func FindName[E any](entries []E, names func(E) []string, ref string) []E {
	full := NormalName(ref)
	readings := []func(names []string) bool{
		func(names []string) bool { return names[0] == ref },
		func(names []string) bool { return slices.Contains(names, ref) },
		func(names []string) bool {
			return slices.ContainsFunc(names, func(name string) bool { return IsFullName(name) && NormalName(name) == full })
		},
		func(names []string) bool {
			return !IsFullName(ref) && slices.ContainsFunc(names, func(name string) bool { return TagOf(name) == ref })
		},
	}
	for _, reads := range readings {
		var found []E
		for _, e := range entries {
			if ns := names(e); len(ns) > 0 && reads(ns) {
				found = append(found, e)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// maxName is more bytes than any name has.
const maxName = 4096

// CheckName refuses what cannot be a name: nothing at all, control characters,
// what is not UTF-8 or longer than 4,096 bytes. It returns [ErrInvalid].
func CheckName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("name %q: %w", clip(name), ErrInvalid)
	}
	return nil
}
