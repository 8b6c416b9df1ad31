package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// A survey is what was found out about the blobs of a layout.
type survey struct {
	l      *Layout
	graph  graph
	read   set    // manifests that entries lead to
	leaves set    // configs and layers of these
	index  *index // of which claims are the entries
	claims []claim
	fresh  []digest.Digest // blobs that came after all was looked through

	forgotten []digest.Digest // of which entries without a name do not count
}

func newSurvey(l *Layout, forgotten []digest.Digest) *survey {
	return &survey{l: l, graph: graph{}, read: set{}, leaves: set{}, forgotten: forgotten}
}

// forgets reports whether e does not count.
func (s *survey) forgets(e entry) bool {
	return !e.named() && slices.Contains(s.forgotten, e.digest)
}

// look looks through all there is.
func (s *survey) look(ctx context.Context) error {
	x, err := s.l.index()
	if err != nil {
		return err
	}
	err = s.renew(ctx, x)
	s.fresh = nil
	return err
}

// renew finds out what is new: entries of x, which is what index.json says now, and
// blobs.
func (s *survey) renew(ctx context.Context, x *index) error {
	blobs, err := s.l.disk.blobs()
	if err != nil {
		return err
	}
	for _, d := range blobs {
		if !s.graph.has(d) {
			s.fresh = append(s.fresh, d)
		}
	}
	if s.index != x {
		if err := s.follow(ctx, x.entries); err != nil {
			return err
		}
	}
	for _, d := range blobs {
		if err := s.meet(ctx, d); err != nil {
			return err
		}
	}
	if s.index != x {
		s.index, s.claims = x, s.claimsOf(x)
	}
	return nil
}

// follow reads the manifests that entries lead to. What cannot be read may need
// anything: it is an error.
func (s *survey) follow(ctx context.Context, entries []entry) error {
	var todo []ocispec.Descriptor
	for _, e := range entries {
		todo = append(todo, e.bare())
	}
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.read[d.Digest] || !mayNeed(d.MediaType) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m, err := s.l.manifest(ctx, ocispec.Descriptor{Digest: d.Digest, MediaType: d.MediaType})
		if errors.Is(err, content.ErrNotFound) {
			continue // indexes may be sparse
		}
		if err == nil {
			err = m.Ambiguous()
		}
		if err != nil {
			return fmt.Errorf("what manifest %s needs is not known: %w", d.Digest, err)
		}
		s.learn(m)
		todo = append(todo, m.Children()...)
	}
	return nil
}

// mayNeed reports whether a manifest of this type needs others, which must be
// known: those of docker's schema 1 cannot be read.
func mayNeed(mediaType string) bool {
	return mayRefer(mediaType) || mediaType == content.DockerSchema1 || mediaType == content.DockerSchema1Signed
}

// learn takes in a manifest that is there.
func (s *survey) learn(m content.Manifest) {
	s.read[m.Digest()] = true
	s.graph[m.Digest()] = vertexOf(m)
	for _, d := range m.Blobs() {
		// What says that it is a manifest is looked at, whatever it is here.
		if d.MediaType == "" || !mayRefer(d.MediaType) {
			s.leaves[d.Digest] = true
		}
	}
}

func vertexOf(m content.Manifest) vertex {
	v := vertex{needs: parts(m)[1:]}
	if to, ok := m.Subject(); ok {
		v.subject = to.Digest
	}
	return v
}

// meet takes in blob d, which no entry leads to as a manifest. If it is a
// manifest all the same, it shall not be left without what it needs.
func (s *survey) meet(ctx context.Context, d digest.Digest) error {
	if s.graph.has(d) {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.leaves[d] {
		s.graph[d] = vertex{}
		return nil
	}
	raw, err := s.l.disk.readManifest(s.l.disk.place(d))
	switch {
	case errors.Is(err, content.ErrNotFound):
		return nil // it is gone again
	case errors.Is(err, content.ErrInvalid):
		s.graph[d] = vertex{} // larger than manifests are
		return nil
	case err != nil:
		return err
	}
	m, err := content.VerifyManifest(ocispec.Descriptor{Digest: d}, raw, s.l.Limits)
	if err != nil {
		m = content.Manifest{} // a blob like another
	}
	s.graph[d] = vertexOf(m)
	return nil
}

// blobs lists the blobs of the layout.
func (k *disk) blobs() ([]digest.Digest, error) {
	var all []digest.Digest
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		found, err := k.digestsIn(blobsDir+"/"+algorithm.String(), func(file string) digest.Digest {
			return digest.NewDigestFromEncoded(algorithm, file)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// partials lists the blobs of which a part is there.
func (k *disk) partials() ([]digest.Digest, error) {
	return k.digestsIn(partialDir, func(file string) digest.Digest {
		return digest.Digest(strings.Replace(strings.TrimSuffix(file, spansEnd), "-", ":", 1))
	})
}

// digestsIn lists the digests of the regular files in dir that have one by their
// name, each once.
func (k *disk) digestsIn(dir string, digestOf func(file string) digest.Digest) ([]digest.Digest, error) {
	files, err := k.list(dir)
	if err != nil {
		return nil, err
	}
	var found []digest.Digest
	for _, f := range files {
		d := digestOf(f.Name())
		again := len(found) > 0 && found[len(found)-1] == d // a file and its note
		if f.Type().IsRegular() && !again && content.CheckDigest(d) == nil {
			found = append(found, d)
		}
	}
	return found, nil
}

// list lists what is in a folder: nothing where there is none.
func (k *disk) list(dir string) ([]fs.DirEntry, error) {
	err := durable.CheckDir(k.root, dir)
	var files []fs.DirEntry
	if err == nil {
		files, err = fs.ReadDir(k.root.FS(), dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, k.fail("read", dir, err)
}

// claimsOf returns what the entries of x ask for.
func (s *survey) claimsOf(x *index) []claim {
	claims := make([]claim, 0, len(x.entries))
	for _, e := range x.entries {
		if !s.forgets(e) {
			claims = append(claims, claim{e.digest, s.subjects(e)})
		}
	}
	return claims
}

// subjects returns what e lives and dies with: nothing if it has a name that is
// its own.
func (s *survey) subjects(e entry) []digest.Digest {
	var subjects []digest.Digest
	if tag, ok := e.digestTag(); ok {
		subjects = s.tagged(tag)
	} else if e.named() {
		return nil
	}
	if subject := s.graph[e.digest].subject; subject != "" {
		subjects = append(subjects, subject)
	}
	// A mirror tags what it knows by its digest alone so, and no image refers to itself.
	return slices.DeleteFunc(subjects, func(d digest.Digest) bool { return d == e.digest })
}

// digestTag returns the tag of the entry if it is one of those under which clients
// keep what refers to an image.
func (e entry) digestTag() (tag string, ok bool) {
	either := e.refName() + " " + e.fullName()
	if !strings.Contains(either, "sha256-") && !strings.Contains(either, "sha512-") {
		return "", false
	}
	name := e.name()
	return name[strings.LastIndexByte(name, ':')+1:], content.IsDigestTag(name)
}

// tagged returns what a digest tag is about. That of a long digest may have its
// beginning only.
func (s *survey) tagged(tag string) []digest.Digest {
	tag, _, _ = strings.Cut(tag, ".")
	whole := digest.Digest(strings.Replace(tag, "-", ":", 1))
	if content.CheckDigest(whole) == nil {
		return []digest.Digest{whole}
	}
	var found []digest.Digest
	for d := range s.graph {
		if strings.HasPrefix(d.String(), whole.String()) {
			found = append(found, d)
		}
	}
	return found
}
