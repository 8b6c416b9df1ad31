// Package doctor examines the way from here to an image in a registry, hop by
// hop, and says which of them fails and what to do about it.
//
// What is asked of the network stands apart from what is made of the answers:
// functions called judge… are pure, turn evidence into a [Step] and at most one
// [Problem], and never print what may be a secret. Above HTTP the hops are those
// of [registry.Client] itself, which is watched: what the doctor sees is what a
// pull would see.
package doctor

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// A Resolver finds the addresses of a name; net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A CredentialFunc returns what a host would be shown for a repository, "" for
// none, and where that comes from: the path of a file, the name of a variable.
type CredentialFunc func(ctx context.Context, host, repository string) (c registry.Credential, source string, err error)

// A Doctor examines. Client must be set; of the rest the zero value works.
type Doctor struct {
	// Client makes clients like those that pull, which nobody else uses: each host
	// that is examined gets one, and Examine changes how it dials and how often it tries.
	Client func() (*registry.Client, error)

	View       *config.View             // tells where settings were found; nil tells nothing
	Credential CredentialFunc           // nil leaves it to the client's keychain
	Login      func(host string) string // how to log in to a registry of a cloud, "" for others; may be nil
	Own        string                   // the path of our own file of settings, for remedies; may be ""

	Resolver Resolver                                                             // nil is the system's
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // to "ip:port"; nil is what net.Dialer does
	Now      func() time.Time                                                     // nil is time.Now

	Platform content.Platform // whose image is looked for; the zero Platform is this machine's, and an image for others is no failure
	Limits   Limits
}

// Limits are how long hops may take. Of each the zero value is the standard.
type Limits struct {
	DNS     time.Duration // 2 s
	Connect time.Duration // to one address; 2 s
	TLS     time.Duration // 2 s
	Request time.Duration // 4 s

	// Credential is for looking one up, by a helper maybe: 7 s.
	Credential time.Duration
	Total      time.Duration // all together; 9 s

	Slow time.Duration // a mirror that takes longer to tell what a tag stands for is slow; 2 s
	Rate int64         // one that gives fewer bytes a second is too; 100 KiB
}

func (l Limits) effective() Limits {
	for _, one := range []struct {
		of       *time.Duration
		standard time.Duration
	}{
		{&l.DNS, 2 * time.Second},
		{&l.Connect, 2 * time.Second},
		{&l.TLS, 2 * time.Second},
		{&l.Request, 4 * time.Second},
		{&l.Credential, 7 * time.Second},
		{&l.Total, 9 * time.Second},
		{&l.Slow, 2 * time.Second},
	} {
		if *one.of <= 0 {
			*one.of = one.standard
		}
	}
	if l.Rate <= 0 {
		l.Rate = 100 << 10
	}
	return l
}

func (d *Doctor) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

func (d *Doctor) resolver() Resolver {
	if d.Resolver == nil {
		return net.DefaultResolver
	}
	return d.Resolver
}

func (d *Doctor) connect(ctx context.Context, address string) (net.Conn, error) {
	if d.Dial == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	return d.Dial(ctx, "tcp", address)
}

// cloudLogin is how to log in to host where that is a cloud's, else "".
func (d *Doctor) cloudLogin(host string) string {
	if d.Login == nil {
		return ""
	}
	return d.Login(host)
}

// file is where settings of ours would be put.
func (d *Doctor) file() string { return cmp.Or(d.Own, "the configuration file") }

func (d *Doctor) namesPlatform() bool { return d.Platform != (content.Platform{}) }

func (d *Doctor) platform() content.Platform {
	if !d.namesPlatform() {
		return content.HostPlatform()
	}
	return d.Platform
}

// Examine examines the way to target: an image as [endpoint.Parse] reads it, or a
// registry, HOST[:PORT]. What is wrong with the way is no error but in the report.
// A target that means nothing is an *endpoint.Error.
//
// It takes no longer than Limits.Total, and counts as a pull only where there is
// no other way to find the blobs: see [Report.Pulls].
func (d *Doctor) Examine(ctx context.Context, target string) (*Report, error) {
	t, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	r := &Report{Target: target}
	r.take(t.reference())
	r.take(d.shortName(&t))
	plan, found := d.plan(t)
	for _, f := range found {
		r.take(f)
	}
	if plan == nil {
		r.conclude()
		return r, nil
	}
	limits := d.Limits.effective()
	ctx, cancel := context.WithTimeout(ctx, limits.Total)
	defer cancel()
	if err := d.walk(ctx, plan); err != nil {
		return nil, err
	}
	r.Through = plan.through()
	for _, x := range plan.exams {
		r.add(x)
	}
	r.conclude()
	return r, nil
}

// Misconfigured is the report on a target that is not examined, since err keeps the
// settings from being read. The remedy is what to do about it.
func Misconfigured(target string, err error, remedy string) (*Report, error) {
	t, bad := parseTarget(target)
	if bad != nil {
		return nil, bad
	}
	r := &Report{Target: target}
	r.take(t.reference())
	r.take(wrong(HopConfig, Problem{BadSetting, t.host, "is not asked: " + err.Error(), remedy}))
	r.conclude()
	return r, nil
}

// walk examines the registry and its mirrors at once. What mirrors have is
// compared with what the registry says, which is waited for.
func (d *Doctor) walk(ctx context.Context, p *plan) error {
	limits := d.Limits.effective()
	origin, mirrors := p.exams[0], p.exams[1:]
	var g errgroup.Group
	g.Go(func() error {
		most := limits.Total
		if len(mirrors) > 0 {
			most = most * 3 / 4 // the rest of the time is theirs
		}
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		defer origin.close()
		origin.registry(ctx, p.target)
		_, origin.image.fails = origin.silent()
		return nil
	})
	for _, m := range mirrors {
		g.Go(func() error {
			m.approach(ctx)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, m := range mirrors {
		g.Go(func() error {
			defer m.close()
			m.mirror(ctx, p.target, origin.image)
			return nil
		})
	}
	return g.Wait()
}
