package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	rootsAtOnce   = 256     // that are held unread
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
	var batch []json.RawMessage
	for dec.More() {
		if len(roots)+len(batch) == maxRoots {
			return nil, fmt.Errorf("more than %d manifests: %w", maxRoots, content.ErrInvalid)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, notJSON(err, "")
		}
		if batch = append(batch, raw); len(batch) < rootsAtOnce && dec.More() {
			continue
		}
		ds, err := checkRoots(batch, l)
		if err != nil {
			return nil, err
		}
		for _, d := range ds {
			roots = append(roots, &root{names: content.NamesOf(d), desc: ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}})
		}
		batch = batch[:0]
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(err, "")
	}
	return roots, nil
}

// checkRoots reads descriptors as strictly as if they stood in an index.
func checkRoots(raws []json.RawMessage, l content.Limits) ([]ocispec.Descriptor, error) {
	index := []byte(`{"schemaVersion":2,"manifests":[`)
	for i, raw := range raws {
		if i > 0 {
			index = append(index, ',')
		}
		index = append(index, raw...)
	}
	l.ManifestSize, l.Children = maxIndexFile, rootsAtOnce
	m, err := content.ParseManifest(ocispec.MediaTypeImageIndex, append(index, "]}"...), l)
	if err == nil {
		err = m.Ambiguous()
	}
	if err != nil {
		return nil, fmt.Errorf("a descriptor: %w", err)
	}
	return m.Children(), nil
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
	if limit := a.o.Limits.Effective().ManifestSize; f.size > limit {
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
