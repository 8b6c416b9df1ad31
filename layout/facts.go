package layout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

const (
	factsFile = ownDir + "/facts"
	maxFacts  = 64 << 20
	maxFact   = 64 << 10 // of one line; what says more is read again each time
)

// A fact is what one manifest and its config say. A digest vouches for it: it
// never changes.
type fact struct {
	digest   digest.Digest
	subject  digest.Digest
	index    bool
	children []childFact // of an index, without what BuildKit attests
	variant  Variant     // of an image
}

// A childFact is what an index says of a child.
type childFact struct {
	digest   digest.Digest
	platform content.Platform
}

// A line of the facts file has fields with tabs between them: what it is about,
// its subject, and then of an index its children, each with its platform behind a
// blank, and of an image what a Variant has. A listing of thousands of images reads
// all lines, which JSON would make several times as dear.
const (
	indexFact = "index"
	imageFact = "image"
	noFact    = "-" // an empty field
)

// line returns the line of f; false where it has something that no line can hold.
func (f fact) line() (string, bool) {
	kind, rest := indexFact, []string{}
	if f.index {
		for _, child := range f.children {
			rest = append(rest, child.digest.String()+" "+child.platform.String())
		}
	} else {
		v := f.variant
		kind = imageFact
		rest = []string{v.ID.String(), strconv.FormatInt(v.Size, 10), v.Created.Format(time.RFC3339Nano), v.Platform.String(), v.labels}
	}
	fields := append([]string{kind, f.digest.String(), f.subject.String()}, rest...)
	for i, field := range fields {
		if strings.ContainsAny(field, "\t\n") || strings.Count(field, " ") > 1 && i != len(fields)-1 {
			return "", false
		}
		fields[i] = cmp.Or(field, noFact)
	}
	line := strings.Join(fields, "\t") + "\n"
	return line, len(line) <= maxFact
}

// parseFact reads a line, children into the room that it is given. One that a full
// disk has cut off is none, and neither is the next, which stands behind it.
func parseFact(line string, room []childFact) (f fact, ok bool) {
	kind, line, _ := strings.Cut(line, "\t")
	f = fact{index: kind == indexFact, digest: digest.Digest(take(&line)), subject: digest.Digest(take(&line))}
	if kind != indexFact && kind != imageFact || content.CheckDigest(f.digest) != nil ||
		f.subject != "" && content.CheckDigest(f.subject) != nil {
		return f, false
	}
	if f.index {
		f.children = room[:0]
		for line != "" {
			d, platform, _ := strings.Cut(take(&line), " ")
			child := childFact{digest.Digest(d), platformIn(platform)}
			if content.CheckDigest(child.digest) != nil {
				return f, false
			}
			f.children = append(f.children, child)
		}
		return f, true
	}
	v := &f.variant
	v.Manifest, v.ID = f.digest, digest.Digest(take(&line))
	var sizeErr, timeErr error
	v.Size, sizeErr = strconv.ParseInt(take(&line), 10, 64)
	v.Created, timeErr = time.Parse(time.RFC3339Nano, take(&line))
	v.Platform, v.labels = platformIn(take(&line)), take(&line)
	return f, sizeErr == nil && timeErr == nil && line == "" && content.CheckDigest(v.ID) == nil
}

// take takes the first field off line.
func take(line *string) string {
	first, rest, _ := strings.Cut(*line, "\t")
	*line = rest
	if first == noFact {
		return ""
	}
	return first
}

// platformIn reads what [content.Platform.String] has written.
func platformIn(s string) content.Platform {
	os, rest, _ := strings.Cut(s, "/")
	architecture, variant, _ := strings.Cut(rest, "/")
	return content.Platform{OS: os, Architecture: architecture, Variant: variant}
}

// storeFacts are the facts of a store while it is listed.
type storeFacts struct {
	s     *Store
	known map[digest.Digest]string // lines of the file, which are read when they are asked for
	lines int                      // of the file
	read  map[digest.Digest]fact   // what no line was about
	asked []digest.Digest
	fresh strings.Builder     // lines that the file has not
	here  map[string]struct{} // the files of blobs; nil before it was looked

	children, todo []childFact // room for what image works with
}

// knownFacts reads the facts file. One that is not there, or is none of ours,
// has no facts.
func (s *Store) knownFacts() *storeFacts {
	f := &storeFacts{s: s, read: map[digest.Digest]fact{}}
	lines, err := s.disk.readText(factsFile, maxFacts)
	if err != nil {
		return f // what is not known is read again
	}
	f.lines = strings.Count(lines, "\n")
	f.known = make(map[digest.Digest]string, f.lines)
	f.asked = make([]digest.Digest, 0, f.lines)
	for line := range strings.Lines(lines) {
		line, whole := strings.CutSuffix(line, "\n")
		if _, about, _ := strings.Cut(line, "\t"); whole {
			f.known[digest.Digest(take(&about))] = line
		}
	}
	return f
}

// image returns what is known of an entry of index.json.
func (f *storeFacts) image(ctx context.Context, root ocispec.Descriptor) (Image, error) {
	image := Image{Root: bare(root)}
	if here, err := f.isHere(root.Digest); err != nil || !here {
		return image, err
	}
	f.todo = append(f.todo[:0], childFact{digest: root.Digest}) // each once
	for n := 0; n < len(f.todo); n++ {
		d := f.todo[n]
		one, err := f.of(ctx, d.digest)
		switch {
		case errors.Is(err, content.ErrNotFound):
			continue // it is listed, and not here
		case err != nil:
			return image, err
		case !one.index:
			v := one.variant
			v.Platform = cmp.Or(d.platform, v.Platform) // a config may leave the variant out
			image.Variants = append(image.Variants, v)
			continue
		}
		image.Offers = slices.Grow(image.Offers, len(one.children))
		for _, child := range one.children {
			image.Offers = append(image.Offers, child.platform)
			here, err := f.isHere(child.digest)
			if err != nil {
				return image, err
			}
			if here && !slices.ContainsFunc(f.todo, func(known childFact) bool { return known.digest == child.digest }) {
				f.todo = append(f.todo, child)
			}
		}
	}
	return image, nil
}

// isHere reports whether there is a blob of that digest. The folder is looked at
// once, when the first image is asked for.
func (f *storeFacts) isHere(d digest.Digest) (bool, error) {
	if f.here == nil {
		here, err := f.s.here(2 * f.lines)
		if err != nil {
			return false, err
		}
		f.here = here
	}
	_, here := f.here[d.Encoded()]
	return here, nil
}

// refers reports whether d has a subject that is here.
func (f *storeFacts) refers(d digest.Digest) bool {
	one, ok := f.has(d)
	return ok && one.subject != "" && f.s.disk.there(one.subject)
}

// has returns the facts of manifest d, if they are known. The next call may write
// over the children.
func (f *storeFacts) has(d digest.Digest) (one fact, ok bool) {
	if line, known := f.known[d]; known {
		one, ok = parseFact(line, f.children)
		if one.index {
			f.children = one.children
		}
		if ok {
			return one, true
		}
	}
	one, ok = f.read[d]
	return one, ok
}

// of returns the facts of manifest d, which are read where they are not known.
func (f *storeFacts) of(ctx context.Context, d digest.Digest) (fact, error) {
	f.asked = append(f.asked, d)
	if one, ok := f.has(d); ok {
		return one, nil
	}
	one, whole, err := f.s.readFact(ctx, d)
	if err != nil {
		return fact{}, err
	}
	f.read[d] = one
	if line, ok := one.line(); ok && whole {
		f.fresh.WriteString(line)
	}
	return one, nil
}

// readFact reads manifest d and its config. What cannot be read says nothing but
// its digest, and is not whole: it may be mended.
func (s *Store) readFact(ctx context.Context, d digest.Digest) (one fact, whole bool, err error) {
	m, err := s.manifest(ctx, ocispec.Descriptor{Digest: d})
	if errors.Is(err, content.ErrInvalid) || errors.Is(err, content.ErrCorrupt) {
		return fact{digest: d, variant: Variant{Manifest: d, ID: d}}, false, nil
	}
	if err != nil {
		return fact{}, false, err
	}
	one = fact{digest: d, index: m.IsIndex(), variant: Variant{Manifest: d, ID: d, Size: m.Size()}}
	if subject, ok := m.Subject(); ok {
		one.subject = subject.Digest
	}
	for _, child := range m.Children() {
		if !content.IsAttestation(child) {
			one.children = append(one.children, childFact{child.Digest, platformOf(child)})
		}
	}
	for _, blob := range m.Blobs() {
		one.variant.Size += blob.Size
	}
	if config, ok := m.Config(); ok {
		one.variant.ID = config.Digest
	}
	whole, err = s.readConfigFact(ctx, m, &one.variant)
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
func (s *Store) readConfigFact(ctx context.Context, m content.Manifest, v *Variant) (whole bool, err error) {
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
	v.Platform = content.PlatformOf(config.Platform)
	if config.Created != nil {
		v.Created = config.Created.UTC()
	}
	if len(config.Config.Labels) > 0 {
		labels, err := json.Marshal(config.Config.Labels)
		v.labels = string(labels)
		return err == nil, err
	}
	return true, nil
}

// keepFacts adds to the file what was read, for the next time. Where most of it
// was about what is gone it is written anew, unless somebody writes to the store. A
// store that cannot be written to is listed all the same.
func (s *Store) keepFacts(f *storeFacts) {
	if f.fresh.Len() > 0 {
		_ = s.disk.appendTo(factsFile, f.fresh.String())
	}
	if f.lines <= 2*len(f.asked)+spareLines {
		return
	}
	lock, err := durable.Try(s.disk.root, lockFile)
	if err != nil {
		return
	}
	_ = s.disk.replace(factsFile, []byte(f.neededLines()))
	_ = lock.Release()
}

// neededLines returns the lines of what was asked for, in the order of digests.
func (f *storeFacts) neededLines() string {
	var lines strings.Builder
	slices.Sort(f.asked)
	for _, d := range slices.Compact(f.asked) {
		if line, known := f.known[d]; known {
			lines.WriteString(line + "\n")
		}
	}
	lines.WriteString(f.fresh.String())
	return lines.String()
}

// appendTo adds lines to a file of ours, in one writing, so that several who do
// it at once tear no line.
func (k *disk) appendTo(name string, lines string) (err error) {
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
	_, err = f.WriteString(lines)
	return k.fail("write", name, err)
}
