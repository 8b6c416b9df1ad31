package term

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/transfer"
)

const hub = "docker.io"

func TestAWaitIsOneLineWhereNobodyLooks(t *testing.T) {
	for mode, want := range map[Mode]string{
		Auto:  "docker.io asks to wait: going on in 1m5s\n",
		Plain: "docker.io asks to wait: going on in 1m5s\n",
		JSON:  `{"event":"wait","time":"2000-01-01T00:00:00Z","host":"docker.io","until":"2000-01-01T00:01:04.5Z"}` + "\n",
		None:  "",
	} {
		synctest.Test(t, func(t *testing.T) {
			var out buffer
			s := NewScreen(Open(&out, nil))
			s.Wait(mode, hub, time.Now().Add(64500*time.Millisecond))
			<-time.After(2 * time.Minute)
			s.Clear()
			if out.String() != want {
				t.Errorf("%s: got %q, want %q", mode, out.String(), want)
			}
		})
	}
}

func TestAWaitCountsDownAndGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		s := NewScreen(Open(&out, nil))
		s.Wait(TTY, hub, time.Now().Add(3*time.Second))
		out.wait("going on in 3s", "going on in 2s", "going on in 1s")
		write(t, s, "a warning\n")
		s.Wait(TTY, hub, time.Now().Add(2*time.Second)) // it asks again
		out.wait("a warning\n")
		<-time.After(3 * time.Second)
		write(t, s, "after\n")
		if !strings.HasSuffix(out.String(), "after\n") || s.bars != nil || len(s.waits) > 0 {
			t.Errorf("the end is %q", out.String())
		}
	})
}

func write(t *testing.T, s *Screen, line string) {
	t.Helper()
	if _, err := s.Write([]byte(line)); err != nil {
		t.Error(err)
	}
}

func TestAWaitStandsAmongTheBars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		s := NewScreen(Open(&out, nil))
		s.Wait(TTY, hub, time.Now().Add(time.Hour)) // while the copy was planned
		b := newBars(s)
		b.Observe(transfer.Event{Kind: transfer.RunStarted, Bytes: blob.Size})
		s.Wait(TTY, "quay.io", time.Now().Add(2*time.Second))
		out.wait("total", "docker.io asks to wait: going on in 59m59s", "quay.io asks to wait: going on in 1s")
		<-time.After(3 * time.Second)
		b.Close()
		if s.bars != nil || len(s.waits) > 0 {
			t.Error("something is shown after the end")
		}
	})
}

func TestAWaitThatIsBrokenOffGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		s := NewScreen(Open(&out, nil))
		s.Clear()
		s.Wait(TTY, hub, time.Now().Add(time.Hour))
		s.Clear()
		write(t, s, "interrupted\n")
		if !strings.HasSuffix(out.String(), "interrupted\n") {
			t.Errorf("the end is %q", out.String())
		}
	})
}
