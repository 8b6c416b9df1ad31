package layout

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// Most entries of an index.json are plain: an object of the keys below, each
// once, whose texts are printable ASCII without escapes. There is one way to read
// such an entry, and it is read here, in a fiftieth of the time. What is left of
// the file without them is an index too, a small one, and is read in the way that
// holds for all: by [fullIndex], which then says what is wrong.

// plainKeys are the keys of a plain entry.
var plainKeys = []string{"mediaType", "digest", "size", "annotations", "artifactType"}

// plainNesting is how deep objects and arrays lie within each other down to the
// annotations of an entry.
const plainNesting = 4

// quickIndex is fullIndex for an index of which some entries are plain. ok is
// false where fullIndex has to read it all, or to say why it cannot.
func quickIndex(text string, limits content.Limits) (_ *index, ok bool) {
	bounds := indexLimits(limits).Effective()
	if int64(len(text)) > bounds.ManifestSize || bounds.Nesting < plainNesting {
		return nil, false
	}
	c := cursor{text: text}
	if !c.findManifests() {
		return nil, false
	}
	from := c.at
	entries, odd, ok := c.entries(bounds.Children)
	if !ok || len(odd) == len(entries) {
		return nil, false
	}
	x, err := fullIndex([]byte(text[:from]+strings.Join(odd, ",")+text[c.at:]), limits)
	if err != nil || len(x.entries) != len(odd) {
		return nil, false
	}
	left := x.entries
	for i := range entries {
		if entries[i].raw == "" {
			entries[i], left = left[0], left[1:]
		}
	}
	x.entries = entries
	return x, true
}

// A cursor reads JSON text from at on. What is no JSON it may take for some, but
// what is it takes for what it is.
type cursor struct {
	text string
	at   int
}

// findManifests goes behind the bracket that opens the manifests of the object.
func (c *cursor) findManifests() bool {
	if !c.take('{') {
		return false
	}
	for {
		key, ok := c.plain()
		if !ok || !c.take(':') {
			return false
		}
		if key == "manifests" {
			return c.take('[')
		}
		if !c.skip() || !c.take(',') {
			return false
		}
	}
}

// entries reads the entries up to the bracket that closes them, most at most.
// Those that are not plain have no raw yet, and are odd.
func (c *cursor) entries(most int) (entries []entry, odd []string, ok bool) {
	var d ocispec.Descriptor
	for len(entries) < most {
		c.space()
		from := c.at
		e, plain := c.entry(&d)
		if !plain {
			c.at = from
			if !c.skip() {
				return nil, nil, false
			}
		}
		if plain && c.at-from <= maxPart {
			e.raw = c.text[from:c.at]
			entries = append(entries, e)
		} else {
			entries, odd = append(entries, entry{}), append(odd, c.text[from:c.at])
		}
		if len(entries) == 1 && plain { // then it has a digest: room takes less than the text
			entries = slices.Grow(entries, min(most, c.like(c.at-from)))
		}
		if !c.take(',') {
			c.space()
			return entries, odd, c.at < len(c.text) && c.text[c.at] == ']'
		}
	}
	return nil, nil, false
}

// like returns how many more entries there are for all that one of size bytes tells,
// and some: of thousands none is moved to make room.
func (c *cursor) like(size int) int {
	left := len(c.text) - c.at
	return (left + left/8) / size
}

// entry reads a plain entry, of its annotations the names, and the rest into d.
func (c *cursor) entry(d *ocispec.Descriptor) (e entry, ok bool) {
	*d = ocispec.Descriptor{}
	if !c.take('{') {
		return e, false
	}
	for seen := 0; ; {
		key, ok := c.plain()
		i := slices.Index(plainKeys, key)
		if !ok || i < 0 || seen&(1<<i) != 0 || !c.take(':') {
			return e, false
		}
		seen |= 1 << i
		switch key {
		case "mediaType":
			d.MediaType, ok = c.plain()
		case "digest":
			var s string
			s, ok = c.plain()
			d.Digest = digest.Digest(s)
		case "size":
			d.Size, ok = c.size()
		case "annotations":
			ok = c.texts(func(key, value string) {
				switch key {
				case ocispec.AnnotationRefName:
					e.called.Ref = value
				case content.AnnotationContainerdName:
					e.called.Full = value
				}
			})
		case "artifactType":
			d.ArtifactType, ok = c.plain()
		}
		if !ok {
			return e, false
		}
		if c.take('}') {
			e.digest = d.Digest
			return e, content.CheckDigest(d.Digest) == nil
		}
		if !c.take(',') {
			return e, false
		}
	}
}

// mostTexts is how many annotations a plain entry has at most.
const mostTexts = 8

// texts reads an object of plain keys, each once, and texts, and hands them to each.
func (c *cursor) texts(each func(key, value string)) bool {
	if !c.take('{') {
		return false
	}
	if c.take('}') {
		return true
	}
	var keys [mostTexts]string
	for n := range keys {
		key, ok := c.plain()
		if !ok || slices.Contains(keys[:n], key) || !c.take(':') {
			return false
		}
		keys[n] = key
		value, ok := c.plain()
		if !ok {
			return false
		}
		each(key, value)
		if c.take('}') {
			return true
		}
		if !c.take(',') {
			return false
		}
	}
	return false
}

// plainAnnotations returns the annotations of a plain entry, nil where it has none.
func plainAnnotations(raw string) (annotations map[string]string) {
	c := cursor{text: raw}
	for more := c.take('{'); more; more = c.take(',') {
		key, _ := c.plain()
		c.take(':')
		if key != "annotations" {
			c.skip()
			continue
		}
		annotations = map[string]string{}
		c.texts(func(key, value string) { annotations[key] = value })
	}
	return annotations
}

// size reads a whole number that is below any limit on sizes.
func (c *cursor) size() (int64, bool) {
	const longest = 15 // digits
	c.space()
	from := c.at
	for c.at < len(c.text) && '0' <= c.text[c.at] && c.text[c.at] <= '9' {
		c.at++
	}
	digits := c.text[from:c.at]
	if len(digits) > longest || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// plain reads a text of printable ASCII without escapes.
func (c *cursor) plain() (string, bool) {
	if !c.take('"') {
		return "", false
	}
	rest := c.text[c.at:]
	end := strings.IndexByte(rest, '"')
	if end < 0 || !isPlain(rest[:end]) {
		return "", false
	}
	c.at += end + 1
	return rest[:end], true
}

// isPlain reports whether s, which has no quotes, is printable ASCII without
// backslashes. It looks at eight bytes at once: this is most of the work.
func isPlain(s string) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		// A byte below n has its high bit in v - n*each, as far as none of v is high
		// itself. The lowest of those that have it is one, since a borrow needs one.
		backslash := v ^ '\\'*each
		if (v|(v-' '*each)|(v+each)|(backslash-each))&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if b := s[i]; b < ' ' || b > '~' || b == '\\' {
			return false
		}
	}
	return true
}

// take goes behind b, if it comes next after white space.
func (c *cursor) take(b byte) bool {
	c.space()
	if c.at == len(c.text) || c.text[c.at] != b {
		return false
	}
	c.at++
	return true
}

func (c *cursor) space() {
	for c.at < len(c.text) {
		switch c.text[c.at] {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return
		}
	}
}

// skip goes behind the next value, whatever it is.
func (c *cursor) skip() bool {
	c.space()
	open := 0
	for from := c.at; c.at < len(c.text); {
		switch b := c.text[c.at]; b {
		case '{', '[':
			open++
		case '}', ']':
			if open == 0 {
				return c.at > from // the end of a number, or of what it is in
			}
			open--
		case '"':
			if !c.skipText() {
				return false
			}
			continue // it has gone behind it
		case ',', ' ', '\t', '\r', '\n':
			if open == 0 {
				return c.at > from
			}
		}
		c.at++
		if open == 0 && strings.IndexByte("}]", c.text[c.at-1]) >= 0 {
			return true
		}
	}
	return false
}

// skipText goes behind a text in quotes.
func (c *cursor) skipText() bool {
	for c.at++; c.at < len(c.text); c.at++ {
		switch c.text[c.at] {
		case '\\':
			c.at++
		case '"':
			c.at++
			return true
		}
	}
	return false
}
