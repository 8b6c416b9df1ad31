package e2e

import (
	"fmt"
	"log"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// A registry is a running registry on loopback, speaking http.
type registry struct {
	Host   string // 127.0.0.1:port
	Folder string // where its data is
	Kind   registryKind
	log    fmt.Stringer
}

// A registryKind is one implementation to try wherry against.
type registryKind struct {
	Name      string
	Referrers bool // has the referrers API; without it the tag fallback is used
	start     func(t *testing.T, folder string, l login) (host string, log fmt.Stringer)
}

// A login is what a registry asks for; the zero login is none.
type login struct{ user, password string }

// boatman is the login of a registry that asks for one; the hash in htpasswd is its.
var boatman = login{user: "boatman", password: "oar-and-pole"}

// htpasswd is boatman's line, bcrypt at its least cost: every request is checked.
const htpasswd = "boatman:$2a$04$FZZIQkLCveZlj5uULoOAKOuksCdhMgjdjWUov5XlK.Sg0ljD8L2cy\n"

var (
	// distribution3 is CNCF distribution, today's generation.
	distribution3 = registryKind{Name: "distribution v3", start: startDistribution3}
	// distribution2 is Debian's docker-registry, the generation before: other upload habits.
	distribution2 = registryKind{Name: "docker-registry 2.8", start: startDistribution2}
	// craneServe is `crane registry serve`, which few rules of the big ones hold for.
	craneServe = registryKind{Name: "crane registry serve", start: startCrane}
	// withReferrers is crane's registry with the referrers API of OCI 1.1 on, which its command line has no flag for;
	// it runs within the test.
	withReferrers = registryKind{Name: "referrers API", Referrers: true, start: startWithReferrers}
)

// registryKinds are all that every scenario runs against.
var registryKinds = []registryKind{distribution3, distribution2, craneServe, withReferrers}

// startRegistry starts a registry of that kind that lets everybody in.
func startRegistry(t *testing.T, k registryKind) *registry {
	t.Helper()
	return startIn(t, k, t.TempDir(), login{})
}

// startRegistryWithLogin starts a registry that asks for boatman's login; only the two generations of distribution can.
func startRegistryWithLogin(t *testing.T, k registryKind) *registry {
	t.Helper()
	return startIn(t, k, t.TempDir(), boatman)
}

// startCacheOf starts a distribution that keeps what it is asked for and does not have, from another registry.
func startCacheOf(t *testing.T, origin *registry) *registry {
	t.Helper()
	folder := t.TempDir()
	config := distributionConfig(t, folder, login{}, "proxy: {remoteurl: 'http://"+origin.Host+"'}")
	host, log := serveDistribution3(t, config)
	return &registry{Host: host, Folder: folder, Kind: distribution3, log: log}
}

// startIn starts a registry over a data folder, which may hold what an earlier one left.
func startIn(t *testing.T, k registryKind, folder string, l login) *registry {
	t.Helper()
	host, log := k.start(t, folder, l)
	return &registry{Host: host, Folder: folder, Kind: k, log: log}
}

// ref makes a reference: ref("app:1") is 127.0.0.1:port/app:1.
func (r *registry) ref(name string) string { return r.Host + "/" + name }

var (
	listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	serving   = regexp.MustCompile(`serving on port (\d+)`)
)

func startDistribution3(t *testing.T, folder string, l login) (string, fmt.Stringer) {
	t.Helper()
	return serveDistribution3(t, distributionConfig(t, folder, l))
}

func serveDistribution3(t *testing.T, config string) (string, fmt.Stringer) {
	t.Helper()
	srv, host := startServer(t, service{
		Tool: "registry", Args: []string{"serve", config},
		Env: []string{"OTEL_TRACES_EXPORTER=none"}, Ready: listening,
	})
	return host, srv.log
}

func startDistribution2(t *testing.T, folder string, l login) (string, fmt.Stringer) {
	t.Helper()
	srv, host := startServer(t, service{
		Tool: "docker-registry", Args: []string{"serve", distributionConfig(t, folder, l)}, Ready: listening,
	})
	return host, srv.log
}

// distributionConfig writes a configuration that both generations read, with more lines if any, and returns its path.
func distributionConfig(t *testing.T, folder string, l login, more ...string) string {
	t.Helper()
	b := &box{t: t, Dir: t.TempDir()}
	config := []string{
		"version: 0.1",
		"log: {level: info, formatter: text}",
		"http: {addr: '127.0.0.1:0', secret: wherry}",
		"storage:",
		"  delete: {enabled: true}",
		"  filesystem: {rootdirectory: '" + folder + "'}",
	}
	if l != (login{}) {
		b.write(b.path("htpasswd"), htpasswd)
		config = append(config, "auth: {htpasswd: {realm: wherry, path: '"+b.path("htpasswd")+"'}}")
	}
	b.write(b.path("config.yml"), strings.Join(append(config, more...), "\n")+"\n")
	return b.path("config.yml")
}

func startCrane(t *testing.T, folder string, l login) (string, fmt.Stringer) {
	t.Helper()
	refuseLogin(t, l)
	srv, port := startServer(t, service{
		Tool: "crane", Args: []string{"registry", "serve", "--address", "127.0.0.1:0", "--disk", folder}, Ready: serving,
	})
	return "127.0.0.1:" + port, srv.log
}

func startWithReferrers(t *testing.T, folder string, l login) (string, fmt.Stringer) {
	t.Helper()
	refuseLogin(t, l)
	book := newLogbook(nil)
	srv := httptest.NewServer(ggcr.New(
		ggcr.Logger(log.New(book, "", 0)), ggcr.WithReferrersSupport(true), ggcr.WithBlobHandler(ggcr.NewDiskBlobHandler(folder))))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), book
}

// refuseLogin is for registries that let everybody in.
func refuseLogin(t *testing.T, l login) {
	t.Helper()
	if l != (login{}) {
		t.Fatal("this registry cannot ask for a login")
	}
}
