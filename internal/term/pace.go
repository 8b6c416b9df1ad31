package term

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// paceLine says how far a run has come: with the hosts that give something where
// there are several, since one of them may be what is slow.
func paceLine(p *transfer.Pace) string {
	percent := int64(100)
	if p.Total > 0 {
		percent = p.Done * 100 / p.Total
	}
	parts := []string{fmt.Sprintf("%s of %s (%d%%)", Size(p.Done), Size(p.Total), percent)}
	if speed := speedText(p); speed != "" {
		parts = append(parts, speed)
	}
	if hosts := hostsText(p); hosts != "" {
		parts = append(parts, hosts)
	}
	switch {
	case p.Retries == 1:
		parts = append(parts, "1 retry")
	case p.Retries > 1:
		parts = append(parts, strconv.Itoa(p.Retries)+" retries")
	}
	return strings.Join(parts, ", ")
}

// blobsLine says how far each of some blobs has come.
func blobsLine(blobs []transfer.Event, p *transfer.Pace) string {
	var parts []string
	for _, e := range blobs {
		parts = append(parts, fmt.Sprintf("%s: %s of %s", shortDigest(e.Desc.Digest), Size(e.Bytes), Size(e.Desc.Size)))
	}
	if speed := speedText(p); speed != "" {
		parts = append(parts, speed)
	}
	return "reading " + strings.Join(parts, ", ")
}

// shortDigest returns what people know d by.
func shortDigest(d digest.Digest) string {
	hex := d.Encoded()
	return hex[:min(12, len(hex))]
}

// speedText is the speed and the time that is left, as far as they are known.
func speedText(p *transfer.Pace) string {
	if p.Speed < 1 {
		return ""
	}
	text := rate(p.Speed)
	if p.Left > 0 {
		text += ", " + p.Left.String() + " left"
	}
	return text
}

// hostsText is what each of several hosts gives; the one that gave most is first.
func hostsText(p *transfer.Pace) string {
	if len(p.Hosts) < 2 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(p.Hosts), func(a, b string) int {
		return cmp.Or(cmp.Compare(p.Hosts[b].Bytes, p.Hosts[a].Bytes), cmp.Compare(a, b))
	})
	const most = 4
	var parts []string
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, Safe(name)+" "+rate(p.Hosts[name].Speed))
	}
	if len(names) > most {
		parts = append(parts, strconv.Itoa(len(names)-most)+" more")
	}
	return "from " + strings.Join(parts, " and ")
}

func rate(bytesPerSecond float64) string { return Size(int64(bytesPerSecond)) + "/s" }

// retries are the lines about what is asked or sent once more. Where a host fails
// all the time most of them are only counted.
type retries struct {
	told   map[string]time.Time // when there was a line about a host
	hidden map[string]int       // without one since
}

// line returns what is to be said of e, nothing where it is only counted. That a
// host wants to be left alone is said where it is waited for.
func (r *retries) line(e transfer.Event) string {
	if errors.Is(e.Err, content.ErrRateLimited) {
		return ""
	}
	if last, told := r.told[e.Host]; told && time.Since(last) < plainEvery {
		r.hidden[e.Host]++
		return ""
	}
	if r.told == nil {
		r.told, r.hidden = map[string]time.Time{}, map[string]int{}
	}
	line := retryLine(e)
	if n := r.hidden[e.Host]; n > 0 {
		line += fmt.Sprintf(" (and %d more before)", n)
	}
	r.told[e.Host], r.hidden[e.Host] = time.Now(), 0
	return line
}

// retryLine says what failed and that it goes on.
func retryLine(e transfer.Event) string {
	var b strings.Builder
	b.WriteString(Safe(e.Host) + ": ")
	if e.Err != nil {
		b.WriteString(Safe(e.Err.Error()))
	}
	if e.Desc.Size > 0 {
		fmt.Fprintf(&b, " at %s of %s", Size(e.Bytes), Size(e.Desc.Size))
	}
	b.WriteString(", going on")
	if wait := e.Wait.Round(time.Second); wait > 0 {
		b.WriteString(" in " + wait.String())
	}
	return b.String()
}
