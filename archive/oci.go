package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// Files of an OCI layout
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
const (
	layoutFile = ocispec.ImageLayoutFile
	indexFile  = ocispec.ImageIndexFile

	maxLayoutFile = 4 << 10
	maxIndexFile  = 16 << 20
	maxRoots      = 1 << 16 // descriptors in index.json
)

// blobPath returns where a layout keeps blob d.
func blobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + string(d.Algorithm()) + "/" + d.Encoded()
}

// layoutRoots reads index.json; without one there are no roots.
func (a *Archive) layoutRoots() ([]*root, error) {
	if !a.index.has(indexFile) || (!a.index.has(layoutFile) && a.index.has(manifestFile)) {
		return nil, nil
	}
	if err := a.checkLayout(); err != nil {
		return nil, err
	}
	f, err := a.index.unique(indexFile)
	if err != nil {
		return nil, err
	}
	if f.size > maxIndexFile {
		return nil, fmt.Errorf("%s has %d bytes, more than %d: %w", indexFile, f.size, maxIndexFile, content.ErrInvalid)
	}
	roots, err := readIndex(span{a.data, f.off, f.size}.reader(), a.o.Limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	for _, r := range roots {
		if err := a.remember(r.desc); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// checkLayout reads the file oci-layout.
func (a *Archive) checkLayout() error {
	f, err := a.index.unique(layoutFile)
	if errors.Is(err, content.ErrNotFound) {
		return fmt.Errorf("it has %s and no %s: %w", indexFile, layoutFile, content.ErrInvalid)
	}
	if err != nil {
		return err
	}
	raw, err := a.small(layoutFile, f, maxLayoutFile)
	if err != nil {
		return err
	}
	var l ocispec.ImageLayout
	if err := json.Unmarshal(raw, &l); err != nil {
		return fmt.Errorf("%s: %w: %w", layoutFile, err, content.ErrInvalid)
	}
	if l.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s: version %q, not %s: %w", layoutFile, clip(l.Version), ocispec.ImageLayoutVersion, content.ErrInvalid)
	}
	return nil
}

// remember keeps what is said of a manifest. Two descriptors that contradict
// each other are found out here.
func (a *Archive) remember(d ocispec.Descriptor) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, ok := a.types[d.Digest]
	if ok && old.Size != d.Size {
		return &content.MismatchError{Want: old, Size: d.Size}
	}
	if !ok {
		a.types[d.Digest] = ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	}
	return nil
}

// readIndex reads the descriptors of an index.json, one at a time: of a large
// one only names, digests, sizes and media types are kept.
func readIndex(r io.Reader, l content.Limits) ([]*root, error) {
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, notJSON(err, "not a JSON object")
	}
	var roots []*root
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, notJSON(err, "")
		}
		key, _ := t.(string)
		folded := strings.ToLower(key)
		if seen[folded] || (folded == "manifests" && key != folded) {
			return nil, fmt.Errorf("ambiguous: key %q: %w", clip(key), content.ErrInvalid)
		}
		seen[folded] = true
		if key != "manifests" {
			if err := dec.Decode(&json.RawMessage{}); err != nil {
				return nil, notJSON(err, "")
			}
			continue
		}
		if roots, err = readRoots(dec, l); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(err, "")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("bytes after the end of the JSON: %w", content.ErrInvalid)
	}
	return roots, nil
}

// readRoots reads the array of descriptors, which docker writes as null when
// there are none.
func readRoots(dec *json.Decoder, l content.Limits) ([]*root, error) {
	t, err := dec.Token()
	if err == nil && t == nil {
		return nil, nil
	}
	if err != nil || t != json.Delim('[') {
		return nil, notJSON(err, "manifests is not an array")
	}
	var roots []*root
	for dec.More() {
		if len(roots) == maxRoots {
			return nil, fmt.Errorf("more than %d manifests: %w", maxRoots, content.ErrInvalid)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, notJSON(err, "")
		}
		d, err := checkRoot(raw, l)
		if err != nil {
			return nil, err
		}
		roots = append(roots, &root{names: namesOf(d), desc: ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}})
	}
	_, err = dec.Token()
	return roots, err
}

// checkRoot reads one descriptor, as strictly as if it stood in an index.
func checkRoot(raw json.RawMessage, l content.Limits) (ocispec.Descriptor, error) {
	index := slices.Concat([]byte(`{"schemaVersion":2,"manifests":[`), raw, []byte(`]}`))
	m, err := content.ParseManifest(ocispec.MediaTypeImageIndex, index, l)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("descriptor %q: %w", clip(string(raw)), err)
	}
	if err := m.Ambiguous(); err != nil {
		return ocispec.Descriptor{}, err
	}
	return m.Children()[0], nil
}

func notJSON(err error, what string) error {
	if err == nil {
		return fmt.Errorf("%s: %w", what, content.ErrInvalid)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("not JSON: %w: %w", err, content.ErrInvalid)
}

// manifest reads the manifest with digest d, which index.json or an index
// names, or which is simply there.
func (a *Archive) manifest(d digest.Digest) (content.Manifest, error) {
	if err := content.CheckDigest(d); err != nil {
		return content.Manifest{}, err
	}
	name := blobPath(d)
	f, err := a.index.find(name)
	if errors.Is(err, content.ErrNotFound) {
		return content.Manifest{}, a.index.missing(fmt.Errorf("manifest %s: %w", d, content.ErrNotFound))
	}
	if err != nil {
		return content.Manifest{}, err
	}
	a.mu.Lock()
	want, known := a.types[d]
	a.mu.Unlock()
	if !known {
		want = ocispec.Descriptor{Digest: d}
	}
	if limit := a.o.Limits.MaxManifest(); f.size > limit {
		return content.Manifest{}, fmt.Errorf("manifest %s has %d bytes, more than %d: %w", d, f.size, limit, content.ErrInvalid)
	}
	raw, err := io.ReadAll(span{a.data, f.off, f.size}.reader())
	if err != nil {
		return content.Manifest{}, err
	}
	m, err := content.VerifyManifest(want, raw, a.o.Limits)
	if err != nil {
		return content.Manifest{}, err
	}
	for _, child := range m.Children() {
		if err := a.remember(child); err != nil {
			return content.Manifest{}, err
		}
	}
	return m, nil
}

// walk calls visit for the manifests below d that are in the file, d first,
// each once. Those that are not there are passed over: docker saves the index
// of an image with the manifests of one platform.
func (a *Archive) walk(d digest.Digest, seen map[digest.Digest]bool, visit func(content.Manifest)) error {
	todo := []digest.Digest{d}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[next] {
			continue
		}
		if len(seen) == maxRoots {
			return fmt.Errorf("more than %d manifests: %w", maxRoots, content.ErrInvalid)
		}
		seen[next] = true
		m, err := a.manifest(next)
		if errors.Is(err, content.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		visit(m)
		for _, child := range slices.Backward(m.Children()) {
			todo = append(todo, child.Digest)
		}
	}
	return nil
}

// agree compares what index.json and manifest.json name: a reader of the one
// must not get another image than a reader of the other.
func (a *Archive) agree(ctx context.Context, images []*dockerImage) error {
	if len(images) == 0 {
		return nil
	}
	all := map[digest.Digest]bool{}
	byName := map[string]map[digest.Digest]bool{}
	for _, r := range a.roots {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		configs := map[digest.Digest]bool{}
		err := a.walk(r.desc.Digest, map[digest.Digest]bool{}, func(m content.Manifest) {
			if c, ok := m.Config(); ok {
				configs[c.Digest], all[c.Digest] = true, true
			}
		})
		if err != nil {
			return err
		}
		for _, name := range r.names {
			byName[normal(name)] = configs
		}
	}
	for _, image := range images {
		config, _, err := a.config(image)
		if err != nil {
			return err
		}
		for _, name := range image.names() {
			if configs, ok := byName[normal(name)]; ok && !configs[config.Digest] {
				return fmt.Errorf("%s and %s disagree about %q: %w", indexFile, manifestFile, clip(name), content.ErrInvalid)
			}
		}
		if !all[config.Digest] {
			return fmt.Errorf("%s names an image with config %s that %s does not know: %w", manifestFile, config.Digest, indexFile, content.ErrInvalid)
		}
	}
	return nil
}

// Referrers implements [content.ReferrerLister]: what index.json names and what
// a fallback tag lists, as far as it is in the file, sorted by digest.
func (a *Archive) Referrers(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		found, err := a.referrers(ctx, subject)
		if err != nil {
			yield(ocispec.Descriptor{}, a.fail(err))
			return
		}
		for _, d := range found {
			if (artifactType == "" || d.ArtifactType == artifactType) && !yield(d, nil) {
				return
			}
		}
	}
}

// fallbackTag returns the tag under which registries without the referrers API
// keep the list of what refers to d
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#unavailable-referrers-api).
func fallbackTag(d digest.Digest) string {
	const most = 64
	hex := d.Encoded()
	return string(d.Algorithm()) + "-" + hex[:min(len(hex), most)]
}

func (a *Archive) referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	if err := content.CheckDigest(subject); err != nil {
		return nil, err
	}
	fallback := fallbackTag(subject)
	var candidates []digest.Digest
	for _, r := range a.roots {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if r.image != nil {
			continue
		}
		candidates = append(candidates, r.desc.Digest)
		if !slices.ContainsFunc(r.names, func(n string) bool { return n == fallback || tagOf(n) == fallback }) {
			continue
		}
		m, err := a.manifest(r.desc.Digest)
		if err != nil {
			return nil, err
		}
		for _, child := range m.Children() {
			candidates = append(candidates, child.Digest)
		}
	}
	slices.Sort(candidates)
	var found []ocispec.Descriptor
	for _, d := range slices.Compact(candidates) {
		m, err := a.manifest(d)
		if errors.Is(err, content.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if to, ok := m.Subject(); ok && to.Digest == subject {
			found = append(found, content.ReferrerDescriptor(m))
		}
	}
	return slices.SortedFunc(slices.Values(found), func(x, y ocispec.Descriptor) int { return cmp.Compare(x.Digest, y.Digest) }), nil
}
