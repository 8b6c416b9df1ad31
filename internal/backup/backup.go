// Package backup knows what a backup of the store in a file says of itself, and
// how a full one and increments go together (docs/format/backup.md).
package backup

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// File is where a backup has its description.
const File = ".wherry/backup.json"

const (
	format = 1

	// MaxSize is how many bytes a description may have.
	MaxSize = 128 << 20
)

// A Description is what a backup says of itself.
type Description struct {
	Base  digest.Digest        // the ID of what it builds on; empty for a full one
	Index digest.Digest        // of index.json
	Blobs []ocispec.Descriptor // digest and size of all that index.json needs, by digest, each once
}

// A described is the JSON of a Description.
type described struct {
	Format int           `json:"format"`
	Base   digest.Digest `json:"base,omitempty"`
	Index  digest.Digest `json:"index"`
	Blobs  []blob        `json:"blobs"`
}

type blob struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// Encode returns the description as it is written, the same bytes for the same
// values, and the backup's ID, which is their digest.
func (d Description) Encode() (raw []byte, id digest.Digest, err error) {
	v := described{Format: format, Base: d.Base, Index: d.Index, Blobs: make([]blob, len(d.Blobs))}
	for i, b := range d.Blobs {
		v.Blobs[i] = blob{b.Digest, b.Size}
	}
	raw, err = json.Marshal(v)
	return raw, digest.FromBytes(raw), err
}

// Parse reads what Encode wrote. Anything else is [content.ErrInvalid].
func Parse(raw []byte) (d Description, id digest.Digest, err error) {
	var v described
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&v); err != nil {
		return d, "", fmt.Errorf("%s: %w: %w", File, err, content.ErrInvalid)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return d, "", invalidf("bytes after its end")
	}
	if v.Format != format {
		return d, "", invalidf("format %d, only %d is known", v.Format, format)
	}
	for _, given := range []digest.Digest{cmp.Or(v.Base, v.Index), v.Index} {
		if err := content.CheckDigest(given); err != nil {
			return d, "", fmt.Errorf("%s: %w", File, err)
		}
	}
	d = Description{Base: v.Base, Index: v.Index, Blobs: make([]ocispec.Descriptor, len(v.Blobs))}
	for i, b := range v.Blobs {
		if err := content.CheckDigest(b.Digest); err != nil {
			return d, "", fmt.Errorf("%s: %w", File, err)
		}
		if b.Size < 0 {
			return d, "", invalidf("blob %s has %d bytes", b.Digest, b.Size)
		}
		if i > 0 && v.Blobs[i-1].Digest >= b.Digest {
			return d, "", invalidf("blob %s stands behind %s", b.Digest, v.Blobs[i-1].Digest)
		}
		d.Blobs[i] = ocispec.Descriptor{Digest: b.Digest, Size: b.Size}
	}
	return d, digest.FromBytes(raw), nil
}

func invalidf(text string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", File, fmt.Sprintf(text, args...), content.ErrInvalid)
}

// sorted returns blobs by digest, as a description has them.
func sorted(blobs []ocispec.Descriptor) []ocispec.Descriptor {
	slices.SortFunc(blobs, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return blobs
}
