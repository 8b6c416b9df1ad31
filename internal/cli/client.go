package cli

import (
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/lmittmann/tint"

	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry"
)

// newClient returns the client that flags, configuration and environment ask for.
// What is known about registries is read where one is named, else when one is asked
// for: the files of other programs are nothing to a verb that looks at a layout.
func (f *Factory) newClient() (*registry.Client, error) {
	if _, err := f.given(); err != nil {
		return nil, err
	}
	if f.SrcHost != "" || f.DstHost != "" {
		if _, err := f.View(); err != nil {
			return nil, err
		}
	}
	if err := f.checkAuthFile(); err != nil {
		return nil, err
	}
	directory := directory{sync.OnceValues(f.newDirectory)}
	given, err := f.flagCredentials(f.SrcHost, f.DstHost)
	if err != nil {
		return nil, err
	}
	c := &registry.Client{
		Keychain:     registry.CredentialFunc((&credentials{f: f, host: given}).forRepository),
		Hosts:        directory.host,
		Routes:       directory.route,
		Proxy:        directory.proxy,
		UserAgent:    "wherry/" + version(),
		Retries:      f.Flags.Retries,
		MaxWait:      max(f.Flags.MaxWait, time.Nanosecond), // the client takes 0 for its default
		StallTimeout: f.Flags.StallTimeout,
		LimitRate:    int64(f.Flags.LimitRate),
		Waiting:      f.waiting,
		Log:          f.Log(),
	}
	if state := f.stateFolder(); state != "" {
		c.Facts = &durable.Facts{Dir: filepath.Join(state, "wherry", "facts")}
		c.Journal = &durable.Journal{Dir: filepath.Join(state, "wherry", "uploads")}
	}
	return c, nil
}

func (f *Factory) newDirectory() (*endpoint.Directory, error) {
	view, err := f.View()
	return &endpoint.Directory{View: view}, err
}

// A directory is what a client asks about hosts. What is wrong there is a setting,
// and no answer of a registry.
type directory struct {
	open func() (*endpoint.Directory, error)
}

func (d directory) host(name string) (*registry.Host, error) {
	opened, err := d.open()
	if err != nil {
		return nil, err
	}
	host, err := opened.Host(name)
	return host, unusable(err)
}

func (d directory) route(host, repository string) (registry.Route, error) {
	opened, err := d.open()
	if err != nil {
		return registry.Route{}, err
	}
	route, err := opened.Route(host, repository)
	return route, unusable(err)
}

func (d directory) proxy(req *http.Request) (*url.URL, error) {
	opened, err := d.open()
	if err != nil {
		return nil, err
	}
	return opened.Proxy(req)
}

func (f *Factory) newLog() *slog.Logger {
	o := tint.Options{NoColor: !f.Err.Output().Color, TimeFormat: time.TimeOnly}
	switch {
	case f.Flags.Debug:
		o.Level = slog.LevelDebug
	case f.Flags.Verbose:
		o.Level = slog.LevelInfo
	default:
		return slog.New(&warnings{f: f})
	}
	return slog.New(tint.NewTextHandler(f.Err, &o))
}

// newOpener returns an opener for both ends of whatever a verb does.
func (f *Factory) newOpener() (*endpoint.Opener, error) {
	client, err := f.Client()
	if err != nil {
		return nil, err
	}
	o := &endpoint.Opener{Client: client, Layout: f.layouts(), In: f.In, Out: f.Out, Home: f.home(), Store: f.storeFolder()}
	if o.Store != "" {
		o.OpenStore = f.Store
	}
	return o, nil
}

// noteEnds remembers which registries the arguments of a command name, for
// --username and --dst-username.
func (f *Factory) noteEnds(args []string) {
	for i, arg := range args {
		parse := endpoint.Parse
		if i == 0 {
			parse = f.parse
		}
		e, err := parse(arg)
		switch {
		case err != nil || e.Transport != endpoint.Registry:
		case i == 0:
			f.SrcHost = e.Host
		case i == len(args)-1:
			f.DstHost = e.Host
		}
	}
}
