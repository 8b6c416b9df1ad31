package layout

import (
	"context"
	"errors"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// Usage is what the blobs of a store take on disk, in bytes.
type Usage struct {
	Blobs int   // how many there are
	Bytes int64 // of all of them
}

// Usage returns what the blobs of the store take.
func (s *Store) Usage(ctx context.Context) (u Usage, err error) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		folder := blobsDir + "/" + alg.String()
		for names, err := range s.disk.names(folder) {
			if err != nil {
				return u, err
			}
			if err := u.add(ctx, s.disk, folder, names); err != nil {
				return u, err
			}
		}
	}
	return u, nil
}

// add adds the files of these names.
func (u *Usage) add(ctx context.Context, k *disk, folder string, names []string) error {
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fi, err := k.root.Lstat(folder + "/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been removed
		}
		if err != nil {
			return k.fail("read", folder+"/"+name, err)
		}
		u.Blobs++
		u.Bytes += fi.Size()
	}
	return nil
}

// Share is how much of an image's bytes it has for itself, and how much of them
// other images have too.
type Share struct{ Unique, Shared int64 }

// Shares returns the share of each of images, which are those of the store, in
// their order. It reads all their manifests.
func (s *Store) Shares(ctx context.Context, images []Image) ([]Share, error) {
	users := map[digest.Digest]int{}
	needs := make([]map[digest.Digest]int64, len(images))
	for n, image := range images {
		var err error
		if needs[n], err = s.shown(ctx, image); err != nil {
			return nil, err
		}
		for d := range needs[n] {
			users[d]++
		}
	}
	shares := make([]Share, len(images))
	for n := range images {
		for d, size := range needs[n] {
			if users[d] > 1 {
				shares[n].Shared += size
			} else {
				shares[n].Unique += size
			}
		}
	}
	return shares, nil
}

// shown returns, with their sizes, the blobs that count as those of an image: what
// its platforms have that are here.
func (s *Store) shown(ctx context.Context, image Image) (map[digest.Digest]int64, error) {
	blobs := map[digest.Digest]int64{}
	for _, v := range image.Variants {
		m, err := s.Manifest(ctx, v.Manifest.String())
		if errors.Is(err, content.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, d := range append(m.Blobs(), m.Descriptor()) {
			blobs[d.Digest] = d.Size
		}
	}
	return blobs, nil
}

// NeededBy returns, with their sizes, the blobs of images: their manifests, what
// these need as far as it is here, and what refers to them.
func (s *Store) NeededBy(ctx context.Context, images []Image) (map[digest.Digest]int64, error) {
	needed := map[digest.Digest]int64{}
	for _, image := range images {
		if err := s.addNeeded(ctx, image.Root.Digest, needed); err != nil {
			return nil, err
		}
	}
	return needed, nil
}

// addNeeded adds manifest d and what belongs to it. What is not here is left out.
func (s *Store) addNeeded(ctx context.Context, d digest.Digest, needed map[digest.Digest]int64) error {
	if _, known := needed[d]; known {
		return nil
	}
	m, err := s.Manifest(ctx, d.String())
	if errors.Is(err, content.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	needed[d] = m.Size()
	for _, blob := range m.Blobs() {
		if s.disk.there(blob.Digest) {
			needed[blob.Digest] = blob.Size
		}
	}
	for _, child := range m.Children() {
		if err := s.addNeeded(ctx, child.Digest, needed); err != nil {
			return err
		}
	}
	for referrer, err := range s.Referrers(ctx, d, "") {
		if err != nil {
			return err
		}
		if err := s.addNeeded(ctx, referrer.Digest, needed); err != nil {
			return err
		}
	}
	return nil
}
