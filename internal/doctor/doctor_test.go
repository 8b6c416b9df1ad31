package doctor_test

import (
	"bufio"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

// A fault is one thing that is wrong in a scene.
type fault struct {
	name    string
	inject  func(s *scene)
	want    []doctor.Cause
	verdict string // a part of it
	remedy  string // a part of that of the first problem
	class   error  // of the report's error; nil is none
	failed  bool   // there is an error, of no class
	never   string // is not in the verdict; "" is nothing
}

var faults = []fault{
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
	{
		name:   "a missing tag",
		inject: func(s *scene) { s.tags = []string{"v1.27", "v1.28", "edge"}; s.target = "registry.test/team/app:v1.72" },
		want:   []doctor.Cause{doctor.MissingTag}, class: content.ErrNotFound,
		verdict: "missing tag: registry.test/team/app:v1.72", remedy: "did you mean v1.27, v1.28?",
	},
	{
		name:   "a missing repository",
		inject: func(s *scene) { s.target = "registry.test/team/apq:v1" },
		want:   []doctor.Cause{doctor.MissingRepository}, class: content.ErrNotFound,
		verdict: "missing repository: registry.test/team/apq",
	},
	{
		name: "429",
		inject: func(s *scene) {
			s.registry.Faults = []testregistry.Fault{{Effect: testregistry.Answer, N: 429, Kind: testregistry.KindManifest, RetryAfter: "30"}}
		},
		want: []doctor.Cause{doctor.RateLimited}, class: content.ErrRateLimited,
		verdict: "rate limited: registry.test", remedy: "wherry ratelimit registry.test",
	},
	{
		name:   "a blob host behind a firewall that refuses",
		inject: func(s *scene) { s.refuse("cdn.test") },
		want:   []doctor.Cause{doctor.BlobHost}, class: content.ErrUnavailable,
		verdict: "blob host unreachable: cdn.test", remedy: "let cdn.test (port 443) through the firewall",
	},
	{
		name:   "a blob host behind a firewall that drops",
		inject: func(s *scene) { s.dropped["127.0.0.3:443"] = true; s.doctor.Limits.Connect = 50 * time.Millisecond },
		want:   []doctor.Cause{doctor.BlobHost}, class: content.ErrUnavailable,
		verdict: "blob host unreachable: cdn.test",
	},
	{
		name:   "a blob host that has no name here",
		inject: func(s *scene) { s.unknown["cdn.test"] = true },
		want:   []doctor.Cause{doctor.BlobHost}, class: content.ErrUnavailable,
		verdict: "blob host unreachable: cdn.test",
	},
	{
		name: "a blob host that answers with a firewall's page",
		inject: func(s *scene) {
			s.cdn = []testregistry.Fault{{Effect: testregistry.Answer, N: 403, Kind: testregistry.KindBlob}}
		},
		want: []doctor.Cause{doctor.BlobHost}, class: content.ErrUnavailable,
		verdict: "403 forbidden",
	},
	{
		name:   "a clock that is an hour fast",
		inject: func(s *scene) { s.doctor.Now = func() time.Time { return time.Now().Add(time.Hour) } },
		want:   []doctor.Cause{doctor.ClockSkew}, verdict: "1h0m0s fast", remedy: "set the clock",
	},
	{
		name:   "a clock that is two months fast",
		inject: func(s *scene) { s.doctor.Now = func() time.Time { return time.Now().Add(60 * 24 * time.Hour) } },
		want:   []doctor.Cause{doctor.ClockBreaksTLS}, class: content.ErrUnavailable, remedy: "set the clock",
	},
	{
		name: "a dead mirror",
		inject: func(s *scene) {
			s.refuse("mirror.test")
			s.mirrors["mirror.test"] = func(*testregistry.Registry) {}
		},
		want: []doctor.Cause{doctor.MirrorDead}, verdict: "mirror.test refuses connections", remedy: "config.yaml:2",
	},
	{
		name: "a mirror whose certificate authority is missing, and another that is dead",
		inject: func(s *scene) {
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { image.PutTo(r, "team/app", "v1") }
			s.mirrors["mirror2.test"] = func(*testregistry.Registry) {}
			s.refuse("mirror2.test")
			s.others = "  mirror.test: {ca: /missing/ca.pem}\n"
		},
		want:    []doctor.Cause{doctor.MirrorDead, doctor.MirrorDead},
		verdict: "mirror.test has a setting that does not work: /missing/ca.pem", remedy: "config.yaml:2",
	},
	{
		name: "a stale mirror",
		inject: func(s *scene) {
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { testimage.Index(7).PutTo(r, "team/app", "v1") }
		},
		want: []doctor.Cause{doctor.MirrorStale}, verdict: "mirror.test has another image under tag v1", remedy: "capabilities: [pull]",
	},
	{
		name: "a mirror that lies",
		inject: func(s *scene) {
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) {
				image.PutTo(r, "team/app", "v1")
				r.SetFaults(testregistry.Fault{Effect: testregistry.Flip, N: 3})
			}
		},
		want: []doctor.Cause{doctor.MirrorLies}, class: content.ErrCorrupt, verdict: "mirror lies: mirror.test",
	},
	{
		name: "a slow mirror",
		inject: func(s *scene) {
			s.doctor.Limits.Slow = 50 * time.Millisecond
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) {
				image.PutTo(r, "team/app", "v1")
				r.SetFaults(testregistry.Fault{Effect: testregistry.Delay, Kind: testregistry.KindManifest, Min: 80 * time.Millisecond})
			}
		},
		want: []doctor.Cause{doctor.MirrorSlow}, verdict: "mirror.test takes",
	},
	{
		name: "a mirror that wants a login",
		inject: func(s *scene) {
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) {
				r.SetFaults(testregistry.Fault{Effect: testregistry.Answer, N: 403, Kind: testregistry.AnyKind})
			}
		},
		want: []doctor.Cause{doctor.MirrorRefuses}, verdict: "mirror refuses: mirror.test",
	},
	{
		name: "a registry that is down while its mirror is well",
		inject: func(s *scene) {
			s.refuse("registry.test")
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { image.PutTo(r, "team/app", "v1") }
		},
		want:    []doctor.Cause{doctor.ConnectionRefused},
		verdict: "registry.test/team/app:v1 can be reached through mirror mirror.test, but: connection refused: registry.test", remedy: "check the port",
	},
	{
		name: "a registry that is down while its mirror may not tell what tags stand for",
		inject: func(s *scene) {
			s.refuse("registry.test")
			s.mirrorsMay = "pull"
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { image.PutTo(r, "team/app", "v1") }
		},
		want: []doctor.Cause{doctor.ConnectionRefused}, class: content.ErrUnavailable, verdict: "connection refused: registry.test",
	},
	{
		name: "a registry that is down while a mirror that may only pull has the digest",
		inject: func(s *scene) {
			s.refuse("registry.test")
			s.mirrorsMay = "pull"
			s.target = "registry.test/team/app@" + image.Root.Digest.String()
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { image.PutTo(r, "team/app", "v1") }
		},
		want: []doctor.Cause{doctor.ConnectionRefused}, verdict: " can be reached through mirror mirror.test, but: connection refused",
	},
	{
		name: "a registry that is down while its mirror lacks a layer",
		inject: func(s *scene) {
			s.refuse("registry.test")
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) {
				image.PutTo(r, "team/app", "v1")
				r.SetFaults(testregistry.Fault{Effect: testregistry.Answer, N: 404, Kind: testregistry.KindBlob})
			}
		},
		want: []doctor.Cause{doctor.ConnectionRefused}, class: content.ErrUnavailable, verdict: "connection refused: registry.test",
	},
	{
		name: "a registry that is down while its mirror lacks a layer of which nothing is read",
		inject: func(s *scene) {
			s.refuse("registry.test")
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) {
				image.PutTo(r, "team/app", "v1")
				r.SetFaults(testregistry.Fault{Method: http.MethodHead, Effect: testregistry.Answer, N: 404, Kind: testregistry.KindBlob})
			}
		},
		want: []doctor.Cause{doctor.ConnectionRefused}, class: content.ErrUnavailable, verdict: "connection refused: registry.test",
	},
	{
		name: "a registry that is down while its mirror does not have the image",
		inject: func(s *scene) {
			s.refuse("registry.test")
			s.mirrors["mirror.test"] = func(*testregistry.Registry) {}
		},
		want: []doctor.Cause{doctor.ConnectionRefused}, class: content.ErrUnavailable, verdict: "connection refused: registry.test",
	},
	{
		name: "a registry that is down and has no image named, while its mirror is well",
		inject: func(s *scene) {
			s.target = "registry.test"
			s.refuse("registry.test")
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { image.PutTo(r, "team/app", "v1") }
		},
		want: []doctor.Cause{doctor.ConnectionRefused}, class: content.ErrUnavailable,
	},
	{
		name: "a blob host that is down while the mirror is well",
		inject: func(s *scene) {
			s.refuse("cdn.test")
			s.mirrorsMay = "pull"
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { image.PutTo(r, "team/app", "v1") }
		},
		want: []doctor.Cause{doctor.BlobHost}, verdict: "can be reached through mirror mirror.test, but: blob host unreachable: cdn.test",
	},
	{
		name: "a login that is wanted while the mirror would speak for a registry that is silent",
		inject: func(s *scene) {
			s.registry.Auth.AnonymousPull = false
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) { image.PutTo(r, "team/app", "v1") }
		},
		want: []doctor.Cause{doctor.MissingOrDenied}, class: content.ErrUnauthorized,
	},
	{
		name: "a login page",
		inject: func(s *scene) {
			s.front = func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/html")
					_, _ = io.WriteString(w, "<!DOCTYPE html><title>Welcome</title>") // whoever is gone reads nothing
				})
			}
		},
		want: []doctor.Cause{doctor.LoginPage}, class: content.ErrUnavailable, remedy: "open a browser and log in",
	},
	{
		name: "a login page to which one is redirected",
		inject: func(s *scene) {
			s.front = func(http.Handler) http.Handler {
				return http.RedirectHandler("https://portal.test/login?token="+signature, http.StatusFound)
			}
		},
		want: []doctor.Cause{doctor.LoginPage}, class: content.ErrUnavailable, verdict: "portal.test",
	},
	{
		name:   "no Range",
		inject: func(s *scene) { s.cdn = []testregistry.Fault{{Effect: testregistry.IgnoreRange}} },
		want:   []doctor.Cause{doctor.NoRange}, verdict: "no range: cdn.test does not give parts of blobs",
	},
	{
		name: "four things at once",
		inject: func(s *scene) {
			s.mirrors["mirror.test"] = func(r *testregistry.Registry) {
				image.PutTo(r, "team/app", "v1")
				r.SetFaults(testregistry.Fault{Effect: testregistry.Flip, N: 3})
			}
			s.mirrors["mirror2.test"] = func(r *testregistry.Registry) { testimage.Index(7).PutTo(r, "team/app", "v1") }
			s.mirrors["mirror3.test"] = func(*testregistry.Registry) {}
			s.refuse("mirror3.test")
			s.cdn = []testregistry.Fault{{Effect: testregistry.IgnoreRange}}
		},
		want: []doctor.Cause{doctor.MirrorLies, doctor.NoRange, doctor.MirrorStale, doctor.MirrorDead}, class: content.ErrCorrupt,
		verdict: "; also: no range (cdn.test), mirror stale (mirror2.test), mirror dead (mirror3.test)",
	},
	{
		name: "a registry that takes requests and never answers",
		inject: func(s *scene) {
			s.doctor.Limits.Request = 150 * time.Millisecond
			s.front = func(http.Handler) http.Handler {
				return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
			}
		},
		want: []doctor.Cause{doctor.NoAnswer}, class: content.ErrUnavailable, verdict: "does not answer in time",
	},
	{
		name:   "a short name with an alias",
		inject: func(s *scene) { s.target = "app:v1"; s.alias = "app" },
	},
	{
		name:    "a registry, no image",
		inject:  func(s *scene) { s.target = "registry.test"; s.user = "ann" },
		verdict: "nothing is wrong on the way to registry.test",
	},
	{
		name:    "a registry that hands out tokens below its API",
		inject:  func(s *scene) { s.registry.Auth.TokenPath = "/v2/auth"; s.target = "registry.test" },
		verdict: "nothing is wrong on the way to registry.test",
	},
	{
		name:   "a registry that wants another credential",
		inject: func(s *scene) { s.target = "registry.test"; s.user = "bob" },
		want:   []doctor.Cause{doctor.CredentialRefused}, class: content.ErrUnauthorized,
	},
	{
		name:   "an identity that does not work and is not needed",
		inject: func(s *scene) { s.lack = fmt.Errorf("profile dev: no session: %w", registry.ErrOptional) },
	},
	{
		name: "an identity that does not work and is needed",
		inject: func(s *scene) {
			s.lack = fmt.Errorf("profile dev: no session: %w", registry.ErrOptional)
			s.registry.Auth.AnonymousPull = false
		},
		want: []doctor.Cause{doctor.CredentialUnreadable}, class: content.ErrUnauthorized, verdict: "profile dev: no session",
	},
	{
		name: "a helper that is slower than a request may be",
		inject: func(s *scene) {
			s.user = "ann"
			s.registry.Auth.AnonymousPull = false
			s.doctor.Limits.Request = 250 * time.Millisecond
			s.helper = 300 * time.Millisecond
		},
		verdict: "nothing is wrong",
	},
	{
		name: "a helper that is not done when our time is over",
		inject: func(s *scene) {
			s.user = "ann"
			s.registry.Auth.AnonymousPull = false
			s.doctor.Limits.Credential = 50 * time.Millisecond
			s.helper = time.Hour
		},
		want: []doctor.Cause{doctor.CredentialSlow}, remedy: "run by hand", never: "can be reached",
		verdict: "credential slow: registry.test has a credential that is not there after",
	},
	{
		name:   "a registry that is blocked",
		inject: func(s *scene) { s.blocked = true },
		want:   []doctor.Cause{doctor.Blocked}, class: content.ErrDenied, verdict: "registries.conf:",
	},
	{
		name:   "no image for our platform",
		inject: func(s *scene) { s.doctor.Platform = content.Platform{OS: "plan9", Architecture: "mips"} },
		want:   []doctor.Cause{doctor.MissingPlatform}, remedy: "--platform", class: content.ErrNotFound,
	},
	{
		name: "an image for another platform, which nobody named",
		inject: func(s *scene) {
			s.target = "registry.test/team/other:v1"
			s.more = func(r *testregistry.Registry) { testimage.IndexOf(3, "plan9/mips").PutTo(r, "team/other", "v1") }
		},
		want: []doctor.Cause{doctor.MissingPlatform}, remedy: "--platform",
	},
	{
		name: "a single image for another platform than the one that is named",
		inject: func(s *scene) {
			s.doctor.Platform = content.Platform{OS: "windows", Architecture: "amd64"}
			s.target = "registry.test/team/single:v1"
			s.more = func(r *testregistry.Registry) { testimage.Single(3).PutTo(r, "team/single", "v1") }
		},
		want: []doctor.Cause{doctor.MissingPlatform}, class: content.ErrNotFound, verdict: "has this image not for windows/amd64",
	},
	{
		name: "a single image for the platform that is named",
		inject: func(s *scene) {
			s.doctor.Platform = content.Platform{OS: "linux", Architecture: "amd64"}
			s.target = "registry.test/team/single:v1"
			s.more = func(r *testregistry.Registry) { testimage.Single(3).PutTo(r, "team/single", "v1") }
		},
		verdict: "nothing is wrong",
	},
	{
		name: "a single image whose config is missing",
		inject: func(s *scene) {
			s.doctor.Platform = content.Platform{OS: "linux", Architecture: "amd64"}
			s.target = "registry.test/team/single:v1"
			s.more = func(r *testregistry.Registry) { testimage.Single(3).PutTo(r, "team/single", "v1") }
			s.cdn = []testregistry.Fault{{Effect: testregistry.Answer, N: 404, Kind: testregistry.KindBlob}}
		},
		want: []doctor.Cause{doctor.BlobHost}, class: content.ErrUnavailable,
	},
	{
		name: "a host that looks like another",
		inject: func(s *scene) {
			s.target = "ghrc.io/team/app:v1"
			s.names["ghrc.io"] = "127.0.0.5"
			s.refuse("ghrc.io")
		},
		want: []doctor.Cause{doctor.ConnectionRefused, doctor.LookAlike}, class: content.ErrUnavailable,
	},
	{
		name: "a registry that is broken",
		inject: func(s *scene) {
			s.registry.Faults = []testregistry.Fault{{Effect: testregistry.Answer, N: 503, Kind: testregistry.KindManifest}}
		},
		want: []doctor.Cause{doctor.ServerError}, class: content.ErrUnavailable,
	},
	{
		name: "a web server that is no registry",
		inject: func(s *scene) {
			s.front = func(http.Handler) http.Handler { return http.NotFoundHandler() }
		},
		want: []doctor.Cause{doctor.NotARegistry}, class: content.ErrUnavailable,
	},
	{
		name:   "a token server that cannot be reached",
		inject: func(s *scene) { s.registry.Auth.Realm = "https://auth.test/token" },
		want:   []doctor.Cause{doctor.TokenServer}, class: content.ErrUnavailable, verdict: "auth.test",
	},
	{
		name: "a manifest that is none",
		inject: func(s *scene) {
			s.answer("/manifests/", func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				_, _ = io.WriteString(w, "{}") // whoever is gone reads nothing
			})
		},
		want: []doctor.Cause{doctor.InvalidContent}, class: content.ErrInvalid,
		verdict: "invalid content: registry.test answers for ", remedy: "a proxy may rewrite answers",
	},
	{
		name: "a manifest that breaks off",
		inject: func(s *scene) {
			s.answer("/manifests/", func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, "{}") // whoever is gone reads nothing
			})
		},
		want: []doctor.Cause{doctor.ConnectionBroken}, class: content.ErrUnavailable,
	},
	{
		name: "a blob host that is nearer than the registry",
		inject: func(s *scene) {
			s.front = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if strings.Contains(req.URL.Path, "/blobs/") {
						http.Redirect(w, req, "https://169.254.169.254/latest", http.StatusFound)
						return
					}
					next.ServeHTTP(w, req)
				})
			}
		},
		want: []doctor.Cause{doctor.RefusedURL}, class: content.ErrInvalid, verdict: "169.254.169.254",
	},
}

func TestDoctorNamesTheCauseAndNoOther(t *testing.T) {
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			tt.inject(s)
			report := s.examine(t.Context())
			tt.check(t, report)
			if t.Failed() {
				for _, step := range report.Steps {
					t.Logf("%-8s %-11s %s: %s (%s)", step.Status, step.Hop, step.Subject, step.Detail, step.Took)
				}
			}
		})
	}
}

// check compares a report with what is expected of it.
func (f fault) check(t *testing.T, report *doctor.Report) {
	t.Helper()
	var got []doctor.Cause
	remedies := ""
	for _, p := range report.Problems {
		got = append(got, p.Cause)
		if p.Remedy == "" || strings.Contains(p.Remedy, "\n") {
			t.Errorf("%s has the remedy %q", p, p.Remedy)
		}
		remedies += p.Remedy
	}
	if !slices.Equal(got, f.want) {
		t.Errorf("causes %q, want %q", got, f.want)
	}
	if !strings.Contains(report.Verdict, f.verdict) || strings.Contains(report.Verdict, "\n") {
		t.Errorf("verdict %q, want %q in it", report.Verdict, f.verdict)
	}
	if f.never != "" && strings.Contains(report.Verdict, f.never) {
		t.Errorf("verdict %q has %q in it", report.Verdict, f.never)
	}
	for _, cause := range got {
		if words := strings.ReplaceAll(string(cause), "-", " "); !strings.Contains(report.Verdict, words) {
			t.Errorf("verdict %q does not name %s", report.Verdict, words)
		}
	}
	if !strings.Contains(remedies, f.remedy) {
		t.Errorf("remedies %q, want %q in them", remedies, f.remedy)
	}
	if err := report.Err(); (err == nil) != (f.class == nil && !f.failed) || f.class != nil && !errors.Is(err, f.class) {
		t.Errorf("error %v, want %v", err, f.class)
	}
}

// answer lets what stands in front of registry.test answer for a part of it.
func (s *scene) answer(part string, with func(http.ResponseWriter)) {
	s.front = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.Contains(req.URL.Path, part) {
				with(w)
				return
			}
			next.ServeHTTP(w, req)
		})
	}
}

// deafToTLS serves team/app in plain http and closes, without a word, on whoever
// begins with anything else.
func (s *scene) deafToTLS() string {
	r := testregistry.New(testregistry.Config{})
	image.PutTo(r, "team/app", "v1")
	server := httptest.NewUnstartedServer(r)
	server.Listener = &onlyLetters{Listener: server.Listener}
	server.Start()
	s.t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// closing closes on everybody.
func (s *scene) closing() string {
	l, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // that is all there is to see
		}
	}()
	s.t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// onlyLetters closes connections whose first byte is no letter.
type onlyLetters struct{ net.Listener }

func (l *onlyLetters) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &lettered{Conn: conn}, err
}

type lettered struct {
	net.Conn
	begun bool
}

func (c *lettered) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.begun {
		c.begun = true
		if p[0] < 'A' || p[0] > 'Z' {
			return 0, errors.Join(io.EOF, c.Close())
		}
	}
	return n, err
}

// intercept has registry.test's certificate signed by somebody of that name.
func (s *scene) intercept(by string) {
	s.signer = by
}

// proxy lets all be reached through a proxy that answers with status.
func (s *scene) proxy(status int) {
	s.names["proxy.test"] = "127.0.0.4"
	s.env["HTTPS_PROXY"] = "http://ann:" + password + "@proxy.test:3128"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		s.pipe(w, req)
	}))
	s.t.Cleanup(server.Close)
	s.open["127.0.0.4:3128"] = server.Listener.Addr().String()
}

// pipe connects who asks with whom he asks for.
func (s *scene) pipe(w http.ResponseWriter, req *http.Request) {
	host, port, _ := net.SplitHostPort(req.Host) // a CONNECT has both
	there, err := s.dial(req.Context(), "tcp", s.names[host]+":"+port)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.t.Error(err)
		return
	}
	_, _ = here.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) // who is gone gets nothing
	go both(here, buffered.Reader, there)
}

// both copies both ways until one side ends.
func both(here net.Conn, from *bufio.Reader, there net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}()
	_, _ = io.Copy(there, from)
	_ = there.Close()
	<-done
}
