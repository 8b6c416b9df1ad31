package term

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A buffer is bytes.Buffer for several goroutines.
type buffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	grown sync.Cond
}

// wait returns when all of texts have been written.
func (b *buffer) wait(texts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grown.L = &b.mu
	for slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(b.b.String(), text) }) {
		b.grown.Wait()
	}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.grown.Broadcast()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var blob = ocispec.Descriptor{Digest: digest.FromString("blob"), Size: 100_000_000}

// run is the events of one blob that arrives in so many steps of a second.
func run(p Progress, steps int64) {
	p.Observe(transfer.Event{Kind: transfer.RunStarted, Bytes: blob.Size})
	p.Observe(transfer.Event{Kind: transfer.BlobStarted, Desc: blob, Bytes: blob.Size / 5})
	for i := range steps {
		<-time.After(time.Second)
		done, speed := blob.Size*(i+1)/steps, blob.Size/steps
		p.Observe(transfer.Event{Kind: transfer.BlobProgress, Desc: blob, Bytes: done})
		p.Observe(transfer.Event{Kind: transfer.RunProgress, Pace: &transfer.Pace{
			Total: blob.Size, Done: done, Speed: float64(speed), Left: time.Duration((blob.Size-done)/speed) * time.Second,
		}})
	}
	p.Observe(transfer.Event{Kind: transfer.BlobDone, Target: "there", Desc: blob, Bytes: blob.Size, Outcome: content.Stored})
	p.Observe(transfer.Event{Kind: transfer.ImageDone, Image: "app:1\x1b", Target: "there"})
	p.Observe(transfer.Event{Kind: transfer.RunDone})
	p.Close()
}

func TestPlainProgressIsALineEveryTenSecondsAndOneForEachImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		run(NewProgress(NewScreen(Open(&out, nil)), Auto), 25)
		want := "40MB of 100MB (40%), 4MB/s, 15s left\n80MB of 100MB (80%), 4MB/s, 5s left\napp:1\\x1b to there: done\n"
		if got := out.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestPlainProgressOfAShortCopyIsOneLine(t *testing.T) {
	var out buffer
	p := NewProgress(NewScreen(Open(&out, nil)), Plain)
	run(p, 0)
	p.Observe(transfer.Event{Kind: transfer.ImageDone, Image: "b", Err: errors.New("gone")})
	if got, want := out.String(), "app:1\\x1b to there: done\nb: failed\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoProgressIsSilent(t *testing.T) {
	var out buffer
	run(NewProgress(NewScreen(Open(&out, nil)), None), 0)
	if out.String() != "" {
		t.Errorf("got %q", out.String())
	}
}

func TestJSONProgressIsOneObjectALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		p := NewProgress(NewScreen(Open(&out, nil)), JSON)
		run(p, 1)
		p.Observe(transfer.Event{Kind: transfer.BlobDone, Desc: blob, Err: errors.New("gone")})
		var got []string
		for line := range strings.Lines(out.String()) {
			var e event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if e.Time.IsZero() {
				t.Errorf("%q has no time", line)
			}
			got = append(got, e.Event+" "+e.Outcome+e.Error)
		}
		want := "start |blob-start |blob-progress |progress |blob-done stored|image-done |done |blob-done gone"
		if strings.Join(got, "|") != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if start := `"event":"blob-start"`; !strings.Contains(out.String(), start) || !strings.Contains(out.String(), `"bytes":20000000`) {
			t.Errorf("%q does not say what was there at the start", out.String())
		}
		if !strings.Contains(out.String(), `"image":"app:1\u001b"`) {
			t.Errorf("outside text went out as it was: %q", out.String())
		}
	})
}

func TestBarsLeaveLogLinesWhole(t *testing.T) {
	var out buffer
	s := NewScreen(Open(&out, nil))
	p := NewProgress(s, TTY)
	p.Observe(transfer.Event{Kind: transfer.RunStarted, Bytes: blob.Size})
	p.Observe(transfer.Event{Kind: transfer.BlobStarted, Desc: blob})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := s.Write([]byte("a line of the log\n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range blob.Size / 1_000_000 {
		p.Observe(transfer.Event{Kind: transfer.BlobProgress, Desc: blob, Bytes: i * 1_000_000})
	}
	wg.Wait()
	p.Close()
	if _, err := s.Write([]byte("after\n")); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "a line of the log\n"); n != 200 {
		t.Errorf("%d whole lines of 200", n)
	}
	if !strings.HasSuffix(out.String(), "after\n") {
		t.Errorf("the end is %q", out.String()[max(0, out.b.Len()-80):])
	}
}

func TestBarsShowBlobsAndTheTotal(_ *testing.T) {
	var out buffer
	s := NewScreen(Open(&out, nil))
	b := newBars(s)
	b.Observe(transfer.Event{Kind: transfer.RunStarted, Bytes: 2 * blob.Size})
	b.Observe(transfer.Event{Kind: transfer.BlobStarted, Desc: blob, Bytes: blob.Size / 2})
	b.Observe(transfer.Event{Kind: transfer.RunProgress, Pace: &transfer.Pace{
		Total: 2 * blob.Size, Done: blob.Size / 2, Speed: 2e6, Left: 75 * time.Second,
		Hosts: map[string]transfer.HostSpeed{"slow.example": {Bytes: 1, Speed: 1e5}, "fast.example": {Bytes: 2, Speed: 1.9e6}},
	}})
	b.Observe(transfer.Event{Kind: transfer.Retrying, Host: "slow.example", Err: errors.New("connection reset"), Bytes: blob.Size / 4, Desc: blob})
	out.wait("total", "50MB/200MB", "2MB/s, 1m15s left", blob.Digest.Encoded()[:12], "50MB/100MB",
		"from fast.example 1.9MB/s and slow.example 100kB/s", "slow.example: connection reset at 25MB of 100MB, going on\n")
	b.Observe(transfer.Event{Kind: transfer.BlobDone, Desc: blob, Outcome: content.Existed})
	b.Close()
	b.Close()
}

func TestBarsOfAPlanThatMovesNothingGoAway(_ *testing.T) {
	var out buffer
	p := NewProgress(NewScreen(Open(&out, nil)), TTY)
	p.Observe(transfer.Event{Kind: transfer.RunStarted})
	p.Observe(transfer.Event{Kind: transfer.ImageDone, Image: "a"})
	p.Observe(transfer.Event{Kind: transfer.RunDone})
	p.Close()
}

func TestModesAreFlagValues(t *testing.T) {
	var m Mode
	if m.String() != "" || m.Type() != "auto|tty|plain|json|none" {
		t.Errorf("zero mode is %q of %s", m.String(), m.Type())
	}
	if err := m.Set("plain"); err != nil || m != Plain {
		t.Errorf("Set(plain) = %v, mode %s", err, m)
	}
	if err := m.Set("fancy"); err == nil {
		t.Error("fancy was taken")
	}
}
