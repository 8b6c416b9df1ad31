package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/registry"
)

// ask asks a credential helper, which from names. A host that it does not know is
// no error.
func (f *Factory) ask(ctx context.Context, h helper, from string, q question) (found, error) {
	c, err := f.helpers.get(ctx, h, q, func() {
		f.Warn("waiting for credential helper %s, for %s at most", h.program(), helperTimeout)
	})
	switch {
	case errors.Is(err, errNoCredentials):
		return found{}, nil
	case err != nil:
		return found{}, &credentialError{fmt.Errorf("%s: %w", from, err), h.mend(from)}
	}
	return found{c, h.program() + ", which " + from + " names"}, nil
}

// answers are those of credential helpers, which know hosts only: each takes its
// time, and may ask the user, so it is asked once for all repositories of a host.
// For a repository that had the answer before it is asked again: that answer was
// refused.
type answers struct {
	mu sync.Mutex
	by map[asked]*answer
}

type asked struct {
	helper helper
	host   string
}

type answer struct {
	turn  chan struct{}   // held by who asks
	given map[string]bool // to which repositories; nil is not asked yet
	cred  registry.Credential
	err   error
	until time.Time // how long an error is believed
}

const helperErrorLife = time.Minute

// get returns what the helper says. slow is called when that takes long.
func (a *answers) get(ctx context.Context, h helper, q question, slow func()) (registry.Credential, error) {
	one := a.answer(asked{h, q.host})
	select {
	case one.turn <- struct{}{}:
		defer func() { <-one.turn }()
	case <-ctx.Done():
		return registry.Credential{}, context.Cause(ctx)
	}
	switch {
	case one.err != nil && time.Now().Before(one.until):
		return registry.Credential{}, one.err
	case one.err == nil && one.given != nil && !one.given[q.repository]:
		one.given[q.repository] = true
		return one.cred, nil
	}
	notice := time.AfterFunc(helperPatience, slow)
	defer notice.Stop()
	c, err := h.get(ctx, q.host)
	if ctx.Err() == nil {
		one.cred, one.err, one.until = c, err, time.Now().Add(helperErrorLife)
		one.given = map[string]bool{q.repository: true}
	}
	return c, err
}

func (a *answers) answer(key asked) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[asked]*answer{}
	}
	if a.by[key] == nil {
		a.by[key] = &answer{turn: make(chan struct{}, 1)}
	}
	return a.by[key]
}

// sources remember, for advice, where what hosts were shown last comes from.
type sources struct {
	mu sync.Mutex
	by map[string]string
}

func (s *sources) note(host, from string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]string{}
	}
	s.by[host] = from
}

// of returns the source for host, "" for none; known tells a host that was shown
// nothing from one that did not ask.
func (s *sources) of(host string) (from string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, known = s.by[host]
	return from, known
}
