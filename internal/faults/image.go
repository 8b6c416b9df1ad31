package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/layout"
)

// MadeUp returns an image of three layers, of which the one in the middle has
// about so many bytes. Above a mebibyte, clients may ask before they send it.
func MadeUp(middle int64) testimage.Image {
	b := testimage.Builder{Seed: 7}
	return b.Done(b.Image("linux/amd64",
		b.Layer(testimage.Gzip, 100_000), b.Layer(testimage.Gzip, middle), b.Layer(testimage.Gzip, 150_000)))
}

// Read returns the image that a layout or an archive has under ref, all of it in
// memory.
func Read(ctx context.Context, path, ref string) (img testimage.Image, err error) {
	src, err := open(ctx, path)
	if err != nil {
		return testimage.Image{}, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	root, err := src.Manifest(ctx, ref)
	if err != nil {
		return testimage.Image{}, err
	}
	g, err := content.Loader{}.Load(ctx, src, root)
	if err != nil {
		return testimage.Image{}, err
	}
	img = testimage.Image{
		Root:      ocispec.Descriptor{MediaType: root.MediaType(), Digest: root.Digest(), Size: int64(len(root.Raw()))},
		Manifests: map[digest.Digest]testimage.Manifest{}, Blobs: map[digest.Digest][]byte{},
	}
	for d, m := range g.Manifests {
		img.Manifests[d] = testimage.Manifest{MediaType: m.MediaType(), Bytes: m.Raw()}
	}
	for _, d := range g.Blobs() {
		if img.Blobs[d.Digest], err = readBlob(ctx, src, d); err != nil {
			return testimage.Image{}, err
		}
	}
	return img, nil
}

type place interface {
	content.Source
	io.Closer
}

func open(ctx context.Context, path string) (place, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return layout.Open(path)
	}
	return archive.Open(ctx, path, archive.Options{})
}

func readBlob(ctx context.Context, src content.Source, d ocispec.Descriptor) ([]byte, error) {
	rc, err := src.Open(ctx, d, content.Range{})
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(rc)
	if err := errors.Join(err, rc.Close()); err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return raw, nil
}

// Write writes an image to a folder as an OCI layout.
func Write(img testimage.Image, folder, tag string) error {
	root := img.Root
	root.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{root}}
	index.SchemaVersion = 2
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": raw}
	all := maps.Clone(img.Blobs)
	for d, m := range img.Manifests {
		all[d] = m.Bytes
	}
	for d, p := range all {
		files[filepath.Join("blobs", d.Algorithm().String(), d.Encoded())] = p
	}
	for name, p := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, p, 0o644); err != nil {
			return err
		}
	}
	return nil
}
