package content_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

func TestSpansAreASetOfBytes(t *testing.T) {
	const size = 40
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var s content.Spans
		var have [size]bool
		for range rnd.IntN(12) {
			off := rnd.Int64N(size)
			n := rnd.Int64N(size - off + 1)
			s = s.Add(content.Range{Off: off, Len: n})
			for i := off; i < off+n; i++ {
				have[i] = true
			}
		}
		if want := spansOf(have[:], true); !slices.Equal(s, want) {
			t.Fatalf("got %v, want %v", s, want)
		}
		if want := spansOf(have[:], false); !slices.Equal(s.Missing(size), want) {
			t.Fatalf("missing of %v: got %v, want %v", s, s.Missing(size), want)
		}
		if s.Bytes()+s.Missing(size).Bytes() != size {
			t.Fatalf("%v has %d bytes, %d are missing", s, s.Bytes(), s.Missing(size).Bytes())
		}
		if !s.Within(size) {
			t.Fatalf("%v is not within %d", s, size)
		}
	}
}

// spansOf returns where have is want.
func spansOf(have []bool, want bool) content.Spans {
	var s content.Spans
	for i, h := range have {
		switch last := len(s) - 1; {
		case h != want:
		case last >= 0 && s[last].Off+s[last].Len == int64(i):
			s[last].Len++
		default:
			s = append(s, content.Range{Off: int64(i), Len: 1})
		}
	}
	return s
}

func TestSpansOfAFileAreLookedAt(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    content.Spans
		want bool
	}{
		{"none", nil, true},
		{"all", content.Spans{{Off: 0, Len: 10}}, true},
		{"two", content.Spans{{Off: 0, Len: 3}, {Off: 4, Len: 6}}, true},
		{"that touch", content.Spans{{Off: 0, Len: 3}, {Off: 3, Len: 3}}, false},
		{"out of order", content.Spans{{Off: 4, Len: 3}, {Off: 0, Len: 2}}, false},
		{"of no length", content.Spans{{Off: 4}}, false},
		{"before the start", content.Spans{{Off: -1, Len: 3}}, false},
		{"past the end", content.Spans{{Off: 8, Len: 3}}, false},
		{"of more than any blob has", content.Spans{{Off: 8, Len: 1<<63 - 1}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.Within(10); got != tt.want {
				t.Errorf("%v within 10: %t", tt.s, got)
			}
		})
	}
}

func TestSpansThatCanBeAdded(t *testing.T) {
	type spans = [][2]int64 // offset and length
	tests := []struct {
		name string
		have spans
		add  [2]int64
		want spans
	}{
		{"the first", nil, [2]int64{5, 5}, spans{{5, 5}}},
		{"nothing", spans{{5, 5}}, [2]int64{1, 0}, spans{{5, 5}}},
		{"before", spans{{5, 5}}, [2]int64{1, 2}, spans{{1, 2}, {5, 5}}},
		{"behind", spans{{5, 5}}, [2]int64{20, 2}, spans{{5, 5}, {20, 2}}},
		{"between", spans{{0, 1}, {9, 1}}, [2]int64{4, 2}, spans{{0, 1}, {4, 2}, {9, 1}}},
		{"right before", spans{{5, 5}}, [2]int64{3, 2}, spans{{3, 7}}},
		{"right behind", spans{{5, 5}}, [2]int64{10, 2}, spans{{5, 7}}},
		{"filling a hole", spans{{0, 4}, {6, 4}}, [2]int64{4, 2}, spans{{0, 10}}},
		{"within", spans{{0, 10}}, [2]int64{4, 2}, spans{{0, 10}}},
		{"around all", spans{{1, 1}, {3, 1}, {5, 1}}, [2]int64{0, 9}, spans{{0, 9}}},
		{"over two of three", spans{{1, 1}, {3, 1}, {15, 1}}, [2]int64{2, 8}, spans{{1, 9}, {15, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got content.Spans
			for _, s := range append(tt.have, tt.add) {
				got = got.Add(content.Range{Off: s[0], Len: s[1]})
			}
			var pairs spans
			for _, s := range got {
				pairs = append(pairs, [2]int64{s.Off, s.Len})
			}
			if !slices.Equal(pairs, tt.want) {
				t.Errorf("%v and %v are %v, want %v", tt.have, tt.add, pairs, tt.want)
			}
		})
	}
}
