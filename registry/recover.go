package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
)

const (
	firstChunk = 16 << 20  // where a whole blob is too large for one request
	smallChunk = 4 << 20   // what one large registry takes
	leastChunk = 256 << 10 // where the registry's limit is not believed any more
)

// A lostChunkError is a chunk that the registry took and does not have.
type lostChunkError struct{ sent, has int64 }

func (e *lostChunkError) Error() string {
	return fmt.Sprintf("the registry has %d bytes after %d were sent", e.has, e.sent)
}

// Unwrap returns ErrUnavailable.
func (e *lostChunkError) Unwrap() error { return content.ErrUnavailable }

// recover decides what to do about err and brings the session to a known state.
// What cannot be helped is returned.
func (u *upload) recover(ctx context.Context, err error) error {
	var lost *lostChunkError
	status := statusOf(err)
	switch {
	case errors.As(err, &lost), u.off > 0 && errors.Is(err, errors.ErrUnsupported):
		return u.withoutChunks(ctx, err)
	case u.at == nil:
		return err // no session could be opened: that was tried often enough below
	case status == http.StatusNotFound:
		if e, ok := errors.AsType[*Error](err); ok {
			e.session = true
		}
		u.lose()
		return nil
	case status == http.StatusRequestEntityTooLarge:
		if !u.shrink(firstChunk) {
			return err
		}
	case status == http.StatusRequestedRangeNotSatisfiable:
		return u.outOfRange(ctx, err)
	case hasCode(err, "DIGEST_INVALID"):
		return u.startOver(err)
	case status == http.StatusUnauthorized && errors.Is(err, content.ErrUnauthorized) && u.refused != u.off+1:
		u.refused = u.off + 1 // the token ran out; the next request has a new one
		return nil
	case status != 0 && !u.repo.host.comesBack(status), status == 0 && !errors.Is(err, content.ErrUnavailable):
		return err
	}
	return u.ask(ctx, err)
}

// outOfRange is for a 416: the session stands elsewhere, or the registry takes no
// chunk that large.
func (u *upload) outOfRange(ctx context.Context, err error) error {
	if u.off == 0 && !u.shrink(smallChunk) {
		return u.beginAnew(ctx, err)
	}
	stood := u.off
	if err := u.ask(ctx, err); err != nil {
		return err
	}
	if 0 < stood && stood == u.off && stood < u.desc.Size {
		u.shrink(smallChunk) // where that is no use the next tries are the last
	}
	return nil
}

// shrink lowers the limit of what one request may carry, for all uploads to
// this host. It reports false when that was no use.
func (u *upload) shrink(first int64) bool {
	if !u.repo.host.answers(SendChunks) {
		return false
	}
	smaller := false
	u.repo.host.quirks.with(func(q *quirks) {
		limit := min(first, max(u.desc.Size/2, 1))
		if q.chunk > 0 {
			limit = min(limit, q.chunk/2)
		}
		if limit >= min(leastChunk, u.desc.Size) && !q.noChunks {
			q.chunk, smaller = limit, true
		}
	})
	return smaller
}

// withoutChunks is for registries that lose chunks or do not take them, which err
// is: from here on, blobs go there whole.
func (u *upload) withoutChunks(ctx context.Context, err error) error {
	if !u.repo.host.answers(SendWhole) {
		return err
	}
	u.repo.host.quirks.with(func(q *quirks) { q.noChunks, q.chunk = true, 0 })
	u.cancel(ctx)
	return nil
}

// beginAnew is for a session that does not stand at its beginning, although
// nothing was sent. The next one may; one that does not either is an error.
func (u *upload) beginAnew(ctx context.Context, err error) error {
	if u.anew || !u.repo.host.answers(BeginAnew) {
		return err
	}
	u.anew = true
	u.cancel(ctx)
	return nil
}

// startOver is for a blob that arrived changed, although all that was sent was right.
func (u *upload) startOver(err error) error {
	u.lose() // the registry has closed the session
	u.restarts++
	if u.restarts > 1 {
		return fmt.Errorf("blob %s did not arrive as it was sent: %w: %w", u.desc.Digest, content.ErrCorrupt, err)
	}
	return nil
}

// bodiesMemory is for how long what an earlier process learnt about the bodies of
// uploads is believed: limits are settings, and people change them.
const bodiesMemory = 7 * 24 * time.Hour

// learnBodies takes what earlier processes have learnt, once.
func (h *host) learnBodies() {
	h.quirks.with(func(q *quirks) {
		if !q.recalled {
			q.recalled, q.told = true, h.recallBodies()
			q.chunk, q.noChunks = q.told.chunk, q.told.noChunks
		}
	})
}

// bodies are what a host takes as the bodies of uploads.
type bodies struct {
	chunk    int64 // at most, 0 is any
	noChunks bool
}

func (h *host) recallBodies() bodies {
	what, known := content.Recall(h.client.Facts, "upload-bodies "+h.name, bodiesMemory)
	if !known {
		return bodies{}
	}
	if what == "whole" {
		return bodies{noChunks: true}
	}
	chunk, err := parseCount(strings.TrimPrefix(what, "chunks of "))
	if err != nil || chunk < leastChunk {
		return bodies{}
	}
	return bodies{chunk: chunk}
}

// rememberBodies tells the processes to come what an upload that went well has
// shown. A limit that only a blob smaller than the least chunk has met is no
// news: it may be that blob's.
func (h *host) rememberBodies() {
	var learnt, told bodies
	h.quirks.with(func(q *quirks) {
		learnt, told = bodies{q.chunk, q.noChunks}, q.told
		q.told = learnt
	})
	if learnt == told || 0 < learnt.chunk && learnt.chunk < leastChunk {
		return
	}
	what := "chunks of " + strconv.FormatInt(learnt.chunk, 10)
	if learnt.noChunks {
		what = "whole"
	}
	content.Learn(h.client.Facts, "upload-bodies "+h.name, what)
}
