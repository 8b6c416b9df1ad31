package cli

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/net/http/httpproxy"

	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
)

// newClient returns the client that flags, configuration and environment ask for.
func (f *Factory) newClient() (*registry.Client, error) {
	hosts, err := f.hostSettings()
	if err != nil {
		return nil, err
	}
	if err := f.checkAuthFile(); err != nil {
		return nil, err
	}
	given, err := f.flagCredentials(f.SrcHost, f.DstHost)
	if err != nil {
		return nil, err
	}
	c := &registry.Client{
		Keychain:     registry.CredentialFunc((&credentials{f: f, host: given}).forHost),
		Hosts:        hosts,
		Proxy:        f.proxy(),
		UserAgent:    "wherry/" + version(),
		Retries:      f.Flags.Retries,
		MaxWait:      max(f.Flags.MaxWait, time.Nanosecond), // the client takes 0 for its default
		StallTimeout: f.Flags.StallTimeout,
		LimitRate:    int64(f.Flags.LimitRate),
		Log:          f.Log(),
	}
	if state := f.stateFolder(); state != "" {
		c.Facts = &durable.Facts{Dir: filepath.Join(state, "wherry", "facts")}
	}
	return c, nil
}

// hostSettings returns what is known about hosts.
func (f *Factory) hostSettings() (func(host string) registry.Host, error) {
	config, err := f.Config()
	if err != nil {
		return nil, err
	}
	roots, err := f.rootCAs()
	if err != nil {
		return nil, err
	}
	known := map[string]registry.Host{}
	for _, arg := range append(config.PlainHTTP, f.Flags.PlainHTTP...) {
		host, err := parseHost(arg)
		if err != nil {
			return nil, err
		}
		known[host] = registry.Host{PlainHTTP: true}
	}
	for _, arg := range f.Flags.TLSSkipVerify {
		host, err := parseHost(arg)
		if err != nil {
			return nil, err
		}
		if known[host].PlainHTTP {
			return nil, usagef("%s: plain http has no certificate to skip", host)
		}
		known[host] = registry.Host{SkipVerify: true}
		f.Warn("%s may be anybody: its certificate is not checked", host)
	}
	return func(host string) registry.Host {
		h := known[host]
		h.RootCAs = roots
		return h
	}, nil
}

// rootCAs returns the system's certificates and those of --ca; nil for the
// system's alone.
func (f *Factory) rootCAs() (*x509.CertPool, error) {
	if len(f.Flags.CA) == 0 {
		return nil, nil //nolint:nilnil // nil is what crypto/tls takes for the system's
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("certificates of the system: %w", err)
	}
	for _, path := range f.Flags.CA {
		const most = 16 << 20
		pem, err := readBounded(path, most)
		if err != nil {
			return nil, namedFile("--ca", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, &usageError{err: fmt.Errorf("--ca %s: no certificate in it", path)}
		}
	}
	return pool, nil
}

// proxy returns the proxy that the environment names for a request.
func (f *Factory) proxy() func(*http.Request) (*url.URL, error) {
	either := func(name, other string) string {
		if value := f.Env(name); value != "" {
			return value
		}
		return f.Env(other)
	}
	config := httpproxy.Config{
		HTTPProxy:  either("HTTP_PROXY", "http_proxy"),
		HTTPSProxy: either("HTTPS_PROXY", "https_proxy"),
		NoProxy:    either("NO_PROXY", "no_proxy"),
	}
	find := config.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) { return find(req.URL) }
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
		e, err := endpoint.Parse(arg)
		switch {
		case err != nil || e.Transport != endpoint.Registry:
		case i == 0:
			f.SrcHost = e.Host
		case i == len(args)-1:
			f.DstHost = e.Host
		}
	}
}
