package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/registry"
)

// newCloud returns what logs in to the registries of clouds, as whom environment
// and home say; nobody where WHERRY_NO_CLOUD is set.
func (f *Factory) newCloud() (*cloud.Keychain, error) {
	view, err := f.View()
	if err != nil {
		return nil, err
	}
	tls, err := view.Host("").TLS() // what --ca says of every host
	if err != nil {
		return nil, err
	}
	return &cloud.Keychain{
		Env: f.Env, Home: f.home(), Roots: tls.Roots,
		Proxy: func(req *http.Request) (*url.URL, error) { return view.Proxy(req.URL).Value.URL(), nil },
	}, nil
}

// withoutClouds reports whether clouds are left alone. A file that a flag names is
// the only place of credentials.
func (f *Factory) withoutClouds() bool {
	return f.Flags.AuthFile != "" || f.isSet("WHERRY_NO_CLOUD")
}

// inCloud returns what the cloud gives whose registry host is, and as whom.
func (f *Factory) inCloud(ctx context.Context, host string) (found, error) {
	k, err := f.Cloud()
	if err != nil {
		return found{}, err
	}
	c, from, err := k.Find(ctx, host)
	if errors.Is(err, registry.ErrOptional) {
		f.Log().InfoContext(ctx, "going on without a credential unless the host insists", "host", host, "because", err.Error())
	}
	return found{c, from}, err
}

// cloudPlace is where a cloud's credential for host is looked for, if it is. The
// cloud is not asked whether it has one.
func (f *Factory) cloudPlace(host string) []credentialPlace {
	r := cloud.RegistryOf(host)
	if !cloud.Included || r == "" || f.withoutClouds() {
		return nil
	}
	return []credentialPlace{{cloud: r, from: string(r)}}
}

// cloudHint is about an identity that does not work, else nothing.
func cloudHint(err error) string {
	e, ok := errors.AsType[*cloud.Error](err)
	if !ok {
		return ""
	}
	login := ""
	switch e.Registry {
	case cloud.ECR, cloud.ECRPublic:
		login = "aws sso login"
	case cloud.Google:
		login = "gcloud auth application-default login"
	case cloud.Azure:
		login = "az login"
	}
	return "renew that identity (" + login + ", say), or log in with: wherry login " + e.Host + "; WHERRY_NO_CLOUD=1 leaves identities of clouds out"
}

// cloudLogin is how to log in to a registry of a cloud, nothing for any other.
func (f *Factory) cloudLogin(host string) string {
	r := cloud.RegistryOf(host)
	switch {
	case r == "":
		return ""
	case !cloud.Included:
		return "log in with: wherry login " + host + "; or let docker-credential-" + r.Helper() + " do it, or a wherry that was built with logins to clouds, as releases are"
	case f.withoutClouds():
		return "log in with: wherry login " + host + "; wherry would do it by itself, but for WHERRY_NO_CLOUD or --authfile"
	}
	return "it takes an identity that may do this, configured as for the tools of " + string(r) + "; or log in with: wherry login " + host
}
