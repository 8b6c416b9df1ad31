package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// WhichResult is what `wherry which` says.
type WhichResult struct {
	Target    string      `json:"target"`
	Name      string      `json:"name"` // in full
	ShortName *WhichShort `json:"shortName,omitempty"`
	Blocked   string      `json:"blocked,omitempty"` // who forbids it
	Moved     string      `json:"moved,omitempty"`   // who says that it is read under another name
	Hosts     []WhichHost `json:"hosts"`             // in the order in which they are asked first
	OwnOnly   string      `json:"ownOnly,omitempty"` // who says that the files of other programs are left alone
	Files     []WhichFile `json:"files"`
}

// A WhichShort says how a name without a host was read.
type WhichShort struct {
	Name      string         `json:"name"`
	StandsFor string         `json:"standsFor"`
	From      string         `json:"from"`
	Podman    []WhichSetting `json:"podman,omitempty"` // where podman would look instead
}

// A WhichHost is a host that would be asked.
type WhichHost struct {
	Role         string   `json:"role"` // registry, mirror, or destination: what is written to, where that is another
	Host         string   `json:"host"`
	Repository   string   `json:"repository,omitempty"`
	URL          string   `json:"url"`               // of its API
	Schemes      []string `json:"schemes"`           // in the order in which they are tried
	Skipped      string   `json:"skipped,omitempty"` // why it is not asked
	Capabilities []string `json:"capabilities"`

	CapabilitiesFrom string `json:"capabilitiesFrom"`

	From        string            `json:"from"` // who named it
	Settings    []WhichSetting    `json:"settings"`
	Proxy       WhichSetting      `json:"proxy"`
	Credentials []WhichCredential `json:"credentials"` // where one is looked for, in order; the last that is neither a helper nor a cloud has one
	Problem     string            `json:"problem,omitempty"`
}

// A WhichSetting is a setting and where it was found: FILE:LINE, a variable, a
// flag, or "default".
type WhichSetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// A WhichCredential says where a credential is, and nothing of what it is.
type WhichCredential struct {
	Kind string `json:"kind"` // password, identity token, registry token, helper NAME, or login to a cloud
	From string `json:"from"`
}

// A WhichFile is a file about registries that was found.
type WhichFile struct {
	Path   string `json:"path"`
	Unread string `json:"unread,omitempty"` // why nothing was taken from it
}

func newWhich(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "which REF|HOST",
		Short: "Show what would be used to reach an image, and which file says so",
		Long: "Show what would be used to reach an image or a registry: how the name is read, the hosts in the order in which they\n" +
			"are asked first, and for each its address, certificates, proxy, limits and credential, each with the file and line, the\n" +
			"variable or the flag that says so. Nothing is contacted and no credential helper is run; secrets are not shown.\n\n" +
			"--quiet prints only the addresses. What has no slash and a dot in it, or is localhost, is a registry: write docker://NAME\n" +
			"for an image that is called so.",
		Example: "  wherry which nginx:1.27\n  wherry which --quiet ghcr.io/org/app\n  wherry which --json registry.corp:5000",
		Args:    exactArgs(1),
	}
	return f.Run(cmd, func(_ context.Context, args []string) (render.Result, error) {
		w, err := f.which(args[0])
		return w.result(), err
	})
}

// which finds out what would be used for a target.
func (f *Factory) which(target string) (*WhichResult, error) {
	w := &WhichResult{Target: target, Hosts: []WhichHost{}, Files: []WhichFile{}}
	if err := f.checkAuthFile(); err != nil {
		return nil, err
	}
	view, err := f.View()
	if err != nil {
		return nil, err
	}
	if err := f.whichFiles(w, view); err != nil {
		return nil, err
	}
	if doctor.IsHost(target) {
		host, err := parseHost(target)
		if err != nil {
			return nil, err
		}
		f.SrcHost, w.Name = host, host
		r, err := view.Place(config.Place{Host: host})
		if err != nil {
			return nil, err
		}
		// A registry is not moved or blocked as a whole: its repositories are.
		r.Origin = config.Endpoint{Host: host, Path: "/v2", Capabilities: r.Target.Capabilities, Settings: view.Host(host)}
		r.Target = r.Origin
		f.whichHosts(w, view, r, "")
		return w, nil
	}
	e, err := endpoint.Parse(target)
	if err != nil {
		return nil, err
	}
	if e.Transport != endpoint.Registry {
		return nil, usagef("%s is in no registry", target)
	}
	e, read := e.Lengthen(view)
	w.Name = e.FullName()
	if e.Short != "" {
		w.ShortName = whichShort(e.Short, read)
	}
	r, err := view.Registry(e.Host, e.Repository)
	if err != nil {
		return nil, err
	}
	if r.Blocked.Value {
		w.Blocked = r.Blocked.From.String()
		return w, nil
	}
	if r.Origin.Host != r.Host || r.Origin.Repository != r.Repository {
		w.Moved = r.Origin.From.String()
	}
	f.whichHosts(w, view, r, e.Ref())
	return w, nil
}

func whichShort(short string, read endpoint.Reading) *WhichShort {
	s := &WhichShort{Name: short, StandsFor: read.Name.Value, From: read.Name.From.String()}
	for _, candidate := range read.Podman {
		s.Podman = append(s.Podman, WhichSetting{"candidate", candidate.Value, candidate.From.String()})
	}
	return s
}

// whichFiles lists the files about registries.
func (f *Factory) whichFiles(w *WhichResult, view *config.View) error {
	own, err := f.Config()
	if err != nil {
		return err
	}
	w.OwnOnly = f.whoOwnOnly(own)
	for _, file := range view.Files() {
		listed := WhichFile{Path: file.Path}
		if file.Unread != nil {
			listed.Unread = file.Unread.Error()
		}
		w.Files = append(w.Files, listed)
	}
	return nil
}

// whichHosts lists the hosts in the order in which they are first asked for ref.
// A tag is asked of the registry; what it stands for, of the mirrors first.
func (f *Factory) whichHosts(w *WhichResult, view *config.View, r *config.Registry, ref string) {
	origin := f.whichHost(view, "registry", r.Origin)
	digest := strings.Contains(ref, ":")
	if !digest {
		w.Hosts = append(w.Hosts, origin)
	}
	for _, m := range r.Mirrors {
		h := f.whichHost(view, "mirror", m)
		switch {
		case !endpoint.Serves(m):
			h.Skipped = "it is not to be asked for anything by digest"
		case digest && m.TagsOnly.Value:
			h.Skipped = "it is not to be asked for digests (" + m.TagsOnly.From.String() + ")"
		}
		w.Hosts = append(w.Hosts, h)
	}
	if digest {
		w.Hosts = append(w.Hosts, origin)
	}
	if r.Target.Host != r.Origin.Host || r.Target.Repository != r.Origin.Repository {
		w.Hosts = append(w.Hosts, f.whichHost(view, "destination", r.Target))
	}
}

// whichHost says how one host is contacted.
func (f *Factory) whichHost(view *config.View, role string, e config.Endpoint) WhichHost {
	schemes := schemesOf(e)
	u := e.URL(schemes[0])
	h := WhichHost{
		Role: role, Host: e.Host, Repository: e.Repository, URL: u.String(), Schemes: schemes,
		Capabilities: strings.Split(e.Capabilities.Value.String(), ","), CapabilitiesFrom: e.Capabilities.From.String(),
		From: e.From.String(), Settings: []WhichSetting{},
	}
	for _, setting := range e.Settings.Settings() {
		h.Settings = append(h.Settings, WhichSetting{setting.Name, setting.Value, setting.From.String()})
	}
	proxy := view.Proxy(u)
	h.Proxy = WhichSetting{"proxy", proxy.Value.String(), proxy.From.String()}
	if why := view.WhyDirect(u); why != "" {
		h.Proxy.Value += ", since " + why
	}
	places, err := f.whereCredential(question{e.Host, e.Repository})
	h.Credentials = make([]WhichCredential, len(places))
	for i, place := range places {
		h.Credentials[i] = WhichCredential{place.kind(), place.from}
	}
	if _, wrong := e.Settings.TLS(); wrong != nil {
		err = wrong
	}
	if err != nil {
		h.Problem = err.Error()
	}
	return h
}

// schemesOf returns the schemes in which an endpoint is tried, the first first.
func schemesOf(e config.Endpoint) []string {
	s := e.Settings
	h := registry.Host{PlainHTTP: s.PlainHTTP.Value, AllowHTTP: s.AllowHTTP.Value, SkipVerify: s.SkipVerify.Value}
	return h.Schemes(e.Host)
}
