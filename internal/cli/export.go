package cli

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
)

// ExportResult is what `wherry export -o FILE` says. Without -o the tar is on
// standard output.
type ExportResult struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"` // of the manifest of the image
	Size   int64         `json:"size"`   // of the tar, in bytes
	File   string        `json:"file"`
}

type exportOptions struct {
	Platform Platform
	Output   string
}

func newExport(f *Factory) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export IMAGE",
		Short: "Write the root file system of an image as a tar",
		Long: "Write the root file system of an image as a tar: its layers one over the other, without what they remove. It is what\n" +
			"docker export writes of a container that was never started. No entry leads out of where the tar is unpacked.\n" +
			"Layers are verified: where one is not what it says, the exit code is 6, and no file is left behind.",
		Example: "  wherry export alpine:3.20 > rootfs.tar\n  wherry export --platform linux/arm64 -o rootfs.tar ./images.tar\n" +
			"  wherry export nginx:1.27 | tar t",
		Args: exactArgs(1),
	}
	cmd.Flags().Var(&o.Platform, "platform", "of the image for `PLATFORM`, os/arch[/variant], in an index; this machine's by default")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "write to `FILE`")
	return f.RunStored(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		return runExport(ctx, f, p, o)
	})
}

func runExport(ctx context.Context, f *Factory, p *place, o exportOptions) (render.Result, error) {
	switch {
	case o.Output == "" && f.Flags.asked():
		return render.Result{}, usagef("the tar itself is on standard output; use -o FILE to have a result there")
	case o.Output == "" && f.Out.TTY:
		return render.Result{}, usagef("standard output is a terminal: a tar does not belong there; use -o FILE or a pipe")
	}
	m, err := p.only(ctx, o.Platform)
	if err != nil {
		return render.Result{}, err
	}
	shown, err := f.reading()
	if err != nil {
		return render.Result{}, err
	}
	defer shown.Close()
	p = p.watched(shown)
	write := func(w io.Writer) error {
		return p.fail(image.Export(ctx, w, p, m, image.ExportOptions{TempDir: f.spoolFolder()}))
	}
	if o.Output == "" {
		return render.Result{}, write(f.Out)
	}
	size, err := writeFile(o.Output, write)
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: ExportResult{Name: p.at.String(), Digest: m.Digest(), Size: size, File: o.Output}, Quiet: []string{}}, nil
}
