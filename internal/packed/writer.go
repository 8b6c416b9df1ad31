package packed

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// NewWriter returns what compresses into w, the same input to the same bytes on
// every machine. Formats that are only read are [errors.ErrUnsupported].
func NewWriter(w io.Writer, f Format) (io.WriteCloser, error) {
	switch f {
	case Plain:
		return nopCloser{w}, nil
	case Gzip:
		return gzip.NewWriterLevel(w, gzip.DefaultCompression)
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(zstd.SpeedDefault))
	case XZ, Bzip2:
	}
	return nil, fmt.Errorf("%s is not written: %w", f, errors.ErrUnsupported)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
