package cli

import (
	"cmp"
	"crypto/x509"
	"errors"
	"net"

	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry"
)

// network tells the failures apart that a setting cures, and says who looks into
// them.
func (f *Factory) network(err error, host string) string {
	if host == "" || !isNetwork(err) {
		return ""
	}
	e, _ := errors.AsType[*registry.Error](err)
	if e.Speaks() == "https" {
		return host + " speaks https; leave --plain-http out, in the configuration file too"
	}
	why := "wherry doctor " + f.patient(err, host) + " finds out why"
	if cure := f.networkCure(e, host); cure != "" {
		return cure + "; " + why
	}
	return why
}

func (f *Factory) networkCure(e *registry.Error, host string) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(e, &authority):
		return "if you know who signed the certificate of " + host + ", name theirs with --ca FILE"
	case errors.As(e, &name):
		return "the certificate is somebody else's; check how " + host + " is spelt"
	case e.Speaks() == "http":
		return "if " + host + " speaks http: --plain-http " + host
	case wantsCertificate(e):
		return host + " wants a client certificate: clientCertificate and clientKey of " + host + " in " + f.ownFile()
	}
	return ""
}

// wantsCertificate reports whether a server ended a handshake for want of a client
// certificate. The alert is of a type that package tls keeps to itself.
func wantsCertificate(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" && op.Err.Error() == "tls: certificate required"
}

// patient returns what a doctor is to look at where host failed: the image, or the
// registry, of the command line that err is about.
func (f *Factory) patient(err error, host string) string {
	var first string
	for _, arg := range f.blamed(err) {
		e, err := endpoint.Parse(arg)
		switch {
		case err != nil || e.Transport != endpoint.Registry:
		case e.Host == host:
			return arg
		case first == "":
			first = arg
		}
	}
	if host == f.SrcHost || host == f.DstHost {
		return host
	}
	return cmp.Or(first, f.SrcHost, host)
}
