package content

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/outside"
)

// A Role is what a descriptor is to the manifest that has it. The field it was
// found in decides, never its media type.
type Role uint8

// The roles.
const (
	RoleConfig  Role = iota + 1 // "config": a blob
	RoleLayer                   // "layers", or the "blobs" of an artifact manifest: a blob
	RoleChild                   // "manifests": a manifest
	RoleSubject                 // "subject": a manifest this one refers to; it is not part of this one
)

// An Edge leads from a manifest to something it names.
type Edge struct {
	Role       Role
	Descriptor ocispec.Descriptor
}

// A Manifest is an image manifest, an index or an artifact's manifest: its
// exact bytes, and the edges read from them. The zero Manifest is none.
type Manifest struct {
	desc         ocispec.Descriptor
	raw          []byte
	edges        []Edge
	artifactType string
	annotations  map[string]string
	ambiguous    error
}

// ParseManifest reads raw. mediaType is what the place says it is; when that is
// empty or generic, raw decides. The digest is raw's sha256.
//
// What is broken or over a limit is [ErrInvalid], and so is docker's schema 1.
// What could be read in two ways is returned, and [Manifest.Ambiguous] says
// why: it may be shown, and must not be written. A manifest of an unknown type
// has no edges.
func ParseManifest(mediaType string, raw []byte, l Limits) (Manifest, error) {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return parse(d, raw, l.Effective())
}

// VerifyManifest is ParseManifest for raw that must be what want says. Other
// bytes are a *[MismatchError]. A want.Size of zero is not compared: no manifest
// is empty.
func VerifyManifest(want ocispec.Descriptor, raw []byte, l Limits) (Manifest, error) {
	if err := CheckDigest(want.Digest); err != nil {
		return Manifest{}, err
	}
	size := int64(len(raw))
	if got := want.Digest.Algorithm().FromBytes(raw); got != want.Digest {
		return Manifest{}, &MismatchError{Want: ocispec.Descriptor{Digest: want.Digest, Size: size}, Got: got, Size: size}
	}
	if want.Size != 0 && want.Size != size {
		return Manifest{}, &MismatchError{Want: want, Size: size}
	}
	d := ocispec.Descriptor{MediaType: want.MediaType, Digest: want.Digest, Size: size}
	return parse(d, raw, l.Effective())
}

// Descriptor returns media type, digest and size, and the artifact type where
// there is one.
func (m Manifest) Descriptor() ocispec.Descriptor {
	d := m.desc
	d.ArtifactType = m.artifactType
	return d
}

// Digest returns the digest of the bytes, by the algorithm it was asked for with.
func (m Manifest) Digest() digest.Digest { return m.desc.Digest }

// MediaType returns the type the bytes were read as.
func (m Manifest) MediaType() string { return m.desc.MediaType }

// Size returns the number of bytes.
func (m Manifest) Size() int64 { return m.desc.Size }

// Raw returns the exact bytes. They are shared: do not change them.
func (m Manifest) Raw() []byte { return m.raw }

// Edges returns all edges: config, layers, children, subject. They are shared.
func (m Manifest) Edges() []Edge { return m.edges }

// IsZero reports whether m is no manifest at all.
func (m Manifest) IsZero() bool { return m.raw == nil }

// IsIndex reports whether m has children rather than layers.
func (m Manifest) IsIndex() bool { return IsIndex(m.desc.MediaType) }

// Children returns the manifests of an index, in its order.
func (m Manifest) Children() []ocispec.Descriptor { return m.in(RoleChild) }

// Layers returns the layers, lowest first.
func (m Manifest) Layers() []ocispec.Descriptor { return m.in(RoleLayer) }

// Config returns the config's descriptor; an index has none.
func (m Manifest) Config() (ocispec.Descriptor, bool) { return m.first(RoleConfig) }

// Subject returns the descriptor of what m refers to, if it does.
func (m Manifest) Subject() (ocispec.Descriptor, bool) { return m.first(RoleSubject) }

// Blobs returns config and layers: all that must be in a place before m.
func (m Manifest) Blobs() []ocispec.Descriptor {
	return append(m.in(RoleConfig), m.in(RoleLayer)...)
}

// SizeOf returns how many bytes blobs have, each counted once.
func SizeOf(blobs []ocispec.Descriptor) int64 {
	var n int64
	seen := map[digest.Digest]bool{}
	for _, d := range blobs {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			n += d.Size
		}
	}
	return n
}

// ArtifactType returns what kind of artifact m is: its own field, or else the
// media type of its config, as the referrers API has it.
func (m Manifest) ArtifactType() string { return m.artifactType }

// Annotations returns a copy of the annotations.
func (m Manifest) Annotations() map[string]string { return maps.Clone(m.annotations) }

// Ambiguous returns why m could be read in more than one way: keys that stand
// twice or differ in case only, layers and manifests at once, a media type the
// bytes deny. Its class is [ErrInvalid]. Whoever writes m refuses it.
func (m Manifest) Ambiguous() error { return m.ambiguous }

func (m Manifest) in(r Role) []ocispec.Descriptor {
	var ds []ocispec.Descriptor
	for _, e := range m.edges {
		if e.Role == r {
			ds = append(ds, e.Descriptor)
		}
	}
	return ds
}

func (m Manifest) first(r Role) (ocispec.Descriptor, bool) {
	i := slices.IndexFunc(m.edges, func(e Edge) bool { return e.Role == r })
	if i < 0 {
		return ocispec.Descriptor{}, false
	}
	return m.edges[i].Descriptor, true
}

// wire is what wherry reads of a manifest, of whatever type.
type wire struct {
	SchemaVersion int                 `json:"schemaVersion"`
	MediaType     string              `json:"mediaType"`
	ArtifactType  string              `json:"artifactType"`
	Config        *ocispec.Descriptor `json:"config"`
	Layers        list                `json:"layers"`
	Blobs         list                `json:"blobs"`
	Manifests     list                `json:"manifests"`
	Subject       *ocispec.Descriptor `json:"subject"`
	Annotations   map[string]string   `json:"annotations"`
	FSLayers      json.RawMessage     `json:"fsLayers"`
}

// A list is an array of descriptors that is not decoded before it is known to
// be wanted: four million bytes of "{}," would become hundreds of millions.
type list json.RawMessage

// UnmarshalJSON keeps raw; null is no list at all.
func (l *list) UnmarshalJSON(raw []byte) error {
	if string(raw) != "null" {
		*l = append((*l)[:0], raw...)
	}
	return nil
}

// descriptors decodes the list, of which there may be most. what names them in
// the error.
func (l list) descriptors(most int, what string) ([]ocispec.Descriptor, error) {
	if l == nil {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(l))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, fmt.Errorf("%s are not an array: %w", what, ErrInvalid)
	}
	var ds []ocispec.Descriptor
	for dec.More() {
		if len(ds) == most {
			return nil, fmt.Errorf("%s are over the limit of %d: %w", what, most, ErrInvalid)
		}
		var d ocispec.Descriptor
		if err := dec.Decode(&d); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", what, outside.Printable(err.Error(), mostShown), ErrInvalid)
		}
		ds = append(ds, d)
	}
	return ds, nil
}

const artifactManifest = "application/vnd.oci.artifact.manifest.v1+json"

func parse(d ocispec.Descriptor, raw []byte, l Limits) (Manifest, error) {
	m := Manifest{desc: d, raw: raw}
	if d.Size > l.ManifestSize {
		return Manifest{}, fmt.Errorf("manifest of %d bytes is over the limit of %d: %w", d.Size, l.ManifestSize, ErrInvalid)
	}
	if !isGeneric(d.MediaType) && !isKnown(d.MediaType) {
		return m, nil
	}
	ambiguous, err := scanJSON(raw, l.Nesting)
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	var w wire
	if err := json.Unmarshal(raw, &w); err != nil {
		return Manifest{}, fmt.Errorf("manifest %s: %s: %w", d.Digest, outside.Printable(err.Error(), mostShown), ErrInvalid)
	}
	m.desc.MediaType, err = w.typeOf(d.MediaType)
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	m.ambiguous = firstError(ambiguous, w.contradiction(d.MediaType, m.desc.MediaType))
	if m.ambiguous != nil {
		m.ambiguous = fmt.Errorf("manifest %s: %w", d.Digest, m.ambiguous)
	}
	if !isKnown(m.desc.MediaType) {
		return m, nil
	}
	if err := fill(&m, w, l); err != nil {
		return Manifest{}, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	return m, nil
}

// fill sets in m what depends on the type being one of ours.
func fill(m *Manifest, w wire, l Limits) error {
	if w.SchemaVersion != 2 && m.desc.MediaType != artifactManifest {
		return fmt.Errorf("schemaVersion is %d, not 2: %w", w.SchemaVersion, ErrInvalid)
	}
	if IsManifest(m.desc.MediaType) && w.Config == nil {
		return fmt.Errorf("image manifest without a config: %w", ErrInvalid)
	}
	edges, err := w.edges(m.desc.MediaType, l)
	if err != nil {
		return err
	}
	m.edges = edges
	for _, e := range m.edges {
		if err := checkDescriptor(e.Descriptor); err != nil {
			return err
		}
	}
	m.annotations = w.Annotations
	m.artifactType = w.ArtifactType
	if m.artifactType == "" && w.Config != nil {
		m.artifactType = w.Config.MediaType
	}
	return nil
}

func (w wire) edges(mediaType string, l Limits) ([]Edge, error) {
	if mediaType == artifactManifest {
		w.Layers = w.Blobs
	}
	layers, err := w.Layers.descriptors(l.Layers, "layers in one manifest")
	if err != nil {
		return nil, err
	}
	children, err := w.Manifests.descriptors(l.Children, "manifests in one index")
	if err != nil {
		return nil, err
	}
	edges := make([]Edge, 0, 2+len(layers)+len(children))
	if w.Config != nil {
		edges = append(edges, Edge{RoleConfig, *w.Config})
	}
	for _, d := range layers {
		edges = append(edges, Edge{RoleLayer, d})
	}
	for _, d := range children {
		edges = append(edges, Edge{RoleChild, d})
	}
	if w.Subject != nil {
		edges = append(edges, Edge{RoleSubject, *w.Subject})
	}
	return edges, nil
}

// typeOf decides what the bytes are: what they say themselves, else what the
// place said, else what their shape tells.
func (w wire) typeOf(declared string) (string, error) {
	if w.SchemaVersion == 1 || w.FSLayers != nil || isSchema1(declared) || isSchema1(w.MediaType) {
		return "", ErrSchema1
	}
	switch {
	case w.MediaType != "":
		return w.MediaType, nil
	case !isGeneric(declared):
		return declared, nil
	case w.Manifests != nil:
		return ocispec.MediaTypeImageIndex, nil
	case w.Config != nil || w.Layers != nil:
		return ocispec.MediaTypeImageManifest, nil
	}
	return "", fmt.Errorf("neither an image manifest nor an index: %w", ErrInvalid)
}

// contradiction finds what lets two readers see two different things
// (CVE-2021-41190). mediaType is what typeOf decided.
func (w wire) contradiction(declared, mediaType string) error {
	image := w.Layers != nil || w.Config != nil
	if image && w.Manifests != nil {
		return fmt.Errorf("ambiguous: it has both layers and manifests: %w", ErrInvalid)
	}
	if image && IsIndex(mediaType) {
		return fmt.Errorf("ambiguous: it is called an index and has the fields of an image: %w", ErrInvalid)
	}
	if w.MediaType != "" && !isGeneric(declared) && w.MediaType != declared {
		return fmt.Errorf("ambiguous: it was given as %q and says it is %q: %w", clip(declared), clip(w.MediaType), ErrInvalid)
	}
	return nil
}

// isGeneric reports whether a Content-Type says no more than that there are bytes.
func isGeneric(mediaType string) bool {
	switch mediaType {
	case "", "application/json", "application/octet-stream", "text/plain", "binary/octet-stream":
		return true
	}
	return false
}

func isKnown(mediaType string) bool {
	return IsIndex(mediaType) || IsManifest(mediaType) || mediaType == artifactManifest || isSchema1(mediaType)
}

func isSchema1(mediaType string) bool {
	return mediaType == DockerSchema1 || mediaType == DockerSchema1Signed
}

// maxSize is more than any blob has; sums of sizes stay within an int64.
const maxSize = 1 << 50

func checkDescriptor(d ocispec.Descriptor) error {
	if err := CheckDigest(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 || d.Size > maxSize {
		return fmt.Errorf("descriptor %s has size %d: %w", d.Digest, d.Size, ErrInvalid)
	}
	if d.Data == nil {
		return nil
	}
	if int64(len(d.Data)) != d.Size || d.Digest.Algorithm().FromBytes(d.Data) != d.Digest {
		return fmt.Errorf("descriptor %s carries data that are not its blob: %w", d.Digest, ErrInvalid)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
