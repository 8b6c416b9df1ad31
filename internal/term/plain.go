package term

import (
	"slices"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/transfer"
)

// plainEvery is how often a line tells how far the run has come at most.
const plainEvery = 10 * time.Second

// plain shows a run as lines, for logs.
type plain struct {
	screen  *Screen
	retries retries
	told    time.Time
	whole   bool             // it is known how much there is in all
	open    []transfer.Event // the last of each blob under way, where that is not known
}

func (p *plain) Close() {}

func (p *plain) Observe(e transfer.Event) {
	switch e.Kind {
	case transfer.RunStarted:
		p.told, p.whole = time.Now(), true
	case transfer.ImageDone:
		p.say(imageLine(e))
	case transfer.Retrying:
		if line := p.retries.line(e); line != "" {
			p.say(line)
		}
	case transfer.RunProgress:
		if time.Since(p.told) >= plainEvery {
			p.told = time.Now()
			p.say(p.paceLine(e.Pace))
		}
	case transfer.BlobStarted, transfer.BlobProgress, transfer.BlobDone:
		p.note(e)
	case transfer.RunDone:
	}
}

// note remembers which blobs are under way, and how far they have come.
func (p *plain) note(e transfer.Event) {
	if p.whole {
		return
	}
	if p.told.IsZero() {
		p.told = time.Now()
	}
	p.open = slices.DeleteFunc(p.open, func(o transfer.Event) bool { return o.Desc.Digest == e.Desc.Digest })
	if e.Kind != transfer.BlobDone {
		p.open = append(p.open, e)
	}
}

// paceLine says how far it has come: all of it or, where nobody knows how much that
// is, each blob under way.
func (p *plain) paceLine(pace *transfer.Pace) string {
	if p.whole {
		return paceLine(pace)
	}
	return blobsLine(p.open, pace)
}

// say writes a line. A standard error that is gone does not stop a copy.
func (p *plain) say(line string) { _, _ = p.screen.Write([]byte(line + "\n")) }

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
	Event   string               `json:"event"`
	Time    time.Time            `json:"time"`
	Image   string               `json:"image,omitempty"`
	Target  string               `json:"target,omitempty"`
	Digest  string               `json:"digest,omitempty"`
	Size    int64                `json:"size,omitempty"`
	Bytes   *int64               `json:"bytes,omitempty"`
	Total   *int64               `json:"total,omitempty"`
	Speed   *int64               `json:"bytesPerSecond,omitempty"`
	Left    int64                `json:"secondsLeft,omitempty"`
	Hosts   map[string]hostEvent `json:"hosts,omitempty"`
	Retries int                  `json:"retries,omitempty"`
	Outcome string               `json:"outcome,omitempty"`
	Host    string               `json:"host,omitempty"`
	Until   *time.Time           `json:"until,omitempty"`
	Wait    float64              `json:"waitSeconds,omitempty"`
	Error   string               `json:"error,omitempty"`
}

type hostEvent struct {
	Bytes int64 `json:"bytes"`
	Speed int64 `json:"bytesPerSecond"`
}

func (p *events) Close() {}

func (p *events) Observe(e transfer.Event) {
	line := event{
		Event: e.Kind.String(), Time: time.Now().UTC(), Image: e.Image, Target: e.Target,
		Digest: e.Desc.Digest.String(), Size: e.Desc.Size, Host: e.Host, Wait: e.Wait.Seconds(),
	}
	if e.Err != nil {
		line.Error = e.Err.Error()
	}
	switch e.Kind {
	case transfer.RunStarted, transfer.BlobStarted, transfer.BlobProgress:
		line.Bytes = &e.Bytes
	case transfer.Retrying:
		if e.Desc.Digest != "" {
			line.Bytes = &e.Bytes
		}
	case transfer.BlobDone:
		if e.Err == nil && e.Outcome != 0 { // what is only read ends nowhere
			line.Outcome = e.Outcome.String()
		}
	case transfer.RunProgress, transfer.RunDone:
		line.pace(e.Pace)
	case transfer.ImageDone:
	}
	p.screen.say(line)
}

// pace fills in how far the run has come.
func (e *event) pace(p *transfer.Pace) {
	if p == nil {
		return
	}
	speed := int64(p.Speed)
	e.Bytes, e.Total, e.Speed, e.Left, e.Retries = &p.Done, &p.Total, &speed, int64(p.Left.Seconds()), p.Retries
	for name, h := range p.Hosts {
		if e.Hosts == nil {
			e.Hosts = map[string]hostEvent{}
		}
		e.Hosts[name] = hostEvent{h.Bytes, int64(h.Speed)}
	}
}
