package cli

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry/config"
)

// newView reads what is known about registries.
func (f *Factory) newView() (*config.View, error) {
	own, err := f.Config()
	if err != nil {
		return nil, err
	}
	given, err := f.given()
	if err != nil {
		return nil, err
	}
	from := config.From{Env: f.Env, Home: f.home(), Own: own.path, OwnOnly: f.ownOnly(own), Given: given}
	view, err := config.Load(from)
	if errors.Is(err, content.ErrInvalid) {
		from.OwnOnly = true
		_, ours := config.Load(from)
		return nil, &usageError{err: &settingsError{err: err, others: ours == nil}}
	}
	if err == nil {
		f.warnUnread(view)
	}
	return view, err
}

// unusable is about settings that can be understood, and not followed: a file that
// they name is not there, or is not what it should be.
func unusable(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err: &settingsError{err: err, names: true}}
}

// warnUnread tells which files may not be read: one of them may block a registry, or
// name a mirror. Verbs that list the files say so there. Podman's cache of short names
// can do neither, and is closed to users wherever root has podman.
func (f *Factory) warnUnread(view *config.View) {
	if f.runs("which") || f.runs("info") || f.runs("doctor") {
		return
	}
	for _, file := range view.Files() {
		if file.Unread != nil && filepath.Base(file.Path) != "short-name-aliases.conf" {
			f.Warn("%s is left out: %s", file.Path, file.Unread)
		}
	}
}

// A settingsError is a file about registries that cannot be understood. It is not
// passed over: what it would have forbidden is not known.
type settingsError struct {
	err    error
	others bool // it is a file of another program
	names  bool // it is a file that a setting names
}

func (e *settingsError) Error() string {
	return "settings of registries: " + strings.TrimSuffix(e.err.Error(), ": "+content.ErrInvalid.Error())
}

func (e *settingsError) Unwrap() error { return e.err }

// ownOnly reports whether the files of other programs are left alone.
func (f *Factory) ownOnly(own Config) bool { return f.whoOwnOnly(own) != "" }

// whoOwnOnly returns who says that the files of other programs are left alone, ""
// for nobody.
func (f *Factory) whoOwnOnly(own Config) string {
	const variable = "WHERRY_OWN_ONLY"
	switch {
	case own.OwnOnly:
		return own.path
	case f.isSet(variable):
		return variable
	}
	return ""
}

// isSet reports whether a variable of the environment switches something on.
func (f *Factory) isSet(variable string) bool {
	said := f.Env(variable)
	return said != "" && said != "0" && said != "false"
}

// givenSettings returns what flags, and the list of hosts in our own file, say
// about hosts; "" is every host.
func (f *Factory) givenSettings() (map[string]config.Host, error) {
	own, err := f.Config()
	if err != nil {
		return nil, err
	}
	given := map[string]config.Host{}
	for _, list := range []struct {
		hosts []string
		from  config.Origin
	}{{own.PlainHTTP, config.Origin{File: own.path}}, {f.Flags.PlainHTTP, config.Origin{Variable: "--plain-http"}}} {
		for _, arg := range list.hosts {
			host, err := parseHost(arg)
			if err != nil {
				return nil, err
			}
			given[host] = config.Host{
				PlainHTTP: config.Value[bool]{Value: true, From: list.from},
				AllowHTTP: config.Value[bool]{From: list.from},
			}
		}
	}
	for _, arg := range f.Flags.TLSSkipVerify {
		host, err := parseHost(arg)
		if err != nil {
			return nil, err
		}
		if given[host].PlainHTTP.Value {
			return nil, usagef("%s: plain http has no certificate to skip", host)
		}
		from := config.Origin{Variable: "--tls-skip-verify"}
		given[host] = config.Host{
			SkipVerify: config.Value[bool]{Value: true, From: from},
			PlainHTTP:  config.Value[bool]{From: from},
			AllowHTTP:  config.Value[bool]{From: from},
		}
		f.Warn("%s may be anybody: its certificate is not checked", host)
	}
	f.addInsecure(given)
	roots, err := f.givenRoots()
	if len(roots) > 0 {
		given[""] = config.Host{Roots: roots}
	}
	return given, err
}

// bindInsecure adds docker's --insecure to a verb that talks to the registries that
// its arguments name.
func bindInsecure(cmd *cobra.Command, f *Factory) {
	cmd.Flags().BoolVar(&f.Flags.Insecure, "insecure", false, "accept any certificate from the registries that are named here, and http")
}

// addInsecure adds what --insecure says about the registries that the arguments name.
// What the other flags say of a host is more exact, and stays. A short name is Docker
// Hub's here: what an alias leads to has settings of its own.
func (f *Factory) addInsecure(given map[string]config.Host) {
	if !f.Flags.Insecure {
		return
	}
	for _, arg := range f.arguments() {
		e, err := endpoint.Parse(arg)
		if err != nil || e.Transport != endpoint.Registry {
			continue
		}
		if _, said := given[e.Host]; said {
			continue
		}
		yes := config.Value[bool]{Value: true, From: config.Origin{Variable: "--insecure"}}
		given[e.Host] = config.Host{SkipVerify: yes, AllowHTTP: yes}
		f.Warn("%s may be anybody: its certificate is not checked", e.Host)
	}
}

// givenRoots returns the files of --ca, which must have certificates.
func (f *Factory) givenRoots() ([]config.Value[string], error) {
	var roots []config.Value[string]
	for _, path := range f.Flags.CA {
		const most = 16 << 20
		pem, err := readBounded(path, most)
		if err != nil {
			return nil, namedFile("--ca", err)
		}
		if !config.HasCertificate(pem) {
			return nil, usagef("--ca %s: no certificate in it", path)
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		roots = append(roots, config.Value[string]{Value: absolute, From: config.Origin{Variable: "--ca"}})
	}
	return roots, nil
}

// parse reads an argument that names an image or a file. A name without a host
// for which the user has an alias is what that says.
func (f *Factory) parse(arg string) (endpoint.Endpoint, error) {
	e, err := endpoint.Parse(arg)
	if err != nil || e.Short == "" {
		return e, err
	}
	view, err := f.View()
	if err != nil {
		return endpoint.Endpoint{}, err
	}
	long, read := e.Lengthen(view)
	if long.Host != e.Host || long.Repository != e.Repository {
		f.Log().Info("short name", "name", e.Short, "stands for", read.Name.Value, "by", read.Name.From.String())
	}
	return long, nil
}
