package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/ulikunitz/xz"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

var signalNamed = map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}

type registriesKey struct{}

// registries are those of one script, by name.
type registries map[string]*testregistry.Registry

func registryOf(ts *testscript.TestScript, name string) *testregistry.Registry {
	r, ok := ts.Value(registriesKey{}).(registries)[name]
	if !ok {
		ts.Fatalf("there is no registry %s", name)
	}
	return r
}

func usage(ts *testscript.TestScript, good bool, line string) { //nolint:revive // what was found out, not a switch
	if !good {
		ts.Fatalf("usage: %s", line)
	}
}

func say(ts *testscript.TestScript, w io.Writer, format string, args ...any) {
	_, err := fmt.Fprintf(w, format, args...)
	ts.Check(err)
}

// cmdRegistry starts a registry and sets $NAME to its host and port.
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "registry NAME [switch|fault…]")
	config, err := testregistry.ParseConfig(args[1:]...)
	ts.Check(err)
	r := testregistry.New(config)
	ts.Check(r.Listen("127.0.0.1:0"))
	ts.Defer(r.Close)
	ts.Value(registriesKey{}).(registries)[args[0]] = r
	ts.Setenv(args[0], r.Host())
}

// cmdClose stops a registry: from then on nobody answers there.
func cmdClose(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "close NAME")
	registryOf(ts, args[0]).Close()
}

// cmdFaults replaces a registry's faults.
func cmdFaults(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "faults NAME [fault…]")
	faults := make([]testregistry.Fault, len(args)-1)
	for i, text := range args[1:] {
		f, err := testregistry.ParseFault(text)
		ts.Check(err)
		faults[i] = f
	}
	registryOf(ts, args[0]).SetFaults(faults...)
}

// cmdImage puts an image of a kind into a registry, without a request: age=24h is
// one that was made so long ago, on=REPOSITORY:TAG one that says that it was built
// on that, which is put there too.
func cmdImage(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && (len(args) == 3 || len(args) == 4), "image NAME REPOSITORY:TAG KIND|age=DURATION|on=REPOSITORY:TAG [SEED]")
	seed := uint64(1)
	if len(args) == 4 {
		n, err := strconv.ParseUint(args[3], 10, 64)
		ts.Check(err)
		seed = n
	}
	repo, tag := split(ts, args[1])
	if args[2] == "big" {
		testimage.Big(seed, 8).PutTo(registryOf(ts, args[0]), repo, tag)
		return
	}
	if age, ok := strings.CutPrefix(args[2], "age="); ok {
		d, err := time.ParseDuration(age)
		ts.Check(err)
		testimage.Made(seed, time.Now().Add(-d).UTC().Truncate(time.Second)).PutTo(registryOf(ts, args[0]), repo, tag)
		return
	}
	if on, ok := strings.CutPrefix(args[2], "on="); ok {
		r := registryOf(ts, args[0])
		base, image := testimage.On(seed, r.Host()+"/"+on)
		baseRepo, baseTag := split(ts, on)
		base.PutTo(r, baseRepo, baseTag)
		image.PutTo(r, repo, tag)
		return
	}
	m, ok := testimage.Named(args[2], seed)
	if !ok {
		ts.Fatalf("there is no kind %q of image", args[2])
	}
	m.PutTo(registryOf(ts, args[0]), repo, tag)
}

// cmdRefer puts something that refers to an image, or to its child for
// PLATFORM, into its registry: by a subject, or by a cosign tag (TYPE .sig,
// .att or .sbom).
func cmdRefer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && (len(args) == 3 || len(args) == 4), "refer NAME REPOSITORY:TAG TYPE [PLATFORM]")
	r := registryOf(ts, args[0])
	repo, tag := split(ts, args[1])
	m, ok := r.Manifest(repo, tag)
	if !ok {
		ts.Fatalf("%s is not at %s", args[1], args[0])
	}
	subject := ocispec.Descriptor{MediaType: m.MediaType, Digest: r.Digest(repo, tag), Size: int64(len(m.Bytes))}
	if len(args) == 4 {
		subject = childFor(ts, m, args[3])
	}
	b := testimage.Builder{Seed: 99}
	if kind := args[2]; strings.HasPrefix(kind, ".") {
		d := b.Artifact("application/vnd.example"+kind, b.Blob("text/plain", []byte(subject.Digest)))
		b.Done(d).PutTo(r, repo, "sha256-"+subject.Digest.Encoded()+kind)
		return
	}
	put := b.Done(b.Refer(subject, args[2]))
	for d, raw := range put.Blobs {
		r.PutBlobAs(repo, d, raw)
	}
	for d, stored := range put.Manifests {
		r.PutManifest(repo, d.String(), stored.MediaType, stored.Bytes)
	}
}

// childFor returns the child of index m for platform.
func childFor(ts *testscript.TestScript, m testregistry.Manifest, platform string) ocispec.Descriptor {
	want, err := content.ParsePlatform(platform)
	ts.Check(err)
	index, err := content.ParseManifest(m.MediaType, m.Bytes, content.Limits{})
	ts.Check(err)
	child, err := content.PickPlatform(index, want)
	ts.Check(err)
	return ocispec.Descriptor{MediaType: child.MediaType, Digest: child.Digest, Size: child.Size}
}

// cmdForget forgets a registry's requests so far.
func cmdForget(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "forget NAME…")
	for _, name := range args {
		registryOf(ts, name).Reset()
	}
}

// cmdRequests prints how many requests there were, token requests apart, a line
// for each method and kind, and how many bytes of blobs went out and came in.
func cmdRequests(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "requests NAME")
	r := registryOf(ts, args[0])
	counts := map[string]int{}
	for _, q := range r.Requests() {
		if testregistry.NotToken(q) {
			counts[q.Method+" "+string(q.Kind)]++
			counts["all"]++
		}
		say(ts, ts.Stderr(), "%s %s %s %s %d\n", q.Method, q.Kind, q.Repo, q.Ref, q.Status)
	}
	out := ts.Stdout()
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		say(ts, out, "%s %d\n", what, counts[what])
	}
	say(ts, out, "blob bytes out %d\nblob bytes in %d\n", r.BlobBytesSent(), r.BlobBytesReceived())
}

// cmdDigest sets $VAR to the digest of a tag, as the registry has it.
func cmdDigest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "digest VAR NAME REPOSITORY:TAG")
	repo, tag := split(ts, args[2])
	d := registryOf(ts, args[1]).Digest(repo, tag)
	if d == "" {
		ts.Fatalf("%s is not at %s", args[2], args[1])
	}
	ts.Setenv(args[0], d.String())
}

// cmdComplete checks that everything below a tag is in the registry, with the
// bytes its digest promises, and prints how many manifests and blobs that is.
func cmdComplete(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, "complete NAME REPOSITORY:TAG")
	repo, tag := split(ts, args[1])
	w := walk{r: registryOf(ts, args[0]), repo: repo, seen: map[digest.Digest]bool{}}
	err := w.manifest(w.r.Digest(repo, tag))
	switch {
	case neg && err == nil:
		ts.Fatalf("%s is complete at %s", args[1], args[0])
	case !neg:
		ts.Check(err)
	}
	say(ts, ts.Stdout(), "%d manifests, %d blobs\n", w.manifests, w.blobs)
}

type walk struct {
	r                *testregistry.Registry
	repo             string
	seen             map[digest.Digest]bool
	manifests, blobs int
}

func (w *walk) manifest(d digest.Digest) error {
	if w.seen[d] {
		return nil
	}
	w.seen[d] = true
	m, ok := w.r.Manifest(w.repo, d.String())
	if !ok || d.Algorithm().FromBytes(m.Bytes) != d {
		return fmt.Errorf("manifest %q is not there, or not right", d)
	}
	w.manifests++
	var parts struct {
		Config            ocispec.Descriptor
		Layers, Manifests []ocispec.Descriptor
	}
	if !json.Valid(m.Bytes) {
		return nil // of a type nobody knows
	}
	if err := json.Unmarshal(m.Bytes, &parts); err != nil {
		return err
	}
	for _, child := range parts.Manifests {
		if err := w.manifest(child.Digest); err != nil {
			return err
		}
	}
	for _, b := range append(parts.Layers, parts.Config) {
		if b.Digest == "" || len(b.URLs) > 0 || w.seen[b.Digest] {
			continue
		}
		w.seen[b.Digest] = true
		raw, ok := w.r.Blob(w.repo, b.Digest)
		if !ok || b.Digest.Algorithm().FromBytes(raw) != b.Digest {
			return fmt.Errorf("blob %s is not there, or not right", b.Digest)
		}
		w.blobs++
	}
	return nil
}

// cmdPack compresses a file into another, whose name says how.
func cmdPack(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "pack FILE FILE.gz|.zst|.xz")
	raw, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	file, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	var w io.WriteCloser
	switch args[1][strings.LastIndex(args[1], "."):] {
	case ".gz":
		w = gzip.NewWriter(file)
	case ".zst":
		w, err = zstd.NewWriter(file)
	case ".xz":
		w, err = xz.NewWriter(file)
	default:
		ts.Fatalf("no compression has the name of %s", args[1])
	}
	ts.Check(err)
	_, err = w.Write(raw)
	ts.Check(errors.Join(err, w.Close(), file.Close()))
}

// cmdSchema checks that a JSON document follows a schema of docs/schemas, or
// that each line does where the schema is one of lines.
func cmdSchema(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && (len(args) == 2 || len(args) == 3 && args[0] == "-lines"), "schema [-lines] NAME FILE")
	lines := len(args) == 3
	args = args[len(args)-2:]
	raw, err := os.ReadFile(ts.Getenv("SCHEMAS") + "/" + args[0] + ".json")
	ts.Check(err)
	var s jsonschema.Schema
	ts.Check(json.Unmarshal(raw, &s))
	resolved, err := s.Resolve(nil)
	ts.Check(err)
	text := ts.ReadFile(args[1])
	documents := []string{text}
	if lines {
		documents = strings.Split(strings.TrimSpace(text), "\n")
	}
	for _, document := range documents {
		var value any
		ts.Check(json.Unmarshal([]byte(document), &value))
		ts.Check(resolved.Validate(value))
	}
}

// cmdExits runs a program that must end with the given exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "exits CODE PROGRAM [ARGUMENT…]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdSignals runs a program, sends it a signal when a fault of the registry
// strikes for the first time, and checks the exit code. Each takes a registry of
// its own: what an earlier program asked of it may be served late, and the fault
// would strike before the next program listens for signals.
func cmdSignals(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 5, "signals CODE INT|TERM|HUP NAME FAULT PROGRAM [ARGUMENT…]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	sent, ok := signalNamed[args[1]]
	usage(ts, ok, "signals CODE INT|TERM|HUP …")
	fault, err := testregistry.ParseFault(args[3])
	ts.Check(err)
	path, err := exec.LookPath(args[4])
	ts.Check(err)
	cmd := exec.Command(path, args[5:]...) //nolint:noctx // the signal ends it
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environment(ts)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	struck := make(chan struct{}, 1)
	fault.Hit = func() {
		select {
		case struck <- struct{}{}:
		default:
		}
	}
	registryOf(ts, args[2]).SetFaults(fault)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, sent) // the program does not inherit that we may ignore it
	ts.Check(cmd.Start())
	signal.Stop(caught)
	<-struck
	ts.Check(cmd.Process.Signal(sent))
	var failed *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &failed) || failed.ExitCode() != want {
		ts.Fatalf("%v, want exit code %d", err, want)
	}
}

// environment is what a script's programs see of ours.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "NO_COLOR", "WHERRY_OWN_ONLY"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// split takes repository:tag apart.
func split(ts *testscript.TestScript, ref string) (repo, tag string) {
	repo, tag, ok := strings.Cut(ref, ":")
	if !ok {
		ts.Fatalf("%s is not of the form repository:tag", ref)
	}
	return repo, tag
}
