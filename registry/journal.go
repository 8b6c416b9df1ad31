package registry

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

const (
	// What is sent sooner than both costs less to send again than to note.
	noteAfter = time.Second
	noteFrom  = 4 << 20

	leastNoted = 1 << 20 // bytes of a blob that is ever noted
	mostStates = 32      // of a hash: a registry lacks what was on its way, some MiB

	// What a process that was killed had handed to its system goes on arriving.
	arriving   = 10 * time.Second
	mostSettle = 10 // looks until it has
)

// A trail notes in the client's journal where an upload stands, so that the next
// process can go on with it. Only sessions at the host's own origin are noted,
// and none whose URL may hold a secret beside the state of the session.
type trail struct {
	journal content.Journal // nil is none
	key     string
	size    int64
	log     *slog.Logger

	mu      sync.Mutex
	session string    // "" while there is none that may be noted
	offset  int64     // confirmed by the registry
	begun   time.Time // the first session, or the last note
	noted   bool
	failed  bool // the journal takes nothing
}

// trail returns that of an upload of d.
func (r *Repository) trail(d ocispec.Descriptor) *trail {
	t := &trail{key: "upload " + r.String() + "@" + d.Digest.String(), size: d.Size, log: r.host.client.log()}
	if d.Size >= leastNoted {
		t.journal = r.host.client.Journal
	}
	return t
}

// load returns what an earlier process noted.
func (t *trail) load() (content.Record, bool) {
	if t.journal == nil {
		return content.Record{}, false
	}
	record, found := t.journal.Load(t.key)
	if found && record.Size != t.size {
		t.drop()
		return content.Record{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noted, t.begun = found, time.Now()
	return record, found
}

// lead says where the session is, "" that there is none to be noted.
func (t *trail) lead(session string, offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.session, t.offset = session, offset
	if t.begun.IsZero() {
		t.begun = time.Now()
	}
}

// confirm says how many bytes the registry has for sure.
func (t *trail) confirm(offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offset = offset
}

// pass is told by the source of each mark it makes.
func (t *trail) pass(pos int64, marks []mark) {
	if t.journal == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.begun) >= noteAfter || !t.noted && pos >= noteFrom {
		t.note(marks)
	}
}

// note saves a record. The caller holds t.mu.
func (t *trail) note(marks []mark) {
	if t.session == "" || t.failed {
		return
	}
	record := content.Record{Session: t.session, Size: t.size, Offset: t.offset, Saved: time.Now().UTC()}
	for _, m := range marks[max(0, len(marks)-mostStates):] {
		if m.off > 0 {
			record.Hash = append(record.Hash, content.HashState{Offset: m.off, State: m.state})
		}
	}
	if err := t.journal.Save(t.key, record); err != nil {
		t.failed = true
		t.log.Debug("where an upload stands is not noted", "upload", t.key, "error", err)
		return
	}
	t.noted, t.begun = true, time.Now()
}

// keep notes where the upload ends for now, if it was worth a note before. It
// reports whether the next process can go on.
func (t *trail) keep(marks []mark) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.noted {
		t.note(marks)
	}
	return t.noted && t.session != "" && !t.failed
}

// drop forgets the upload.
func (t *trail) drop() {
	if t.journal == nil {
		return
	}
	t.mu.Lock()
	t.session, t.noted = "", false
	t.mu.Unlock()
	if err := t.journal.Drop(t.key); err != nil {
		t.log.Debug("where an upload stood is not forgotten", "upload", t.key, "error", err)
	}
}

// sessionQuery are the parameters of session URLs that are known to be the state
// of the session: whoever has it must still prove who he is to write there.
// Others may be what proves that.
var sessionQuery = []string{"_state", "_nouploadcache"}

// notable returns the session's URL, "" where it may not be written down.
func (u *upload) notable() string {
	h := u.repo.host
	if h.client.Journal == nil || u.at == nil || u.away || !h.owns(u.at) || u.at.User != nil {
		return ""
	}
	for name := range u.at.Query() {
		if !slices.Contains(sessionQuery, name) {
			return ""
		}
	}
	session := u.at.String()
	if h.secrets.mask(session) != session {
		return ""
	}
	return session
}

// resume goes on with the session that an earlier process left, if the registry
// still has it. It is an upload's second step, after a mount that may have opened
// another session.
func (u *upload) resume(ctx context.Context) error {
	record, found := u.trail.load()
	if !found {
		return nil
	}
	opened, away := u.at, u.away
	if !u.enter(record) {
		u.trail.drop()
		return nil
	}
	err := u.settle(ctx, record.Saved)
	if context.Cause(ctx) != nil {
		return err
	}
	if err == nil && u.at != nil && (u.off > 0 || opened == nil) {
		u.abandon(ctx, opened, away)
		u.source.adopt(record.Hash)
		u.repo.host.client.log().InfoContext(ctx, "an upload goes on where an earlier run left it",
			"repository", u.repo.String(), "digest", u.desc.Digest.String(), "offset", u.off, "size", u.desc.Size)
		return nil
	}
	u.trail.drop()
	u.at, u.away, u.off = opened, away, 0
	u.trail.lead(u.notable(), 0)
	return nil
}

// settle asks the session where it stands. One that was noted only just now is
// asked until it stands still: two who write there would spoil it.
func (u *upload) settle(ctx context.Context, noted time.Time) error {
	err := u.ask(ctx, nil)
	for range mostSettle {
		stood := u.off
		if err != nil || u.at == nil || time.Since(noted) > arriving {
			return err
		}
		if err := httpx.Wait(ctx, u.repo.host.client.backoff()); err != nil {
			return err
		}
		if err = u.ask(ctx, nil); u.off == stood {
			return err
		}
	}
	return err
}

// enter takes the session of a record. It must be where credentials may go.
func (u *upload) enter(record content.Record) bool {
	h := u.repo.host
	policy := httpx.Policy{Kind: httpx.UploadLocation, From: h.url("", nil), Reach: h.reachable()}
	named, err := policy.Decide(record.Session)
	if err != nil || !named.Trusted {
		return false
	}
	u.at, u.away, u.off = named.URL, false, record.Offset
	u.trail.lead(u.notable(), u.off)
	return true
}

// lose is for a session that the registry has not any more.
func (u *upload) lose() {
	u.at = nil
	u.trail.lead("", 0)
}

// leave ends an upload that failed: where it pays, the next process goes on with
// its session; else nobody does.
func (u *upload) leave(ctx context.Context, err error) {
	if u.resumable(ctx, err) && u.trail.keep(u.source.made()) {
		return
	}
	u.cancel(ctx)
	u.trail.drop()
}

// resumable reports whether the session of an upload that failed for err is worth
// going on with: nothing that it has is known to be wrong, and nobody refused it.
func (u *upload) resumable(ctx context.Context, err error) bool {
	if u.at == nil || errors.Is(err, content.ErrCorrupt) {
		return false
	}
	return context.Cause(ctx) != nil || u.source.broken() != nil ||
		errors.Is(err, content.ErrUnavailable) || errors.Is(err, content.ErrRateLimited) || errors.Is(err, content.ErrUnauthorized)
}

// abandon gives a session up that is not used.
func (u *upload) abandon(ctx context.Context, at *url.URL, away bool) {
	if at == nil {
		return
	}
	other := &upload{repo: u.repo, desc: u.desc, at: at, away: away, trail: &trail{}}
	other.cancel(ctx)
}
