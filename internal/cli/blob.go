package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
)

// BlobResult is what `wherry blob -o FILE` says. Without -o the exact bytes are
// written.
type BlobResult struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	File   string        `json:"file"`
}

func newBlob(f *Factory) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "blob PLACE@DIGEST",
		Short: "Write a blob, byte for byte, verified",
		Long: "Write a blob of a repository, layout or archive, byte for byte. It is verified: where its bytes are not those of its\n" +
			"digest, the exit code is 6, and no file is left behind.",
		Example: "  wherry blob nginx@sha256:… > layer.tar.gz\n  wherry blob oci:images@sha256:… -o layer.tar.gz",
		Args:    exactArgs(1),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		return runBlob(ctx, f, p, output)
	})
}

func runBlob(ctx context.Context, f *Factory, p *place, output string) (render.Result, error) {
	switch {
	case p.at.Digest == "":
		return render.Result{}, usagef("%s: a blob is named by its digest: PLACE@sha256:…", p.at)
	case output == "" && f.Flags.asked():
		return render.Result{}, usagef("the blob itself is on standard output; use -o FILE to have a result there")
	case output == "" && f.Out.TTY:
		return render.Result{}, usagef("standard output is a terminal: a blob does not belong there; use -o FILE or a pipe")
	}
	sizer, ok := content.As[content.Sizer](p.Source)
	if !ok {
		return render.Result{}, p.fail(fmt.Errorf("blobs cannot be looked up there: %w", errors.ErrUnsupported))
	}
	size, err := sizer.BlobSize(ctx, p.at.Digest)
	if err != nil {
		return render.Result{}, p.fail(err)
	}
	d := ocispec.Descriptor{Digest: p.at.Digest, Size: size}
	if output == "" {
		return render.Result{}, p.fail(p.pour(ctx, d, f.Out))
	}
	if _, err := writeFile(output, func(w io.Writer) error { return p.pour(ctx, d, w) }); err != nil {
		return render.Result{}, p.fail(err)
	}
	return render.Result{Value: BlobResult{Digest: d.Digest, Size: size, File: output}, Quiet: []string{}}, nil
}

// pour writes a blob to w. Where it turns out not to be right, w has its bytes.
func (p *place) pour(ctx context.Context, d ocispec.Descriptor, w io.Writer) error {
	rc, err := p.Open(ctx, d, content.Range{})
	if err != nil {
		return err
	}
	defer rc.Close()
	r, err := content.VerifyReader(rc, d)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}

// writeFile has write write a file that gets its name when all is right, and
// returns its size. What is there and is no file, a pipe or a device, is written
// to as it is. That there is no folder for it is no [fs.ErrNotExist], which would
// say that the image is not there.
func writeFile(path string, write func(io.Writer) error) (size int64, err error) {
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		return writeInto(path, write)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s cannot be written: there is no folder %s", path, filepath.Dir(path))
	}
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	w := &countingWriter{w: tmp}
	err = write(w)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return 0, err
	}
	return w.n, os.Rename(tmp.Name(), path)
}

func writeInto(path string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	w := &countingWriter{w: f}
	err = write(w)
	return w.n, errors.Join(err, f.Close())
}

// A countingWriter counts the bytes that went through.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
