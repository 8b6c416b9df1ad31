package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// A target is what is examined: an image, or a registry where there is no repository.
type target struct {
	host, repository string
	ref              string // a tag or digest
	short            string // the name that was written without a host; "" is none
}

// parseTarget reads [HOST/]REPOSITORY[:TAG][@DIGEST] or HOST[:PORT]. What has no
// slash is a host where only a host can look so, with a dot before any port or
// "localhost": docker:// in front makes an image of it all the same.
func parseTarget(text string) (target, error) {
	if IsHost(text) {
		host, err := endpoint.ParseHost(text)
		return target{host: host}, err
	}
	e, err := endpoint.Parse(text)
	if err != nil {
		return target{}, err
	}
	if e.Transport != endpoint.Registry {
		return target{}, &endpoint.Error{Arg: text, At: -1, Msg: "is in no registry"}
	}
	return target{host: e.Host, repository: e.Repository, ref: e.Ref(), short: e.Short}, nil
}

// IsHost reports whether a target is a registry, HOST[:PORT], and not an image.
func IsHost(text string) bool {
	if strings.ContainsAny(text, "/@") {
		return false
	}
	u := url.URL{Host: text}
	name := u.Hostname()
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	// An archive's name is for endpoint.Parse to complain about.
	switch path.Ext(text) {
	case ".tar", ".gz", ".tgz", ".zst":
		return false
	}
	if strings.Contains(name, ":") {
		return false // behind it is no port but a tag
	}
	return name == "localhost" || strings.Contains(name, ".")
}

func (t target) isDigest() bool { return strings.Contains(t.ref, ":") }

// String returns the full name.
func (t target) String() string {
	switch {
	case t.repository == "":
		return t.host
	case t.isDigest():
		return t.host + "/" + t.repository + "@" + t.ref
	}
	return t.host + "/" + t.repository + ":" + t.ref
}

// reference says how the target was read.
func (t target) reference() finding {
	if known := LooksLike(t.host); known != "" {
		return wrong(HopReference, Problem{
			LookAlike, t.host, "looks like " + known + " and is not",
			"write " + known + " if that is what you mean; send " + t.host + " no credentials before you know whose it is",
		})
	}
	if t.short != "" {
		return fine(HopReference, t.short, "a short name, "+t.what())
	}
	detail := "a registry"
	if t.repository != "" {
		detail = "repository " + t.repository + " at " + t.host + ", " + t.what()
	}
	return fine(HopReference, t.String(), detail)
}

func (t target) what() string {
	if t.isDigest() {
		return "digest " + t.ref
	}
	return "tag " + t.ref
}

// shortName puts what an alias says in place of a name without a host.
func (d *Doctor) shortName(t *target) finding {
	if t.short == "" {
		return finding{}
	}
	if d.View == nil {
		return fine(HopShortName, t.short, "is "+t.host+"/"+t.repository)
	}
	e, read := endpoint.Endpoint{Host: t.host, Repository: t.repository, Short: t.short}.Lengthen(d.View)
	if read.Name.Set() {
		t.host, t.repository = e.Host, e.Repository
		return fine(HopShortName, t.short, "is "+read.Name.Value+", as "+read.Name.From.String()+" says")
	}
	detail := "is " + read.Name.Value + ", since no alias says otherwise"
	if len(read.Podman) > 0 {
		detail += "; podman would search " + hostsOf(read.Podman) + " (" + read.Podman[0].From.String() + ")"
	}
	return fine(HopShortName, t.short, detail)
}

func hostsOf(names []config.Value[string]) string {
	var hosts []string
	for _, name := range names {
		host, _, _ := strings.Cut(name.Value, "/")
		hosts = append(hosts, host)
	}
	return strings.Join(hosts, ", ")
}

// A plan is who is examined: the host that decides first, then its mirrors.
type plan struct {
	target target
	exams  []*exam
}

// anyRepository stands for all of a registry whose mirrors are asked about.
const anyRepository = "library/any"

// plan finds out, by the settings in force, who is to be examined. There is no
// plan where the settings forbid it, or are broken.
func (d *Doctor) plan(t target) (*plan, finding) {
	broken := func(err error) (*plan, finding) {
		return nil, wrong(HopConfig, Problem{BadSetting, t.host, "has a setting that does not work: " + err.Error(), "mend or remove that setting"})
	}
	client, err := d.Client()
	if err != nil {
		return broken(err)
	}
	route, err := routeOf(client, t)
	if err != nil {
		return broken(err)
	}
	if route.Blocked != "" {
		return nil, wrong(HopConfig, Problem{Blocked, t.String(), "is blocked by " + route.Blocked, "remove the line blocked = true at " + route.Blocked})
	}
	p := &plan{target: t}
	origin, err := d.exam(registryHost, route.Read, t)
	if err != nil {
		return broken(err)
	}
	p.exams = append(p.exams, origin)
	known := d.known(t)
	if known != nil {
		origin.moved = known.Origin.Settings.Address.From
	}
	for _, m := range route.Mirrors {
		x, err := d.exam(mirrorHost, m.Endpoint, t)
		if err != nil {
			return broken(err)
		}
		x.resolves, x.tagsOnly = m.ResolvesTags, m.TagsOnly
		x.from, x.moved = originOf(known, m.Endpoint)
		p.exams = append(p.exams, x)
	}
	return p, d.configured(known, t)
}

// routeOf returns where a client would look for the target.
func routeOf(client *registry.Client, t target) (route registry.Route, err error) {
	repository := t.repository
	if repository == "" {
		repository = anyRepository
	}
	route.Read = registry.Endpoint{Host: t.host, Repository: repository}
	if client.Routes != nil {
		if route, err = client.Routes(t.host, repository); err != nil {
			return route, err
		}
	}
	if t.repository == "" {
		// Nobody moves a whole registry: what a repository is moved to is not asked about.
		route.Read = registry.Endpoint{Host: t.host}
		route.Blocked = ""
	}
	return route, nil
}

// known returns what the settings say about the target, nil where nothing is known.
func (d *Doctor) known(t target) *config.Registry {
	if d.View == nil {
		return nil
	}
	repository := t.repository
	if repository == "" {
		repository = anyRepository
	}
	r, err := d.View.Registry(t.host, repository)
	if err != nil {
		return nil // the client said so already
	}
	return r
}

// originOf returns who named a mirror, and who says at which address it is contacted.
func originOf(known *config.Registry, e registry.Endpoint) (from, moved config.Origin) {
	if known == nil {
		return from, moved
	}
	for _, m := range known.Mirrors {
		if m.Host == e.Host && m.Repository == e.Repository {
			return m.From, m.Settings.Address.From
		}
	}
	return from, moved
}

// configured says which settings are in force, and where they were found.
func (d *Doctor) configured(known *config.Registry, t target) finding {
	if known == nil {
		return fine(HopConfig, t.host, "no settings")
	}
	var said []string
	if known.Origin.Host != known.Host || known.Origin.Repository != known.Repository {
		said = append(said, fmt.Sprintf("read from %s/%s (%s)", known.Origin.Host, known.Origin.Repository, known.Origin.From))
	}
	for _, m := range known.Mirrors {
		said = append(said, fmt.Sprintf("mirror %s, %s (%s)", m.Host, m.Capabilities.Value, m.From))
	}
	for _, setting := range known.Origin.Settings.Settings() {
		said = append(said, setting.String())
	}
	for _, f := range d.View.Files() {
		if f.Unread != nil {
			said = append(said, f.Path+" may not be read and says nothing")
		}
	}
	if len(said) == 0 {
		return fine(HopConfig, t.host, "no settings")
	}
	return fine(HopConfig, t.host, strings.Join(said, "; "))
}

// errUnreached is a host that an exam has found it cannot reach.
var errUnreached = errors.New("this host cannot be reached")
