package cli

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// forbidden is about settings and credentials that are broken, and about what
// settings forbid.
func (f *Factory) forbidden(err error) string {
	if wrong, ok := errors.AsType[*settingsError](err); ok {
		return f.mendSettings(wrong)
	}
	if broken, ok := errors.AsType[*credentialError](err); ok {
		return broken.mend
	}
	if blocked, ok := errors.AsType[*registry.BlockedError](err); ok {
		return "take the line at " + blocked.By + " out if you may"
	}
	if proxy, ok := errors.AsType[*registry.ProxyError](err); ok {
		return throughProxy(proxy)
	}
	return ""
}

// throughProxy is about a proxy that does not let us through.
func throughProxy(e *registry.ProxyError) string {
	host, _, _ := strings.Cut(e.Host, ":")
	which := "; where the proxy is set tells: wherry which " + host
	if e.Status == http.StatusProxyAuthRequired {
		return "put a user name and a password into the proxy's URL, http://USER:PASSWORD@" + e.Proxy + which
	}
	return "have the proxy let us through to " + host + ", or put that into NO_PROXY if it can be reached without" + which
}

// mendSettings says what to mend, and of others' files that they can be left alone.
func (f *Factory) mendSettings(wrong *settingsError) string {
	named, _, _ := strings.Cut(wrong.err.Error(), ":")
	switch {
	case wrong.others:
		return "mend the file; WHERRY_OWN_ONLY=1 leaves those of podman, containerd and docker alone"
	case wrong.names:
		if bad, ok := errors.AsType[*config.SettingError](wrong.err); ok {
			return "mend the setting at " + bad.From.String() + ", or the file that it names"
		}
		return "mend the setting, or the file that it names"
	case f.Env(named) != "":
		return "mend or unset " + named
	}
	return "mend the file"
}

// ownFile returns the path of the configuration file, or of the one that there may be.
func (f *Factory) ownFile() string {
	own, err := f.Config()
	if err == nil && own.path != "" {
		return own.path
	}
	return filepath.Join(f.configFolder(), "wherry", "config.yaml")
}
