package transfer

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"sync"

	"github.com/wherry-dev/wherry/content"
)

// shares are who gave what of a blob that came from several hosts.
type shares struct {
	mu  sync.Mutex
	all []*share
}

// A share is a span that one host gave.
type share struct {
	host   *replica
	off, n int64
	sum    maphash.Hash
}

// begin returns the share that begins with an answer of host.
func (s *shares) begin(host *replica, off int64) *share {
	sh := &share{host: host, off: off}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sh)
	return sh
}

// drain returns what was given since the last time.
func (s *shares) drain() []*share {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	return all
}

// share returns the share that begins with an answer of host, nil where there is
// no other to be told from.
func (s *spread) share(host *replica, off int64) *share {
	if len(s.hosts) < 2 {
		return nil
	}
	return s.blob.shares.begin(host, off)
}

func (s *share) add(p []byte) {
	if s == nil {
		return
	}
	s.n += int64(len(p))
	_, _ = s.sum.Write(p) // a hash takes everything
}

// Judge implements [content.Judge]: the hosts whose bytes are not what the
// source's own host has there are named, and not asked for spans again. One that
// gave all of the blob needs no comparison.
func (b *spreadBlob) Judge(ctx context.Context, wrong error) error {
	given := b.shares.drain()
	hosts := b.from.Replicas(ctx, b.Descriptor())
	if len(hosts) < 2 {
		return wrong
	}
	own := hosts[len(hosts)-1]
	var guilty []string
	for _, s := range given {
		if s.host == nil || s.n == 0 || s.host.Host() == own.Host() || slices.Contains(guilty, s.host.Host()) {
			continue
		}
		if s.n < b.Descriptor().Size && s.isAt(ctx, own, b) {
			continue
		}
		s.host.Blame(ctx, b.Descriptor(), wrong)
		guilty = append(guilty, s.host.Host())
	}
	if len(guilty) == 0 {
		return wrong
	}
	return &content.BlamedError{Hosts: guilty, Err: wrong}
}

// isAt reports whether host has the same bytes there, as far as can be seen.
func (s *share) isAt(ctx context.Context, host content.Replica, b *spreadBlob) bool {
	rc, err := host.Open(ctx, b.Descriptor(), content.Range{Off: s.off, Len: s.n})
	if err != nil {
		return false
	}
	var sum maphash.Hash
	sum.SetSeed(s.sum.Seed())
	n, err := io.Copy(&sum, rc)
	err = errors.Join(err, rc.Close())
	return err == nil && n == s.n && sum.Sum64() == s.sum.Sum64()
}
