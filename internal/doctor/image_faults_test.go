package doctor_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

// imageFaults are of what is asked for, of where the blobs are, and of mirrors.
var imageFaults = []fault{
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
