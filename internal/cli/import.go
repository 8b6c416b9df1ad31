package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/build"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// ImportResult is what `wherry import` says.
type ImportResult struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"` // of the manifest
	ID     digest.Digest `json:"id"`     // of the image: the digest of its config
	Size   int64         `json:"size"`   // of the layer as it is stored, in bytes
}

type importOptions struct {
	Platform Platform
	Message  string
	Changes  []string
}

func newImport(f *Factory) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE|URL|- [REF]",
		Short: "Make an image of one layer from the tar of a root file system",
		Long: "Make an image of one layer from the tar of a root file system, plain or compressed with gzip, bzip2, xz or zstd, and\n" +
			"put it where REF says: into the local store, or with docker:// or another transport in front into a registry, a layout or\n" +
			"an archive. A file at a URL is read without any credential.\n" +
			"A change is an instruction of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL,\n" +
			"USER, VOLUME or WORKDIR.",
		Example: "  wherry import rootfs.tar my-image:tag\n" +
			"  wherry import rootfs.tar docker://registry.example/team/base:1\n" +
			"  wherry export app:1 | wherry import -c 'CMD [\"app\"]' -m 'flattened' - oci:images:app\n" +
			"  wherry import --platform linux/arm64 https://example.org/rootfs.tar.xz ./base.tar",
		Args: rangeArgs(1, 2),
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.Changes, "change", "c", nil, "apply a Dockerfile `INSTRUCTION` to the image (repeatable)")
	flags.StringVarP(&o.Message, "message", "m", "", "the `COMMENT` in the history of the image; 'Imported from -' or the URL by default")
	flags.Var(&o.Platform, "platform", "what the image is for, `PLATFORM`: os/arch[/variant]; this machine's by default")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runImport(ctx, f, args, o)
	})
}

func runImport(ctx context.Context, f *Factory, args []string, o importOptions) (_ render.Result, err error) {
	from, to := args[0], endpoint.InStore("")
	if len(args) == 2 {
		if to, err = f.parseStored(args[1]); err != nil {
			return render.Result{}, err
		}
	}
	if to.Digest != "" {
		return render.Result{}, usagef("%s: an image that is made has a digest of its own; name it by a tag", to)
	}
	options, err := o.image(f, from)
	if err != nil {
		return render.Result{}, err
	}
	f.SrcHost, f.DstHost = to.Host, to.Host // the only registry there is
	in, err := f.openRootfs(ctx, from)
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	m, err := f.newMover(moverOptions{})
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	made, err := m.importInto(ctx, in, to, options)
	if err != nil {
		return render.Result{}, fmt.Errorf("import %s: %w", told(from), err)
	}
	if m.streams {
		return render.Result{}, nil
	}
	m.noteImported(ctx, to, made.Digest(), from)
	return importResult(to, made), nil
}

// importInto makes an image of in at a place, and gives it its name there.
func (m *mover) importInto(ctx context.Context, in io.Reader, to endpoint.Endpoint, o image.ImportOptions) (content.Manifest, error) {
	nothing := endpoint.Endpoint{}
	sink, err := m.sink(ctx, to, nothing)
	if err != nil {
		return content.Manifest{}, err
	}
	made, err := image.Import(ctx, in, sink, o, to.Names(nothing)...)
	if err != nil {
		return content.Manifest{}, err
	}
	if committer, ok := content.As[content.Committer](sink); ok {
		err = committer.Commit(ctx)
	}
	return made, err
}

// image returns what the flags make of the image from a file or URL.
func (o importOptions) image(f *Factory, from string) (image.ImportOptions, error) {
	platform := content.HostPlatform()
	if o.Platform.given {
		platform = o.Platform.Platform
	}
	message := o.Message
	if message == "" && isURL(from) {
		message = "Imported from " + told(from)
	}
	var config build.Config
	if err := build.Change(&config, platform.OS, o.Changes...); err != nil {
		return image.ImportOptions{}, usagef("--change %v", err)
	}
	now := f.Now().Truncate(time.Second)
	return image.ImportOptions{Platform: platform, Created: now, Message: message, Config: config, TempDir: f.spoolFolder()}, nil
}

// told returns a file or URL as others may read it: the query of a URL may be a
// secret.
func told(from string) string {
	if isURL(from) {
		from, _, _ = strings.Cut(from, "?")
	}
	return from
}

func isURL(from string) bool {
	lower := strings.ToLower(from)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// openRootfs opens a file, what is at a URL, or standard input.
func (f *Factory) openRootfs(ctx context.Context, from string) (io.ReadCloser, error) {
	switch {
	case from == "-" && term.IsTerminal(f.In):
		return nil, usagef("standard input is a terminal: a tar is expected there")
	case from == "-":
		return io.NopCloser(endpoint.NewReader(ctx, f.In)), nil
	case isURL(from):
		client, err := f.Client()
		if err != nil {
			return nil, err
		}
		return client.Fetch(ctx, from)
	}
	file, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	if fi, err := file.Stat(); err == nil && fi.IsDir() {
		return nil, errors.Join(usagef("%s is a folder, and not the tar of one", from), file.Close())
	}
	return file, nil
}

func importResult(to endpoint.Endpoint, m content.Manifest) render.Result {
	config, _ := m.Config()
	line := config.Digest.String()
	if to.Transport == endpoint.Registry {
		line = to.Host + "/" + to.Repository + "@" + m.Digest().String()
	}
	r := ImportResult{Name: to.String(), Digest: m.Digest(), ID: config.Digest, Size: m.Layers()[0].Size}
	return render.Result{Value: r, Lines: []string{line}}
}
