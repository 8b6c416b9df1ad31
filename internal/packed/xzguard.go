package packed

import (
	"bytes"
	"fmt"
	"io"

	"github.com/wherry-dev/wherry/content"
)

// maxDictionary is what xz -9 uses. A decoder allocates what a block asks for.
const maxDictionary = 64 << 20

// Sizes in an xz file (https://tukaani.org/xz/xz-file-format-1.0.4.txt).
const (
	xzMagic  = 4  // looked at first: a stream begins, or four bytes of padding
	xzHeader = 12 // of a stream; the magic is a part of it
	xzFooter = 12
	xzCRC    = 4
)

// An xzGuard passes an xz file on and reads along, ahead of the decoder, which
// would allocate any dictionary a block asks for. It refuses only large
// dictionaries; whatever else is wrong, the decoder finds.
type xzGuard struct {
	r     io.Reader
	skip  int64 // bytes that do not matter
	want  int   // then, bytes that step wants at once
	got   []byte
	step  func(*xzGuard, []byte) error
	check int64 // bytes of a block's check
	block int64 // bytes of the current block or index, for its padding
	ints  int64 // numbers of the index still to come; -1 while their count is read
	shift uint
	lost  bool // not understood: the decoder will say what is wrong
}

func (g *xzGuard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if ferr := g.feed(p[:n]); ferr != nil {
		return 0, ferr
	}
	return n, err
}

func (g *xzGuard) feed(p []byte) error {
	for len(p) > 0 && !g.lost {
		if g.skip > 0 {
			n := min(g.skip, int64(len(p)))
			g.skip -= n
			p = p[n:]
			continue
		}
		n := min(g.want-len(g.got), len(p))
		g.got = append(g.got, p[:n]...)
		p = p[n:]
		if len(g.got) < g.want {
			continue
		}
		got := g.got
		g.got = nil
		if err := g.step(g, got); err != nil {
			return err
		}
	}
	return nil
}

// next passes over skip bytes, then gives the next want bytes to step.
func (g *xzGuard) next(skip int64, want int, step func(*xzGuard, []byte) error) {
	g.skip, g.want, g.step = skip, want, step
}

func (g *xzGuard) start(b []byte) error {
	if bytes.Equal(b, []byte{0, 0, 0, 0}) {
		g.next(0, xzMagic, (*xzGuard).start)
		return nil
	}
	g.next(0, xzHeader-xzMagic, (*xzGuard).header)
	return nil
}

// header has the rest of a stream header: the second of its two flag bytes tells the check.
func (g *xzGuard) header(b []byte) error {
	sizes := [...]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	g.check = sizes[b[3]&0x0f]
	g.next(0, 1, (*xzGuard).blockOrIndex)
	return nil
}

func (g *xzGuard) blockOrIndex(b []byte) error {
	if b[0] == 0 {
		g.block, g.ints, g.shift = 1, -1, 0
		g.next(0, 1, (*xzGuard).number)
		return nil
	}
	g.block = 0
	g.next(0, 4*int(b[0])+3, (*xzGuard).blockHeader)
	return nil
}

// blockHeader has a block header without its first byte: flags, sizes that may
// be there, one filter.
func (g *xzGuard) blockHeader(b []byte) error {
	flags, at := b[0], 1
	for _, flag := range []byte{0x40, 0x80} {
		for flags&flag != 0 && at < len(b) {
			at++
			if b[at-1]&0x80 == 0 {
				break
			}
		}
	}
	const lzma2, one = 0x21, 1
	if flags&3 != 0 || at+3 > len(b) || b[at] != lzma2 || b[at+1] != one {
		g.lost = true
		return nil
	}
	if size := dictionary(b[at+2]); size > maxDictionary {
		return fmt.Errorf("dictionary of %d bytes, more than %d: %w", size, int64(maxDictionary), content.ErrInvalid)
	}
	g.next(0, 1, (*xzGuard).chunk)
	return nil
}

// dictionary decodes the property byte of an LZMA2 filter.
func dictionary(b byte) int64 {
	if b >= 40 {
		return 1<<32 - 1
	}
	return int64(2|b&1) << (b/2 + 11)
}

// chunk has the control byte of an LZMA2 chunk.
func (g *xzGuard) chunk(b []byte) error {
	g.block++
	switch control := b[0]; {
	case control == 0:
		g.next(-g.block&3+g.check, 1, (*xzGuard).blockOrIndex)
	case control <= 2:
		g.next(0, 2, (*xzGuard).rawChunk)
	case control >= 0xc0:
		g.block++ // the properties
		g.next(0, 4, (*xzGuard).newChunk)
	case control >= 0x80:
		g.next(0, 4, (*xzGuard).packedChunk)
	default:
		g.lost = true
	}
	return nil
}

func (g *xzGuard) rawChunk(b []byte) error { return g.data(2, int64(b[0])<<8+int64(b[1])+1) }

func (g *xzGuard) packedChunk(b []byte) error { return g.data(4, int64(b[2])<<8+int64(b[3])+1) }

func (g *xzGuard) newChunk(b []byte) error {
	err := g.packedChunk(b)
	g.skip++
	return err
}

func (g *xzGuard) data(header, size int64) error {
	g.block += header + size
	g.next(size, 1, (*xzGuard).chunk)
	return nil
}

// number has one byte of a number of the index: first how many records follow,
// then two for each.
func (g *xzGuard) number(b []byte) error {
	g.block++
	if g.ints < 0 && g.shift < 56 {
		g.ints -= int64(b[0]&0x7f) << g.shift
		g.shift += 7
	}
	g.next(0, 1, (*xzGuard).number)
	if b[0]&0x80 != 0 {
		return nil
	}
	if g.ints < 0 {
		g.ints = 2 * (-1 - g.ints)
	} else {
		g.ints--
	}
	if g.ints == 0 {
		g.next(-g.block&3+xzCRC+xzFooter, xzMagic, (*xzGuard).start)
	}
	return nil
}
