package transfer

import (
	"context"
	"slices"
	"sync"

	"github.com/wherry-dev/wherry/content"
)

// shares are who gave what of a blob that came from several hosts.
type shares struct {
	mu  sync.Mutex
	all []*share
}

// A share is what one host gave at a stretch.
type share struct {
	content.Share
	host *replica
}

// begin returns the share that begins with an answer of host.
func (s *shares) begin(host *replica, off int64) *share {
	sh := &share{host: host, Share: content.Share{Off: off}}
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

// Judge implements [content.Judge]: the hosts for whose bytes nobody vouches are
// named, and not asked for spans again. One that gave all of the blob needs no
// comparison.
func (b *spreadBlob) Judge(ctx context.Context, wrong error) error {
	given := b.shares.drain()
	hosts := b.from.Replicas(ctx, b.Descriptor())
	if len(hosts) < 2 {
		return wrong
	}
	own := hosts[len(hosts)-1]
	var guilty []string
	for _, s := range given {
		if s.host == nil || s.Len == 0 || s.host.Host() == own.Host() || slices.Contains(guilty, s.host.Host()) {
			continue
		}
		if s.Len < b.Descriptor().Size && b.vouched(ctx, s, hosts) {
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

// vouched reports whether the source's own host, the last of hosts, has the same
// bytes where s is. Where it cannot be asked, as in a network without a way out, any
// other host that has them will do: two that lie do not lie alike.
func (b *spreadBlob) vouched(ctx context.Context, s *share, hosts []content.Replica) bool {
	for _, host := range slices.Backward(hosts) {
		if host.Host() == s.host.Host() {
			continue
		}
		same, err := s.SameAt(ctx, host, b.Descriptor())
		if err == nil && (same || host == hosts[len(hosts)-1]) {
			return same
		}
	}
	return false
}
