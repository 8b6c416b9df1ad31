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
	all []*content.Share
}

// begin returns the share that begins with an answer of host.
func (s *shares) begin(host string, off int64) *content.Share {
	sh := &content.Share{Host: host, Off: off}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sh)
	return sh
}

// drain returns what was given since the last time.
func (s *shares) drain() []*content.Share {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	return all
}

// share returns the share that begins with an answer of host, nil where there is
// no other to be told from.
func (s *spread) share(host *replica, off int64) *content.Share {
	if host == nil || len(s.hosts) < 2 {
		return nil
	}
	return s.blob.shares.begin(host.Host(), off)
}

// Judge implements [content.Judge]: the hosts that gave wrong bytes are named, and
// not asked for spans again.
func (b *spreadBlob) Judge(ctx context.Context, wrong error) error {
	given := b.shares.drain()
	hosts := b.from.Replicas(ctx, b.Descriptor())
	if len(hosts) < 2 {
		return wrong
	}
	var witnesses []content.Witness
	for _, h := range hosts {
		open := h.Open
		if h == hosts[len(hosts)-1] {
			open = h.Insist
		}
		witnesses = append(witnesses, content.Witness{Host: h.Host(), Open: open})
	}
	guilty := content.Culprits(ctx, b.Descriptor(), given, witnesses)
	if len(guilty) == 0 {
		return wrong
	}
	for _, h := range hosts {
		if slices.Contains(guilty, h.Host()) {
			h.Blame(ctx, b.Descriptor(), wrong)
		}
	}
	return &content.BlamedError{Hosts: guilty, Err: wrong}
}
