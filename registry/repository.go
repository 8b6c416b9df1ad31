package registry

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/internal/outside"
	"github.com/wherry-dev/wherry/internal/pattern"
)

// A Repository is one repository of a registry. It may be used by several
// goroutines at once.
type Repository struct {
	host      *host
	name      string
	namespace string // the registry whose repository a mirror is asked for; "" does not say
	said      saidTags
}

var (
	_ content.Source          = (*Repository)(nil)
	_ content.Sink            = (*Repository)(nil)
	_ content.Resolver        = (*Repository)(nil)
	_ content.TagLister       = (*Repository)(nil)
	_ content.ReferrerLister  = (*Repository)(nil)
	_ content.ReferrerWatcher = (*Repository)(nil)
	_ content.Deleter         = (*Repository)(nil)
	_ content.Originer        = (*Repository)(nil)
	_ content.Committer       = (*Repository)(nil)
)

// The grammar of the distribution spec for <name> and for a tag as <reference>.
var (
	nameChars = pattern.Lazy(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagChars  = pattern.Lazy(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// maxName is how many bytes host and name may have together: many clients and
// registries bear no more.
const maxName = 255

// Repository returns a repository of host, "docker.io" or "localhost:5000" for
// example; any of Docker Hub's names is Docker Hub, whose one-part names are
// below "library/". It is the one that is written to: [Client.Source] is what to
// read from. A host or name that cannot be is [content.ErrInvalid], and one that
// [Client.Routes] forbids a [*BlockedError]. Nothing is asked of the registry.
func (c *Client) Repository(host, name string) (*Repository, error) {
	route, err := c.route(host, name)
	if err != nil {
		return nil, err
	}
	return c.repositoryAt(route.Write, asked)
}

// A role is what a host is asked as.
type role uint8

const (
	asked     role = iota // for its own sake
	mirroring             // in place of another
)

func (c *Client) repositoryAt(e Endpoint, as role) (*Repository, error) {
	h, err := c.hostAs(hostKey{name: e.Host, mirror: as == mirroring, settings: e.Settings})
	if err != nil {
		return nil, err
	}
	name, err := checkName(h.name, e.Repository)
	if err != nil {
		return nil, err
	}
	return &Repository{host: h, name: name, namespace: e.Namespace}, nil
}

// checkName checks a repository's name and gives those of Docker Hub their first part.
func checkName(host, name string) (string, error) {
	if host == DockerHub && !strings.Contains(name, "/") {
		name = "library/" + name
	}
	if !nameChars().MatchString(name) {
		return "", fmt.Errorf("repository name %s does not fit the grammar of the distribution spec: %w", outside.Quote(name, maxName), content.ErrInvalid)
	}
	if len(host)+1+len(name) > maxName {
		return "", fmt.Errorf("repository name of %d bytes is too long: %w", len(name), content.ErrInvalid)
	}
	return name, nil
}

// Origin implements [content.Originer].
func (r *Repository) Origin() (host, repository string) { return r.host.name, r.name }

// String returns host/name.
func (r *Repository) String() string { return r.host.name + "/" + r.name }

func (r *Repository) pull() []string   { return []string{"repository:" + r.name + ":pull"} }
func (r *Repository) push() []string   { return []string{"repository:" + r.name + ":pull,push"} }
func (r *Repository) remove() []string { return []string{"repository:" + r.name + ":delete,pull,push"} }

// path returns the path of something of the repository, below /v2/.
func (r *Repository) path(kind, ref string) string { return r.name + "/" + kind + "/" + ref }

// query says which registry a mirror of several is asked for.
// https://github.com/containerd/containerd/blob/v2.1.0/docs/hosts.md
func (r *Repository) query() url.Values {
	if r.namespace == "" {
		return nil
	}
	return url.Values{"ns": {r.namespace}}
}

// checkRef reports whether ref is a tag or a digest: what may become part of a URL.
func checkRef(ref string) error {
	if strings.Contains(ref, ":") {
		return content.CheckDigest(digest.Digest(ref))
	}
	if !tagChars().MatchString(ref) {
		return fmt.Errorf("tag %s does not fit the grammar of the distribution spec: %w", outside.Quote(ref, 130), content.ErrInvalid)
	}
	return nil
}

// isDigest tells the two kinds of references apart.
func isDigest(ref string) bool { return strings.Contains(ref, ":") }

// Login reports whether cred is good for host at: it fetches what the host wants
// to see and shows it once. It returns what to keep for the next time: cred
// itself, or where the token server gave an identity token for its name and
// password, that. The Client does not keep it. What is wrong is
// [content.ErrUnauthorized] or [content.ErrDenied]; a host that lets everybody
// in says nothing about cred, and that is no error.
func (c *Client) Login(ctx context.Context, at string, cred Credential) (Credential, error) {
	c.init()
	name, err := canonicalHost(at)
	if err != nil {
		return Credential{}, err
	}
	settings, err := c.hostSettings(name)
	if err != nil {
		return Credential{}, err
	}
	// The keychain has one credential, whatever is asked for: a Login talks to one host only.
	only := CredentialFunc(func(context.Context, string, string) (Credential, error) { return cred, nil })
	h := &host{client: c, name: name, settings: settings, keychain: only}
	c.mu.Lock()
	err = h.open()
	c.mu.Unlock()
	if err != nil {
		return Credential{}, err
	}
	var identity string
	h.auth.identity = &identity
	resp, err := h.do(httpx.Whole(ctx, maxErrorBody), call{method: http.MethodGet})
	if err != nil {
		return Credential{}, err
	}
	if err := h.check(resp, http.StatusOK); err != nil {
		return Credential{}, err
	}
	if identity != "" && cred.Password != "" {
		cred = Credential{Username: cred.Username, IdentityToken: identity}
	}
	return cred, resp.Body.Close()
}

// Catalog lists the repositories of a host, in its own order, as far as it lets
// them be listed; many registries do not ([errors.ErrUnsupported],
// [content.ErrDenied] or [content.ErrNotFound]).
func (c *Client) Catalog(ctx context.Context, host string) iter.Seq2[string, error] {
	h, err := c.host(host)
	if err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	return h.names(ctx, listing{path: "_catalog", field: "repositories", scopes: []string{"registry:catalog:*"}})
}
