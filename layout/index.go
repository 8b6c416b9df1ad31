package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

const (
	maxIndex   = 8 << 20
	maxEntries = 1 << 15
	maxFields  = 64
	maxPart    = 256 << 10 // bytes of one field or entry
	unlimited  = 1 << 50
)

// An index is what index.json says. Fields and entries that are not changed are
// written back as they were read.
type index struct {
	fields  []field
	entries []entry
}

// A field of the object. "manifests" has no raw value: it is the entries.
type field struct {
	key string
	raw json.RawMessage
}

// An entry names one manifest of the layout.
type entry struct {
	raw  json.RawMessage
	desc ocispec.Descriptor
}

func newIndex() *index {
	return &index{fields: []field{
		{key: "schemaVersion", raw: json.RawMessage("2")},
		{key: "mediaType", raw: json.RawMessage(`"` + ocispec.MediaTypeImageIndex + `"`)},
		{key: "manifests"},
	}}
}

// indexLimits returns the limits for index.json, which may be larger than an
// image's index.
func indexLimits(l content.Limits) content.Limits {
	if l.ManifestSize >= 0 {
		l.ManifestSize = maxIndex
	}
	if l.Children >= 0 {
		l.Children = maxEntries
	}
	return l
}

// A seenIndex is an index as it was read or written. Nobody changes it.
type seenIndex struct {
	stamp string // of the file; empty where that is not known
	raw   []byte
	index *index
}

// most bytes of an index.json that is kept in memory.
const maxSeenIndex = 4 << 20

// index reads index.json, unless it is the one that was read last. That of a
// layout that is not made yet is empty.
func (l *Layout) index() (*index, error) {
	if !l.disk.made.Load() {
		return newIndex(), nil
	}
	stamp := ""
	if fi, err := l.disk.root.Lstat(indexFile); err == nil && fi.Mode().IsRegular() && fi.Size() <= maxSeenIndex {
		now, lasting := durable.Stamp(fi)
		if seen := l.seen.Load(); lasting && seen != nil && seen.stamp == now {
			return seen.index, nil
		}
		if lasting {
			stamp = now
		}
	}
	raw, err := l.readIndex()
	if err != nil {
		return nil, err
	}
	var x *index
	if seen := l.seen.Load(); seen != nil && bytes.Equal(seen.raw, raw) {
		x = seen.index
	} else if x, err = parseIndex(raw, l.Limits); err != nil {
		return nil, l.disk.fail("read", indexFile, err)
	}
	if stamp != "" {
		l.seen.Store(&seenIndex{stamp, raw, x})
	}
	return x, nil
}

// indexOf returns what raw says, for the caller to change: it is parsed unless it
// was seen last.
func (l *Layout) indexOf(raw []byte) (*index, error) {
	if seen := l.seen.Load(); seen != nil && bytes.Equal(seen.raw, raw) {
		return &index{fields: slices.Clone(seen.index.fields), entries: slices.Clone(seen.index.entries)}, nil
	}
	return parseIndex(raw, l.Limits)
}

func (l *Layout) readIndex() ([]byte, error) {
	limit := indexLimits(l.Limits).ManifestSize
	if limit < 0 {
		limit = unlimited
	}
	return l.disk.read(indexFile, limit)
}

// parseIndex reads raw. What two readers could read in two ways is refused:
// names are decided by it.
func parseIndex(raw []byte, limits content.Limits) (*index, error) {
	if x, ok := quickIndex(raw, limits); ok {
		return x, nil
	}
	return fullIndex(raw, limits)
}

// fullIndex is parseIndex for whatever raw is.
func fullIndex(raw []byte, limits content.Limits) (*index, error) {
	limits = indexLimits(limits)
	// Entries are counted before anything is made of them.
	x, err := splitIndex(raw, limits.Children)
	if err != nil {
		return nil, err
	}
	m, err := content.ParseManifest(ocispec.MediaTypeImageIndex, raw, limits)
	if err == nil {
		err = m.Ambiguous()
	}
	if err != nil {
		return nil, err
	}
	for i, d := range m.Children() {
		x.entries[i].desc = d
	}
	return x, nil
}

// splitIndex takes raw apart and leaves the parts as they are.
func splitIndex(raw []byte, most int) (*index, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	t, err := dec.Token()
	if err != nil || t != json.Delim('{') {
		return nil, notAnIndex(err)
	}
	x := &index{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, notAnIndex(err)
		}
		f := field{key: key.(string)} // a decoder gives nothing else where a key belongs
		switch {
		case f.key == "manifests":
			err = x.splitEntries(dec, most)
		case slices.Contains([]string{"config", "layers", "blobs", "fsLayers"}, f.key):
			err = fmt.Errorf("ambiguous: it has both manifests and %s: %w", f.key, content.ErrInvalid)
		case len(x.fields) == maxFields:
			err = fmt.Errorf("more than %d fields: %w", maxFields, content.ErrInvalid)
		default:
			f.raw, err = part(dec)
		}
		if err != nil {
			return nil, notAnIndex(err)
		}
		x.fields = append(x.fields, f)
	}
	if _, err := dec.Token(); err != nil {
		return nil, notAnIndex(err)
	}
	return x, nil
}

func notAnIndex(err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("not a JSON object: %w", content.ErrInvalid)
	case errors.Is(err, content.ErrInvalid):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the JSON breaks off: %w", content.ErrInvalid)
	}
	return fmt.Errorf("not JSON: %w: %w", err, content.ErrInvalid)
}

func (x *index) splitEntries(dec *json.Decoder, most int) error {
	t, err := dec.Token()
	if err != nil || t == nil {
		return err // docker writes null when nothing is named
	}
	if t != json.Delim('[') {
		return fmt.Errorf("manifests is not an array: %w", content.ErrInvalid)
	}
	for dec.More() {
		if len(x.entries) == most {
			return fmt.Errorf("more than %d entries: %w", most, content.ErrInvalid)
		}
		raw, err := part(dec)
		if err != nil {
			return err
		}
		x.entries = append(x.entries, entry{raw: raw})
	}
	_, err = dec.Token()
	return err
}

// part reads one value as it is.
func part(dec *json.Decoder) (raw json.RawMessage, err error) {
	if err := dec.Decode(&raw); err != nil {
		return nil, err
	}
	if len(raw) > maxPart {
		return nil, fmt.Errorf("one value of %d bytes is over the limit of %d: %w", len(raw), maxPart, content.ErrInvalid)
	}
	return raw, nil
}

// encode returns the JSON of x.
func (x *index) encode() []byte {
	fields := x.fields
	if !slices.ContainsFunc(fields, func(f field) bool { return f.key == "manifests" }) {
		fields = append(slices.Clip(fields), field{key: "manifests"})
	}
	var b bytes.Buffer
	b.Grow(x.length())
	for i, f := range fields {
		b.WriteString(separator(i, "{"))
		b.Write(quoted(f.key))
		b.WriteByte(':')
		if f.key == "manifests" {
			x.encodeEntries(&b)
		} else {
			b.Write(f.raw)
		}
	}
	b.WriteByte('}')
	return b.Bytes()
}

// length returns about how many bytes encode writes.
func (x *index) length() int {
	n := 0
	for _, f := range x.fields {
		n += len(f.key) + len(f.raw) + len(`"":,`)
	}
	for _, e := range x.entries {
		n += len(e.raw) + len(",")
	}
	return n + len(`{"manifests":[]}`)
}

func (x *index) encodeEntries(b *bytes.Buffer) {
	b.WriteByte('[')
	for i, e := range x.entries {
		b.WriteString(separator(i, ""))
		b.Write(e.raw)
	}
	b.WriteByte(']')
}

func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ","
}

// quoted returns the JSON of s.
func quoted(s string) []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // a string has JSON
	}
	return raw
}

// edit changes index.json: change is called with what is there under the
// layout's lock, more than once when a tool that knows no lock writes in
// between. It reports whether there is anything to write.
func (l *Layout) edit(ctx context.Context, change func(x *index) (bool, error)) (err error) {
	lock, err := l.disk.lockIndex(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	const tries = 10
	for range tries {
		written, err := l.editOnce(change)
		if written || err != nil {
			return err
		}
	}
	return l.disk.fail("write", indexFile, fmt.Errorf("another program keeps writing it: %w", content.ErrConflict))
}

// editOnce reports whether nothing is left to do.
func (l *Layout) editOnce(change func(x *index) (bool, error)) (done bool, err error) {
	before, err := l.readIndex()
	if err != nil {
		return false, err
	}
	x, err := l.indexOf(before)
	if err != nil {
		return false, l.disk.fail("read", indexFile, err)
	}
	changed, err := change(x)
	if err != nil || !changed {
		return true, err
	}
	after := x.encode()
	written, err := parseIndex(after, l.Limits)
	if err != nil {
		return false, l.disk.fail("write", indexFile, err)
	}
	r, err := durable.Write(l.disk.root, newFile, after)
	if err != nil {
		return false, l.disk.fail("write", indexFile, err)
	}
	now, err := l.readIndex()
	if err != nil || !bytes.Equal(now, before) {
		return false, errors.Join(err, r.Drop())
	}
	if err := r.Publish(indexFile); err != nil {
		return true, l.disk.fail("write", indexFile, err)
	}
	if len(after) <= maxSeenIndex {
		l.seen.Store(&seenIndex{raw: after, index: written})
	}
	return true, nil
}

// newEntry makes an entry for d.
func newEntry(d ocispec.Descriptor) (entry, error) {
	raw, err := json.Marshal(d)
	return entry{raw: raw, desc: d}, err
}

// without returns the entry with some annotations taken away, and all else that
// it has kept.
func (e entry) without(keys ...string) (entry, error) {
	var fields, annotations map[string]json.RawMessage
	if err := json.Unmarshal(e.raw, &fields); err != nil {
		return e, err
	}
	if err := json.Unmarshal(fields["annotations"], &annotations); err != nil {
		return e, err
	}
	kept := maps.Clone(e.desc.Annotations)
	for _, key := range keys {
		delete(annotations, key)
		delete(kept, key)
	}
	var err error
	fields["annotations"], err = json.Marshal(annotations)
	if len(annotations) == 0 {
		delete(fields, "annotations")
	}
	if err != nil {
		return e, err
	}
	e.desc.Annotations = kept
	e.raw, err = json.Marshal(fields)
	return e, err
}
