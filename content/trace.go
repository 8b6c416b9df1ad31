package content

import (
	"context"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Trace is told what happens on the way to and from hosts, by places that know
// hosts, for as long as the context that carries it. Its functions are called by
// many goroutines at once and must return soon; those that are nil are not.
type Trace struct {
	// Got is told of n more bytes of blobs that host gave, whatever becomes of them.
	// A host is named as the user named it, wherever it redirects to.
	Got func(host string, n int64)

	// Again is told before something is asked, or sent, once more.
	Again func(Retry)
}

// A Retry is one more try after a failure.
type Retry struct {
	Host   string             // who is asked again, or, where another host is asked instead, who failed
	Desc   ocispec.Descriptor // the blob that is gone on with; zero where it is another request
	Offset int64              // the byte of it that is next
	Sends  bool               // the blob is sent to the host, not read there
	Wait   time.Duration      // how long is waited before
	Reason error              // what failed, in few words and without secrets
}

type traceKey struct{}

// WithTrace returns ctx with t. A trace that ctx has already is told too, first.
func WithTrace(ctx context.Context, t Trace) context.Context {
	if outer, ok := ctx.Value(traceKey{}).(Trace); ok {
		inner := t
		t = Trace{
			Got:   func(host string, n int64) { outer.got(host, n); inner.got(host, n) },
			Again: func(r Retry) { outer.again(r); inner.again(r) },
		}
	}
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf returns the trace that ctx carries. Its functions are never nil.
func TraceOf(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return Trace{Got: t.got, Again: t.again}
}

func (t Trace) got(host string, n int64) {
	if t.Got != nil {
		t.Got(host, n)
	}
}

func (t Trace) again(r Retry) {
	if t.Again != nil {
		t.Again(r)
	}
}
