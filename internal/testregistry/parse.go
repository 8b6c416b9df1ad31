package testregistry

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// argument says what an effect reads after its "=".
type argument int

const (
	noArgument argument = iota
	number              // bytes, with unit or without, or a status
	text
	duration // one, or from..to
)

var arguments = map[Effect]argument{
	ResetAfter: number, CutAfter: number, ChunkCut: number, StallAfter: number, Rate: number, Answer: number, Echo: number,
	Trickle: number, StreamReset: number, GoAway: number, Phantom: number,
	Flip: number, Shorter: number, Longer: number, Keep: number,
	Redirect: text, ContentRange: text, DigestHeader: text, LinkHeader: text, Location: text,
	Delay: duration, Hold: noArgument, HTML: noArgument, IgnoreRange: noArgument, Endless: noArgument, Gzip: noArgument,
	SessionLost: noArgument, Multipart: noArgument, Revoke: noArgument, StreamRefuse: noArgument,
}

// ParseFault reads a fault in short text: one effect with its argument and what it matches, in any order.
//
//	reset-after=100000,times=1
//	status=429,retry-after=2,kind=manifest,method=GET
//	longer=600MiB,kind=manifest
//	delay=1ms..20ms,seed=7
//	header=RateLimit-Remaining:3,kind=any
//
// Match keys are method, kind, repo, ref, about, session, query, nth, times, percent; others are seed, retry-after, header (repeatable) and
// body, which comes last and takes the rest of the text.
func ParseFault(s string) (Fault, error) {
	var f Fault
	for rest := s; rest != ""; {
		var item string
		if strings.HasPrefix(rest, "body=") {
			item, rest = rest, ""
		} else {
			item, rest, _ = strings.Cut(rest, ",")
		}
		key, value, _ := strings.Cut(item, "=")
		var err error
		if _, isEffect := arguments[Effect(key)]; isEffect {
			err = parseEffect(&f, Effect(key), value)
		} else {
			err = parseField(&f, key, value)
		}
		if err != nil {
			return Fault{}, fmt.Errorf("fault %q: %s: %w", s, key, err)
		}
	}
	if f.Effect == Pass && f.Header == nil {
		return Fault{}, fmt.Errorf("fault %q: no effect", s)
	}
	return f, nil
}

func parseEffect(f *Fault, e Effect, value string) (err error) {
	if f.Effect != Pass {
		return fmt.Errorf("a second effect after %s", f.Effect)
	}
	f.Effect = e
	switch arguments[e] {
	case number:
		f.N, err = parseNumber(value)
	case text:
		f.Value = value
		if value == "" {
			return errors.New("no value")
		}
	case duration:
		err = parseDelay(f, value)
	case noArgument:
		if value != "" {
			return fmt.Errorf("value %q where none belongs", value)
		}
	}
	return err
}

func parseNumber(value string) (int64, error) {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n, nil
	}
	return units.RAMInBytes(value)
}

func parseDelay(f *Fault, value string) (err error) {
	from, to, isSpan := strings.Cut(value, "..")
	if f.Min, err = time.ParseDuration(from); err != nil {
		return err
	}
	f.Max = f.Min
	if isSpan {
		f.Max, err = time.ParseDuration(to)
	}
	return err
}

func parseField(f *Fault, key, value string) (err error) {
	switch key {
	case "method":
		f.Method = strings.ToUpper(value)
	case "kind":
		f.Kind = Kind(value)
		if f.Kind != AnyKind && !slices.Contains(kinds, f.Kind) {
			return fmt.Errorf("unknown kind %q", value)
		}
	case "repo":
		f.Repo = value
	case "ref":
		f.Ref = value
	case "about":
		f.About = value
	case "session":
		f.Session, err = strconv.Atoi(value)
	case "query":
		f.Query = value
	case "nth":
		f.Nth, err = strconv.Atoi(value)
	case "times":
		f.Times, err = strconv.Atoi(value)
	case "percent":
		f.Percent, err = strconv.Atoi(value)
	case "seed":
		f.Seed, err = strconv.ParseUint(value, 10, 64)
	case "retry-after":
		f.RetryAfter = value
	case "body":
		f.Body = value
	case "header":
		name, content, _ := strings.Cut(value, ":")
		if f.Header == nil {
			f.Header = http.Header{}
		}
		f.Header.Add(name, strings.TrimSpace(content))
	default:
		return errors.New("unknown word")
	}
	return err
}

// String is f as ParseFault reads it.
func (f Fault) String() string {
	var items []string
	add := func(key string, value any) {
		if s := fmt.Sprint(value); s != "" && s != "0" {
			items = append(items, key+"="+s)
		}
	}
	if f.Effect != Pass {
		items = append(items, f.effectText())
	}
	add("method", f.Method)
	add("kind", f.Kind)
	add("repo", f.Repo)
	add("ref", f.Ref)
	add("about", f.About)
	add("session", f.Session)
	add("query", f.Query)
	add("nth", f.Nth)
	add("times", f.Times)
	add("percent", f.Percent)
	add("seed", f.Seed)
	add("retry-after", f.RetryAfter)
	for name, values := range f.Header {
		for _, v := range values {
			add("header", name+":"+v)
		}
	}
	slices.Sort(items[min(1, len(items)):])
	add("body", f.Body)
	return strings.Join(items, ",")
}

func (f Fault) effectText() string {
	switch arguments[f.Effect] {
	case number:
		return fmt.Sprintf("%s=%d", f.Effect, f.N)
	case text:
		return fmt.Sprintf("%s=%s", f.Effect, f.Value)
	case duration:
		if f.Max == f.Min {
			return fmt.Sprintf("%s=%s", f.Effect, f.Min)
		}
		return fmt.Sprintf("%s=%s..%s", f.Effect, f.Min, f.Max)
	case noArgument:
	}
	return string(f.Effect)
}
