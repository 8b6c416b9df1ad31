package contenttest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

const octets = "application/octet-stream"

func blobContracts() []contract {
	return []contract{
		{"ranges give what was asked and no more", ranges},
		{"ranges past the end are refused", rangesPastEnd},
		{"a blob that is not there is not found", missingBlob},
		{"the second put finds the blob", secondPut},
		{"a zero-byte blob is a blob", zeroBlob},
		{"a sha512 blob is a blob", sha512Blob},
		{"a large blob arrives", largeBlob},
		{"a blob of a stated size that is wrong is not there", wrongSize},
	}
}

// stored puts a blob of noise and opens the place for reading.
func (s *stage) stored(t *testing.T, seed uint64, size int) (content.Source, *Blob) {
	t.Helper()
	b := NewBlob(octets, Noise(seed, size))
	s.putBlob(t, b)
	s.root(t, b)
	return s.source(t), b
}

// root gives b an artifact that has it, so that no place drops it.
func (s *stage) root(t *testing.T, bs ...*Blob) {
	t.Helper()
	k := newMaker(t)
	img := Image{Name: "the blobs' artifact"}
	for _, b := range bs {
		m := k.artifact("application/vnd.example.root", nil, b.Desc)
		img.Root = m
		img.Blobs = k.blobs
		s.put(t, img, m.Digest().String())
	}
}

func ranges(s *stage) {
	t := s.T
	const size = 64<<10 + 13
	src, b := s.stored(t, 1, size)
	tests := []struct {
		name string
		r    content.Range
		want []byte
	}{
		{"the zero range is the whole blob", content.Range{}, b.Data},
		{"the whole blob by its length", content.Range{Len: size}, b.Data},
		{"the first byte", content.Range{Len: 1}, b.Data[:1]},
		{"the middle", content.Range{Off: 1000, Len: 40_000}, b.Data[1000:41_000]},
		{"from the middle to the end", content.Range{Off: 30_000}, b.Data[30_000:]},
		{"the last byte", content.Range{Off: size - 1}, b.Data[size-1:]},
		{"the last byte by its length", content.Range{Off: size - 1, Len: 1}, b.Data[size-1:]},
		{"nothing, at the end", content.Range{Off: size}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readBlob(t, sourceOnly{src, b}, tt.r)
			if !errors.Is(err, errors.ErrUnsupported) && (err != nil || !bytes.Equal(got, tt.want)) {
				t.Errorf("the source gave %d bytes, %v; want %d", len(got), err, len(tt.want))
			}
			got, err = readBlob(t, content.NewBlob(src, b.Desc), tt.r)
			if err != nil || !bytes.Equal(got, tt.want) {
				t.Errorf("NewBlob gave %d bytes, %v; want %d", len(got), err, len(tt.want))
			}
		})
	}
	if _, err := readBlob(t, sourceOnly{src, b}, content.Range{}); err != nil {
		t.Errorf("the zero range: %v; every source has it", err)
	}
}

func rangesPastEnd(s *stage) {
	t := s.T
	const size = 1000
	src, b := s.stored(t, 2, size)
	for _, r := range []content.Range{
		{Off: size + 1}, {Len: size + 1}, {Off: size, Len: 1}, {Off: -1}, {Len: -1}, {Off: 1 << 62, Len: 1 << 62},
	} {
		if got, err := readBlob(t, content.NewBlob(src, b.Desc), r); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("NewBlob: range %+v gave %d bytes, %v; want invalid content", r, len(got), err)
		}
		got, err := readBlob(t, sourceOnly{src, b}, r)
		if !errors.Is(err, content.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("range %+v gave %d bytes, %v; want invalid content", r, len(got), err)
		}
	}
}

func missingBlob(s *stage) {
	t := s.T
	gone := NewBlob(octets, []byte("nobody put this"))
	s.wantHasNot(t, gone)
	s.put(t, Anchor(t), s.name("v1"))
	wantNoBlob(t, s.source(t), gone)
}

func secondPut(s *stage) {
	t := s.T
	b := NewBlob(octets, Noise(3, 5000))
	s.wantHasNot(t, b)
	s.putBlob(t, b)
	s.wantHas(t, b)
	again := NewBlob(octets, b.Data)
	if got, err := s.Sink.PutBlob(t.Context(), again); err != nil || got != content.Existed {
		t.Errorf("second PutBlob = %v, %v; want existed", got, err)
	}
	if n := again.Opens(); n != 0 {
		t.Errorf("second PutBlob opened the blob %d times", n)
	}
	s.root(t, b)
	checkBlob(t, s.source(t), b)
}

func zeroBlob(s *stage) {
	t := s.T
	src, b := s.stored(t, 4, 0)
	checkBlob(t, src, b)
	got, err := readBlob(t, sourceOnly{src, b}, content.Range{})
	if err != nil || len(got) != 0 {
		t.Errorf("the source gave %d bytes, %v; want none", len(got), err)
	}
}

func sha512Blob(s *stage) {
	t := s.T
	b := newBlobBy(digest.SHA512, octets, Noise(5, 3000))
	s.wantHasNot(t, b)
	s.putBlob(t, b)
	s.wantHas(t, b)
	s.root(t, b)
	checkBlob(t, s.source(t), b)
}

func largeBlob(s *stage) {
	t := s.T
	src, b := s.stored(t, 6, 3<<20+7)
	checkBlob(t, src, b)
}

// wrongSize asks for a blob that is there by a descriptor that lies about it:
// either it is not there, or its own size counts. Never is there more than stated.
func wrongSize(s *stage) {
	t := s.T
	src, b := s.stored(t, 7, 2000)
	for _, size := range []int64{1999, 2001, 0} {
		lie := &Blob{Desc: b.Desc}
		lie.Desc.Size = size
		got, err := readBlob(t, sourceOnly{src, lie}, content.Range{})
		if err == nil && int64(len(got)) > max(size, 2000) {
			t.Errorf("stated as %d bytes: got %d", size, len(got))
		}
		if s.committed {
			continue
		}
		if outcome, err := s.Sink.PutBlob(t.Context(), lie.as(b.Data)); err == nil {
			t.Errorf("PutBlob of 2000 bytes stated as %d = %v, nil; want an error", size, outcome)
		}
	}
	checkBlob(t, src, b)
}

// as returns a blob of b's descriptor and other bytes.
func (b *Blob) as(data []byte) *Blob { return &Blob{Desc: b.Desc, Data: data} }

// wantHas reports when the sink has not b.
func (s *stage) wantHas(t *testing.T, b *Blob) {
	t.Helper()
	if got, err := s.Sink.Has(t.Context(), b.Desc); err != nil || !got {
		t.Errorf("Has(%s) = %t, %v; want true", b.Desc.Digest, got, err)
	}
}

// wantHasNot reports when the sink has b.
func (s *stage) wantHasNot(t *testing.T, b *Blob) {
	t.Helper()
	if got, err := s.Sink.Has(t.Context(), b.Desc); err != nil || got {
		t.Errorf("Has(%s) = %t, %v; want false", b.Desc.Digest, got, err)
	}
}

// wantNoBlob reports when src gives b.
func wantNoBlob(t *testing.T, src content.Source, b *Blob) {
	t.Helper()
	got, err := readBlob(t, sourceOnly{src, b}, content.Range{})
	if !errors.Is(err, content.ErrNotFound) {
		t.Errorf("blob %s: got %d bytes, %v; want not found", b.Desc.Digest, len(got), err)
	}
}
