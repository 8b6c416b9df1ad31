package layout

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

const (
	factsFile = ownDir + "/facts.jsonl"
	maxFacts  = 64 << 20
	maxFact   = 64 << 10 // of one line; what says more is read again each time
)

// A fact is what one manifest and its config say, as a line of the facts file has
// it. A digest vouches for it: it never changes.
type fact struct {
	Digest   digest.Digest     `json:"digest"`
	Children []childFact       `json:"children,omitempty"` // of an index, without what BuildKit attests
	Index    bool              `json:"index,omitempty"`
	Subject  digest.Digest     `json:"subject,omitempty"`
	ID       digest.Digest     `json:"id,omitempty"`
	Platform content.Platform  `json:"platform,omitzero"`
	Created  time.Time         `json:"created,omitzero"`
	Size     int64             `json:"size,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// A childFact is what an index says of a child.
type childFact struct {
	Digest   digest.Digest    `json:"digest"`
	Platform content.Platform `json:"platform,omitzero"`
}

// storeFacts are the facts of a store while it is listed.
type storeFacts struct {
	s     *Store
	known map[digest.Digest]fact
	lines int                    // of the file
	fresh []fact                 // that the file has not
	here  map[digest.Digest]bool // nil before it was looked
}

// knownFacts reads the facts file. One that is not there, or is none of ours,
// has no facts.
func (s *Store) knownFacts() (*storeFacts, error) {
	f := &storeFacts{s: s, known: map[digest.Digest]fact{}}
	raw, err := s.disk.read(factsFile, maxFacts)
	if err != nil {
		return f, nil //nolint:nilerr // what is not known is read again
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 2*maxFact)
	for lines.Scan() {
		f.lines++
		var one fact
		if json.Unmarshal(lines.Bytes(), &one) == nil {
			f.known[one.Digest] = one
		}
	}
	return f, nil
}

// image returns what is known of an entry of index.json.
func (f *storeFacts) image(ctx context.Context, root ocispec.Descriptor) (Image, error) {
	image := Image{Root: bare(root)}
	todo, seen := []digest.Digest{root.Digest}, map[digest.Digest]bool{}
	for len(todo) > 0 {
		d := todo[0]
		todo = todo[1:]
		if seen[d] {
			continue
		}
		seen[d] = true
		one, err := f.of(ctx, d)
		switch {
		case errors.Is(err, content.ErrNotFound):
			continue // it is listed, and not here
		case err != nil:
			return image, err
		case !one.Index:
			image.Variants = append(image.Variants, one.variant())
			continue
		}
		for _, child := range one.Children {
			image.Offers = append(image.Offers, child.Platform)
			here, err := f.has(child.Digest)
			if err != nil {
				return image, err
			}
			if here {
				todo = append(todo, child.Digest)
			}
		}
	}
	return image, nil
}

func (f fact) variant() Variant {
	return Variant{Manifest: f.Digest, ID: f.ID, Platform: f.Platform, Created: f.Created, Size: f.Size, Labels: f.Labels}
}

// has reports whether there is a blob of that digest. The folder is looked at
// once, when the first index asks.
func (f *storeFacts) has(d digest.Digest) (bool, error) {
	if f.here == nil {
		here, err := f.s.here()
		if err != nil {
			return false, err
		}
		f.here = here
	}
	return f.here[d], nil
}

// refers reports whether d has a subject that is here.
func (f *storeFacts) refers(d digest.Digest) bool {
	subject := f.known[d].Subject
	return subject != "" && f.s.disk.there(subject)
}

// of returns the facts of manifest d, which are read where they are not known.
func (f *storeFacts) of(ctx context.Context, d digest.Digest) (fact, error) {
	if one, ok := f.known[d]; ok {
		return one, nil
	}
	one, whole, err := f.s.readFact(ctx, d)
	if err != nil {
		return one, err
	}
	f.known[d] = one
	if whole {
		f.fresh = append(f.fresh, one)
	}
	return one, nil
}

// readFact reads manifest d and its config. What cannot be read says nothing but
// its digest, and is not whole: it may be mended.
func (s *Store) readFact(ctx context.Context, d digest.Digest) (one fact, whole bool, err error) {
	m, err := s.manifest(ctx, ocispec.Descriptor{Digest: d})
	if errors.Is(err, content.ErrInvalid) || errors.Is(err, content.ErrCorrupt) {
		return fact{Digest: d, ID: d}, false, nil
	}
	if err != nil {
		return fact{}, false, err
	}
	one = fact{Digest: d, Index: m.IsIndex(), ID: d, Size: m.Size()}
	if subject, ok := m.Subject(); ok {
		one.Subject = subject.Digest
	}
	for _, child := range m.Children() {
		if !content.IsAttestation(child) {
			one.Children = append(one.Children, childFact{child.Digest, platformOf(child)})
		}
	}
	for _, blob := range m.Blobs() {
		one.Size += blob.Size
	}
	if config, ok := m.Config(); ok {
		one.ID = config.Digest
	}
	whole, err = s.readConfigFact(ctx, m, &one)
	return one, whole, err
}

func platformOf(d ocispec.Descriptor) content.Platform {
	if d.Platform == nil {
		return content.Platform{}
	}
	return content.PlatformOf(*d.Platform)
}

// readConfigFact adds what the config of an image says, and reports whether it
// could be read.
func (s *Store) readConfigFact(ctx context.Context, m content.Manifest, one *fact) (whole bool, err error) {
	if _, ok := m.ImageConfig(); !ok {
		return true, nil
	}
	raw, err := content.ReadConfig(ctx, s, m, s.Limits)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	var config ocispec.Image
	if err != nil || json.Unmarshal(raw, &config) != nil {
		return false, nil //nolint:nilerr // it says nothing
	}
	one.Platform = content.PlatformOf(config.Platform)
	one.Labels = config.Config.Labels
	if config.Created != nil {
		one.Created = *config.Created
	}
	return true, nil
}

// keepFacts adds to the file what was read, for the next time. A store that
// cannot be written to is listed all the same.
func (s *Store) keepFacts(f *storeFacts) {
	var lines bytes.Buffer
	for _, one := range f.fresh {
		raw, err := json.Marshal(one)
		if err == nil && len(raw) <= maxFact {
			lines.Write(append(raw, '\n'))
		}
	}
	if lines.Len() > 0 {
		_ = s.disk.appendTo(factsFile, lines.Bytes())
	}
}

// appendTo adds lines to a file of ours, in one writing, so that several who do
// it at once tear no line.
func (k *disk) appendTo(name string, lines []byte) (err error) {
	f, err := durable.OpenRegularFile(k.root, name, os.O_WRONLY|os.O_APPEND)
	if errors.Is(err, fs.ErrNotExist) {
		if err := durable.MakeDir(k.root, ownDir); err != nil {
			return k.fail("create", ownDir, err)
		}
		f, err = k.root.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o644)
	}
	if err != nil {
		return k.fail("open", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(lines)
	return k.fail("write", name, err)
}
