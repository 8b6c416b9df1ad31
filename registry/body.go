package registry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// body reads span off to end of a blob through as many answers as it takes.
type body struct {
	desc     ocispec.Descriptor
	off, end int64
	rc       io.ReadCloser // nil between two answers
	err      error         // why there is no more to read
	unsized  bool          // the answer does not say how long it is
	leave    func()        // tells the host that no more is read
	answers  func(Answer) bool

	failed  int           // tries in a row without a new byte
	short   int           // answers in a row that gave little
	got     int64         // bytes of this answer
	whole   bool          // ask for the whole blob: the host cannot give spans
	most    int           // tries in a row that may fail
	backoff time.Duration // of the first pause

	wait func(time.Duration) error
	note func(off int64, pause time.Duration, err error)  // told before the blob is asked for again
	get  func(rangeHeader string) (*http.Response, error) // asks for a span, for the whole where rangeHeader is empty
	fail func(*http.Response) error                       // turns an answer into an error and closes it
	page func(*http.Response) error                       // says that an answer is a web page

	ranges func(gives bool) // told whether the host gives spans
	strict bool             // an answer that is not the span that was asked for is of no use

	served func(n int64) // told of each n bytes that came
}

// little is less than an answer should give: where answers keep breaking after
// so few bytes, the host is given a rest in between.
const little = 256 << 10

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	for {
		if b.err != nil {
			return 0, b.err
		}
		if b.off == b.end {
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		n, err := b.rc.Read(p[:min(int64(len(p)), b.end-b.off)])
		b.off += int64(n)
		b.got += int64(n)
		if n > 0 {
			b.served(int64(n))
			b.failed = 0
			if b.off == b.end {
				b.err = b.finish()
				b.leave()
				return n, b.err
			}
			return n, nil // an error comes back with the next read
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		b.err = b.reopen(err)
	}
}

// finish looks for bytes after the last one of the blob, where the answer did
// not say how many it has.
func (b *body) finish() error {
	if !b.unsized || b.end != b.desc.Size {
		return nil
	}
	var one [1]byte
	if n, _ := io.ReadFull(b.rc, one[:]); n > 0 { // all that was asked for is here; how the rest fails is no matter
		return &content.MismatchError{Want: b.desc, Size: b.desc.Size + 1}
	}
	return nil
}

// Close implements [io.Closer].
func (b *body) Close() error {
	b.err = cmp.Or(b.err, http.ErrBodyReadAfterClose)
	defer b.leave()
	return b.drop()
}

// drop closes the answer that is being read.
func (b *body) drop() error {
	if b.rc == nil {
		return nil
	}
	rc := b.rc
	b.rc = nil
	return rc.Close()
}

// reopen asks for what is missing, after broken, until an answer can be read or
// the tries are used up.
func (b *body) reopen(broken error) error {
	for {
		if broken != nil {
			if err := b.rest(broken); err != nil {
				return err
			}
		}
		rc, err := b.ask()
		if err == nil {
			b.rc, b.got = rc, 0
			return nil
		}
		if !b.worthRetrying(err) {
			return err
		}
		broken = err
	}
}

// rest closes what broke and waits, longer the less there was of it.
func (b *body) rest(broken error) error {
	if b.rc != nil {
		_ = b.drop() // it is broken already
		if b.got < little {
			b.short++
		} else {
			b.short = 0
		}
	}
	b.failed++
	if b.failed >= b.most || httpx.IsPermanent(broken) {
		return fmt.Errorf("blob %s broke off at byte %d of %d: %w", b.desc.Digest, b.off, b.desc.Size, unavailable(broken))
	}
	pause := time.Duration(0)
	if n := max(b.failed, b.short) - 1; n > 0 {
		pause = httpx.Backoff(b.backoff, n)
	}
	b.note(b.off, pause, broken)
	return b.wait(pause)
}

// unavailable gives an error that has no class one.
func unavailable(err error) error {
	if slices.ContainsFunc(classes, func(c error) bool { return errors.Is(err, c) }) {
		return err
	}
	return fmt.Errorf("%w: %w", err, content.ErrUnavailable)
}

// A spanError is an answer that does not fit the span that was asked for: the
// host cannot give spans, and is asked for the whole blob.
type spanError struct{ reason string }

func (e *spanError) Error() string { return e.reason }

// Unwrap returns ErrUnavailable.
func (e *spanError) Unwrap() error { return content.ErrUnavailable }

// A skipError is an answer that broke off before the byte that was wanted.
type skipError struct{ err error }

func (e *skipError) Error() string { return "before the bytes that are missing: " + e.err.Error() }

// Unwrap returns what broke it.
func (e *skipError) Unwrap() error { return e.err }

// worthRetrying reports whether asking once more may help. What failed on its
// way was sent again already by those below.
func (b *body) worthRetrying(err error) bool {
	var (
		span *spanError
		skip *skipError
	)
	if errors.As(err, &skip) {
		return true
	}
	if errors.As(err, &span) {
		again := !b.whole && !b.strict
		b.whole = true
		return again
	}
	var answer *Error
	if !errors.As(err, &answer) || len(answer.Via) == 0 || !b.answers(AskForURL) {
		return false
	}
	switch answer.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		return true // a signed URL that ran out: the registry has a new one
	}
	return false
}

// ask makes one request for what is missing and returns a reader of it.
func (b *body) ask() (io.ReadCloser, error) {
	span := ""
	if !b.whole && (b.off > 0 || b.end < b.desc.Size) {
		span = fmt.Sprintf("bytes=%d-%d", b.off, b.end-1)
	}
	resp, err := b.get(span)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK && span != "" {
		b.ranges(false)
	}
	rc, err := b.accept(resp, span)
	if err != nil {
		_ = resp.Body.Close() // the answer is of no use
		if wrong, ok := errors.AsType[*spanError](err); ok && b.strict {
			err = fmt.Errorf("%w: %w", wrong, errors.ErrUnsupported)
		}
		return nil, err
	}
	return rc, nil
}

// accept checks that an answer is what was asked for, before a byte of it is
// read: span, or the whole blob where that is empty.
func (b *body) accept(resp *http.Response, span string) (io.ReadCloser, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return b.acceptWhole(resp)
	case http.StatusPartialContent:
		if span == "" {
			return nil, &spanError{"a span was given where the whole blob was asked for"}
		}
		return b.acceptSpan(resp)
	case http.StatusRequestedRangeNotSatisfiable:
		if span != "" {
			return nil, &spanError{"the host does not have the span that was asked for"}
		}
	}
	return nil, b.fail(resp)
}

// acceptSpan is strict: a span that begins elsewhere would be spliced into the
// blob at the wrong place (RFC 9110 §15.3.7). A shorter one is fine.
func (b *body) acceptSpan(resp *http.Response) (io.ReadCloser, error) {
	got, err := parseContentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return nil, &spanError{err.Error()}
	}
	if resp.Header.Get("Content-Encoding") != "" && resp.Header.Get("Content-Encoding") != "identity" {
		return nil, &spanError{"a span was given in another encoding"}
	}
	if got.first != b.off || got.last >= b.end || got.total != b.desc.Size {
		return nil, &spanError{fmt.Sprintf("asked for bytes %d-%d of %d, got %d-%d of %d", b.off, b.end-1, b.desc.Size, got.first, got.last, got.total)}
	}
	n := got.last - got.first + 1
	if resp.ContentLength >= 0 && resp.ContentLength != n {
		return nil, &spanError{fmt.Sprintf("a span of %d bytes was given as %d", n, resp.ContentLength)}
	}
	b.unsized = false
	b.ranges(true)
	return limitBody(resp.Body, n), nil
}

// acceptWhole takes an answer with the whole blob and goes to the byte wanted.
// Hosts may ignore a Range (RFC 9110 §14.2).
func (b *body) acceptWhole(resp *http.Response) (io.ReadCloser, error) {
	rc := resp.Body
	length := resp.ContentLength
	if resp.Header.Get("Content-Encoding") == "gzip" { // a proxy's idea
		unzipped, err := gzip.NewReader(rc)
		if err != nil {
			return nil, fmt.Errorf("blob %s is not the gzip its answer says it is: %w: %w", b.desc.Digest, err, content.ErrUnavailable)
		}
		rc, length = replaceReader(rc, unzipped), -1
	}
	rc, paged := b.isPage(resp, rc, length)
	if paged {
		return nil, b.page(resp)
	}
	if length >= 0 && length != b.desc.Size {
		return nil, &content.MismatchError{Want: b.desc, Size: length}
	}
	b.unsized = length < 0
	if b.off == 0 {
		return rc, nil
	}
	if b.strict || !b.answers(SkipToRange) {
		return nil, &spanError{"the whole blob was given where a span was asked for"}
	}
	if _, err := io.CopyN(io.Discard, rc, b.off); err != nil {
		return nil, &skipError{err}
	}
	return rc, nil
}

// isPage reports whether an answer that says it is HTML is a web page in place of
// the blob, and returns what there is to read still. Blobs may be HTML too: what
// has the blob's length is the blob, and what has no length has to end elsewhere.
func (b *body) isPage(resp *http.Response, rc io.ReadCloser, length int64) (io.ReadCloser, bool) {
	const most = 64 << 10 // the pages of portals are smaller, or can be told as a blob that is wrong
	if mediaTypeOf(resp.Header) != "text/html" || length == b.desc.Size {
		return rc, false
	}
	if length >= 0 {
		return rc, true
	}
	start, err := io.ReadAll(io.LimitReader(rc, most))
	rest := replaceReader(rc, io.MultiReader(bytes.NewReader(start), rc)) // which fails again as it did
	n := int64(len(start))
	ends := err == nil && n < most
	return rest, isHTML(strings.TrimSpace(string(start[:min(n, 128)]))) && (n > b.desc.Size || ends && n < b.desc.Size)
}

type readCloser struct {
	io.Reader
	io.Closer
}

func limitBody(rc io.ReadCloser, n int64) io.ReadCloser { return readCloser{io.LimitReader(rc, n), rc} }

func replaceReader(rc io.ReadCloser, r io.Reader) io.ReadCloser { return readCloser{r, rc} }
