package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/reference"
)

// aliases reads a table of short names.
func (r *reader) aliases(n *node) map[string]Value[string] {
	found := map[string]Value[string]{}
	for _, f := range r.table(n) {
		if _, short, err := parseName(f.key); err != nil || !short {
			r.refuse(f.at, "%s is not a short name", placeOf(f.key))
			continue
		}
		alias := r.text(f.value)
		if alias.Value != "" {
			named, short, err := parseName(alias.Value)
			if err != nil || short {
				r.refuse(f.value.at, "alias %s is not HOST/REPOSITORY", placeOf(alias.Value))
				continue
			}
			alias.Value = named
		}
		found[f.key] = alias
	}
	return found
}

var errNotRepository = errors.New("it has a tag or a digest")

// parseName parses a name without a tag or digest. A short name is one without
// a host: its first part has neither a dot nor a port.
func parseName(name string) (full string, short bool, err error) {
	named, err := reference.Parse(name)
	if err != nil {
		return "", false, err
	}
	if !named.IsRepository() {
		return "", false, errNotRepository
	}
	if host := named.Domain; !strings.ContainsAny(host, ".:") && host != "localhost" {
		return name, true, nil
	}
	named, err = reference.ParseNormalized(name)
	if err != nil {
		return "", false, err
	}
	return named.Name(), false, nil
}

// ShortName returns what a name without a host may stand for, as
// HOST/REPOSITORY, the likeliest first: its alias; else what it is at each of
// the registries that are to be searched; else, where no file names any, what
// it is on Docker Hub. A name with a host stands for itself. An empty list of
// registries to search leaves nothing.
//
// A name that is none, or has a tag or digest, is [content.ErrInvalid].
//
// https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md#short-name-aliasing
func (v *View) ShortName(name string) ([]Value[string], error) {
	full, short, err := parseName(name)
	if err != nil {
		return nil, fmt.Errorf("name %q is none, or has a tag or digest: %w", name, content.ErrInvalid)
	}
	if !short {
		return []Value[string]{{Value: full}}, nil
	}
	if alias := v.Alias(name); alias.Set() {
		return []Value[string]{alias}, nil
	}
	search := v.containers.search
	if !search.Set() {
		search.Value = []string{hubName}
	}
	var found []Value[string]
	for _, host := range search.Value {
		named, err := reference.ParseNormalized(host + "/" + name)
		if err != nil {
			return nil, fmt.Errorf("name %q is none at %s (%s): %w", name, host, search.From, content.ErrInvalid)
		}
		found = append(found, Value[string]{named.Name(), search.From})
	}
	return found, nil
}

// Alias returns what somebody has set a name without a host to stand for, as
// HOST/REPOSITORY; it is not set where nobody has.
func (v *View) Alias(name string) Value[string] {
	alias, said := v.aliases[name]
	if !said {
		alias = v.containers.aliases[name]
	}
	if alias.Value == "" { // an alias of an earlier file is taken back
		return Value[string]{}
	}
	return alias
}

// ShortNameMode returns how sure one has to be about a short name that has
// several candidates: "enforcing" lets nobody but the user choose, "permissive"
// lets the user choose where there is one, "disabled" tries all in order.
func (v *View) ShortNameMode() Value[string] {
	return v.containers.mode.or(Value[string]{Value: "permissive"})
}
