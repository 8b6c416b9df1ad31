package layout

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

const (
	usesFile     = ownDir + "/uses"
	maxUses      = 64 << 20
	tidyUses     = 1 << 20   // bytes, from which on what counts no more is taken out
	usedInterval = time.Hour // in which one use of an image is written down
	spareLines   = 256       // that count no more and stay all the same
)

// A Deed is what was done with an image.
type Deed string

// The deeds of docker's verbs. All but Used bring the image or give it a name.
const (
	Pulled   Deed = "pulled"
	Loaded   Deed = "loaded"
	Imported Deed = "imported"
	Tagged   Deed = "tagged"
	Used     Deed = "used" // pushed, saved, exported or looked at
)

// A Use is something that was done with an image of a store.
type Use struct {
	Deed   Deed
	Digest digest.Digest // of the root of the image
	Name   string        // that the image got, or was called by; may be empty
	From   string        // where the image came from; may be empty
	Time   time.Time     // zero is now
}

// A History is what is known of what was done with an image. A time is zero where
// that is not known.
type History struct {
	Came time.Time // when it was pulled, loaded or imported last
	From string    // where it came from then

	Named time.Time // when it came or got a name last
	Used  time.Time // when anything was done with it last
}

// Note writes down uses, which no other file is written for. Of what an image was
// used for once in an hour is enough. A store that is not there is not made, and
// what cannot be written down, in a store that is read only for one, is not known
// later and no error.
func (s *Store) Note(ctx context.Context, uses ...Use) {
	var lines strings.Builder
	var known string
	for _, u := range uses {
		if u.Time.IsZero() {
			u.Time = time.Now()
		}
		if u.Deed == Used {
			if known == "" {
				known = s.knownUses()
			}
			if last, ok := lastUse(known, u.Digest); ok && u.Time.Sub(last.Time) < usedInterval {
				continue
			}
		}
		lines.WriteString(u.line())
	}
	if lines.Len() == 0 || !s.disk.made.Load() || s.disk.appendTo(usesFile, lines.String()) != nil {
		return
	}
	if fi, err := s.disk.root.Lstat(usesFile); err == nil && fi.Size() > tidyUses {
		s.tidyUses(ctx)
	}
}

// Uses returns what is known of the images of the store, and of some that are gone.
func (s *Store) Uses() map[digest.Digest]History {
	histories := map[digest.Digest]History{}
	for line := range strings.Lines(s.knownUses()) {
		if u, ok := parseUse(line); ok {
			h := histories[u.Digest]
			h.add(u)
			histories[u.Digest] = h
		}
	}
	return histories
}

// add adds u, which may be older than what is known.
func (h *History) add(u Use) {
	if came := u.Deed != Used && u.Deed != Tagged; came && !u.Time.Before(h.Came) {
		h.Came, h.From = u.Time, u.From
	}
	if u.Deed != Used {
		h.Named = later(h.Named, u.Time)
	}
	h.Used = later(h.Used, u.Time)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// StoredAt returns when the manifest or index d was stored; zero where it is not
// there.
func (s *Store) StoredAt(d digest.Digest) time.Time {
	if content.CheckDigest(d) != nil || !s.disk.made.Load() {
		return time.Time{}
	}
	fi, err := s.disk.root.Lstat(s.disk.place(d))
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
}

// knownUses reads the file. One that is not there says nothing.
func (s *Store) knownUses() string {
	lines, err := s.disk.readText(usesFile, maxUses)
	if err != nil {
		return ""
	}
	return lines
}

// oneField makes of what somebody typed what a field can hold.
var oneField = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")

// line returns the line of u: fields with tabs between them.
func (u Use) line() string {
	return strings.Join([]string{
		u.Time.UTC().Format(time.RFC3339Nano), string(u.Deed), u.Digest.String(),
		cmp.Or(oneField.Replace(u.Name), noFact), cmp.Or(oneField.Replace(u.From), noFact),
	}, "\t") + "\n"
}

// parseUse reads a line.
func parseUse(line string) (u Use, ok bool) {
	line = strings.TrimSuffix(line, "\n")
	when, err := time.Parse(time.RFC3339Nano, take(&line))
	u = Use{Time: when, Deed: Deed(take(&line)), Digest: digest.Digest(take(&line)), Name: take(&line), From: take(&line)}
	switch u.Deed {
	case Pulled, Loaded, Imported, Tagged, Used:
		return u, err == nil && line == "" && content.CheckDigest(u.Digest) == nil
	default:
		return u, false
	}
}

// lastUse returns the last use of d among lines. It looks from their end, and
// reads only what is about d.
func lastUse(lines string, d digest.Digest) (u Use, ok bool) {
	for at := strings.LastIndex(lines, d.String()); at >= 0; at = strings.LastIndex(lines[:at], d.String()) {
		begin := strings.LastIndexByte(lines[:at], '\n') + 1
		line, _, _ := strings.Cut(lines[begin:], "\n")
		if u, ok = parseUse(line); ok && u.Digest == d {
			return u, true
		}
		at = begin
	}
	return Use{}, false
}

// tidyUses takes out what counts no more, if that is more than half: of each image
// that is in index.json the last of each deed stays. What somebody adds in this
// very moment may be lost.
func (s *Store) tidyUses(ctx context.Context) {
	lock, err := s.disk.lockIndex(ctx)
	if err != nil {
		return
	}
	defer func() { _ = lock.Release() }()
	x, err := s.index()
	if err != nil {
		return
	}
	here := make(map[digest.Digest]bool, len(x.entries))
	for _, e := range x.entries {
		here[e.digest] = true
	}
	all := s.knownUses()
	if kept := lastUses(all, here); 2*strings.Count(kept, "\n")+spareLines < strings.Count(all, "\n") {
		_ = s.disk.replace(usesFile, []byte(kept))
	}
}

// lastUses returns those of lines that are the last of a deed with an image of here.
func lastUses(lines string, here map[digest.Digest]bool) string {
	type key struct {
		digest digest.Digest
		deed   Deed
	}
	last := map[key]int{}
	var n int
	for line := range strings.Lines(lines) {
		if u, ok := parseUse(line); ok && here[u.Digest] {
			last[key{u.Digest, u.Deed}] = n
		}
		n++
	}
	var kept strings.Builder
	n = 0
	for line := range strings.Lines(lines) {
		if u, ok := parseUse(line); ok && here[u.Digest] && last[key{u.Digest, u.Deed}] == n {
			kept.WriteString(line)
		}
		n++
	}
	return kept.String()
}
