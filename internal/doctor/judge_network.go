package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// judgeDNS is about the addresses of host, which is contacted for p.
func judgeDNS(p place, host string, addrs []netip.AddrPort, err error) finding {
	if err == nil && len(addrs) > 0 {
		if _, literal := netip.ParseAddr(host); literal == nil {
			return fine(HopDNS, p.name, cmp.Or(p.instead(), "is an address itself"))
		}
		var list []string
		for _, a := range addrs {
			list = append(list, a.Addr().String())
		}
		detail := host + " has " + strings.Join(list, ", ")
		if instead := p.instead(); instead != "" {
			detail = instead + ": " + detail
		}
		return fine(HopDNS, p.name, detail)
	}
	if errors.Is(err, errNearer) {
		return wrong(HopDNS, Problem{
			RefusedURL, p.name, "is at an address that is nearer to us than the registry that leads there, and is not contacted",
			"find out why the registry leads there; a registry inside your network must be reached under an address of that network",
		})
	}
	said, isDNS := errors.AsType[*net.DNSError](err)
	if err == nil || isDNS && said.IsNotFound {
		return wrong(HopDNS, Problem{p.role.cause(UnknownHost), p.name, "cannot be found: DNS has no addresses for " + host, noName(p)})
	}
	why := "does not answer"
	if isDNS && !said.IsTimeout && !errors.Is(err, context.DeadlineExceeded) {
		why = "fails (" + said.Err + ")"
	}
	return wrong(HopDNS, Problem{
		p.role.cause(DNSFailure), p.name, "cannot be looked up: the DNS server " + why,
		"check the name servers of this machine (/etc/resolv.conf, VPN); other names fail too if they are at fault",
	})
}

func noName(p place) string {
	switch p.role {
	case proxyHost:
		return "correct the proxy's name where it is set: " + p.proxied
	case tokenHost, blobHost:
		return "let this machine's name servers resolve " + p.name + ": the registry sends its clients there"
	case registryHost, mirrorHost:
	}
	if p.cloud {
		return "the name is of the form that the cloud gives: check the region in it, and that this machine's name servers know public names, or those of your private endpoints"
	}
	if slices.Contains(wellKnown, p.name) {
		return "it does exist: this machine sees no public names; set the proxy that leads out (HTTPS_PROXY), or a mirror inside your network, or check the name servers"
	}
	for _, known := range wellKnown {
		if distance(p.name, known) <= 2 {
			return "did you mean " + known + "? Else check the spelling, and that a VPN is up if the name is internal"
		}
	}
	return "check the spelling of " + p.name + ", and that a VPN is up if the name is internal"
}

// judgeTCP is about connections to all addresses of a place.
func judgeTCP(p place, tries []attempt, limit time.Duration) finding {
	var list []string
	var good, silent []string
	var failed attempt
	for _, t := range tries {
		if t.err == nil {
			good = append(good, t.to.String())
			list = append(list, fmt.Sprintf("%s in %s", t.to, t.took.Round(100*time.Microsecond)))
			continue
		}
		cause, what := dialFailure(t.err)
		list = append(list, fmt.Sprintf("%s %s", t.to, what))
		// Names have IPv6 addresses wherever they are asked for; that this machine has no way there is common.
		if cause != NoRoute || t.to.Addr().Is4() {
			silent = append(silent, fmt.Sprintf("%s %s", t.to, what))
		}
		if failed.err == nil || cause != NoRoute {
			failed = t
		}
	}
	detail := strings.Join(list, ", ")
	switch {
	case len(good) > 0 && len(silent) > 0:
		return wrong(HopTCP, Problem{
			DeadAddress, p.name, "has an address that does not work: " + strings.Join(silent, ", "),
			"nothing has to be done at once: others of its addresses work, but each first try of the dead one costs time",
		})
	case len(good) > 0:
		return fine(HopTCP, p.name, detail)
	}
	cause, what := dialFailure(failed.err)
	if cause == NoAnswer {
		what += " within " + limit.String()
	}
	return wrong(HopTCP, Problem{p.role.cause(cause), p.name, what + " at " + failed.to.String(), wayRemedy(p, cause)})
}

// dialFailure says why a connection was not made.
func dialFailure(err error) (cause Cause, what string) {
	timed, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), strings.Contains(err.Error(), "refused"):
		return ConnectionRefused, "refuses connections"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return NoRoute, "cannot be routed to"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isNet && timed.Timeout():
		return NoAnswer, "does not answer"
	}
	return ConnectionBroken, "breaks connections off"
}

// wayRemedy says what to do where a connection is not made.
func wayRemedy(p place, cause Cause) string {
	_, port := portOf(p.url)
	switch p.role {
	case proxyHost:
		return "start the proxy, or correct it where it is set: " + p.proxied
	case blobHost:
		return "let " + p.name + " (port " + port + ") through the firewall: the registry keeps its blobs there; or set a mirror"
	case tokenHost:
		return "let " + p.name + " (port " + port + ") through the firewall: the registry hands out its tokens there"
	case registryHost, mirrorHost:
	}
	switch cause {
	case ConnectionRefused:
		return "check the port: nothing listens on " + port + " there; start the registry, or write HOST:PORT"
	case NoRoute:
		return "check this machine's network, default route and VPN"
	default:
		return "a firewall probably drops the packets: open port " + port + " to " + p.name + ", or set the proxy that leads out: HTTPS_PROXY, or proxy: under registries: " + p.name + " in " + p.file
	}
}

// judgeTunnel is about the answer of a proxy that was asked for a connection.
func judgeTunnel(p place, via string, status int, err error) finding {
	refusal := Problem{
		p.role.cause(ProxyRefuses), p.name, "",
		"let the proxy " + via + " through to " + p.name + ", or put " + p.name + " in NO_PROXY if it is reached without",
	}
	if p.role != blobHost && p.role != tokenHost {
		refusal.Subject, refusal.Evidence = via, "(proxy) "
	}
	switch {
	case err != nil && errors.Is(err, context.Canceled), err != nil && status == 0:
		refusal.Evidence += "cannot be reached through the proxy " + via + ", which broke off"
		return wrong(HopTunnel, refusal)
	case status == http.StatusProxyAuthRequired:
		return wrong(HopTunnel, Problem{
			ProxyLogin, via, "(proxy) wants a user name and a password: 407 proxy authentication required",
			"put them into the proxy's URL where it is set (" + p.proxied + "): http://USER:PASSWORD@" + via,
		})
	case status != 0 && status/100 != 2:
		refusal.Evidence += fmt.Sprintf("cannot be reached through the proxy %s, which says %d %s", via, status, strings.ToLower(http.StatusText(status)))
		return wrong(HopTunnel, refusal)
	}
	return fine(HopTunnel, p.name, "through "+via)
}
