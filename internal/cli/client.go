package cli

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/lmittmann/tint"

	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
)

// newClient returns the client that flags, configuration and environment ask for.
func (f *Factory) newClient() (*registry.Client, error) {
	view, err := f.View()
	if err != nil {
		return nil, err
	}
	directory := &endpoint.Directory{View: view}
	if err := f.checkAuthFile(); err != nil {
		return nil, err
	}
	given, err := f.flagCredentials(f.SrcHost, f.DstHost)
	if err != nil {
		return nil, err
	}
	c := &registry.Client{
		Keychain:     registry.CredentialFunc((&credentials{f: f, host: given}).forRepository),
		Hosts:        directory.Host,
		Routes:       directory.Route,
		Proxy:        directory.Proxy,
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
	}
	return c, nil
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
	waits := func(w layout.Waiting) { f.Warn("%s", w) }
	return &endpoint.Opener{Client: client, Layout: layout.Options{Wait: waits}, In: f.In, Out: f.Out, Home: f.home()}, nil
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
