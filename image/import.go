package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/packed"
	"github.com/wherry-dev/wherry/internal/spool"
)

// ImportOptions say what is made of a root file system. The zero ImportOptions
// work.
type ImportOptions struct {
	Platform content.Platform // what the image is for; the zero Platform means this machine's
	Created  time.Time        // when it was made, the zero time where that is not to be told
	Message  string           // the comment in its history; "" means "Imported from -", docker's

	// Config is what a container of the image runs, and how.
	Config dockerspec.DockerOCIImageConfig

	// TempDir is where the layer is kept until its digest is known; "" means
	// os.TempDir().
	TempDir string

	// MaxUnpacked is how many bytes may come out of a compressed tar; 0 means 20 × its
	// size + 1 GiB, less than 0 any number.
	MaxUnpacked int64
}

// Import makes an image of one layer of r, which is the tar of a root file system,
// plain or compressed with gzip, bzip2, xz or zstd, and puts it into dst under
// names; without a name it is known by its digest there. The same tar and options
// make the same image. Where dst is a [content.Committer], it is up to the caller
// to commit it.
//
// The layer is the tar byte for byte, compressed with gzip. A tar that could not be
// unpacked as a layer, as [Export] has it, or is none, is [content.ErrInvalid], and
// broken compression [content.ErrCorrupt].
func Import(ctx context.Context, r io.Reader, dst content.Sink, o ImportOptions, names ...string) (_ content.Manifest, err error) {
	f, err := spool.Create(o.TempDir)
	if err != nil {
		return content.Manifest{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	l, err := pack(ctx, r, f, o.MaxUnpacked)
	if err != nil {
		return content.Manifest{}, err
	}
	raw, err := json.Marshal(o.config(l.diffID))
	if err != nil {
		return content.Manifest{}, err
	}
	config := describe(ocispec.MediaTypeImageConfig, raw)
	for _, b := range []content.Blob{&made{l.Descriptor, f}, &made{config, bytes.NewReader(raw)}} {
		if _, err := dst.PutBlob(ctx, b); err != nil {
			return content.Manifest{}, err
		}
	}
	m, err := manifestOf(config, l.Descriptor)
	if err != nil {
		return content.Manifest{}, err
	}
	if len(names) == 0 {
		names = []string{m.Digest().String()}
	}
	return m, dst.PutManifest(ctx, m, names...)
}

// tarBlock is what a tar has whole ones of. Package tar does not miss the end of one
// that only pads a file.
const tarBlock = 512

// pack writes the tar that r is into f, compressed.
func pack(ctx context.Context, r io.Reader, f *spool.File, most int64) (layer, error) {
	id, hash := digest.SHA256.Digester(), digest.SHA256.Digester()
	buffered := bufio.NewWriterSize(f, 128<<10)
	var size counter
	w, err := packed.NewWriter(io.MultiWriter(buffered, hash.Hash(), &size), packed.Gzip)
	if err != nil {
		return layer{}, err
	}
	in := packed.NewInput(ctx, r)
	var raw counter
	t := newTree(-1)
	t.begin()
	var entry int32
	err = entries(in, most, io.MultiWriter(w, id.Hash(), &raw), func(h *tar.Header, _ io.Reader) error {
		entry++
		if err := t.add(h, entry); err != nil {
			return fmt.Errorf("entry %.200q: %w", h.Name, err)
		}
		return nil
	})
	switch {
	case err != nil:
	case raw == 0:
		err = fmt.Errorf("it is empty, and no tar: %w", content.ErrInvalid)
	case raw%tarBlock != 0:
		err = fmt.Errorf("the tar is cut off: %w", content.ErrInvalid)
	}
	if err != nil {
		return layer{}, errors.Join(in.Blame(err), w.Close())
	}
	if err := errors.Join(w.Close(), buffered.Flush()); err != nil {
		return layer{}, err
	}
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: hash.Digest(), Size: int64(size)}
	return layer{d, id.Digest()}, nil
}

// config returns the config of an image whose layer has that diff ID.
func (o ImportOptions) config(diffID digest.Digest) dockerspec.DockerOCIImage {
	p := cmp.Or(o.Platform, content.HostPlatform())
	history := ocispec.History{Comment: cmp.Or(o.Message, "Imported from -")}
	if !o.Created.IsZero() {
		history.Created = new(o.Created.UTC())
	}
	return dockerspec.DockerOCIImage{
		Image: ocispec.Image{
			Created:  history.Created,
			Platform: ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant},
			RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
			History:  []ocispec.History{history},
		},
		Config: o.Config,
	}
}

func manifestOf(config, layer ocispec.Descriptor) (content.Manifest, error) {
	raw, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    []ocispec.Descriptor{layer},
	})
	if err != nil {
		return content.Manifest{}, err
	}
	return content.ParseManifest(ocispec.MediaTypeImageManifest, raw, content.Limits{})
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// A made blob is one that was made here.
type made struct {
	d  ocispec.Descriptor
	at io.ReaderAt
}

// Descriptor implements [content.Blob].
func (b *made) Descriptor() ocispec.Descriptor { return b.d }

// Open implements [content.Blob].
func (b *made) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(b.d.Size)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(b.at, off, n)), nil
}

// A counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
