package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// What an archive may have. An image archive has two entries for each blob and
// a few more; a million empty ones are made by somebody with ill will.
const (
	maxEntries  = 1 << 17
	maxNames    = 16 << 20 // bytes of all names together
	maxName     = 4 << 10
	maxSize     = 1 << 50  // of one entry
	maxTail     = 16 << 20 // zeros after the end
	maxLinks    = 16       // links that lead to one file
	tarBlock    = 512
	sizeField   = 124 // offset of the size in a ustar header
	sizeDigits  = 12
	maxOctal    = 1<<33 - 1 // what eleven octal digits can say
	paxPath     = "path"
	paxLinkpath = "linkpath"
	paxSize     = "size"
	paxSparse   = "GNU.sparse."
)

// A tarKind is what becomes of an entry.
type tarKind uint8

const (
	tarRegular tarKind = iota + 1
	tarLink            // leads to another entry
	tarSparse          // has holes: its bytes are not those of the file
	tarOther           // folder, device, pipe
)

// A tarFile is an entry of a tar.
type tarFile struct {
	kind      tarKind
	off, size int64  // of a regular file
	link      string // cleaned, within the tar; "" leads out of it
}

// A tarIndex knows where the files of a tar are. Of files with the same name the
// last one counts, as it does for tar itself.
type tarIndex struct {
	files   map[string]tarFile
	twice   map[int64][]tarFile // by the offset of the last file of a name: the earlier ones
	ended   bool                // the end-of-archive marker was there
	entries int
	names   int   // bytes of all names
	end     int64 // of the last file's blocks
}

// indexTar reads r to its end. Where r can seek, files are passed over.
func indexTar(r io.Reader) (*tarIndex, error) {
	p := &tape{r: r}
	var source io.Reader = p
	if s, ok := r.(io.Seeker); ok {
		source = &seekTape{p, s}
	}
	t := &tarIndex{files: map[string]tarFile{}, twice: map[int64][]tarFile{}}
	tr := tar.NewReader(source)
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, t.broken(err, p)
		}
		if err := t.add(header, p); err != nil {
			return nil, err
		}
	}
	t.ended = p.pos >= t.end+tarBlock
	return t, tail(source)
}

// broken says what is wrong with a tar that archive/tar refused.
func (t *tarIndex) broken(err error, p *tape) error {
	switch {
	case p.err != nil:
		return classify(p.err)
	case t.entries == 0 && p.pos < tarBlock: // a tar has whole blocks: this is something else
		return fmt.Errorf("not a tar file: %w", content.ErrInvalid)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("it is cut off after %d entries: %w", t.entries, content.ErrCorrupt)
	case t.entries == 0:
		return fmt.Errorf("not a tar file: %w", content.ErrInvalid)
	}
	return fmt.Errorf("broken tar header after %d entries: %w: %w", t.entries, err, content.ErrInvalid)
}

// tail reads what is after the end: padding, nothing else. Two readers would
// see two different archives.
func tail(r io.Reader) error {
	buf := make([]byte, 32<<10)
	var seen int64
	for {
		n, err := r.Read(buf)
		if !zeros(buf[:n]) {
			return fmt.Errorf("there are bytes after the end of the archive: %w", content.ErrInvalid)
		}
		if seen += int64(n); seen > maxTail {
			return fmt.Errorf("more than %d bytes of padding after the end of the archive: %w", maxTail, content.ErrInvalid)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return classify(err)
		}
	}
}

func (t *tarIndex) add(h *tar.Header, p *tape) error {
	t.entries++
	t.names += len(h.Name) + len(h.Linkname)
	switch {
	case t.entries > maxEntries:
		return fmt.Errorf("more than %d entries: %w", maxEntries, content.ErrInvalid)
	case len(h.Name) > maxName || len(h.Linkname) > maxName:
		return fmt.Errorf("an entry's name has more than %d bytes: %w", maxName, content.ErrInvalid)
	case h.Size > maxSize:
		return fmt.Errorf("entry %q has %d bytes: %w", clip(h.Name), h.Size, content.ErrInvalid)
	case t.names > maxNames:
		return fmt.Errorf("the names of the entries have more than %d bytes: %w", maxNames, content.ErrInvalid)
	}
	if err := checkRecords(h, p.last); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, ok := clean(h.Name)
	if !ok {
		return fmt.Errorf("entry %q leads out of the archive: %w", clip(h.Name), content.ErrInvalid)
	}
	f := tarFile{kind: kindOf(h), off: p.pos, size: h.Size}
	t.end = f.off + (f.size+tarBlock-1)/tarBlock*tarBlock
	if f.kind == tarLink {
		f.link = target(name, h)
	}
	if old, ok := t.files[name]; ok && (old.kind != tarOther || f.kind != tarOther) {
		if old.kind != f.kind || old.link != f.link {
			return fmt.Errorf("entry %q stands there twice, as two different things: %w", clip(name), content.ErrInvalid)
		}
		t.twice[f.off] = append(t.twice[old.off], old)
		delete(t.twice, old.off)
	}
	t.files[name] = f
	return nil
}

// checkRecords refuses headers that two readers of tar understand differently:
// records for all entries that follow, which Go passes over and others obey,
// and two sizes for one entry.
func checkRecords(h *tar.Header, block [tarBlock]byte) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		for key := range h.PAXRecords {
			if key == paxPath || key == paxLinkpath || key == paxSize || strings.HasPrefix(key, paxSparse) {
				return fmt.Errorf("global header sets %q for all entries: %w", key, content.ErrInvalid)
			}
		}
		return nil
	}
	stated, ok := h.PAXRecords[paxSize]
	if !ok {
		return nil
	}
	size, err := strconv.ParseInt(stated, 10, 64)
	if err != nil {
		return fmt.Errorf("entry %q has size %q: %w", clip(h.Name), clip(stated), content.ErrInvalid)
	}
	octal := strings.Trim(string(block[sizeField:sizeField+sizeDigits]), " \x00")
	short, err := strconv.ParseInt(octal, 8, 64)
	if err == nil && short != 0 && short != size && size <= maxOctal {
		return fmt.Errorf("entry %q has two sizes, %d and %d: %w", clip(h.Name), short, size, content.ErrInvalid)
	}
	return nil
}

func kindOf(h *tar.Header) tarKind {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, paxSparse) {
			return tarSparse
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, '\x00':
		return tarRegular
	case tar.TypeLink, tar.TypeSymlink:
		return tarLink
	case tar.TypeGNUSparse:
		return tarSparse
	}
	return tarOther
}

// target returns where a link leads, within the tar; "" is out of it.
func target(name string, h *tar.Header) string {
	to := h.Linkname
	if h.Typeflag == tar.TypeSymlink && !path.IsAbs(to) {
		to = path.Dir(name) + "/" + to
	}
	to, ok := clean(to)
	if !ok {
		return ""
	}
	return to
}

// clean returns name as it is looked for: without a leading slash or ./. It is
// not ok where name leads out of the archive.
func clean(name string) (cleaned string, ok bool) {
	cleaned = path.Clean(strings.TrimLeft(name, "/"))
	return cleaned, cleaned != ".." && !strings.HasPrefix(cleaned, "../")
}

func (t *tarIndex) has(name string) bool {
	_, ok := t.files[name]
	return ok
}

// find returns the regular file called name, which is a clean one. A link is
// not followed.
func (t *tarIndex) find(name string) (tarFile, error) {
	f, ok := t.files[name]
	switch {
	case !ok:
		return f, t.missing(fmt.Errorf("%q is not in the archive: %w", clip(name), content.ErrNotFound))
	case f.kind == tarSparse:
		return f, fmt.Errorf("entry %q is sparse, which no image archive needs: %w", clip(name), content.ErrInvalid)
	case f.kind != tarRegular:
		return f, fmt.Errorf("entry %q is not a regular file: %w", clip(name), content.ErrInvalid)
	}
	return f, nil
}

// unique is find for a file that must be there once only.
func (t *tarIndex) unique(name string) (tarFile, error) {
	f, err := t.find(name)
	if err == nil && len(t.twice[f.off]) > 0 {
		return f, fmt.Errorf("%q stands there twice: %w", name, content.ErrInvalid)
	}
	return f, err
}

// follow is find for a name from manifest.json: what it names must be in the
// archive, maybe by way of links (before docker 1.10's ids were digests, docker
// saved the second copy of a layer as a link to the first).
func (t *tarIndex) follow(name string) (tarFile, error) {
	at, ok := clean(name)
	if !ok {
		return tarFile{}, fmt.Errorf("%q leads out of the archive: %w", clip(name), content.ErrInvalid)
	}
	for range maxLinks {
		f, ok := t.files[at]
		if !ok || f.kind != tarLink {
			f, err := t.find(at)
			if errors.Is(err, content.ErrNotFound) {
				err = t.missing(fmt.Errorf("%q is not in the archive: %w", clip(name), content.ErrInvalid))
			}
			return f, err
		}
		if f.link == "" {
			return f, fmt.Errorf("link %q leads out of the archive: %w", clip(at), content.ErrInvalid)
		}
		at = f.link
	}
	return tarFile{}, fmt.Errorf("%q is a link that leads to links in a circle: %w", clip(name), content.ErrInvalid)
}

// missing turns "it is not there" into "the archive is cut off" where that is
// why.
func (t *tarIndex) missing(err error) error {
	if t.ended {
		return err
	}
	return fmt.Errorf("the archive is cut off, it has no end marker; %v: %w", err, content.ErrCorrupt) //nolint:errorlint // its class no longer holds
}

// A tape reads a tar and knows where it is, and what the last block was: the
// header of the entry whose data come next.
type tape struct {
	r    io.Reader
	pos  int64
	last [tarBlock]byte
	err  error
}

func (p *tape) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.pos += int64(n)
	if n > 0 {
		at := copy(p.last[:], p.last[min(n, tarBlock):])
		copy(p.last[at:], b[max(0, n-tarBlock):n])
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}

// A seekTape lets archive/tar pass over the data of files.
type seekTape struct {
	*tape
	s io.Seeker
}

func (p *seekTape) Seek(offset int64, whence int) (int64, error) {
	pos, err := p.s.Seek(offset, whence)
	if err == nil {
		p.pos = pos
	}
	return pos, err
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
