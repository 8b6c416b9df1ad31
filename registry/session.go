package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/internal/outside"
)

// An upload is one blob on its way into a repository.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs
type upload struct {
	repo   *Repository
	desc   ocispec.Descriptor
	source *source
	trail  *trail

	at       *url.URL // the session; nil is none
	away     bool     // another host named it, or is to be asked: no credentials
	off      int64    // bytes the session has
	least    int64    // bytes a chunk must have, but for the last
	sessions int      // sessions opened
	restarts int      // times the registry found the bytes wrong at the end
	anew     bool     // began anew where not even the first bytes were welcome
	refused  int64    // the byte from which the last 401 came, plus one

	unmounted bool // another repository has the blob, and it could not be had from there
}

const (
	maxSessions = 4 // the first, and three for those that get lost
)

// run uploads until the blob is there. Where bytes of the source are wrong the
// next ones go to another session, from the start.
func (u *upload) run(ctx context.Context) error {
	defer u.source.drop()
	if err := u.resume(ctx); err != nil {
		return err
	}
	var err error
	again := false
	wrong := content.Reread(ctx, u.source.blob, func() error {
		if again {
			u.source.restart()
		}
		if err = u.finish(ctx); err != nil {
			u.leave(ctx, err)
		}
		again = true
		return u.source.broken() // what the registry made of right bytes is no reason to send them again
	})
	if err != nil && wrong != nil {
		return wrong // names whose bytes they were
	}
	return err
}

// finish sends and goes on with what broke, until the blob is there or as many
// tries in a row failed as the Client allows.
func (u *upload) finish(ctx context.Context) error {
	most := u.repo.host.client.retries()
	for failed := 0; ; {
		reached := u.off
		err := u.send(ctx)
		if err == nil {
			return nil
		}
		if broken := u.source.broken(); broken != nil {
			return broken
		}
		if context.Cause(ctx) != nil {
			return err
		}
		if err := u.recover(ctx, err); err != nil {
			return err
		}
		failed++
		if u.off > reached {
			failed = 0
		}
		if failed >= most {
			return fmt.Errorf("upload of %s stopped at byte %d of %d: %w", u.desc.Digest, u.off, u.desc.Size, err)
		}
		if err := u.rest(ctx, failed, err); err != nil {
			return err
		}
	}
}

// rest waits after failures in a row, unless the registry said what it wants instead.
func (u *upload) rest(ctx context.Context, failed int, err error) error {
	t := content.Retry{Desc: u.desc, Offset: u.off, Sends: true}
	if status := statusOf(err); failed == 0 || status != 0 && !httpx.IsTemporary(status) {
		u.repo.host.again(ctx, t, err)
		return nil
	}
	t.Wait = httpx.Backoff(u.repo.host.client.backoff(), failed)
	u.repo.host.again(ctx, t, err)
	return httpx.Wait(ctx, t.Wait)
}

// send sends what the session does not have and closes it.
func (u *upload) send(ctx context.Context) error {
	if err := u.open(ctx); err != nil {
		return err
	}
	if u.off == 0 && u.chunk() >= u.desc.Size {
		return u.close(ctx, u.desc.Size) // the whole blob in one request
	}
	for u.off < u.desc.Size {
		if err := u.patch(ctx, min(u.chunk(), u.desc.Size-u.off)); err != nil {
			return err
		}
	}
	return u.close(ctx, 0)
}

// chunk returns how many bytes one request may carry.
func (u *upload) chunk() int64 {
	var limit int64
	u.repo.host.quirks.with(func(q *quirks) { limit = q.chunk })
	if limit == 0 {
		return u.desc.Size
	}
	return max(limit, u.least)
}

// open makes sure that there is a session. The source's first byte comes first:
// a session that waits for it may run out.
func (u *upload) open(ctx context.Context) error {
	if u.at != nil {
		return nil
	}
	u.off = 0
	if err := u.source.seek(ctx, 0); err != nil {
		return err
	}
	if u.sessions == maxSessions {
		return fmt.Errorf("upload of %s: the registry lost %d upload sessions: %w", u.desc.Digest, u.sessions, content.ErrUnavailable)
	}
	resp, err := u.repo.host.do(ctx, call{method: http.MethodPost, path: u.repo.name + "/blobs/uploads/", scopes: u.repo.push()})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := u.repo.host.check(resp, http.StatusAccepted); err != nil {
		return err
	}
	return u.begin(resp)
}

// begin takes the session that an answer opened.
func (u *upload) begin(resp *http.Response) error {
	httpx.Drain(resp.Body)
	location := resp.Header.Get("Location")
	if location == "" {
		return fmt.Errorf("%s: the answer has no Location for the upload: %w", u.repo.host.locate(resp.Request), content.ErrUnavailable)
	}
	if err := u.goTo(location, resp.Request); err != nil {
		return err
	}
	u.off = 0
	u.sessions++
	if least, err := parseCount(resp.Header.Get("OCI-Chunk-Min-Length")); err == nil {
		u.least = least
	}
	return nil
}

// patch sends the next n bytes and takes the registry's word for how many it has.
func (u *upload) patch(ctx context.Context, n int64) error {
	header := http.Header{"Content-Range": {fmt.Sprintf("%d-%d", u.off, u.off+n-1)}}
	resp, err := u.stream(ctx, http.MethodPatch, u.at, n, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	taken := []int{http.StatusAccepted, http.StatusNoContent, http.StatusOK}
	if u.repo.host.answers(TakeCreated) {
		taken = append(taken, http.StatusCreated)
	}
	if err := u.repo.host.check(resp, taken...); err != nil {
		return err
	}
	httpx.Drain(resp.Body)
	has := u.off + n
	if r := resp.Header.Get("Range"); r != "" {
		has = parseSessionRange(r)
	}
	if has <= u.off || has > u.off+n {
		return &lostChunkError{sent: u.off + n, has: has}
	}
	u.off = has
	u.trail.confirm(has)
	return u.move(resp)
}

// close sends the last n bytes and the digest.
func (u *upload) close(ctx context.Context, n int64) error {
	at := *u.at
	at.RawQuery = strings.TrimPrefix(at.RawQuery+"&digest="+url.QueryEscape(u.desc.Digest.String()), "&")
	if n == 0 {
		if err := u.source.verified(); err != nil {
			return err
		}
	}
	resp, err := u.stream(ctx, http.MethodPut, &at, n, http.Header{})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := u.repo.host.check(resp, http.StatusCreated, http.StatusOK, http.StatusNoContent, http.StatusAccepted); err != nil {
		return err
	}
	httpx.Drain(resp.Body)
	if stated := resp.Header.Get(digestHeader); stated != "" && stated != u.desc.Digest.String() && strings.HasPrefix(stated, u.desc.Digest.Algorithm().String()+":") {
		stated = outside.Printable(u.repo.host.secrets.mask(stated), 160)
		return fmt.Errorf("the registry stored blob %s as %s: %w", u.desc.Digest, stated, content.ErrCorrupt)
	}
	return nil
}

// stream sends n bytes of the source, from byte u.off on.
func (u *upload) stream(ctx context.Context, method string, at *url.URL, n int64, header http.Header) (*http.Response, error) {
	const large = 1 << 20 // worth a round trip to hear of a refusal before the bytes are sent
	header.Set("Content-Type", "application/octet-stream")
	if n > large {
		header.Set("Expect", "100-continue")
	}
	req, err := u.repo.host.request(u.as(ctx), call{method: method, url: at, header: header, scopes: u.repo.push()})
	if err != nil {
		return nil, err
	}
	if n == 0 {
		req.Body = http.NoBody
		return u.repo.host.send(req)
	}
	if err := u.source.seek(ctx, u.off); err != nil {
		return nil, err
	}
	feed := u.source.feed(n)
	req.Body, req.ContentLength = feed, u.repo.host.told(n)
	resp, err := u.repo.host.send(req)
	if err != nil || resp.StatusCode/100 != 2 {
		feed.abort()
		return resp, err
	}
	feed.detach()
	return resp, nil
}

// ask asks the session where it stands, after err.
func (u *upload) ask(ctx context.Context, err error) error {
	resp, aerr := u.repo.host.do(u.as(ctx), call{method: http.MethodGet, url: u.at, scopes: u.repo.push()})
	if aerr != nil {
		return errors.Join(err, aerr)
	}
	switch resp.StatusCode {
	case http.StatusNoContent, http.StatusOK, http.StatusAccepted:
		httpx.Drain(resp.Body)
		u.off = parseSessionRange(resp.Header.Get("Range"))
		var whole bool
		u.repo.host.quirks.with(func(q *quirks) { whole = q.noChunks })
		if u.off == 0 || u.off <= u.desc.Size && !whole {
			u.trail.confirm(u.off)
			return u.move(resp)
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return errors.Join(err, u.repo.host.answerError(resp))
	default:
		httpx.Drain(resp.Body)
	}
	u.lose() // or it is of no use
	return nil
}

// cancel gives the session up. Nobody waits long for that, and nobody minds if
// it fails: sessions run out.
func (u *upload) cancel(ctx context.Context) {
	if u.at == nil {
		return
	}
	at := u.at
	u.off = 0
	u.lose()
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	resp, err := u.repo.host.do(httpx.Once(u.as(ctx)), call{method: http.MethodDelete, url: at, scopes: u.repo.push()})
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody)) // see above
	_ = resp.Body.Close()
}
