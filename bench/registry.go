package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A registry is CNCF distribution v3 on loopback, with its data in a folder.
type registry struct {
	host    string
	tls     bool
	folder  string // holds config.yml
	data    string
	version string
	log     *logbook
	end     context.CancelFunc
	done    chan struct{}
}

const (
	startTime = 60 * time.Second // for a registry to say that it serves
	endTime   = 30 * time.Second // from SIGTERM to SIGKILL
)

var (
	listening   = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	requestLine = regexp.MustCompile(`"(GET|HEAD|PUT|POST|PATCH|DELETE) /v2/`)
)

// startRegistry starts a registry that speaks http, over an empty folder that it makes.
func startRegistry(ctx context.Context, folder string) (*registry, error) {
	return (&registry{folder: folder, data: filepath.Join(folder, "data")}).start(ctx, "")
}

// secure starts another registry over the same data, which speaks https and offers HTTP/2.
func (r *registry) secure(ctx context.Context, folder string, k keyFiles) (*registry, error) {
	s := &registry{folder: folder, data: r.data, tls: true}
	return s.start(ctx, ", tls: {certificate: '"+k.certificate+"', key: '"+k.key+"'}")
}

// start runs the program; more is what else its configuration says of http.
func (r *registry) start(ctx context.Context, more string) (*registry, error) {
	pins, err := readPins(".ci/versions")
	if err != nil {
		return nil, err
	}
	program, err := find("registry", pins)
	if err != nil {
		return nil, fmt.Errorf("%w (.ci/tools registry builds it)", err)
	}
	r.version, r.log, r.done = pins["registry"], &logbook{ready: make(chan string, 1)}, make(chan struct{})
	for _, dir := range []string{r.folder, r.data} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	config := "version: 0.1\nlog: {level: info, formatter: text}\nhttp: {addr: '127.0.0.1:0', secret: bench" + more + "}\n" +
		"storage:\n  delete: {enabled: true}\n  filesystem: {rootdirectory: '" + r.data + "'}\n"
	if err := os.WriteFile(filepath.Join(r.folder, "config.yml"), []byte(config), 0o644); err != nil {
		return nil, err
	}
	ctx, r.end = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, "serve", filepath.Join(r.folder, "config.yml"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.folder, "OTEL_TRACES_EXPORTER=none"}
	cmd.SysProcAttr = orphanless()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		r.end()
		return nil, err
	}
	go func() {
		defer close(r.done)
		_ = cmd.Wait() // it was told to end, and how it does so is its own affair
	}()
	return r, r.await()
}

// await waits until the registry serves, and ends it where it does not.
func (r *registry) await() error {
	limit := time.NewTimer(startTime)
	defer limit.Stop()
	select {
	case r.host = <-r.log.ready:
		return nil
	case <-r.done:
		return fmt.Errorf("the registry ended before it served:\n%s", r.log.tail())
	case <-limit.C:
		r.stop()
		return fmt.Errorf("the registry did not serve within %v:\n%s", startTime, r.log.tail())
	}
}

// stop ends the registry and waits for it.
func (r *registry) stop() {
	r.end()
	<-r.done
}

// empty removes all repositories and blobs. The registry keeps nothing of them in memory.
func (r *registry) empty() error {
	entries, err := os.ReadDir(r.data)
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(r.data, e.Name())))
	}
	return errors.Join(errs...)
}

// place is where the image of a repository is: 127.0.0.1:port/app:v1.
func (r *registry) place(repository string) place { return placeOf(r.host, repository) }

// placeOf is the image of a repository at a host that speaks http.
func placeOf(host, repository string) place { return place{ref: host + "/" + repository + ":v1"} }

// A logbook reads what a registry prints: it waits for the line that says where it serves, and counts requests that are
// not this program's own.
type logbook struct {
	ready chan string

	mu       sync.Mutex
	rest     []byte // a line that has not ended
	last     [8]string
	lines    int
	served   bool
	requests int
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.line(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
}

func (l *logbook) line(text string) {
	l.last[l.lines%len(l.last)] = text
	l.lines++
	if m := listening.FindStringSubmatch(text); m != nil && !l.served {
		l.served = true
		l.ready <- m[1]
	}
	if requestLine.MatchString(text) && !strings.Contains(text, userAgent) {
		l.requests++
	}
}

// count is how many requests others have made so far.
func (l *logbook) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests
}

// tail is the last lines.
func (l *logbook) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for i := max(0, l.lines-len(l.last)); i < l.lines; i++ {
		lines = append(lines, l.last[i%len(l.last)])
	}
	return strings.Join(lines, "\n")
}
