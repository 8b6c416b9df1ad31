package transfer

import (
	"testing"

	"github.com/wherry-dev/wherry/content"
)

// The chunk at a window's head has room wherever it begins, or who reads waits
// for ever.
func TestAChunkAtTheHeadHasRoom(t *testing.T) {
	const most = windowChunk + leastChunk - 1
	for _, head := range []int64{0, 1, pageBytes / 2, pageBytes - 1} {
		w := newWindow(&budget{}, head)
		if got := w.reserve(head, most); got != head+most {
			t.Errorf("at %d there is room for %d of %d bytes", head, got-head, int64(most))
		}
	}
}

// A lane that made room for what nobody read then must not take what another
// lane has left since: there is no room for that.
func TestNoChunkIsTakenBeforeItsRoom(t *testing.T) {
	w := newWork(content.Spans{{Len: 64 << 20}})
	first := w.takeSpan()
	w.cut(first, windowChunk)
	b := bid{size: windowChunk, from: w.first(), rate: unknownRate}
	b.limit = b.from + b.size
	w.leave(first)
	if c := w.take(b); c != nil {
		t.Errorf("a chunk at %d was taken with room from %d on", c.off, b.from)
	}
	b.from = w.first()
	if c := w.take(b); c == nil || c.off != 0 {
		t.Errorf("took %v, want what was left", c)
	}
}
