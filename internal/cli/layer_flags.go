package cli

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/durable"
)

// layerFlags are those of the verbs that look into the layers of an image.
type layerFlags struct {
	Platform Platform
	Whole    bool
}

func (l *layerFlags) bind(flags *pflag.FlagSet) {
	flags.Var(&l.Platform, "platform", "of the image for `PLATFORM`, os/arch[/variant], in an index; this machine's by default")
	flags.BoolVar(&l.Whole, "whole", false, "read layers in place of the tables of contents that they carry")
}

// image returns the image of p that is looked into.
func (l *layerFlags) image(ctx context.Context, f *Factory, p *place) (content.Manifest, error) {
	m, err := p.only(ctx, l.Platform)
	if err == nil {
		f.warnAmbiguous(m)
		f.tables = f.tables || !l.Whole && slices.ContainsFunc(m.Layers(), carriesTable)
	}
	return m, err
}

// carriesTable reports whether a layer is said to carry a table of contents, as eStargz
// and zstd:chunked layers are.
func carriesTable(d ocispec.Descriptor) bool {
	for name := range d.Annotations {
		if strings.HasSuffix(name, "stargz/toc.digest") || strings.HasSuffix(name, "zstd-chunked.manifest-checksum") {
			return true
		}
	}
	return false
}

// reader returns what reads layers, with what is remembered of them.
func (l *layerFlags) reader(f *Factory) image.Reader {
	r := image.Reader{TempDir: f.spoolFolder(), Whole: l.Whole}
	if cache := f.cacheFolder(); cache != "" {
		r.Cache = &durable.Cache{Dir: filepath.Join(cache, "wherry", "contents")}
	}
	return r
}
