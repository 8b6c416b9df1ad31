package transfer

import (
	"cmp"
	"context"
	"slices"

	"github.com/wherry-dev/wherry/content"
)

// A replica is a host that can give spans, as one spread sees it.
type replica struct {
	content.Replica
	line *line
	out  bool // gave none: it is not asked for spans of this blob any more
}

// usual is what a lane of the host is expected to bring.
func (h *replica) usual() bid {
	return bid{rate: cmp.Or(h.line.rate(), unknownRate), delay: h.line.delay()}
}

// best returns the bytes a second that a lane of the best host is expected to bring.
func (s *spread) best() float64 {
	var best float64
	for _, h := range s.candidates() {
		best = max(best, h.usual().rate)
	}
	return best
}

// hosts returns the hosts that may give spans of the blob, best first.
func (b *spreadBlob) hosts(ctx context.Context) []*replica {
	var hosts []*replica
	for _, r := range b.from.Replicas(ctx, b.Descriptor()) {
		hosts = append(hosts, &replica{Replica: r, line: b.copier.lines.to(r.Host())})
	}
	return hosts
}

// bySpeed tells those of hosts that were seen to be much slower than the best from
// the others.
func bySpeed(hosts []*replica) (quick, slow []*replica) {
	const much = 4
	var best float64
	for _, h := range hosts {
		best = max(best, h.line.rate())
	}
	for _, h := range hosts {
		if rate := h.line.rate(); rate > 0 && much*rate < best {
			slow = append(slow, h)
			continue
		}
		quick = append(quick, h)
	}
	return quick, slow
}

// inTurn returns the order in which hosts are asked for a blob, of which the last is
// the source's own: quick mirrors first, and of these the one that has least to do.
func inTurn(hosts []*replica) []*replica {
	last := len(hosts) - 1
	quick, slow := bySpeed(hosts[:last])
	busy := make(map[*replica]int, len(quick))
	for _, h := range quick {
		busy[h] = h.line.busy()
	}
	slices.SortStableFunc(quick, func(a, b *replica) int { return cmp.Compare(busy[a], busy[b]) })
	return slices.Concat(quick, slow, hosts[last:])
}

// candidates returns the hosts that may give spans: the source's own only where
// no other does.
func (s *spread) candidates() []*replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	var good []*replica
	for i, h := range s.hosts {
		last := i == len(s.hosts)-1
		if !h.out && (!last || len(good) == 0) {
			good = append(good, h)
		}
	}
	return good
}
