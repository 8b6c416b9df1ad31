package layout

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
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

// An entry names one manifest of the layout. Of thousands hardly one is asked for
// more than its names and its digest: the rest of a plain entry is read when it is
// asked for, and each has little to be kept in memory.
type entry struct {
	raw    string // JSON
	called content.EntryNames
	digest digest.Digest
	desc   *ocispec.Descriptor // all that it says; nil for a plain entry: see quickIndex
}

// descriptor returns what the entry says, annotations included.
func (e entry) descriptor() ocispec.Descriptor {
	if e.desc != nil {
		return *e.desc
	}
	d := e.bare()
	d.Annotations = plainAnnotations(e.raw)
	return d
}

// bare returns what the entry says without what it says of its own.
func (e entry) bare() ocispec.Descriptor {
	if e.desc != nil {
		return bare(*e.desc)
	}
	var d ocispec.Descriptor
	c := cursor{text: e.raw}
	c.entry(&d) // which has been read before
	return d
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
	stamp   string // of the file; empty where that is not known
	text    string // as it was read
	written bool   // it was written, and has no text
	index   *index
}

// says reports whether text is what was read or written. No seen index says nothing.
func (s *seenIndex) says(text string) bool {
	switch {
	case s == nil:
		return false
	case s.written:
		return s.index.says(text)
	}
	return s.text == text
}

// most bytes of an index.json that is kept in memory.
const maxSeenIndex = 4 << 20

// index reads index.json, unless it is the one that was read last. That of a
// layout that is not made yet is empty.
func (l *Layout) index() (*index, error) {
	if !l.disk.made.Load() {
		return newIndex(), nil
	}
	stamp := l.indexStamp()
	if seen := l.seen.Load(); seen.isOf(stamp) {
		return seen.index, nil
	}
	text, err := l.readIndex()
	if err != nil {
		return nil, err
	}
	var x *index
	if seen := l.seen.Load(); seen.says(text) {
		x = seen.index
	} else if x, err = parseIndex(text, l.Limits); err != nil {
		return nil, l.disk.fail("read", indexFile, err)
	}
	if stamp != "" {
		l.seen.Store(&seenIndex{stamp: stamp, text: text, index: x})
	}
	return x, nil
}

// indexStamp returns the stamp of index.json, "" where that says nothing of what is
// in it, or where it is too large to be kept in memory.
func (l *Layout) indexStamp() string {
	fi, err := l.disk.root.Lstat(indexFile)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxSeenIndex {
		return ""
	}
	if stamp, lasting := durable.Stamp(fi); lasting {
		return stamp
	}
	return ""
}

// isOf reports whether it was read from the file that has this stamp.
func (s *seenIndex) isOf(stamp string) bool { return s != nil && stamp != "" && s.stamp == stamp }

// indexText is readIndex that reads only what was not read last.
func (l *Layout) indexText() (string, error) {
	if seen := l.seen.Load(); seen.isOf(l.indexStamp()) {
		return seen.text, nil
	}
	return l.readIndex()
}

// indexOf returns what text says, for the caller to change: it is parsed unless it
// was seen last.
func (l *Layout) indexOf(text string) (*index, error) {
	if seen := l.seen.Load(); seen.says(text) {
		return seen.index.clone(), nil
	}
	return parseIndex(text, l.Limits)
}

// clone returns what can be changed while others read x. There is room for what is
// added: thousands of entries are not moved for it once more.
func (x *index) clone() *index {
	const room = 8
	entries := append(make([]entry, 0, len(x.entries)+room), x.entries...)
	return &index{fields: slices.Clone(x.fields), entries: entries}
}

func (l *Layout) readIndex() (string, error) {
	limit := indexLimits(l.Limits).ManifestSize
	if limit < 0 {
		limit = unlimited
	}
	return l.disk.readText(indexFile, limit)
}

// parseIndex reads text. What two readers could read in two ways is refused:
// names are decided by it.
func parseIndex(text string, limits content.Limits) (*index, error) {
	if x, ok := quickIndex(text, limits); ok {
		return x, nil
	}
	return fullIndex([]byte(text), limits)
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
		x.entries[i].desc, x.entries[i].digest, x.entries[i].called = &d, d.Digest, content.EntryNamesOf(d)
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
		x.entries = append(x.entries, entry{raw: string(raw)})
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
	before, err := l.indexText()
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
	size := x.length()
	if !x.fits(size, l.Limits) {
		_, err := parseIndex(string(x.encode()), l.Limits)
		return false, l.disk.fail("write", indexFile, cmp.Or(err, errTooLarge))
	}
	r, err := durable.WriteParts(l.disk.root, newFile, x.write)
	if err != nil {
		return false, l.disk.fail("write", indexFile, err)
	}
	now, err := l.indexText()
	if err != nil || now != before {
		return false, errors.Join(err, r.Drop())
	}
	if err := r.Publish(indexFile); err != nil {
		return true, l.disk.fail("write", indexFile, err)
	}
	if size <= maxSeenIndex {
		l.seen.Store(&seenIndex{written: true, index: x})
	}
	return true, nil
}

var errTooLarge = fmt.Errorf("index.json would be over the limits: %w", content.ErrInvalid)

// fits reports whether what is written as x, size bytes long, can be read again.
// Each of its parts was read, or is small.
func (x *index) fits(size int, limits content.Limits) bool {
	bounds := indexLimits(limits).Effective()
	return int64(size) <= bounds.ManifestSize && len(x.entries) <= bounds.Children &&
		!slices.ContainsFunc(x.entries, func(e entry) bool { return len(e.raw) > maxPart })
}

// newEntry makes an entry for d.
func newEntry(d ocispec.Descriptor) (entry, error) {
	raw, err := json.Marshal(d)
	return entry{raw: string(raw), called: content.EntryNamesOf(d), digest: d.Digest, desc: &d}, err
}

// without returns the entry with some annotations taken away, and all else that
// it has kept.
func (e entry) without(keys ...string) (entry, error) {
	var fields, annotations map[string]json.RawMessage
	if err := json.Unmarshal([]byte(e.raw), &fields); err != nil {
		return e, err
	}
	if err := json.Unmarshal(fields["annotations"], &annotations); err != nil {
		return e, err
	}
	d := e.descriptor()
	d.Annotations = maps.Clone(d.Annotations)
	for _, key := range keys {
		delete(annotations, key)
		delete(d.Annotations, key)
	}
	var err error
	fields["annotations"], err = json.Marshal(annotations)
	if len(annotations) == 0 {
		delete(fields, "annotations")
	}
	if err != nil {
		return e, err
	}
	e.desc, e.called = &d, content.EntryNamesOf(d)
	raw, err := json.Marshal(fields)
	e.raw = string(raw)
	return e, err
}
