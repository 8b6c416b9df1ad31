package layout

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

func TestWhatOfAPartialFileIsTrusted(t *testing.T) {
	const size = 100
	spans := func(ends ...int64) content.Spans {
		var s content.Spans
		for i := 0; i < len(ends); i += 2 {
			s = s.Add(content.Range{Off: ends[i], Len: ends[i+1] - ends[i]})
		}
		return s
	}
	here := sight{size: 80, stamp: "s", lasting: true, boot: "b"}
	state := func(n note, hashed int64, stamp string) note {
		n.Hashed, n.State, n.Stamp = hashed, []byte("state"), stamp
		return n
	}
	holes := note{Listed: true, Spans: spans(0, 30, 50, 80), Boot: "b"}
	inOrder := note{Boot: "b", Safe: spans(0, 60)}
	elsewhere := func(n note) note { n.Boot = "a"; return n }
	tests := []struct {
		name   string
		note   note
		now    sight
		done   content.Spans
		hashed bool
		ok     bool
	}{
		{"no note: the length tells", note{}, here, spans(0, 80), false, true},
		{"no note, and the system is another", note{}, sight{size: 80, boot: "c"}, spans(0, 80), false, true},
		{"a file that is too long", note{}, sight{size: size + 1}, nil, false, false},
		{"a list", holes, here, spans(0, 30, 50, 80), false, true},
		{"a list that is behind", holes, sight{size: 90, boot: "b"}, spans(0, 30, 50, 80), false, true},
		{"a list of more than there is", holes, sight{size: 79, boot: "b"}, nil, false, false},
		{"a list of nothing", note{Listed: true, Boot: "b"}, here, nil, false, true},
		{"a list from before the power failed", elsewhere(holes), here, nil, false, true},
		{"a list that was made durable in part", note{Listed: true, Spans: spans(0, 80), Safe: spans(0, 20, 30, 40), Boot: "a"}, here, spans(0, 20, 30, 40), false, true},
		{"in order, further than what is durable", inOrder, here, spans(0, 80), false, true},
		{"in order, and the power failed", elsewhere(inOrder), here, spans(0, 60), false, true},
		{"in order, cut by a power failure", elsewhere(inOrder), sight{size: 50, boot: "b"}, nil, false, false},
		{"a state", state(holes, 30, "s"), here, spans(0, 30, 50, 80), true, true},
		{"a state of a file that has changed", state(holes, 30, "r"), here, spans(0, 30, 50, 80), false, true},
		{"a state where stamps prove nothing", state(holes, 30, "s"), sight{size: 80, stamp: "s", boot: "b"}, spans(0, 30, 50, 80), false, true},
		{"a state of more than lies in one piece", state(holes, 31, "s"), here, spans(0, 30, 50, 80), false, true},
		{"a state from before the power failed", elsewhere(state(holes, 30, "s")), here, nil, false, true},
		{"a state of what was made durable", elsewhere(state(inOrder, 60, "s")), here, spans(0, 60), true, true},
		{"a state of more than was made durable", elsewhere(state(inOrder, 61, "s")), here, spans(0, 60), false, true},
		{"a state, and nobody knows of reboots", state(note{}, 60, "s"), sight{size: 80, stamp: "s", lasting: true}, spans(0, 80), false, true},
		{"a durable state, and nobody knows of reboots", state(note{Safe: spans(0, 60)}, 60, "s"), sight{size: 80, stamp: "s", lasting: true}, spans(0, 80), true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			done, hashed, ok := tt.note.trusted(size, tt.now)
			if !slices.Equal(done, tt.done) || hashed != tt.hashed || ok != tt.ok {
				t.Errorf("trusted = %v, %t, %t; want %v, %t, %t", done, hashed, ok, tt.done, tt.hashed, tt.ok)
			}
		})
	}
}

// The state of the hash that is put beside a file that nobody changed counts: a
// false one shows, as it makes the right bytes wrong once. Of a file that was
// changed it does not.
func TestTheStateOfTheHashIsUsedWhileTheFileIsAsItWas(t *testing.T) {
	b := counted("", noise(7, 6<<20))
	const half = 5 << 20
	tests := []struct {
		name  string
		spoil func(t *testing.T, file string)
		opts  Options
		opens []int64
	}{
		{"as it was", func(*testing.T, string) {}, Options{}, []int64{0, half, 0}},
		{"touched", func(t *testing.T, file string) {
			t.Helper()
			change(t, file, func() error { return os.WriteFile(file, b.raw[:half], 0o644) })
		}, Options{}, []int64{0, half}},
		{"all is to be hashed", func(*testing.T, string) {}, Options{Deep: true}, []int64{0, half}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.opens = nil
			l := created(t)
			s := &scripted{b, []func([]byte) io.Reader{cut(half), right}}
			putWant(t, l, s, errCut)
			file := filepath.Join(l.disk.path, l.disk.partial(b.d.Digest))
			falsify(t, file+spansEnd, half)
			tt.spoil(t, file)
			putWant(t, closed(t)(tt.opts.Open(l.disk.path)), s, nil)
			if !slices.Equal(b.opens, tt.opens) {
				t.Errorf("opened at %d, want %d", b.opens, tt.opens)
			}
		})
	}
}

// falsify puts the state of other bytes in place of that of the first n.
func falsify(t *testing.T, file string, n int64) {
	t.Helper()
	was := noteIn(t, file)
	if was.Hashed != n || len(was.State) == 0 {
		t.Fatalf("the note is %+v", was)
	}
	sum := sha256.New()
	_, err := sum.Write(bytes.Repeat([]byte{1}, int(n)))
	state, serr := sum.(encoding.BinaryMarshaler).MarshalBinary()
	if err := errors.Join(err, serr); err != nil {
		t.Fatal(err)
	}
	was.State = state
	writeNote(t, file, was)
}

// After a power failure, which only the note of another boot tells of, what was
// made durable on the way is not asked for again.
func TestOfABigBlobSomeIsSafeOnTheWay(t *testing.T) {
	const safeEvery, cutAt = 1 << 20, 19 << 19
	b := counted("", noise(7, 11*safeEvery))
	l := created(t)
	l.disk.safeEvery = safeEvery
	s := &scripted{b, []func([]byte) io.Reader{cut(cutAt), right}}
	putWant(t, l, s, errCut)
	file := filepath.Join(l.disk.path, l.disk.partial(b.d.Digest)) + spansEnd
	n := noteIn(t, file)
	n.Boot = "before"
	writeNote(t, file, n)
	putWant(t, closed(t)(Open(l.disk.path)), s, nil)
	if again := b.opens[1]; again < cutAt-3*safeEvery || again > cutAt {
		t.Errorf("opened at %d, want at what was safe of %d", again, cutAt)
	}
}

// What a power failure left is all that the next one is known to leave too: what
// was written since, and not made durable, is no part of it.
func TestWhatWasWrittenAfterAPowerFailureIsNotSafe(t *testing.T) {
	const safe, cutAt = 5 << 20, 11 << 19
	b := counted("", noise(7, 6<<20))
	l := created(t)
	s := &scripted{b, []func([]byte) io.Reader{cut(safe), cut(cutAt), right}}
	putWant(t, l, s, errCut)
	file := filepath.Join(l.disk.path, l.disk.partial(b.d.Digest)) + spansEnd
	writeNote(t, file, note{Safe: content.Spans{{Len: safe}}, Boot: "before"})
	putWant(t, closed(t)(Open(l.disk.path)), s, errCut)
	if got := noteIn(t, file).Safe; !slices.Equal(got, content.Spans{{Len: safe}}) {
		t.Errorf("safe is %v, want the first %d bytes", got, safe)
	}
}

// noteIn reads a note, and writeNote writes one.
func noteIn(t *testing.T, file string) (n note) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !unpackNote(raw, &n) {
		t.Fatalf("the note is %s", raw)
	}
	return n
}

func writeNote(t *testing.T, file string, n note) {
	t.Helper()
	raw, err := packNote(n, 0)
	if err := errors.Join(err, os.WriteFile(file, raw, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestANoteThatIsTornIsNone(t *testing.T) {
	long := note{Listed: true, Spans: content.Spans{{Len: 10}, {Off: 20, Len: 10}}}
	raw, err := packNote(long, 0)
	if err != nil {
		t.Fatal(err)
	}
	over, err := packNote(note{Listed: true}, len(raw))
	var n note
	if err != nil || len(over) != len(raw) || !unpackNote(over, &n) || len(n.Spans) > 0 {
		t.Errorf("written over a longer one it is %q, %v", over, err)
	}
	for at := range len(raw) {
		torn := append(bytes.Clone(over[:at]), raw[at:]...)
		if !bytes.Equal(torn, raw) && !bytes.Equal(torn, over) && unpackNote(torn, &n) {
			t.Errorf("torn at %d: %q counts", at, torn)
		}
	}
}
