package cli

import (
	"context"
	"io"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// CatResult is what `wherry cat -o FILE` says. Without -o the bytes are on
// standard output.
type CatResult struct {
	Name        string        `json:"name"`
	Digest      digest.Digest `json:"digest"` // of the manifest of the image
	Path        string        `json:"path"`   // in the image, links followed
	Size        int64         `json:"size"`
	Layer       int           `json:"layer"` // it comes from, the lowest is 1
	LayerDigest digest.Digest `json:"layerDigest"`
	File        string        `json:"file"`
}

type catOptions struct {
	layerFlags

	Output     string
	Unverified bool
}

func newCat(f *Factory) *cobra.Command {
	var o catOptions
	cmd := &cobra.Command{
		Use:   "cat IMAGE PATH",
		Short: "Write a file of an image, byte for byte, verified",
		Long: "Write a file of an image to standard output, byte for byte, without pulling the image. Layers are read from the top, and none\n" +
			"below the one that has the file; links are followed within the image. Nothing is written before it is verified: a layer\n" +
			"of which nothing is known yet is read to its end for that, and what it has is remembered. The second time, and where\n" +
			"a layer carries a table of contents (eStargz, zstd:chunked), no more is read than the file takes. A terminal gets the\n" +
			"text with what would steer it escaped.",
		Example: "  wherry cat nginx:1.27 etc/nginx/nginx.conf\n  wherry cat alpine:3.20 /etc/os-release | grep VERSION_ID\n" +
			"  wherry cat --platform linux/arm64 -o busybox busybox:1.36 bin/busybox",
		Args: exactArgs(2),
	}
	flags := cmd.Flags()
	o.bind(flags)
	flags.StringVarP(&o.Output, "output", "o", "", "write to `FILE`")
	flags.BoolVar(&o.Unverified, "unverified", false, "write the file as soon as it is met with and read no more of its layer: nobody has checked it then")
	return f.RunInside(cmd, func(ctx context.Context, p *place, rest []string) (render.Result, error) {
		return runCat(ctx, f, p, rest[0], o)
	})
}

func runCat(ctx context.Context, f *Factory, p *place, name string, o catOptions) (render.Result, error) {
	if o.Output == "" && f.Flags.asked() {
		return render.Result{}, usagef("the file itself is on standard output; use -o FILE to have a result there")
	}
	m, err := o.image(ctx, f, p)
	if err != nil {
		return render.Result{}, err
	}
	r := o.reader(f)
	r.Unverified = o.Unverified
	shown, err := f.reading()
	if err != nil {
		return render.Result{}, err
	}
	defer shown.Close()
	p = p.watched(shown)
	var file image.File
	write := func(w io.Writer) error {
		file, err = r.Cat(ctx, w, p, m, name)
		return p.fail(err)
	}
	switch {
	case o.Output == "" && f.Out.TTY:
		text := &textWriter{w: shown.before(f.Out)}
		if err := write(text); err != nil {
			return render.Result{}, err
		}
		return render.Result{}, text.Close()
	case o.Output == "":
		return render.Result{}, write(f.Out)
	}
	size, err := writeFile(o.Output, write)
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: CatResult{
		Name: p.at.String(), Digest: m.Digest(), Path: file.Path, Size: size,
		Layer: file.Layer + 1, LayerDigest: m.Layers()[file.Layer].Digest, File: o.Output,
	}, Quiet: []string{}}, nil
}

// A textWriter writes for eyes: what would steer a terminal is escaped, and the
// last line ends.
type textWriter struct {
	w    io.Writer
	rest string // the beginning of a character, for the next Write
	last byte   // that was written, 0 for none
}

// Write implements [io.Writer].
func (t *textWriter) Write(p []byte) (int, error) {
	text := t.rest + string(p)
	end := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if at := len(text) - back; utf8.RuneStart(text[at]) {
			if !utf8.FullRuneInString(text[at:]) {
				end = at
			}
			break
		}
	}
	t.rest = text[end:]
	return len(p), t.put(text[:end])
}

func (t *textWriter) put(text string) error {
	if text == "" {
		return nil
	}
	t.last = text[len(text)-1]
	_, err := io.WriteString(t.w, term.SafeText(text))
	return err
}

// Close writes what is left.
func (t *textWriter) Close() error {
	err := t.put(t.rest)
	if err != nil || t.last == 0 || t.last == '\n' {
		return err
	}
	_, err = io.WriteString(t.w, "\n")
	return err
}
