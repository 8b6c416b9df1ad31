// Package cloud logs in to the registries of clouds as whom the cloud itself
// takes this process for: a profile, a service account, the role of a machine. It
// does what the credential helpers of Amazon, Google and Azure do, without them.
//
// Only what is compiled with the build tag cloud can do so: see [Included].
// Without it a [Keychain] finds nothing.
//
// A cloud is asked only for a host whose exact name is one of its registries
// ([RegistryOf]), and only where an identity is configured. What identity
// there is, is told by the environment that a Keychain is handed and by the files
// it names; the libraries of the clouds read tunables of their own besides. What a
// cloud gives stays in memory.
package cloud

import (
	"context"
	"crypto/x509"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/registry"
)

// A Keychain finds credentials for the registries of clouds. The zero Keychain
// knows no identity but that of the machine. It must not be copied after use.
type Keychain struct {
	Env  func(name string) string // nil is an empty environment
	Home string                   // the user's home folder; "" is none

	Proxy   func(*http.Request) (*url.URL, error)                                // nil is none; a machine's own metadata is never asked through it
	Roots   func() (*x509.CertPool, error)                                       // tells who is trusted, once somebody has to be; nil is whom the system trusts
	Connect func(ctx context.Context, network, address string) (net.Conn, error) // nil is what net.Dialer does
	System  fs.FS                                                                // tells what machine this is; nil is the root of this one
	Now     func() time.Time                                                     // nil is time.Now

	mu    sync.Mutex
	known map[string]*answer // by host
}

// A login is what a cloud gave. The zero login is nothing.
type login struct {
	credential registry.Credential
	from       string
	until      time.Time // zero is for as long as the process lasts
}

// An answer is what was found for one host.
type answer struct {
	turn  chan struct{} // held by the one exchange that is under way
	login login
	err   error
	until time.Time // how long it is believed; zero is not at all yet
}

const (
	// exchangeTimeout bounds all that is asked of a cloud for one host.
	exchangeTimeout = 20 * time.Second
	// failureLife is how long a cloud that failed is not asked again.
	failureLife = time.Minute
	// forever is how long nothing stays nothing.
	forever = 365 * 24 * time.Hour
)

// Find returns what the registry at host is shown, and whose that is, such as
// "Amazon ECR, profile dev". It is nothing where the host is no registry of a
// cloud or no identity is configured for that cloud. An identity that fails is an
// [*Error]. One exchange is under way for a host at a time, and what it gave is
// kept until shortly before it ends.
func (k *Keychain) Find(ctx context.Context, host string) (c registry.Credential, from string, err error) {
	p := parsePlace(host)
	if !Included || p.registry == "" {
		return registry.Credential{}, "", nil
	}
	a := k.answerFor(host)
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return registry.Credential{}, "", context.Cause(ctx)
	}
	if !k.now().Before(a.until) {
		k.ask(ctx, p, a)
	}
	return a.login.credential, a.login.from, a.err
}

func (k *Keychain) answerFor(host string) *answer {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[string]*answer{}
	}
	a := k.known[host]
	if a == nil {
		a = &answer{turn: make(chan struct{}, 1)}
		k.known[host] = a
	}
	return a
}

// ask asks the cloud. Who gave up waiting has learnt nothing about it.
func (k *Keychain) ask(ctx context.Context, p place, a *answer) {
	limited, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	began := k.now()
	l, err := k.logIn(limited, p)
	a.login, a.err, a.until = l, err, time.Time{}
	switch {
	case err != nil && context.Cause(ctx) != nil:
		a.err = context.Cause(ctx)
	case err != nil:
		a.until = k.now().Add(failureLife)
	case l.until.IsZero():
		a.until = began.Add(forever)
	default:
		a.until = renewal(began, l.until)
	}
}

// renewal is when what was given now, and ends then, is asked for again: a
// quarter of an hour before, or a quarter of its life if that is less.
func renewal(now, end time.Time) time.Time {
	return end.Add(-min(15*time.Minute, end.Sub(now)/4))
}

func (k *Keychain) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}
