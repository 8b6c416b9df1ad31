// Package faults is the fault table: what goes wrong between a client and
// registries, on disks and on networks, each with a name, a way to make it
// happen, and what becomes of a copy then.
//
// The table is data. The tests of this package copy images while each of its
// faults strikes, and [Command] serves an image with one of them, so that anybody
// can repeat the table, with other tools too.
package faults

import (
	"slices"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// A Part is a part of the table.
type Part string

// The parts.
const (
	Reading Part = "reading" // what goes wrong while an image is read from a registry
	Writing Part = "writing" // while it is written to one
	Disk    Part = "disk"    // on the disk, and with the process
	Network Part = "network" // on the way to a registry
)

// A Position says what of an image a fault strikes.
type Position string

// The positions. Blobs are the layers in the order of the manifest.
const (
	First    Position = "first"
	Middle   Position = "middle"
	Last     Position = "last"
	Config   Position = "config"
	Manifest Position = "manifest"
)

// Positions returns all of them.
func Positions() []Position { return []Position{First, Middle, Last, Config, Manifest} }

// A Pair is where an image is copied from and to.
type Pair string

// The pairs. A fault of reading is at the source, one of writing at the
// destination.
const (
	ToLayout  Pair = "registry to layout"
	ToArchive Pair = "registry to archive"
	ToFresh   Pair = "layout to registry"
	Between   Pair = "registry to registry"
)

// A Protocol is how a registry is spoken to.
type Protocol string

// The protocols. HTTP2 is over TLS, and HTTPS is HTTP/1.1 over it.
const (
	HTTP  Protocol = "http"
	HTTPS Protocol = "https"
	HTTP2 Protocol = "h2"
)

// A Fault is a row of the table.
type Fault struct {
	Name string
	Part Part
	Does string // what goes wrong, in a few words
	Row  string // of the catalogue, where several faults share one

	// Server is what registry this is, in the words of testregistry.ParseConfig.
	Server []string

	// Strikes are faults as testregistry.ParseFault reads them, the first of which
	// is counted. {part} is so much of the struck content that as many strikes as
	// are asked for fit in, {half} and {size} are of its size, {hex} is its digest and
	// {times} how often to strike. What is not said is: of the struck content alone,
	// so often, and in the requests that move it.
	Strikes []string

	At        []Position // nil is all
	Pairs     []Pair     // nil is all of the Part's
	Protocols []Protocol // nil is all
	Lasts     bool       // it strikes always, and not so many times
	Shared    bool       // it takes with it what shares a connection of HTTP/2, or a token
	Untrusted bool       // the client does not know the registry's certificate

	Want   Want
	Thrice *Want // where three strikes are more than is survived

	Held []string // tests, as folder.Name, that hold it in place of those here
	Out  string   // why nothing holds it
}

// A Want is what becomes of a copy. Numbers are for each strike.
type Want struct {
	Class    error // that the copy fails with; nil is that it is survived
	Exit     int   // of the command line then
	Says     []string
	Again    float64       // so many times the struck content is moved again, at most
	Buffers  int64         // bytes on top that may be on their way when nobody wants them any more
	Requests int           // more than without a fault, at most
	AtLeast  time.Duration // so long nobody asks again
	Within   time.Duration // so much longer it takes, at most
}

// unhurried is how long a strike may hold a copy up where nothing else is said:
// five tries with their waits.
const unhurried = 40 * time.Second

// buffers is what connections hold of a body.
const buffers = 64 << 10

// survives is a Want of a copy that goes well.
func survives(again float64, requests int) Want {
	return Want{Again: again, Buffers: buffers, Requests: requests, Within: unhurried}
}

// fails is a Want of a copy that cannot go well.
func fails(class error, requests int, says ...string) Want {
	exit := map[error]int{
		content.ErrNotFound: 4, content.ErrUnauthorized: 5, content.ErrDenied: 5, content.ErrCorrupt: 6,
		content.ErrInvalid: 6, content.ErrRateLimited: 8, content.ErrUnavailable: 9, content.ErrNoSpace: 10,
	}[class]
	if exit == 0 {
		exit = 1
	}
	return Want{Class: class, Exit: exit, Says: says, Again: 1, Buffers: buffers, Requests: requests, Within: unhurried}
}

func (w Want) within(d time.Duration) Want { w.Within = d; return w }

func (w Want) again(times float64) Want { w.Again = times; return w }

func (w Want) buffers(n int64) Want { w.Buffers = n; return w }

func (w Want) waits(d time.Duration) Want { w.AtLeast, w.Within = d, d+unhurried; return w }

func (w Want) also() *Want { return &w }

// Of returns what is wanted of a copy that is struck so many times.
func (f Fault) Of(times int) Want {
	if times > 1 && f.Thrice != nil {
		return *f.Thrice
	}
	return f.Want
}

// Served reports whether a registry can be made to have the fault.
func (f Fault) Served() bool { return len(f.Strikes)+len(f.Server) > 0 }

// Table returns all faults, in the order of the catalogue.
func Table() []Fault {
	return slices.Concat(reading, answers, writing, chunks, disk, network)
}

// Named returns the fault of that name, and whether there is one.
func Named(name string) (Fault, bool) {
	all := Table()
	at := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
	if at < 0 {
		return Fault{}, false
	}
	return all[at], true
}

// A Case is one copy that a fault strikes.
type Case struct {
	Fault
	At       Position
	Times    int // 0 is always
	Pair     Pair
	Protocol Protocol
}

// String names the case, as a test is named.
func (c Case) String() string {
	times := map[int]string{0: "always", 1: "once", 3: "three times"}[c.Times]
	return strings.Join([]string{c.Name, string(c.At), times, string(c.Pair), string(c.Protocol)}, "/")
}

// Cases returns the crossing of f: every position, number of strikes, pair and
// protocol that it makes sense for.
func (f Fault) Cases() []Case {
	var all []Case
	if !f.Served() {
		return nil
	}
	for _, at := range or(f.At, Positions()) {
		for _, times := range f.times() {
			for _, pair := range f.pairs() {
				for _, p := range or(f.Protocols, []Protocol{HTTP, HTTPS, HTTP2}) {
					all = append(all, Case{Fault: f, At: at, Times: times, Pair: pair, Protocol: p})
				}
			}
		}
	}
	return all
}

func (f Fault) times() []int {
	if f.Lasts {
		return []int{0}
	}
	return []int{1, 3}
}

func (f Fault) pairs() []Pair {
	if f.Part == Writing {
		return or(f.Pairs, []Pair{ToFresh, Between})
	}
	return or(f.Pairs, []Pair{ToLayout, ToArchive, Between})
}

func or[T any](some, all []T) []T {
	if some == nil {
		return all
	}
	return some
}

// usual returns the part of an image that f strikes where nobody says.
func (f Fault) usual() Position {
	if f.At == nil || slices.Contains(f.At, Middle) {
		return Middle
	}
	return f.At[0]
}

// makesSense reports whether the table has the fault of c there and over its protocol.
func (c Case) makesSense() bool {
	return (c.Fault.At == nil || slices.Contains(c.Fault.At, c.At)) && (c.Protocols == nil || slices.Contains(c.Protocols, c.Protocol))
}

// AtSource reports whether the registry with the fault is where the image comes from.
func (c Case) AtSource() bool { return c.Part != Writing }

// Collateral reports whether the fault takes with it more than it strikes.
func (c Case) Collateral() bool {
	return c.Shared && (c.Protocol == HTTP2 || slices.Equal(c.Server, login))
}
