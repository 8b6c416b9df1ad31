package httpx

import (
	"net"
	"net/netip"
	"slices"
	"strings"

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

// Addresses that Go takes for public ones and that are not.
var (
	private = prefixes("100.64.0.0/10", "240.0.0.0/4", "fec0::/10", "64:ff9b:1::/48")

	// Where clouds answer who asks from inside, beside the link-local addresses.
	metadata = prefixes("0.0.0.0/8", "192.0.0.0/24", "168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::/32", "fd20:ce::254/128")

	// What holds an IPv4 address, from the byte on at which it is: IPv4-compatible,
	// NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056).
	embedding = []struct {
		prefix netip.Prefix
		at     int
	}{
		{netip.MustParsePrefix("::/96"), 12},
		{netip.MustParsePrefix("64:ff9b::/96"), 12},
		{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
		{netip.MustParsePrefix("2002::/16"), 2},
	}
	teredo = netip.MustParsePrefix("2001::/32") // RFC 4380: the last four bytes, inverted
)

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, p := range all {
		parsed = append(parsed, netip.MustParsePrefix(p))
	}
	return parsed
}

func within(all []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// ReachOf returns where addr is. An IPv6 address that leads to an IPv4 one is as
// near as the nearer of the two.
func ReachOf(addr netip.Addr) Reach {
	addr = addr.WithZone("").Unmap()
	switch {
	case addr.IsLoopback():
		return Loopback
	case within(metadata, addr):
		return LinkLocal
	case addr.Is6() && !addr.IsUnspecified():
		return max(ownReach(addr), embeddedReach(addr))
	}
	return ownReach(addr)
}

func ownReach(addr netip.Addr) Reach {
	switch {
	case addr.IsPrivate() || within(private, addr) && addr != broadcast:
		return Private
	case addr.IsGlobalUnicast():
		return Public
	}
	return LinkLocal
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// embeddedReach returns where the IPv4 address is to which addr leads, Public
// where there is none.
func embeddedReach(addr netip.Addr) Reach {
	raw := addr.As16()
	if teredo.Contains(addr) {
		return ReachOf(netip.AddrFrom4([4]byte{^raw[12], ^raw[13], ^raw[14], ^raw[15]}))
	}
	for _, e := range embedding {
		if e.prefix.Contains(addr) {
			return ReachOf(netip.AddrFrom4([4]byte(raw[e.at : e.at+4])))
		}
	}
	return Public
}

// Allows reports whether a server that is at r may lead to an address at to:
// nowhere nearer than it is itself.
func (r Reach) Allows(to Reach) bool {
	return to == Public || to == r || r == Loopback && to == Private
}

// IsLoopbackHost reports whether a host's name, without port, is this machine's
// own: localhost, a name below it, or a loopback address.
func IsLoopbackHost(name string) bool {
	if isThisMachine(name) {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// isThisMachine is IsLoopbackHost without what DNS may have other ideas about
// (RFC 6761 §6.3 is not kept by all), and what leads there by way of others.
func isThisMachine(name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.WithZone("").Unmap().IsLoopback()
	}
	return strings.EqualFold(name, "localhost")
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
