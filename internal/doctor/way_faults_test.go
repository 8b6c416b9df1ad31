package doctor_test

import (
	"crypto/x509"
	"net/http"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

// wayFaults are on the way to a registry: its name, the network, TLS, proxies, logins.
var wayFaults = []fault{
	{name: "nothing is wrong", inject: func(*scene) {}, verdict: "nothing is wrong"},
	{
		name:   "nothing is wrong for who is logged in",
		inject: func(s *scene) { s.user = "ann"; s.registry.Auth.AnonymousPull = false },
	},
	{
		name: "nothing is wrong with a mirror that is right",
		inject: func(s *scene) {
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { image.PutTo(r, "team/app", "v1") }
		},
	},
	{
		name:   "unknown host",
		inject: func(s *scene) { s.unknown["registry.test"] = true },
		want:   []doctor.Cause{doctor.UnknownHost}, class: content.ErrUnavailable,
		verdict: "unknown host: registry.test cannot be found", remedy: "check the spelling",
	},
	{
		name:   "refused port",
		inject: func(s *scene) { s.target = "registry.test:444/team/app:v1" },
		want:   []doctor.Cause{doctor.ConnectionRefused}, class: content.ErrUnavailable,
		verdict: "connection refused: registry.test:444 refuses connections at 127.0.0.2:444", remedy: "check the port",
	},
	{
		name:   "dropped SYN",
		inject: func(s *scene) { s.dropped["127.0.0.2:443"] = true; s.doctor.Limits.Connect = 50 * time.Millisecond },
		want:   []doctor.Cause{doctor.NoAnswer}, class: content.ErrUnavailable,
		verdict: "no answer: registry.test does not answer within 50ms at 127.0.0.2:443", remedy: "firewall",
	},
	{
		name: "expired certificate",
		inject: func(s *scene) {
			s.leaf = func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }
		},
		want: []doctor.Cause{doctor.CertificateExpired}, class: content.ErrUnavailable,
		verdict: "registry.test shows a certificate that expired on", remedy: "renew it",
	},
	{
		name:   "unknown authority",
		inject: func(s *scene) { s.trusted = false },
		want:   []doctor.Cause{doctor.UnknownAuthority}, class: content.ErrUnavailable,
		verdict: "Test Authority", remedy: "--ca FILE",
	},
	{
		name:   "wrong name",
		inject: func(s *scene) { s.leaf = func(c *x509.Certificate) { c.DNSNames = []string{"other.test"} } },
		want:   []doctor.Cause{doctor.WrongName}, class: content.ErrUnavailable,
		verdict: "a certificate for other names: other.test",
	},
	{
		name: "an interceptor's certificate",
		inject: func(s *scene) {
			s.trusted = false
			s.leaf = func(c *x509.Certificate) { c.Subject.CommonName = "registry.test" }
			s.intercept("Zscaler Root CA")
		},
		want: []doctor.Cause{doctor.Intercepted}, class: content.ErrUnavailable,
		verdict: "with a certificate by Zscaler Root CA",
	},
	{
		name: "plain http on https",
		inject: func(s *scene) {
			r := testregistry.Start(s.t, testregistry.Config{})
			s.open["127.0.0.2:443"] = r.Host()
		},
		want: []doctor.Cause{doctor.SpeaksPlainHTTP}, class: content.ErrUnavailable,
		remedy: "--plain-http registry.test",
	},
	{
		name: "plain http on this machine, by a server that only closes on TLS",
		inject: func(s *scene) {
			s.target = "localhost:5000/team/app:v1"
			s.names["localhost"] = "127.0.0.1"
			s.open["127.0.0.1:5000"] = s.deafToTLS()
		},
		verdict: "nothing is wrong",
	},
	{
		name: "a server on this machine that only closes",
		inject: func(s *scene) {
			s.target = "localhost:5000/team/app:v1"
			s.names["localhost"] = "127.0.0.1"
			s.open["127.0.0.1:5000"] = s.closing()
		},
		want: []doctor.Cause{doctor.TLSFailure}, class: content.ErrUnavailable,
	},
	{
		name:   "407 of a proxy",
		inject: func(s *scene) { s.proxy(http.StatusProxyAuthRequired) },
		want:   []doctor.Cause{doctor.ProxyLogin}, class: content.ErrUnauthorized,
		verdict: "proxy login: proxy.test:3128", remedy: "http://USER:PASSWORD@proxy.test:3128",
	},
	{
		name:   "a proxy that refuses",
		inject: func(s *scene) { s.proxy(http.StatusForbidden) },
		want:   []doctor.Cause{doctor.ProxyRefuses}, class: content.ErrUnavailable,
		verdict: "proxy.test:3128", remedy: "NO_PROXY",
	},
	{
		name: "a proxy that is down",
		inject: func(s *scene) {
			s.proxy(http.StatusOK)
			delete(s.open, "127.0.0.4:3128")
		},
		want: []doctor.Cause{doctor.ProxyDown}, class: content.ErrUnavailable,
		verdict: "proxy down: proxy.test:3128 refuses connections", remedy: "start the proxy",
	},
	{name: "nothing is wrong through a proxy", inject: func(s *scene) { s.proxy(http.StatusOK) }},
	{
		name: "401, and no credential",
		inject: func(s *scene) {
			s.registry.Auth = testregistry.Auth{Scheme: testregistry.Basic, Users: map[string]string{"ann": password}}
		},
		want: []doctor.Cause{doctor.LoginNeeded}, class: content.ErrUnauthorized,
		remedy: "wherry login registry.test",
	},
	{
		name: "401 of a registry of a cloud",
		inject: func(s *scene) {
			s.registry.Auth = testregistry.Auth{Scheme: testregistry.Basic, Users: map[string]string{"ann": password}}
			s.doctor.Login = func(host string) string { return "it takes an identity for " + host }
		},
		want: []doctor.Cause{doctor.LoginNeeded}, class: content.ErrUnauthorized,
		remedy: "it takes an identity for registry.test",
	},
	{
		name: "a registry of a cloud that has no name here",
		inject: func(s *scene) {
			s.unknown["registry.test"] = true
			s.doctor.Login = func(string) string { return "it takes an identity" }
		},
		want: []doctor.Cause{doctor.UnknownHost}, class: content.ErrUnavailable, remedy: "check the region in it",
	},
	{
		name:   "401 for a credential",
		inject: func(s *scene) { s.user = "bob" },
		want:   []doctor.Cause{doctor.CredentialRefused}, class: content.ErrUnauthorized,
		verdict: "the credential from /home/ann/.docker/config.json", remedy: "wherry login registry.test",
	},
	{
		name: "a denied scope",
		inject: func(s *scene) {
			s.user = "ann"
			s.registry.Auth.AnonymousPull = false
			s.registry.Auth.Allow = func(string, string, string) bool { return false }
		},
		want: []doctor.Cause{doctor.Denied}, class: content.ErrDenied,
		verdict: "accepts the credential from /home/ann/.docker/config.json and does not let it read registry.test/team/app:v1",
	},
	{
		name:   "a repository that is private or missing",
		inject: func(s *scene) { s.registry.Auth.AnonymousPull = false },
		want:   []doctor.Cause{doctor.MissingOrDenied}, class: content.ErrUnauthorized,
		remedy: "if it is private: wherry login registry.test",
	},
}
