package cli

import (
	"context"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// A question is what a credential is looked for: a repository of a host, "" for
// what is about none.
type question struct{ host, repository string }

// A credentialPlace is where a credential is, or where one may be.
type credentialPlace struct {
	helper helper              // to be asked; "" where the credential stands in the place itself
	cloud  cloud.Registry      // whose cloud is to be asked; "" is none
	cred   registry.Credential // that stands there
	from   string              // a file, a variable or a flag, which has it or names the helper
}

// kind returns "password", "identity token", "registry token", "helper NAME" or
// "login to a cloud". A name that cannot be one is not repeated: somebody may have
// put a secret there.
func (p credentialPlace) kind() string {
	switch {
	case p.helper != "" && !p.helper.valid():
		return "helper with a name that none can have"
	case p.helper != "":
		return "helper " + string(p.helper)
	case p.cloud != "":
		return "login to a cloud"
	case p.cred.RegistryToken != "":
		return "registry token"
	case p.cred.IdentityToken != "":
		return "identity token"
	}
	return "password"
}

// foundIn returns what a place has, which is nothing where a helper or a cloud knows
// nothing.
func (f *Factory) foundIn(ctx context.Context, p credentialPlace, q question) (found, error) {
	switch {
	case p.helper != "":
		return f.ask(ctx, p.helper, p.from, q)
	case p.cloud != "":
		return f.inCloud(ctx, q.host)
	}
	return found{p.cred, p.from}, nil
}

// whereCredential is credentialPlaces with what the flags of the command line say.
func (f *Factory) whereCredential(q question) ([]credentialPlace, error) {
	for _, end := range []struct{ user, host, flag string }{
		{f.Flags.Username, f.SrcHost, "--username"}, {f.Flags.DstUsername, f.DstHost, "--dst-username"},
	} {
		if end.user != "" && end.host == q.host {
			return []credentialPlace{{from: end.flag}}, nil
		}
	}
	return f.credentialPlaces(q)
}

// credentialPlaces lists where a credential is looked for, in order, up to the
// first place that surely has one. No helper and no cloud is asked: whether it has
// one is not known. Beside an error there are the places before the one that is broken.
func (f *Factory) credentialPlaces(q question) ([]credentialPlace, error) {
	order, err := f.credentialHelpers()
	if err != nil {
		return nil, err
	}
	var places []credentialPlace
	for _, name := range order.Value {
		if name != config.AuthFiles {
			places = append(places, credentialPlace{helper: helper(name), from: order.From.String()})
			continue
		}
		inFiles, sure, err := f.placesInFiles(q)
		places = append(places, inFiles...)
		if err != nil || sure {
			return places, err
		}
	}
	return append(places, f.cloudPlace(q.host)...), nil
}

// credentialHelpers returns whom registries.conf has asked for credentials. A file
// that a flag names is the only place.
func (f *Factory) credentialHelpers() (config.Value[[]string], error) {
	if f.Flags.AuthFile != "" {
		return config.Value[[]string]{Value: []string{config.AuthFiles}}, nil
	}
	view, err := f.View()
	if err != nil {
		return config.Value[[]string]{}, err
	}
	return view.CredentialHelpers(), nil
}

// placesInFiles lists the places in the files; sure tells whether the last one has
// a credential.
func (f *Factory) placesInFiles(q question) (places []credentialPlace, sure bool, err error) {
	files, err := f.authFiles()
	if err != nil {
		return nil, false, err
	}
	for _, file := range files {
		inFile, err := file.places(q)
		places = append(places, inFile...)
		if err != nil || len(inFile) > 0 && inFile[len(inFile)-1].helper == "" {
			return places, err == nil, err
		}
	}
	return places, false, nil
}

// places lists what a file has: the helper it names, and what stands in it. What
// stands there for a part of the host goes before what a helper has for all of it,
// but for one that is named for the host.
func (a *authFile) places(q question) ([]credentialPlace, error) {
	var places []credentialPlace
	key, has := a.entryKey(q.host, q.repository)
	about := a.format.parse(key)
	if keeper := a.keeper(q.host); keeper != "" && (about.path == "" || a.names(q.host)) {
		places = append(places, credentialPlace{helper: keeper, from: a.path})
	}
	if !has {
		return places, nil
	}
	c, err := a.entry(key)
	if err != nil {
		return places, err
	}
	from := a.path
	if about.path != "" || about.isPattern() {
		from += " (" + key + ")"
	}
	return append(places, credentialPlace{cred: c, from: from}), nil
}
