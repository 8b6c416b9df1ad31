package endpoint

import "strings"

// storePrefix stands before what is in the user's store.
const storePrefix = "store:"

// inStore reads a reference, an image ID or how one begins, or nothing at all:
// the store itself.
func (p parser) inStore() (Endpoint, error) {
	rest := p.arg[p.from:]
	if rest == "" || isID(rest) {
		return InStore(rest), nil
	}
	if err := checkUser(rest); err != nil {
		return Endpoint{}, err
	}
	e, err := p.reference()
	e.Transport, e.Name, e.Short = Store, rest, ""
	return e, err
}

// isID reports whether s can only be an image ID: a reference has no sha256:HEX,
// and no 64 hex digits, for a name. Any other ID looks like a name as well.
func isID(s string) bool {
	hex, marked := strings.CutPrefix(s, "sha256:")
	return (marked || len(hex) == 64) && hex != "" && strings.Trim(hex, "0123456789abcdef") == ""
}

// InStore returns the endpoint of what is called name in the store: a
// reference, or an image ID. An empty name is the store itself.
func InStore(name string) Endpoint {
	if isID(name) {
		return Endpoint{Transport: Store, Name: name}
	}
	e, err := parser{arg: name}.reference()
	if err != nil {
		e = Endpoint{}
	}
	e.Transport, e.Name, e.Short = Store, name, ""
	return e
}

// Stored returns what an image in a registry is called in the store, where its
// digest is part of the name if it was asked for by that alone. Anything else is
// returned as it is.
func (e Endpoint) Stored() Endpoint {
	if e.Transport != Registry {
		return e
	}
	e.Transport, e.Name, e.Short = Store, e.FullName(), ""
	if e.Digest != "" {
		e.Name, e.Tag = e.Host+"/"+e.Repository+"@"+e.Digest.String(), ""
	}
	return e
}

// InRegistry returns the image in a registry that e, an image of the store, is
// called after; false where e is an ID and cannot be a name.
func (e Endpoint) InRegistry() (Endpoint, bool) {
	if e.Transport != Store || e.Repository == "" {
		return e, false
	}
	e.Transport, e.Name = Registry, ""
	return e, true
}
