package endpoint

import (
	"strings"

	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// A Reading is what a name without a host stands for.
type Reading struct {
	// Name is HOST/REPOSITORY. It is not set where no alias says so: then it is
	// on Docker Hub.
	Name config.Value[string]

	// Podman is where podman would look for it instead, in this order; empty where
	// it would look in the same place.
	Podman []config.Value[string]
}

// Lengthen puts what a name without a host stands for in its place. Any other
// endpoint stays as it is.
func (e Endpoint) Lengthen(v *config.View) (Endpoint, Reading) {
	if e.Short == "" {
		return e, Reading{}
	}
	alias := v.Alias(e.Short)
	if host, repository, ok := strings.Cut(alias.Value, "/"); ok {
		e.Host, e.Repository = registry.HostName(host), repository
		return e, Reading{Name: alias}
	}
	r := Reading{Name: config.Value[string]{Value: e.Host + "/" + e.Repository}}
	candidates, err := v.ShortName(e.Short)
	if err == nil && (len(candidates) != 1 || candidates[0].Value != r.Name.Value) {
		r.Podman = candidates
	}
	return e, r
}

// Serves reports whether a mirror is asked for anything: what a tag stands for is
// not a mirror's alone to say.
func Serves(mirror config.Endpoint) bool { return mirror.Capabilities.Value&config.Pull != 0 }
