package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// A toll is a way to a registry on which what clients send is counted.
type toll struct {
	Host string
	sent atomic.Int64

	mu      sync.Mutex
	at      int64 // bytes
	reached chan struct{}
}

// startToll listens in front of reg.
func startToll(t *testing.T, reg *registry) *toll {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &toll{Host: l.Addr().String()}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		conns.Wait()
	})
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { w.pass(t.Context(), client, reg.Host) })
		}
	})
	return w
}

// pass connects both ends until either is gone.
func (w *toll) pass(ctx context.Context, client net.Conn, host string) {
	server, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		_ = client.Close() // the client sees it
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(io.MultiWriter(server, w), client) // ends with either connection
		_ = server.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(client, server) // as above
		_ = client.Close()
	})
	both.Wait()
	_ = server.Close()
}

// Write counts.
func (w *toll) Write(p []byte) (int, error) {
	sum := w.sent.Add(int64(len(p)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reached != nil && sum >= w.at {
		close(w.reached)
		w.reached = nil
	}
	return len(p), nil
}

// when returns a channel that is closed after so many bytes.
func (w *toll) when(at int64) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.reached = at, make(chan struct{})
	return w.reached
}

// oneLayer writes a layout with an image whose only layer has size random bytes.
func (b *box) oneLayer(name string, size int64) {
	b.t.Helper()
	blobs := b.path(name + "/blobs/sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		b.t.Fatal(err)
	}
	sum := sha256.New()
	f, err := os.Create(filepath.Join(blobs, "new"))
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8([32]byte{26}), size)
	digest := fmt.Sprintf("%x", sum.Sum(nil))
	if err := errors.Join(err, f.Close(), os.Rename(f.Name(), filepath.Join(blobs, digest))); err != nil {
		b.t.Fatal(err)
	}
	small := func(text string) string {
		d := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		b.write(filepath.Join(blobs, d), text)
		return fmt.Sprintf(`"digest":"sha256:%s","size":%d`, d, len(text))
	}
	config := small(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:` + digest + `"]}}`)
	manifest := small(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}]}`, config, digest, size))
	b.write(b.path(name+"/oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
	b.write(b.path(name+"/index.json"), `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		manifest+`,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`)
}

// pushUntil pushes through the toll and ends the push with s after so many bytes.
func (b *box) pushUntil(w *toll, s syscall.Signal, at int64, args ...string) {
	b.t.Helper()
	var said bytes.Buffer
	cmd := exec.CommandContext(b.t.Context(), tool(b.t, "wherry"), args...)
	cmd.Env, cmd.Dir, cmd.Stderr = b.env, b.Dir, &said
	reached := w.when(at)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // that it was told to end is seen below
	}()
	select {
	case <-reached:
	case <-done:
	}
	if err := cmd.Process.Signal(s); err != nil {
		b.t.Fatalf("the push ended before %d bytes: %s", at, said.String())
	}
	<-done
}

// TestAKilledPushGoesOnInTheNextProcess ends pushes of one large layer at half. Distribution 3 keeps what it got of a request
// that broke off, and the next process sends the rest; registries that do not get the blob anew. WHERRY_SOAK=1 takes 1 GiB.
func TestAKilledPushGoesOnInTheNextProcess(t *testing.T) {
	size := int64(128 << 20)
	if os.Getenv("WHERRY_SOAK") != "" {
		size = 1 << 30
	}
	b := newBox(t)
	b.oneLayer("layout", size)
	for _, c := range []struct {
		kind   registryKind
		signal syscall.Signal
		most   float64 // bytes sent in both runs, in blobs
	}{
		{distribution3, syscall.SIGKILL, 1.10},
		{distribution3, syscall.SIGINT, 1.10},
		{distribution2, syscall.SIGKILL, 1.6},
		{craneServe, syscall.SIGKILL, 1.6},
	} {
		t.Run(c.kind.Name+" "+c.signal.String(), func(t *testing.T) {
			reg, b := startRegistry(t, c.kind), b.in(t)
			w := startToll(t, reg)
			push := []string{"copy", "oci:" + b.path("layout") + ":v1", w.Host + "/app:v1"}
			b.pushUntil(w, c.signal, size/2, append(push, "--limit-rate", fmt.Sprintf("%dMB/s", size/2_000_000))...)
			first := w.sent.Load()
			b.wherry(push...)
			sent := w.sent.Load()
			again := float64(sent-size) / float64(size)
			t.Logf("of %d bytes %d were sent before the end and %d after it: %.2f %% of the blob was sent again", size, first, sent-first, 100*again)
			if float64(sent) > c.most*float64(size) {
				t.Errorf("%d bytes were sent of a blob of %d, more than %.2f times", sent, size, c.most)
			}
			reg.wantWhole(t, b, "app:v1")
			b.nothingNoted()
		})
	}
}

// nothingNoted wants no upload left in the journal.
func (b *box) nothingNoted() {
	b.t.Helper()
	b.eachFile(func(path, text string) {
		if strings.Contains(path, "/wherry/uploads/") {
			b.t.Errorf("%s is left: %s", path, text)
		}
	})
}
