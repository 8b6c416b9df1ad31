package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/wherry-dev/wherry/registry"
)

// A looked is what came of looking up a credential.
type looked struct {
	found registry.Credential
	err   error
}

// credential looks up what a host is shown, once: a helper may ask the user.
func (x *exam) credential(ctx context.Context, host string) (registry.Credential, error) {
	x.mu.Lock()
	known, was := x.held[host]
	x.mu.Unlock()
	if was {
		return known.found, known.err
	}
	began := time.Now()
	found, from, err := x.doctor.Credential(ctx, host, x.at.Repository)
	s := source{asked: true, has: found != registry.Credential{}, from: from, err: err}
	if err != nil && isOver(ctx) {
		s.waited = time.Since(began)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.source, x.held[host] = s, looked{found, err}
	return found, err
}

// credentialed looks the credential up before the client does, in whose time for
// one request a helper may not be done. It reports whether it is worth going on.
func (x *exam) credentialed(ctx context.Context) bool {
	if x.doctor.Credential == nil {
		return true
	}
	ctx, cancel := context.WithTimeoutCause(ctx, x.limits.Credential, fmt.Errorf("no answer within %s", x.limits.Credential))
	defer cancel()
	_, _ = x.credential(ctx, x.at.Host) // what came of it is in the source
	x.mu.Lock()
	s := x.source
	x.mu.Unlock()
	if s.waited == 0 {
		return true
	}
	x.add(judgeWait(x.at.Host, s), s.waited)
	return false
}

// judgeWait is about a credential that is still being looked up.
func judgeWait(host string, s source) finding {
	return wrong(HopToken, Problem{
		CredentialSlow, host,
		"has a credential that is not there after " + s.waited.Round(100*time.Millisecond).String() + " (" + s.err.Error() + "); what comes after it was not examined",
		"run by hand what looks it up, as a credential helper: other verbs wait longer for it, and it may be waiting for you",
	})
}
