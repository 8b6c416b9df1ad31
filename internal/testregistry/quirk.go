package testregistry

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A Quirk is something that a registry does in its own way. A fault goes wrong; a quirk is meant, or at least always so.
// What quirks there are, and what N or Value is to each, stands in the tables of habits; who has them, in Profiles.
type Quirk struct {
	Name  string
	Value string // as it was written; N is the number that it is, if it is one
	N     int64
}

// A habit is what a quirk does. The parts that are nil leave requests to the registry.
type habit struct {
	reads argument // what stands behind the quirk's name

	before func(*Registry, *exchange, Quirk) (reply, bool)        // answers in the registry's place, or does not
	after  func(*Registry, *exchange, Quirk, reply) (reply, bool) // bends an answer, or does not
}

// habits are all quirks there are.
var habits = func() map[string]habit {
	all := map[string]habit{}
	for _, some := range []map[string]habit{authHabits, listHabits, manifestHabits, blobHabits, uploadHabits, listingHabits} {
		maps.Copy(all, some)
	}
	return all
}()

// parseQuirk reports whether key is a quirk, and reads it.
func parseQuirk(key, value string) (q Quirk, known bool, err error) {
	h, known := habits[key]
	if !known {
		return Quirk{}, false, nil
	}
	q = Quirk{Name: key, Value: value}
	switch h.reads {
	case number:
		q.N, err = parseNumber(value)
	case noArgument:
		if value != "" {
			err = fmt.Errorf("value %q where none belongs", value)
		}
	default: // whatever it is
	}
	return q, true, err
}

func (c *Config) has(quirk string) bool {
	return slices.ContainsFunc(c.Quirks, func(q Quirk) bool { return q.Name == quirk })
}

// habitually is the registry with its quirks and without faults.
func (r *Registry) habitually(q *exchange) reply {
	for _, quirk := range r.config.Quirks {
		h := habits[quirk.Name]
		if h.before == nil {
			continue
		}
		if a, answered := h.before(r, q, quirk); answered {
			r.hit(quirk.Name)
			return r.bend(q, a)
		}
	}
	return r.bend(q, r.answer(q))
}

// bend lets quirks have their way with an answer.
func (r *Registry) bend(q *exchange, a reply) reply {
	for _, quirk := range r.config.Quirks {
		h := habits[quirk.Name]
		if h.after == nil {
			continue
		}
		if bent, is := h.after(r, q, quirk, a); is {
			r.hit(quirk.Name)
			a = bent
		}
	}
	return a
}

// A hitCount says how often each rule was the one that counted.
type hitCount struct {
	mu sync.Mutex
	of map[string]int
}

func (r *Registry) hit(rule string) {
	r.hits.mu.Lock()
	defer r.hits.mu.Unlock()
	if r.hits.of == nil {
		r.hits.of = map[string]int{}
	}
	r.hits.of[rule]++
}

// Hits returns how often a quirk, switch or fault, named by the word that ParseConfig reads, decided or changed an
// answer. Of the switches those are counted that profiles have.
func (r *Registry) Hits(rule string) int {
	r.hits.mu.Lock()
	defer r.hits.mu.Unlock()
	return r.hits.of[rule]
}

// once reports whether quirk had no hit so far. It is for those that act once.
func (r *Registry) once(quirk Quirk) bool { return r.Hits(quirk.Name) == 0 }

// editJSON changes the object that an answer is.
func editJSON(a reply, edit func(map[string]any)) reply {
	object := map[string]any{}
	if json.Unmarshal(a.body, &object) != nil {
		return a
	}
	edit(object)
	a.body, _ = json.Marshal(object) // it came from JSON
	return a
}

// isTag reports whether ref is a tag rather than a digest.
func isTag(ref string) bool { return ref != "" && !strings.Contains(ref, ":") }

func (q *exchange) reads() bool { return q.Method == http.MethodGet || q.Method == http.MethodHead }

// is reports whether q is a request of that method for that kind.
func (q *exchange) is(method string, kind Kind) bool { return q.Method == method && q.kind == kind }
