package doctor

import (
	"fmt"
	"strings"

	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// A plan is who is examined: the host that decides first, then its mirrors.
type plan struct {
	target target
	exams  []*exam
}

// anyRepository stands for all of a registry whose mirrors are asked about: no
// settings are about it alone.
const anyRepository = "any-namespace/any-repository"

// plan finds out, by the settings in force, who is to be examined. There is no
// plan where the settings forbid it, or are broken. A mirror whose own settings
// are is passed over, as pulls do.
func (d *Doctor) plan(t target) (*plan, []finding) {
	broken := func(err error) (*plan, []finding) {
		return nil, []finding{wrong(HopConfig, Problem{BadSetting, t.host, "has a setting that does not work: " + err.Error(), "mend or remove that setting"})}
	}
	client, err := d.Client()
	if err != nil {
		return broken(err)
	}
	known := d.known(t)
	route, err := routeOf(client, t)
	if err != nil {
		return broken(err)
	}
	if route.Blocked != "" {
		return nil, []finding{wrong(HopConfig, Problem{Blocked, t.String(), "is blocked by " + route.Blocked, "remove the line blocked = true at " + route.Blocked})}
	}
	p := &plan{target: t}
	origin, err := d.exam(registryHost, route.Read, t)
	if err != nil {
		return broken(err)
	}
	p.exams = append(p.exams, origin)
	if known != nil {
		origin.moved = known.Origin.Settings.Address.From
	}
	found := []finding{d.configured(known, t)}
	for _, m := range route.Mirrors {
		if m.Wrong != nil {
			found = append(found, unusable(known, m))
			continue
		}
		x, err := d.exam(mirrorHost, m.Endpoint, t)
		if err != nil {
			return broken(err)
		}
		x.resolves, x.tagsOnly = m.ResolvesTags, m.TagsOnly
		x.from, x.moved = originOf(known, m.Endpoint)
		p.exams = append(p.exams, x)
	}
	return p, found
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

// unusable is about a mirror whose settings do not work.
func unusable(known *config.Registry, m registry.Mirror) finding {
	from, _ := originOf(known, m.Endpoint)
	return wrong(HopConfig, Problem{
		MirrorDead, m.Host, "has a setting that does not work: " + m.Wrong.Error(),
		"mend or remove that setting, or take the mirror out at " + from.String(),
	})
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
