package cli

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// LeftBehind is something that stays at a source all of which was wanted: a tag
// called after an image that is not copied, or an image without a name.
type LeftBehind struct {
	Name   string        `json:"name,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
}

// A remainder finds out what of src no image of a run takes along.
type remainder struct {
	src       content.Source
	tags      []string // those that are called after digests, and were passed over
	referrers bool     // they are wanted

	// near are the destinations. Where the source is a registry, which may count
	// pulls, manifests are read there alone: what is not in the plan and yet taken
	// is at one of them.
	near []content.Source

	copied map[digest.Digest]bool // by the plan
	taken  map[digest.Digest]bool // there already, or not wanted: of images that are up to date or rewritten
	known  map[digest.Digest]content.Manifest
	failed bool // what an image of the plan is cannot be found out
	reads  int  // how many more manifests may be read to find out
}

// mostReads is how many manifests are read at a registry, where it costs.
const mostReads = 64

// left returns what stays behind, in the source's order. What cannot be found
// out counts as left: there is no harm in telling.
func (r *remainder) left(ctx context.Context, plan *transfer.Plan) []LeftBehind {
	r.copied, r.taken = map[digest.Digest]bool{}, map[digest.Digest]bool{}
	r.known, r.reads = map[digest.Digest]content.Manifest{}, mostReads
	roots := r.notePlan(plan)
	unnamed := r.unnamed(ctx)
	if len(r.open()) > 0 || len(unnamed) > 0 {
		for _, root := range roots {
			r.takeBelow(ctx, root)
		}
		r.takeReferrers(ctx)
	}
	var all []LeftBehind
	for _, tag := range r.open() {
		all = append(all, LeftBehind{Name: tag})
	}
	for _, d := range unnamed {
		if !r.has(d) {
			all = append(all, LeftBehind{Digest: d})
		}
	}
	return all
}

// notePlan notes what plan copies, and returns the roots it does not.
func (r *remainder) notePlan(plan *transfer.Plan) []ocispec.Descriptor {
	var roots []ocispec.Descriptor
	for _, image := range plan.Images {
		r.failed = r.failed || image.Err != nil
		for d := range image.Digests() {
			r.copied[d] = true
		}
		if root := image.Source; !r.copied[root.Digest] {
			r.taken[root.Digest] = true
			roots = append(roots, root)
		}
	}
	return roots
}

// has reports whether manifest d is known to be taken.
func (r *remainder) has(d digest.Digest) bool { return r.copied[d] || r.taken[d] }

// open returns those tags that belong to nothing that is known to be taken.
func (r *remainder) open() []string {
	if !r.referrers {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.tags), func(tag string) bool {
		subject := r.subjectOf(tag)
		_, tag = content.SplitName(tag)
		return r.has(subject) && (!strings.Contains(tag, ".") || slices.Contains(content.DigestTags(subject), tag))
	})
}

// unnamed returns the images of a layout or archive that have no name. What
// refers to another is none of them.
func (r *remainder) unnamed(ctx context.Context) []digest.Digest {
	lister, ok := content.As[content.RootLister](r.src)
	if !ok || r.failed { // whose names cannot be resolved seems to have none
		return nil
	}
	r.reads = math.MaxInt
	seen := map[digest.Digest]bool{}
	for _, tag := range r.tags {
		if m, err := r.src.Manifest(ctx, tag); err == nil {
			seen[m.Digest()] = true
		}
	}
	var found []digest.Digest
	for d, err := range lister.Roots(ctx) {
		if err != nil || r.has(d.Digest) || seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		if _, refers := r.read(ctx, d.Digest).Subject(); !refers {
			found = append(found, d.Digest)
		}
	}
	return found
}

// takeBelow takes the manifests below d, if it is an index.
func (r *remainder) takeBelow(ctx context.Context, d ocispec.Descriptor) {
	if !content.IsIndex(d.MediaType) {
		return
	}
	for _, child := range r.read(ctx, d.Digest).Children() {
		if !r.taken[child.Digest] {
			r.taken[child.Digest] = true
			r.takeBelow(ctx, child)
		}
	}
}

// takeReferrers takes what refers to what is taken, over and over: by a tag, or
// by the subject it has.
func (r *remainder) takeReferrers(ctx context.Context) {
	pending := r.tags
	for before := -1; before < len(r.taken); {
		before = len(r.taken)
		var rest []string
		for _, tag := range pending {
			switch subject := r.subjectOf(tag); {
			case r.taken[subject]:
				r.takeTagged(ctx, tag)
			case !r.has(subject):
				rest = append(rest, tag)
				if whose, ok := r.read(ctx, subject).Subject(); ok && r.has(whose.Digest) {
					r.taken[subject] = true
				}
			}
		}
		pending = rest
	}
}

// takeTagged takes what tag stands for and, where that is an index, all of it.
func (r *remainder) takeTagged(ctx context.Context, tag string) {
	resolver, ok := content.As[content.Resolver](r.src)
	if !ok || r.reads == 0 {
		return
	}
	r.reads--
	if d, err := resolver.Resolve(ctx, tag); err == nil && !r.has(d.Digest) {
		r.taken[d.Digest] = true
		r.takeBelow(ctx, d)
	}
}

// read returns manifest d, and a zero one where it is not there.
func (r *remainder) read(ctx context.Context, d digest.Digest) content.Manifest {
	m, ok := r.known[d]
	if ok || r.reads == 0 {
		return m
	}
	r.reads--
	places := []content.Source{r.src}
	if _, costly := content.As[content.Originer](r.src); costly {
		places = r.near
	}
	for _, place := range places {
		if found, err := place.Manifest(ctx, d.String()); err == nil {
			m = found
			break
		}
	}
	r.known[d] = m
	return m
}

// subjectOf returns the digest that a digest tag is called after. The fallback
// tag of a SHA-512 has only the head of it, which leads to one that is known.
func (r *remainder) subjectOf(name string) digest.Digest {
	_, tag := content.SplitName(name)
	tag, _, _ = strings.Cut(tag, ".")
	algorithm, encoded, _ := strings.Cut(tag, "-")
	d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), encoded)
	if content.CheckDigest(d) == nil {
		return d
	}
	for _, known := range []map[digest.Digest]bool{r.copied, r.taken} {
		for d := range known {
			if content.FallbackTag(d) == tag {
				return d
			}
		}
	}
	return d
}

// sayLeftBehind tells of what stays behind, in a line for each kind.
func (f *Factory) sayLeftBehind(all []LeftBehind) {
	var tags, images []string
	for _, left := range all {
		if left.Name != "" {
			tags = append(tags, left.Name)
		} else {
			images = append(images, left.Digest.String())
		}
	}
	if len(tags) > 0 {
		f.Warn("%s left behind, copy what you want by its name: %s", are(len(tags), "tag", "called after what is not copied"), few(tags))
	}
	if len(images) > 0 {
		f.Warn("%s left behind, copy what you want by its digest: %s", are(len(images), "image", "without a name"), few(images))
	}
}

func are(n int, what, which string) string {
	if n == 1 {
		return count(n, what) + " " + which + " is"
	}
	return count(n, what) + " " + which + " are"
}

// few joins names, the first of them where there are many.
func few(names []string) string {
	const most = 3
	if more := len(names) - most; more > 0 {
		names = append(slices.Clone(names[:most]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
