package endpoint_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
)

var errGaveUp = errors.New("gave up")

func TestAStreamWithNobodyAtTheOtherEndIsGivenUp(t *testing.T) {
	d := ocispec.Descriptor{Digest: digest.FromString("blob"), Size: 4}
	blobs := theBlob{}
	for name, use := range map[string]func(ctx context.Context, in io.Reader, out io.Writer) error{
		"standard input": func(ctx context.Context, in io.Reader, _ io.Writer) error {
			o := endpoint.Opener{In: in}
			_, err := o.Source(ctx, parse(t, "-"))
			return err
		},
		"standard output": func(ctx context.Context, _ io.Reader, out io.Writer) error {
			o := endpoint.Opener{Out: out}
			sink, err := o.Sink(ctx, parse(t, "-"), parse(t, "nginx:1"))
			if err != nil {
				return err
			}
			_, err = sink.PutBlob(ctx, content.NewBlob(blobs, d))
			return errors.Join(err, sink.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Hour, func() { cancel(errGaveUp) })
				if err := use(ctx, r, w); !errors.Is(err, errGaveUp) {
					t.Errorf("error is %v", err)
				}
				_ = r.Close() // lets go what was left behind
				_ = w.Close()
			})
		})
	}
}

// theBlob is a source of one blob.
type theBlob struct{ content.Source }

func (theBlob) Open(context.Context, ocispec.Descriptor, content.Range) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("blob")), nil
}
