package canary

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/cli"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// shared is the folder of what all worlds read.
var shared string

var image = testimage.Single(1)

// What is looked for: anything, what nobody may see to whom a registry leads, and what not even a token server.
var (
	anything  = newFinder(canaries...)
	elsewhere = newFinder(without(signature, state)...)
	exchanged = newFinder(without(signature, state, password, typed, identity)...)
)

func without(some ...string) []string {
	return slices.DeleteFunc(slices.Clone(canaries), func(s string) bool { return slices.Contains(some, s) })
}

// A stage is what a command line sees of the world.
type stage struct {
	in       string
	out, err io.Writer
	env      map[string]string
}

// wherry runs a command line.
func wherry(ctx context.Context, s stage, args ...string) int {
	stdio := cli.Stdio{In: strings.NewReader(s.in), Out: s.out, Err: s.err}
	return cli.Main(ctx, args, stdio, func(name string) string { return s.env[name] })
}

// giveImages puts the image into folder: as a layout, as an archive, and into a store.
func giveImages(ctx context.Context, folder string) error {
	r := testregistry.New(testregistry.Config{})
	if err := r.Listen("127.0.0.1:0"); err != nil {
		return err
	}
	defer r.Close()
	image.PutTo(r, "app", "v1")
	var out bytes.Buffer
	to := []string{"oci:" + filepath.Join(folder, "layout"), filepath.Join(folder, "image.tar"), "store:app:v1"}
	s := stage{out: &out, err: &out, env: map[string]string{"HOME": folder, "WHERRY_OWN_ONLY": "1", "WHERRY_STORE": filepath.Join(folder, "store")}}
	if code := wherry(ctx, s, append([]string{"copy", r.Host() + "/app:v1"}, to...)...); code != 0 {
		return fmt.Errorf("exit code %d: %s", code, out.Bytes())
	}
	return nil
}

// A world is what the runs of one failure have in common.
type world struct {
	*testing.T
	failure  failure
	folder   string            // of the home, and of what a run writes
	given    map[string]string // what is in the home folder, by path
	registry *testregistry.Registry
	storage  *httptest.Server // where the registry may lead
	host     string           // what FROM stands for
	runs     atomic.Int64     // so far: what servers do may depend on it

	mu      sync.Mutex
	met     bool                    // somebody met the failure
	seen    []string                // what storage was sent
	stopped context.CancelCauseFunc // of the run
}

// newWorld lets the failure's servers listen.
func newWorld(t *testing.T, f failure) *world {
	t.Helper()
	w := &world{T: t, failure: f, folder: t.TempDir(), given: map[string]string{}}
	w.storage = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		text := dump(req)
		w.mu.Lock()
		w.seen = append(w.seen, text)
		w.mu.Unlock()
		rw.Header().Set("Connection", "close")
		if f.storage != nil {
			f.storage(w, rw, req)
			return
		}
		http.Error(rw, "AccessDenied: "+req.URL.RawQuery, http.StatusForbidden)
	}))
	t.Cleanup(func() {
		w.storage.CloseClientConnections() // those that stall
		w.storage.Close()
	})
	if f.serve != nil {
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			w.meet()
			rw.Header().Set("Connection", "close")
			f.serve(w, rw, req)
		}))
		server.Config.ErrorLog = nil
		t.Cleanup(server.Close)
		w.host = strings.TrimPrefix(server.URL, "http://")
		return w
	}
	w.registry = testregistry.Start(t, f.registry)
	w.host = w.registry.Host()
	image.PutTo(w.registry, "app", "v1")
	faults := []testregistry.Fault{{Kind: testregistry.AnyKind}}
	if f.faults != nil {
		faults = f.faults(w)
	}
	for i := range faults {
		hit := faults[i].Hit
		faults[i].Hit = func() {
			w.meet()
			if hit != nil {
				hit()
			}
		}
	}
	hangUp := fault{Kind: testregistry.AnyKind, Header: http.Header{"Connection": {"close"}}} // no process ends, to do it
	w.registry.SetFaults(append(faults, hangUp)...)
	return w
}

func (w *world) meet() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.met = true
}

// checkMet wants the failure to have happened: what no run meets proves nothing.
func (w *world) checkMet() {
	w.Helper()
	if !w.met && !w.failure.local {
		w.Error("no run has met the failure")
	}
}

// interrupt is what Ctrl-C does.
func (w *world) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped(cli.InterruptedError{Signal: os.Interrupt})
}

// place puts the names of this world into text.
func (w *world) place(text string, names ...string) string {
	names = append(names, "FROM", w.host, "GIVEN", shared, "DIGEST", w.blob(), "STORAGE", w.storage.URL)
	return strings.NewReplacer(names...).Replace(text)
}

// blob is the digest of the image's largest blob.
func (w *world) blob() string {
	digests := slices.Collect(maps.Keys(image.Blobs))
	largest := slices.MaxFunc(digests, func(a, b digest.Digest) int { return len(image.Blobs[a]) - len(image.Blobs[b]) })
	return largest.String()
}

// run runs a line and looks at all that it leaves.
func (w *world) run(c verbCase, line string, mode ...string) {
	w.Helper()
	f := w.failure
	if len(f.variants) > 0 {
		f = f.variants[w.turn(len(f.variants))]
	}
	w.runs.Add(1)
	here := filepath.Join(w.folder, "here")
	w.must(os.Mkdir(here, 0o755))
	w.furnish(f)
	args := strings.Fields(w.place(line, "HERE", here))
	if c.verb != "help" {
		args = append(args, "--retries", "1", "--max-wait", "0s", "--stall-timeout", cmp.Or(f.stall, time.Second).String())
	}
	args = append(args, mode...)
	ctx, cancel := context.WithCancelCause(w.Context())
	defer cancel(nil)
	w.mu.Lock()
	w.stopped, w.seen = cancel, nil
	w.mu.Unlock()
	var out, errs bytes.Buffer
	code := wherry(ctx, stage{in: c.stdin, out: &out, err: &errs, env: w.environment(f)}, args...)
	r := result{line: fmt.Sprintf("wherry %s (%s, exit code %d)", strings.Join(args, " "), f.name, code), finder: newFinder(w.minted()...)}
	r.finder.needles = append(r.finder.needles, anything.needles...)
	if line != c.bytes {
		w.check(r, "standard output", out.String())
	}
	w.check(r, "standard error", errs.String())
	w.checkFiles(r, filepath.Join(w.home(), c.keeps))
	w.checkSent(r)
	w.must(os.RemoveAll(here))
}

// turn counts runs up to n, and begins anew.
func (w *world) turn(n int) int { return int(w.runs.Load()) % n }

// A result is a run that is over.
type result struct {
	line   string
	finder *finder
}

// check wants no canary in what a run left somewhere.
func (w *world) check(r result, where, text string) {
	w.Helper()
	if found := r.finder.find(text); len(found) > 0 {
		w.Errorf("%s: %s has %s", r.line, where, found[0])
	}
}

// minted returns the tokens that the registry handed out.
func (w *world) minted() (tokens []string) {
	if w.registry == nil {
		return nil
	}
	for _, q := range w.registry.Requests() {
		token, isBearer := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
		if isBearer && !slices.Contains(canaries, token) && !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
	}
	w.registry.Reset()
	return tokens
}

// furnish makes the home folder what it is before a run, and forgets what the last one left.
func (w *world) furnish(f failure) {
	w.Helper()
	files := map[string]string{
		credentialFile:            `{"auths": {"other.example": {"auth": ` + quote(basic(foreign)) + `}, "FROM": ` + cmp.Or(f.entry, withPassword) + `}}`,
		"xdg/wherry/config.yaml":  "registries:\n  \"FROM\":\n    headers: {X-Token: " + quote(header) + ", User-Agent: " + agent + "}\n",
		"certificates/client.key": "-----BEGIN EC PRIVATE KEY-----\n" + key + "\n-----END EC PRIVATE KEY-----\n",
	}
	maps.Copy(files, f.home)
	wanted := map[string]string{}
	for name, text := range files {
		wanted[filepath.Join(w.home(), filepath.FromSlash(name))] = w.place(text, "HOME", w.home())
	}
	for path := range w.given {
		if _, stays := wanted[path]; !stays {
			w.must(os.Remove(path))
		}
	}
	for path, text := range wanted {
		if before, there := w.given[path]; there && before == text {
			continue
		}
		w.must(os.MkdirAll(filepath.Dir(path), 0o700))
		w.must(os.WriteFile(path, []byte(text), 0o600))
	}
	w.given = wanted
}

func (w *world) home() string { return filepath.Join(w.folder, "home") }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) environment(f failure) map[string]string {
	home := w.home()
	env := map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "xdg"), "XDG_STATE_HOME": filepath.Join(home, "state"),
		"XDG_CACHE_HOME": filepath.Join(home, "cache"), "XDG_DATA_HOME": filepath.Join(home, "data"), "NO_COLOR": "1", "WHERRY_OWN_ONLY": "1",
		"DOCKER_AUTH_CONFIG": `{"auths": {"another.example": {"auth": ` + quote(basic(foreign)) + `}}}`,
		"HTTPS_PROXY":        (&url.URL{Scheme: "http", User: url.UserPassword("bob", proxied), Host: "127.0.0.1:9"}).String(),
	}
	for name, value := range f.env {
		env[name] = w.place(value, "HOME", home)
	}
	return env
}

// checkFiles looks into all files of a run, and at their names. What was given and is as it was does not count, nor
// does the file that keeps credentials. All else is removed.
func (w *world) checkFiles(r result, kept string) {
	w.Helper()
	w.must(filepath.WalkDir(w.folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		w.check(r, "the name of a file", strings.TrimPrefix(path, w.folder))
		if !e.Type().IsRegular() {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, was := w.given[path]
		if was && string(raw) == text {
			return nil
		}
		if path != kept {
			w.check(r, "file "+path, string(raw))
		}
		delete(w.given, path)
		return os.Remove(path)
	}))
}

// checkSent wants storage to have seen nothing but what was in the URLs that led there.
func (w *world) checkSent(r result) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.seen {
		found := elsewhere.find(text)
		if w.failure.tokens {
			found = exchanged.find(text)
		}
		if len(found) > 0 {
			w.Errorf("%s: storage was sent %s", r.line, found[0])
		}
	}
}
