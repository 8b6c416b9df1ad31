package archive_test

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

func TestWhatTheReaderHasIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.tar")
	w, err := archive.Create(path)
	must(t, err)
	const old, fresh = "an old layer", "a new layer"
	was := ocispec.Descriptor{Digest: digest.FromString(old), Size: int64(len(old))}
	w.Assume(was)
	if has, err := w.Has(t.Context(), was); err != nil || !has {
		t.Errorf("Has is %t, %v", has, err)
	}
	before := put(t, w, "amd64", old)
	after := put(t, w, "arm64", fresh)
	must(t, w.PutFile(t.Context(), ".wherry/backup.json", []byte("{}")))
	const index = `{"schemaVersion":2, "manifests":[]}`
	w.SetIndex([]byte(index))
	must(t, w.Commit(t.Context()))
	must(t, w.Close())

	a, err := archive.Open(t.Context(), path, archive.Options{})
	must(t, err)
	defer func() { must(t, a.Close()) }()
	for d, want := range map[digest.Digest]error{
		was.Digest: content.ErrNotFound, digest.FromString(fresh): nil, before.Digest(): nil, after.Digest(): nil,
	} {
		if _, err := a.BlobSize(t.Context(), d); !errors.Is(err, want) {
			t.Errorf("blob %s: %v, want %v", d, err, want)
		}
	}
	for name, want := range map[string]string{"index.json": index, ".wherry/backup.json": "{}"} {
		raw, err := a.File(name, 100)
		if err != nil || string(raw) != want {
			t.Errorf("%s is %s, %v", name, raw, err)
		}
	}
	for name, want := range map[string]error{"manifest.json": content.ErrNotFound, "index.json": content.ErrInvalid} {
		if _, err := a.File(name, 1); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestAnAssumedBlobOfAnotherSizeIsRefused(t *testing.T) {
	w := archive.NewWriter(io.Discard)
	const layer = "a layer"
	w.Assume(ocispec.Descriptor{Digest: digest.FromString(layer), Size: 1})
	_, err := w.PutBlob(t.Context(), content.NewBlob(source(t, layer), ocispec.Descriptor{Digest: digest.FromString(layer), Size: int64(len(layer))}))
	if !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("error is %v, want corrupt", err)
	}
}
