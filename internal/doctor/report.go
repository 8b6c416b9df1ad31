package doctor

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// A Hop is one part of the way to an image.
type Hop string

// The hops, in their order.
const (
	HopReference Hop = "reference"
	HopShortName Hop = "short name"
	HopConfig    Hop = "config"
	HopProxy     Hop = "proxy"
	HopDNS       Hop = "dns"
	HopTCP       Hop = "tcp"
	HopTunnel    Hop = "tunnel" // through the proxy
	HopTLS       Hop = "tls"
	HopAPI       Hop = "api" // /v2/
	HopClock     Hop = "clock"
	HopChallenge Hop = "challenge"
	HopToken     Hop = "token"
	HopTag       Hop = "tag"
	HopRateLimit Hop = "rate limit"
	HopManifest  Hop = "manifest"
	HopPlatform  Hop = "platform"
	HopBlob      Hop = "blob"
	HopRange     Hop = "range"
	HopFreshness Hop = "freshness" // of a mirror
	HopBytes     Hop = "bytes"     // that a mirror gives
)

// A Status is what became of a hop.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warn    Status = "warn"
	Fail    Status = "fail"
	Skipped Status = "skipped"
)

// A Step is one hop and what was found there.
type Step struct {
	Hop     Hop
	Subject string // a host, mostly
	Status  Status
	Detail  string
	Took    time.Duration
}

// A Problem is something that is wrong. No two of a report have both cause and
// subject in common.
type Problem struct {
	Cause    Cause
	Subject  string // a host, an image, a setting
	Evidence string // what was seen
	Remedy   string // what to do, and where
}

// A Report is what an examination found.
type Report struct {
	Target   string
	Steps    []Step    // in order; those of mirrors last, one mirror after the other
	Problems []Problem // the worst first
	Verdict  string    // one line
	Through  string    // the mirror that pulls go through though the registry fails; "" is none
	Pulls    int       // manifests that were got, which a host that counts pulls may count

	failing map[Problem]bool
}

// Fails reports whether pulls fail for p, a problem of the report. Others are
// worth knowing.
func (r *Report) Fails(p Problem) bool { return r.failing[p] }

// Err returns nothing where nothing failed: mere warnings are none. Otherwise
// the error is of the classes of all that did.
func (r *Report) Err() error {
	var errs []error
	for _, p := range r.Problems {
		if r.Fails(p) {
			errs = append(errs, &failure{p})
		}
	}
	return errors.Join(errs...)
}

// A failure is a problem as an error.
type failure struct{ problem Problem }

func (f *failure) Error() string { return f.problem.String() }
func (f *failure) Unwrap() error { return causes[f.problem.Cause].class }

// String returns cause, subject and evidence.
func (p Problem) String() string { return p.Cause.words() + ": " + p.Subject + " " + p.Evidence }

// A finding is what a judge made of the evidence of one hop.
type finding struct {
	Step
	problem *Problem
}

// fine is a hop at which nothing is wrong.
func fine(hop Hop, subject, detail string) finding {
	return finding{Step: Step{Hop: hop, Subject: subject, Status: OK, Detail: detail}}
}

// wrong is a hop at which p was found.
func wrong(hop Hop, p Problem) finding {
	status := Warn
	if p.Cause.fails() {
		status = Fail
	}
	return finding{Step: Step{Hop: hop, Subject: p.Subject, Status: status, Detail: p.Evidence}, problem: &p}
}

// skipped is a hop that was not looked at.
func skipped(hop Hop, subject, why string) finding {
	return finding{Step: Step{Hop: hop, Subject: subject, Status: Skipped, Detail: why}}
}

func (f finding) failed() bool { return f.Status == Fail }

// take adds a finding.
func (r *Report) take(f finding) {
	if f.Hop != "" {
		r.Steps = append(r.Steps, f.Step)
	}
	if f.problem == nil {
		return
	}
	r.Problems = append(r.Problems, *f.problem)
	if f.failed() {
		if r.failing == nil {
			r.failing = map[Problem]bool{}
		}
		r.failing[*f.problem] = true
	}
}

// add adds what was found at one host. What hosts say is in it: it goes without
// what they were shown.
func (r *Report) add(x *exam) {
	for _, f := range x.findings {
		f.Detail = x.client.Mask(f.Detail)
		if f.failed() && x.role == registryHost && r.Through != "" {
			f.Status = Warn
		}
		if p := f.problem; p != nil {
			f.problem = &Problem{p.Cause, p.Subject, x.client.Mask(p.Evidence), x.client.Mask(p.Remedy)}
		}
		r.take(f)
	}
	r.Pulls += x.pulls
}

// conclude puts the problems in order, each once, and sums them up.
func (r *Report) conclude() {
	var each []Problem
	for _, p := range r.Problems {
		if !slices.ContainsFunc(each, func(q Problem) bool { return q.Cause == p.Cause && q.Subject == p.Subject }) {
			each = append(each, p)
		}
	}
	r.Problems = slices.Concat(r.those(each, r.Fails), r.those(each, func(p Problem) bool { return !r.Fails(p) }))
	r.Verdict = r.verdict()
}

func (r *Report) those(problems []Problem, are func(Problem) bool) []Problem {
	return slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return !are(p) })
}

// verdict sums the problems up, the worst first, in one line.
func (r *Report) verdict() string {
	if len(r.Problems) == 0 {
		return "nothing is wrong on the way to " + r.Target
	}
	first := r.Problems[0]
	line := first.String()
	switch {
	case r.Fails(first), first.Cause == CredentialSlow: // nobody knows what comes after
	case r.Through != "":
		line = r.Target + " can be reached through mirror " + r.Through + ", but: " + line
	default:
		line = r.Target + " can be reached, but: " + line
	}
	var also []string
	for _, p := range r.Problems[1:] {
		also = append(also, p.Cause.words()+" ("+p.Subject+")")
	}
	if len(also) > 0 {
		line += "; also: " + strings.Join(also, ", ")
	}
	return line
}
