package httpx

import (
	"net"
	"net/netip"

	"github.com/wherry-dev/wherry/content"
)

// A RefusedError is a URL or address that a server named and that is not
// followed. Its class is [content.ErrInvalid].
type RefusedError struct {
	Target string // redacted
	Reason string
}

func (e *RefusedError) Error() string {
	if e.Target == "" {
		return "refused: " + e.Reason
	}
	return "refused " + e.Target + ": " + e.Reason
}

// Unwrap returns ErrInvalid.
func (e *RefusedError) Unwrap() error { return content.ErrInvalid }

// A Reach says how near an address is.
type Reach uint8

// The reaches.
const (
	Public Reach = iota
	Private
	Loopback
	LinkLocal // or unspecified, or multicast: clouds keep credentials on such addresses
)

var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// ReachOf returns where addr is.
func ReachOf(addr netip.Addr) Reach {
	addr = addr.WithZone("").Unmap()
	switch {
	case addr.IsLoopback():
		return Loopback
	case addr.IsPrivate() || carrierGrade.Contains(addr):
		return Private
	case addr.IsGlobalUnicast():
		return Public
	}
	return LinkLocal
}

// Allows reports whether a server that is at r may lead to an address at to:
// nowhere nearer than it is itself.
func (r Reach) Allows(to Reach) bool {
	return to == Public || to == r || r == Loopback && to == Private
}

// IsLoopbackHost reports whether a host's name, without port, is this machine's
// own: localhost, a name below it, or a loopback address.
func IsLoopbackHost(name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return ReachOf(addr) == Loopback
	}
	const local = "localhost"
	return name == local || len(name) > len(local) && name[len(name)-len(local)-1:] == "."+local
}

// reachOfAddress is ReachOf for "ip:port", as the dialer has it after DNS.
func reachOfAddress(address string) (Reach, bool) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return Public, false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return Public, false
	}
	return ReachOf(addr), true
}
