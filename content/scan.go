package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// keys are the fields wherry reads in manifests and descriptors. encoding/json
// takes "Layers" for "layers"; other readers do not.
var keys = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "blobs", "manifests", "subject", "annotations",
	"digest", "size", "urls", "data", "platform", "architecture", "os", "os.version", "os.features", "variant", "fsLayers",
}

// containers are the fields whose objects wherry reads the fields of. What else
// an object is in is its author's own: annotations, and what is unknown.
var containers = []string{"config", "layers", "blobs", "manifests", "subject", "platform"}

// scanJSON checks that raw is one JSON value that all readers read alike.
// ambiguous is about keys; err is about everything else.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/considerations.md
func scanJSON(raw []byte, nesting int) (ambiguous, err error) {
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("not UTF-8: %w", ErrInvalid)
	}
	s := scanner{dec: json.NewDecoder(bytes.NewReader(raw)), nesting: nesting}
	s.dec.UseNumber()
	if err := s.value(); err != nil {
		return nil, fmt.Errorf("not JSON: %w: %w", err, ErrInvalid)
	}
	if _, err := s.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("bytes after the end of the JSON: %w", ErrInvalid)
	}
	return s.ambiguous, nil
}

// A level is an open object or array.
type level struct {
	object  bool
	free    bool // keys are the author's own
	wantKey bool
	key     string
	seen    map[string]bool
}

type scanner struct {
	dec       *json.Decoder
	nesting   int
	open      []*level
	ambiguous error
}

// value reads one value, whatever is in it.
func (s *scanner) value() error {
	for {
		t, err := s.dec.Token()
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if err := s.token(t); err != nil {
			return err
		}
		if len(s.open) == 0 {
			return nil
		}
	}
}

func (s *scanner) token(t json.Token) error {
	top := s.top()
	switch t {
	case json.Delim('{'), json.Delim('['):
		if len(s.open) == s.nesting {
			return fmt.Errorf("nested more than %d deep", s.nesting)
		}
		object := t == json.Delim('{')
		free := top.free || top.key != "" && !slices.Contains(containers, top.key)
		s.open = append(s.open, &level{object: object, free: free, wantKey: object})
		return nil
	case json.Delim('}'), json.Delim(']'):
		s.open = s.open[:len(s.open)-1]
		s.top().next()
		return nil
	}
	if key, ok := t.(string); ok && top.wantKey {
		s.note(top, key)
		top.key, top.wantKey = key, false
		return nil
	}
	top.next()
	return nil
}

func (s *scanner) top() *level {
	if len(s.open) == 0 {
		return &level{}
	}
	return s.open[len(s.open)-1]
}

func (l *level) next() { l.wantKey = l.object }

func (s *scanner) note(l *level, key string) {
	if s.ambiguous != nil {
		return
	}
	if l.seen[key] {
		s.ambiguous = fmt.Errorf("ambiguous: key %q stands twice in one object: %w", clip(key), ErrInvalid)
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[key] = true
	if l.free {
		return
	}
	i := slices.IndexFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
	if i >= 0 && keys[i] != key {
		s.ambiguous = fmt.Errorf("ambiguous: key %q differs from %q in case only: %w", clip(key), keys[i], ErrInvalid)
	}
}
