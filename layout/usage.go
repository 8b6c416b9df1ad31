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
		names, err := s.disk.names(folder)
		if err != nil {
			return u, err
		}
		for _, name := range names {
			if ctx.Err() != nil {
				return u, context.Cause(ctx)
			}
			fi, err := s.disk.root.Lstat(folder + "/" + name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has just been removed
			}
			if err != nil {
				return u, s.disk.fail("read", folder+"/"+name, err)
			}
			u.Blobs++
			u.Bytes += fi.Size()
		}
	}
	return u, nil
}

// Share is how much of an image's bytes it has for itself, and how much of them
// other images have too.
type Share struct{ Unique, Shared int64 }

// Shares returns the share of each of images, which are those of the store, in
// their order. It reads all their manifests.
func (s *Store) Shares(ctx context.Context, images []Image) ([]Share, error) {
	users, sizes := map[digest.Digest]int{}, map[digest.Digest]int64{}
	needs := make([]map[digest.Digest]bool, len(images))
	for n, image := range images {
		needs[n] = map[digest.Digest]bool{}
		for _, v := range image.Variants {
			m, err := s.Manifest(ctx, v.Manifest.String())
			if errors.Is(err, content.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, d := range append(m.Blobs(), m.Descriptor()) {
				if !needs[n][d.Digest] {
					needs[n][d.Digest] = true
					users[d.Digest]++
					sizes[d.Digest] = d.Size
				}
			}
		}
	}
	shares := make([]Share, len(images))
	for n := range images {
		for d := range needs[n] {
			if users[d] > 1 {
				shares[n].Shared += sizes[d]
			} else {
				shares[n].Unique += sizes[d]
			}
		}
	}
	return shares, nil
}
