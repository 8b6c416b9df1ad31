package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/registry"
)

// tls returns how connections to the host that is examined are secured.
func (x *exam) tls() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: x.roots, Certificates: x.host.Certificates, Time: x.doctor.Now,
		InsecureSkipVerify: x.host.SkipVerify, //nolint:gosec // the user said so, for this host
	}
}

// rootsOf returns whom connections to a host trust, nil for whom the system trusts.
func rootsOf(settings *registry.Host) (*x509.CertPool, error) {
	if settings.Roots == nil {
		return nil, nil //nolint:nilnil // what crypto/tls wants for the system's
	}
	return settings.Roots()
}

// A handshake is what was seen of one.
type handshake struct {
	err    error
	state  tls.ConnectionState
	verify error     // why the certificate is not to be trusted
	date   time.Time // the host's idea of the time, where ours may be at fault
	now    time.Time // ours
	via    string    // the proxy; "" is none
	skip   bool      // any certificate is taken
	plain  bool      // plain http is allowed, and answered
}

// secure tries out TLS with a place. Where plain http is allowed and spoken, that
// is what the host will be asked in.
func (x *exam) secure(ctx context.Context, p place, conn net.Conn, via *url.URL) bool {
	plain := p.named() && slices.Contains(p.settings.Schemes(p.url.Host), "http")
	var seen handshake
	ok := x.timed(func() finding {
		seen = x.shake(ctx, conn, p)
		seen.skip = p.settings.SkipVerify
		seen.plain = plain && (isPlainHTTP(seen.err) || via == nil && breaksOff(seen.err) && x.answersPlain(ctx, p))
		if via != nil {
			seen.via = via.Host
		}
		return judgeTLS(p, seen)
	})
	if ok && p.named() {
		x.scheme = "https"
		if seen.plain {
			x.scheme = "http"
		}
	}
	return ok
}

// breaksOff reports whether a handshake came to nothing, with not a word of TLS
// from the other side: which may be one that speaks http, and takes no notice.
func breaksOff(err error) bool { return err != nil && !isPlainHTTP(err) && alertOf(err) == "" }

// answersPlain reports whether a place answers anything in plain http, apart from
// what servers that want TLS say to that.
func (x *exam) answersPlain(ctx context.Context, p place) bool {
	ctx, cancel := context.WithTimeout(ctx, x.limits.TLS)
	defer cancel()
	host, port := portOf(p.url)
	conn, err := x.dial(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return false
	}
	status, _, err := head(ctx, conn, &url.URL{Scheme: "http", Host: p.url.Host})
	_ = conn.Close() // it was tried out
	return err == nil && status != http.StatusBadRequest
}

// shake does a handshake in which any certificate is taken, and then looks at it:
// so all there is to say about it can be said.
func (x *exam) shake(ctx context.Context, conn net.Conn, p place) handshake {
	ctx, cancel := context.WithTimeout(ctx, x.limits.TLS)
	defer cancel()
	now := x.doctor.now()
	h := handshake{now: now}
	c := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: p.url.Hostname(), Certificates: p.settings.Certificates,
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true, //nolint:gosec // verified below; nothing is sent that matters
	})
	if h.err = c.HandshakeContext(ctx); h.err != nil {
		return h
	}
	h.state = c.ConnectionState()
	h.verify = verify(h.state.PeerCertificates, p, now)
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](h.verify); ok && invalid.Reason == x509.Expired {
		h.date = dateOf(ctx, c, p.url)
	}
	return h
}

func verify(chain []*x509.Certificate, p place, now time.Time) error {
	roots, err := rootsOf(p.settings)
	if err != nil {
		return err
	}
	o := x509.VerifyOptions{
		DNSName: p.url.Hostname(), Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
	}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err = chain[0].Verify(o)
	return err
}

// dateOf asks a host that may be anybody what time it is.
func dateOf(ctx context.Context, conn net.Conn, u *url.URL) time.Time {
	_, header, err := head(ctx, conn, u)
	if err != nil {
		return time.Time{}
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return date
}

// head sends HEAD /v2/ over a connection.
func head(ctx context.Context, conn net.Conn, u *url.URL) (int, http.Header, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.JoinPath("/v2/").String(), http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	if err := req.Write(conn); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, resp.Header, resp.Body.Close() // a HEAD has no body
}

// isPlainHTTP reports whether a handshake was answered in plain http.
func isPlainHTTP(err error) bool {
	record, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok && strings.HasPrefix(string(record.RecordHeader[:]), "HTTP")
}

// judgeTLS is about a handshake.
func judgeTLS(p place, h handshake) finding {
	switch {
	case h.plain:
		return fine(HopTLS, p.name, "speaks plain http, which is allowed there")
	case isPlainHTTP(h.err):
		return wrong(HopTLS, Problem{
			SpeaksPlainHTTP, p.name, "speaks plain http where https is expected",
			"if it is meant to: --plain-http " + p.name + ", or registries: {" + p.name + ": {plainHTTP: true}} in " + p.file,
		})
	case h.err != nil:
		return judgeHandshake(p, h.err)
	case h.skip:
		return fine(HopTLS, p.name, tls.VersionName(h.state.Version)+"; any certificate is taken, as the settings say")
	case h.verify != nil:
		return judgeCertificate(p, h)
	}
	leaf := h.state.PeerCertificates[0]
	return fine(HopTLS, p.name, fmt.Sprintf("%s; certificate by %s, valid until %s",
		tls.VersionName(h.state.Version), issuerOf(leaf), leaf.NotAfter.UTC().Format(time.DateOnly)))
}

func judgeHandshake(p place, err error) finding {
	alert := alertOf(err)
	cause, _ := dialFailure(err)
	what := "breaks the TLS handshake off (" + err.Error() + ")"
	switch {
	case isCertificateAlert(alert):
		return wrong(HopTLS, clientCertificate(p.name, p.file))
	case cause == NoAnswer:
		return wrong(HopTLS, Problem{
			p.role.cause(NoAnswer), p.name, "accepts the connection and does not answer the TLS handshake",
			"a firewall or proxy may hold it up, or the MTU of a VPN may be too large: try another network, or lower the MTU",
		})
	case alert != "":
		what = "ends the TLS handshake (" + alert + ")"
	}
	return wrong(HopTLS, Problem{
		TLSFailure, p.name, what,
		"check that port and name are those of the registry; at least TLS 1.2 is needed; something in between may break it off",
	})
}

// alertOf returns the alert by which the host ended a handshake, "" where it sent none.
func alertOf(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return op.Err.Error()
	}
	return ""
}

// isCertificateAlert reports whether the host wants a certificate of ours, or
// another one.
func isCertificateAlert(alert string) bool { return strings.Contains(alert, "certificate") }

func clientCertificate(name, file string) Problem {
	return Problem{
		ClientCertificate, name, "wants a client certificate, or another one than it was shown",
		"set clientCertificate and clientKey under registries: " + name + " in " + file + ", or put NAME.cert and NAME.key into /etc/containers/certs.d/" + name,
	}
}

// judgeCertificate is about a certificate that was not trusted.
func judgeCertificate(p place, h handshake) finding {
	leaf := h.state.PeerCertificates[0]
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](h.verify); ok && invalid.Reason == x509.Expired {
		return judgeValidity(p, h)
	}
	if _, ok := errors.AsType[x509.HostnameError](h.verify); ok {
		return wrong(HopTLS, Problem{
			WrongName, p.name, "shows a certificate for other names: " + namesOf(leaf),
			"use one of those names, if it is the same registry; else the name leads to the wrong machine, or its certificate must be made for " + p.url.Hostname(),
		})
	}
	if product := interceptor(h.state.PeerCertificates); product != "" || h.via != "" && slices.Contains(wellKnown, p.name) {
		if product == "" {
			product = issuerOf(leaf)
		}
		return wrong(HopTLS, Problem{
			Intercepted, p.name, "is not who answers: the connection is intercepted, with a certificate by " + product,
			"that is an inspecting proxy of your network: give its authority with --ca FILE or SSL_CERT_FILE, or have " + p.name + " exempted",
		})
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](h.verify); ok {
		return wrong(HopTLS, Problem{
			UnknownAuthority, p.name, "shows a certificate of an authority that this machine does not trust: " + issuerOf(leaf),
			"if it is yours: --ca FILE, or ca: FILE under registries: " + p.name + " in " + p.file + ", or /etc/containers/certs.d/" + p.name + "/ca.crt",
		})
	}
	return wrong(HopTLS, Problem{TLSFailure, p.name, "shows a certificate that cannot be trusted (" + h.verify.Error() + ")", "have the certificate of " + p.name + " replaced"})
}

// judgeValidity is about a certificate whose time is over, or has not come, by
// our clock, which may be the one that is wrong.
func judgeValidity(p place, h handshake) finding {
	leaf := h.state.PeerCertificates[0]
	valid := func(at time.Time) bool { return at.After(leaf.NotBefore) && at.Before(leaf.NotAfter) }
	switch {
	case !h.date.IsZero() && valid(h.date) && isSkewed(h.now, h.date):
		return wrong(HopTLS, Problem{
			ClockBreaksTLS, "this machine", fmt.Sprintf("has a clock that is %s %s, so that the certificate of %s looks invalid", skew(h.now, h.date), direction(h.now, h.date), p.name),
			clockRemedy,
		})
	case h.now.Before(leaf.NotBefore):
		return wrong(HopTLS, Problem{
			CertificateNotYet, p.name, "shows a certificate that is valid only from " + leaf.NotBefore.UTC().Format(time.RFC3339),
			"check this machine's clock; else wait, or have the certificate replaced",
		})
	}
	return wrong(HopTLS, Problem{
		CertificateExpired, p.name, "shows a certificate that expired on " + leaf.NotAfter.UTC().Format(time.RFC3339),
		"have whoever runs " + p.name + " renew it; --tls-skip-verify " + p.name + " goes on without, and then anybody can pretend to be it",
	})
}

func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{c.Subject.CommonName}
	}
	const most = 5
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return strings.Join(names, ", ")
}

// issuerOf is who signed a certificate.
func issuerOf(c *x509.Certificate) string {
	if c.Issuer.String() == c.Subject.String() && c.Issuer.CommonName != "" {
		return c.Issuer.CommonName + " (itself)"
	}
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return c.Issuer.String()
}

// interceptors are products that put certificates of their own in place of those
// of the hosts one asks for.
var interceptors = []string{
	"zscaler", "fortinet", "fortigate", "palo alto", "blue coat", "bluecoat", "netskope", "cisco umbrella", "sophos", "forcepoint",
	"mcafee web gateway", "skyhigh", "check point", "barracuda", "mitmproxy", "squid", "charles proxy", "burp", "kaspersky", "avast", "eset ssl filter", "bitdefender", "cato networks",
}

// interceptor returns the name of the product that signed a chain, "" if none is known.
func interceptor(chain []*x509.Certificate) string {
	for _, c := range chain {
		who := strings.ToLower(c.Issuer.String())
		if slices.ContainsFunc(interceptors, func(name string) bool { return strings.Contains(who, name) }) {
			return issuerOf(c)
		}
	}
	return ""
}
