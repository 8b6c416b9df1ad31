package term

import (
	"fmt"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/transfer"
)

// plainEvery is how often a line tells how far the run has come at most.
const plainEvery = 10 * time.Second

// plain shows a run as lines, for logs.
type plain struct {
	screen *Screen
	pace   pace
	told   time.Time
}

func (p *plain) Close() {}

func (p *plain) Observe(e transfer.Event) {
	p.pace.observe(e)
	switch e.Kind {
	case transfer.RunStarted:
		p.told = time.Now()
	case transfer.ImageDone:
		p.say(imageLine(e))
	case transfer.BlobStarted, transfer.BlobProgress, transfer.BlobDone:
		if time.Since(p.told) >= plainEvery {
			p.told = time.Now()
			p.say(p.pace.line())
		}
	case transfer.RunDone:
	}
}

// say writes a line. A standard error that is gone does not stop a copy.
func (p *plain) say(line string) { _, _ = p.screen.Write([]byte(line + "\n")) }

func (p *pace) line() string {
	done, total := p.bytes()
	percent := int64(100)
	if total > 0 {
		percent = done * 100 / total
	}
	line := fmt.Sprintf("%s of %s (%d%%)", Size(done), Size(total), percent)
	if pace := p.String(); pace != "" {
		line += ", " + pace
	}
	return line
}

// imageLine says what became of an image.
func imageLine(e transfer.Event) string {
	var b strings.Builder
	b.WriteString(Safe(e.Image))
	if e.Target != "" {
		b.WriteString(" to " + Safe(e.Target))
	}
	if e.Err != nil {
		return b.String() + ": failed"
	}
	return b.String() + ": done"
}

// events shows a run as one JSON object a line, for programs.
type events struct{ screen *Screen }

// An event is the form in which programs read a transfer.Event, or that a host
// is waited for.
type event struct {
	Event   string     `json:"event"`
	Time    time.Time  `json:"time"`
	Image   string     `json:"image,omitempty"`
	Target  string     `json:"target,omitempty"`
	Digest  string     `json:"digest,omitempty"`
	Size    int64      `json:"size,omitempty"`
	Bytes   *int64     `json:"bytes,omitempty"`
	Outcome string     `json:"outcome,omitempty"`
	Host    string     `json:"host,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
	Error   string     `json:"error,omitempty"`
}

func (p *events) Close() {}

func (p *events) Observe(e transfer.Event) {
	line := event{
		Event: e.Kind.String(), Time: time.Now().UTC(), Image: e.Image, Target: e.Target,
		Digest: e.Desc.Digest.String(), Size: e.Desc.Size,
	}
	switch {
	case e.Kind == transfer.RunStarted, e.Kind == transfer.BlobProgress:
		line.Bytes = &e.Bytes
	case e.Err != nil:
		line.Error = e.Err.Error()
	case e.Kind == transfer.BlobDone:
		line.Outcome = e.Outcome.String()
	}
	p.screen.say(line)
}
