package doctor

import (
	"errors"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry/config"
)

// A target is what is examined: an image, or a registry where there is no repository.
type target struct {
	host, repository string
	ref              string // a tag or digest
	short            string // the name that was written without a host; "" is none
}

// parseTarget reads [HOST/]REPOSITORY[:TAG][@DIGEST] or HOST[:PORT]. What has no
// slash is a host where only a host can look so, with a dot before any port or
// "localhost": docker:// in front makes an image of it all the same.
func parseTarget(text string) (target, error) {
	if IsHost(text) {
		host, err := endpoint.ParseHost(text)
		return target{host: host}, err
	}
	e, err := endpoint.Parse(text)
	if err != nil {
		return target{}, err
	}
	if e.Transport != endpoint.Registry {
		return target{}, &endpoint.Error{Arg: text, At: -1, Msg: "is in no registry"}
	}
	return target{host: e.Host, repository: e.Repository, ref: e.Ref(), short: e.Short}, nil
}

// IsHost reports whether a target is a registry, HOST[:PORT], and not an image.
func IsHost(text string) bool {
	if strings.ContainsAny(text, "/@") {
		return false
	}
	u := url.URL{Host: text}
	name := u.Hostname()
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	// An archive's name is for endpoint.Parse to complain about.
	switch path.Ext(text) {
	case ".tar", ".gz", ".tgz", ".zst":
		return false
	}
	if strings.Contains(name, ":") {
		return false // behind it is no port but a tag
	}
	return name == "localhost" || strings.Contains(name, ".")
}

func (t target) isDigest() bool { return strings.Contains(t.ref, ":") }

// String returns the full name.
func (t target) String() string {
	switch {
	case t.repository == "":
		return t.host
	case t.isDigest():
		return t.host + "/" + t.repository + "@" + t.ref
	}
	return t.host + "/" + t.repository + ":" + t.ref
}

// reference says how the target was read.
func (t target) reference() finding {
	if known := LooksLike(t.host); known != "" {
		return wrong(HopReference, Problem{
			LookAlike, t.host, "looks like " + known + " and is not",
			"write " + known + " if that is what you mean; send " + t.host + " no credentials before you know whose it is",
		})
	}
	if t.short != "" {
		return fine(HopReference, t.short, "a short name, "+t.what())
	}
	detail := "a registry"
	if t.repository != "" {
		detail = "repository " + t.repository + " at " + t.host + ", " + t.what()
	}
	return fine(HopReference, t.String(), detail)
}

func (t target) what() string {
	if t.isDigest() {
		return "digest " + t.ref
	}
	return "tag " + t.ref
}

// shortName puts what an alias says in place of a name without a host.
func (d *Doctor) shortName(t *target) finding {
	if t.short == "" {
		return finding{}
	}
	if d.View == nil {
		return fine(HopShortName, t.short, "is "+t.host+"/"+t.repository)
	}
	e, read := endpoint.Endpoint{Host: t.host, Repository: t.repository, Short: t.short}.Lengthen(d.View)
	if read.Name.Set() {
		t.host, t.repository = e.Host, e.Repository
		return fine(HopShortName, t.short, "is "+read.Name.Value+", as "+read.Name.From.String()+" says")
	}
	detail := "is " + read.Name.Value + ", since no alias says otherwise"
	if len(read.Podman) > 0 {
		detail += "; podman would search " + hostsOf(read.Podman) + " (" + read.Podman[0].From.String() + ")"
	}
	return fine(HopShortName, t.short, detail)
}

func hostsOf(names []config.Value[string]) string {
	var hosts []string
	for _, name := range names {
		host, _, _ := strings.Cut(name.Value, "/")
		hosts = append(hosts, host)
	}
	return strings.Join(hosts, ", ")
}

// errUnreached is a host that an exam has found it cannot reach.
var errUnreached = errors.New("this host cannot be reached")
