package cli

import (
	"cmp"
	"encoding/json"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A listManifest is an index in the form in which docker shows and pushes one: of
// each manifest four facts, its platform always among them.
// https://github.com/docker/cli/blob/v29.0.0/cli/command/manifest/inspect.go
type listManifest struct {
	SchemaVersion int         `json:"schemaVersion"`
	MediaType     string      `json:"mediaType"`
	Manifests     []listEntry `json:"manifests"`
}

// A listEntry is a manifest of a listManifest.
type listEntry struct {
	MediaType string           `json:"mediaType"`
	Size      int64            `json:"size"`
	Digest    digest.Digest    `json:"digest"`
	Platform  ocispec.Platform `json:"platform"`
}

func newListManifest(mediaType string, children []ocispec.Descriptor) listManifest {
	list := listManifest{SchemaVersion: 2, MediaType: mediaType, Manifests: []listEntry{}}
	for _, d := range children {
		entry := listEntry{MediaType: d.MediaType, Size: d.Size, Digest: d.Digest}
		if d.Platform != nil {
			entry.Platform = *d.Platform
		}
		list.Manifests = append(list.Manifests, entry)
	}
	return list
}

// encode returns the bytes that docker would push.
func (l listManifest) encode() ([]byte, error) { return json.MarshalIndent(l, "", "   ") }

// list returns what the draft is when it is pushed: docker's manifest list as soon
// as one of its manifests is docker's.
func (d *draft) list() listManifest {
	mediaType := ocispec.MediaTypeImageIndex
	var children []ocispec.Descriptor
	for _, c := range d.Children {
		children = append(children, c.Descriptor)
		if c.Descriptor.MediaType != ocispec.MediaTypeImageManifest {
			mediaType = content.DockerManifestList
		}
	}
	return newListManifest(mediaType, children)
}

// A VerboseManifest is what docker manifest inspect -v says of a manifest
// (docs/schemas/manifest-inspect.json).
// https://github.com/docker/cli/blob/v29.0.0/cli/manifest/types/types.go
type VerboseManifest struct {
	Ref              string
	Descriptor       ocispec.Descriptor
	Raw              []byte          `json:",omitempty"` // base64 in JSON
	SchemaV2Manifest json.RawMessage `json:",omitempty"` // where it is docker's
	OCIManifest      json.RawMessage `json:",omitempty"` // where it is OCI's
}

// newVerboseManifest shows m, which is called ref; without a platform, that is empty.
func newVerboseManifest(ref string, m content.Manifest, platform *ocispec.Platform) VerboseManifest {
	v := VerboseManifest{Ref: ref, Descriptor: bare(m), Raw: m.Raw()}
	v.Descriptor.Platform = cmp.Or(platform, &ocispec.Platform{})
	switch m.MediaType() {
	case content.DockerManifest:
		v.SchemaV2Manifest = m.Raw()
	case ocispec.MediaTypeImageManifest:
		v.OCIManifest = m.Raw()
	}
	return v
}

// bare returns the descriptor of m with the three facts that docker gives.
func bare(m content.Manifest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: m.MediaType(), Digest: m.Digest(), Size: m.Size()}
}
