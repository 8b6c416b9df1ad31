package cli

import (
	"cmp"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

// hint returns what can be done about err, or nothing. It is the only place
// that turns a class of failure into advice. Where several apply, it is about
// the one that the exit code is about.
func (f *Factory) hint(err error) string {
	var usage *usageError
	if errors.As(err, &usage) && usage.command != "" {
		return "see: " + usage.command + " --help"
	}
	host := hostOf(err)
	switch {
	case isUsage(err):
		return ""
	case errors.Is(err, content.ErrNoSpace):
		return "make room on the disk and run the same command again: it goes on from what is there"
	case errors.Is(err, content.ErrUnauthorized):
		return unauthorized(host)
	case errors.Is(err, content.ErrDenied):
		return "the credential for " + cmp.Or(host, "the registry") + " does not allow this; it may also mean that the repository does not exist"
	case errors.Is(err, content.ErrRateLimited):
		return "run the same command again later: it goes on from what is there; --max-wait lets it wait longer by itself"
	case errors.Is(err, content.ErrCorrupt) && isAtDestination(err):
		return "what is at the destination is damaged; wherry validate tells all that is"
	case errors.Is(err, content.ErrCorrupt):
		return "nothing of it was kept; if it happens again, what " + cmp.Or(host, "the source") + " has is damaged"
	}
	return network(err, host)
}

// isAtDestination reports whether a copy failed over what it found where it
// wanted to write, before it wrote.
func isAtDestination(err error) bool {
	var e *transfer.Error
	return errors.As(err, &e) && e.Side == transfer.Dst && e.Op == "resolve"
}

func unauthorized(host string) string {
	if host == "" {
		return "log in with: wherry login HOST"
	}
	return "log in with: wherry login " + host + " (some registries say so, too, where a repository does not exist)"
}

// network tells the failures apart that a flag cures.
func network(err error, host string) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case host == "" || !isNetwork(err):
		return ""
	case errors.As(err, &authority):
		return "if you know who signed the certificate of " + host + ", name theirs with --ca FILE"
	case errors.As(err, &name):
		return "the certificate is somebody else's; check how " + host + " is spelt"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return host + " speaks plain http; allow it with --plain-http " + host
	}
	return ""
}

// hostOf returns the registry that err is about, as it is given to login.
func hostOf(err error) string {
	var e *registry.Error
	if !errors.As(err, &e) {
		return ""
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	if u.Host == "registry-1.docker.io" {
		return hubHost
	}
	return u.Host
}
