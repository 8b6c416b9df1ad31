package layout

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

const (
	// noteEvery is how many new bytes of a file with holes may be forgotten when
	// the process is killed.
	noteEvery = 1 << 20

	// worthKeeping is how many hashed bytes it takes for the state of the hash to
	// be kept.
	worthKeeping = 4 << 20
)

// A note is what is known of a partial file and its length does not tell. It
// lies beside it. The zero note is that of a file that was written from its
// start on in this boot.
type note struct {
	Listed bool          `json:"listed,omitempty"` // else the file has no holes, and its length tells what is there
	Spans  content.Spans `json:"spans,omitempty"`  // that are there
	Safe   content.Spans `json:"safe,omitempty"`   // that are there after a power failure too
	Boot   string        `json:"boot,omitempty"`   // of the system, in which the note was written; empty where that is not known

	// The state of the hash of the first Hashed bytes, while the file had Stamp.
	Hashed int64  `json:"hashed,omitempty"`
	State  []byte `json:"state,omitempty"`
	Stamp  string `json:"stamp,omitempty"`
}

// A sight is how a partial file is found.
type sight struct {
	size    int64
	stamp   string
	lasting bool   // the stamp tells one content from another
	boot    string // of the system; empty where it is not known
}

// trusted returns what of a file of a blob of size bytes can be relied on: the
// spans that are there, and whether the state of the hash is that of its bytes.
// What the kernel was given it has as long as the machine runs, whatever becomes
// of the process; after that only what was made durable counts. Wrong spans cost
// a second reading in the end. A wrong state would cost the proof, so that the
// file must be as it was, to the last change of its inode. ok is false where
// nothing counts.
func (n note) trusted(size int64, now sight) (done content.Spans, hashed, ok bool) {
	if now.size > size {
		return nil, false, false
	}
	done = n.Spans
	if !n.Listed {
		done = content.Spans{}.Add(content.Range{Len: now.size})
	}
	rebooted := n.Boot != "" && n.Boot != now.boot
	if rebooted {
		done = n.Safe
	}
	if !done.Within(now.size) || !n.Safe.Within(now.size) {
		return nil, false, false
	}
	state := content.Range{Len: n.Hashed}
	proven := n.Boot != "" && !rebooted || covers(n.Safe, state)
	hashed = n.Hashed > 0 && proven && covers(done, state) && now.lasting && n.Stamp == now.stamp
	return done, hashed, true
}

// covers reports whether all of r is in s.
func covers(s content.Spans, r content.Range) bool {
	for _, have := range s {
		if have.Off <= r.Off && r.Off+r.Len <= have.Off+have.Len {
			return true
		}
	}
	return false
}

// takeUp looks at what lies in the file and beside it.
func (p *partial) takeUp() error {
	fi, err := p.f.Stat()
	if err != nil {
		return p.fail("read", err)
	}
	n, ok := p.readNote()
	now := sight{size: fi.Size(), boot: durable.Boot()}
	now.stamp, now.lasting = durable.Stamp(fi)
	done, hashed, trusted := n.trusted(p.d.Size, now)
	if !ok || !trusted {
		return p.empty()
	}
	p.done, p.safe, p.listed = done, slices.Clone(n.Safe), n.Listed // done may be n.Safe, and grows in place
	if hashed && !p.k.opts.Deep && restore(p.sum, n.State) {
		p.hashed = n.Hashed
	}
	if !p.listed && p.head() < now.size {
		return p.fail("write", p.f.Truncate(p.head()))
	}
	return nil
}

// restore makes sum go on from state.
func restore(sum any, state []byte) bool {
	s, ok := sum.(encoding.BinaryUnmarshaler)
	return ok && s.UnmarshalBinary(state) == nil
}

// readNote returns the zero note where there is none, and where none was written
// into the file yet. One that cannot be read is worth nothing.
func (p *partial) readNote() (n note, ok bool) {
	raw, err := p.k.read(p.noteFile(), 1<<20)
	if errors.Is(err, content.ErrNotFound) || err == nil && len(raw) == 0 {
		return note{}, true
	}
	return n, err == nil && unpackNote(raw, &n)
}

// A note is written over the one before, which takes no more than a copy in
// memory: as long as the machine runs, one that fits into a page is never torn.
// The sum before it tells of others.
func packNote(n note, least int) ([]byte, error) {
	raw, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	raw = append(fmt.Appendf(nil, "%08x ", crc32.ChecksumIEEE(raw)), raw...)
	return append(raw, bytes.Repeat([]byte{' '}, max(0, least-len(raw)))...), nil
}

func unpackNote(raw []byte, n *note) bool {
	sum, raw, ok := bytes.Cut(raw, []byte{' '})
	raw = bytes.TrimRight(raw, " ")
	return ok && string(sum) == fmt.Sprintf("%08x", crc32.ChecksumIEEE(raw)) && json.Unmarshal(raw, n) == nil
}

// note writes down what is there. The caller holds mu.
func (p *partial) note() error { return p.write(p.current()) }

// write writes n over the note that is there. The caller holds mu.
func (p *partial) write(n note) error {
	if err := p.openNote(); err != nil {
		return err
	}
	raw, err := packNote(n, p.noted)
	if err != nil {
		return err
	}
	if _, err := p.notes.WriteAt(raw, 0); err != nil {
		return p.k.fail("write", p.noteFile(), err)
	}
	p.since, p.noted = 0, len(raw)
	return nil
}

// openNote opens the file of the note, which is made where there is none of ours.
func (p *partial) openNote() error {
	if p.notes != nil {
		return nil
	}
	f, err := openOwn(p.k.root, p.noteFile())
	if err != nil {
		return p.k.fail("open", p.noteFile(), err)
	}
	fi, err := f.Stat()
	if err != nil {
		return errors.Join(p.k.fail("read", p.noteFile(), err), f.Close())
	}
	p.notes, p.noted = f, int(fi.Size())
	return nil
}

// save makes what is there durable, and a note of it. Of a full disk those hear
// who write.
func (p *partial) save() error {
	p.mu.Lock()
	done := slices.Clone(p.done)
	p.unsafe = 0
	p.mu.Unlock()
	if err := p.f.Sync(); err != nil {
		return p.fail("write", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.safe = done
	err := p.note()
	if err == nil {
		err = p.k.fail("write", p.noteFile(), errors.Join(p.notes.Sync(), durable.SyncDir(p.k.root, partialDir)))
	}
	if errors.Is(err, content.ErrNoSpace) {
		return nil
	}
	return err
}

func (p *partial) current() note {
	n := note{Listed: p.listed, Safe: p.safe, Boot: durable.Boot()}
	if p.listed {
		n.Spans = p.done
	}
	return n
}

// noteEnd is note when nobody writes any more: what was hashed then stands for
// the file as it is. A full disk leaves the note that is there. The caller holds
// mu.
func (p *partial) noteEnd() error {
	n := p.current()
	sum, ok := p.sum.(encoding.BinaryMarshaler)
	if ok && !p.stale && p.hashed >= worthKeeping {
		fi, err := p.f.Stat()
		if err != nil {
			return p.fail("read", err)
		}
		if n.State, err = sum.MarshalBinary(); err != nil {
			return err
		}
		n.Hashed = p.hashed
		n.Stamp, _ = durable.Stamp(fi)
	}
	if !n.Listed && n.Hashed == 0 {
		return nil
	}
	if err := p.write(n); !errors.Is(err, content.ErrNoSpace) {
		return err
	}
	return nil
}

// closeNote closes the file of the note.
func (p *partial) closeNote() error {
	if p.notes == nil {
		return nil
	}
	err := p.notes.Close()
	p.notes = nil
	return p.k.fail("close", p.noteFile(), err)
}

func (p *partial) removeNote() error {
	if err := p.closeNote(); err != nil {
		return err
	}
	name := p.noteFile()
	err := p.k.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return p.k.fail("remove", name, err)
}

func (p *partial) noteFile() string { return p.k.partial(p.d.Digest) + spansEnd }
