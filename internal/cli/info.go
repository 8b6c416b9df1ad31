package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// InfoResult is what `wherry info` says, under the names that docker has for it:
// https://docs.docker.com/reference/cli/docker/system/info/
type InfoResult struct {
	Images         int        `json:"Images"`                  // in the local store
	Driver         string     `json:"Driver"`                  // of the store
	DriverStatus   [][]string `json:"DriverStatus"`            // names and values: what the store takes
	DockerRootDir  string     `json:"DockerRootDir,omitempty"` // where the store is
	OSType         string     `json:"OSType"`
	Architecture   string     `json:"Architecture"` // as uname has it
	NCPU           int        `json:"NCPU"`
	HTTPProxy      string     `json:"HttpProxy"`
	HTTPSProxy     string     `json:"HttpsProxy"`
	NoProxy        string     `json:"NoProxy"`
	RegistryConfig InfoConfig `json:"RegistryConfig"`
	ClientInfo     InfoClient `json:"ClientInfo"`

	// What docker does not have.
	Files       []InfoFile `json:"Files"` // about registries
	OwnOnly     string     `json:"OwnOnly,omitempty"`
	StateFolder string     `json:"StateFolder,omitempty"`
}

// An InfoConfig is what is known about registries.
type InfoConfig struct {
	InsecureRegistryCIDRs []string             `json:"InsecureRegistryCIDRs"`
	IndexConfigs          map[string]InfoIndex `json:"IndexConfigs"` // by HOST or HOST/NAMESPACE
	Mirrors               []string             `json:"Mirrors"`      // Docker Hub's
}

// An InfoIndex is a registry, or a part of one.
type InfoIndex struct {
	Name     string   `json:"Name"`
	Mirrors  []string `json:"Mirrors"`
	Secure   bool     `json:"Secure"`
	Official bool     `json:"Official"` // Docker Hub
}

// InfoClient is wherry itself.
type InfoClient struct {
	Debug     bool   `json:"Debug"`
	Version   string `json:"Version"`
	GoVersion string `json:"GoVersion"`
	Os        string `json:"Os"` // as docker's templates have it
	Arch      string `json:"Arch"`
}

// An InfoFile is a file about registries that was found.
type InfoFile struct {
	Path       string `json:"Path"`
	Registries int    `json:"Registries"` // that it speaks of
	Mirrors    int    `json:"Mirrors"`
	ShortNames int    `json:"ShortNames"`
	Unread     string `json:"Unread,omitempty"` // why nothing was taken from it
}

// What stands where docker names its storage driver.
const (
	storeDriver = "oci-layout"
	noDriver    = "none" // there is no home folder to have a store in
)

func newInfo(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show what is in force here: mirrors, insecure registries, proxies, files",
		Long: "Show what is in force on this machine, as docker info does: mirrors of registries, insecure registries, proxies, and\n" +
			"which files say something about registries, and where the local store is and what it takes. Nothing is contacted; there\n" +
			"is no daemon. `wherry which REF` tells where each setting of one image comes from.\n\n" +
			"--json and templates have docker's names: {{.RegistryConfig.Mirrors}}, {{.HTTPProxy}}, {{.ClientInfo.Version}}.",
		Example: "  wherry info\n  wherry info | grep -A 10 'Registry Mirrors'\n  wherry info --format '{{json .RegistryConfig.Mirrors}}'",
		Args:    noArgs,
	}
	return f.Run(cmd, func(ctx context.Context, _ []string) (render.Result, error) {
		info, err := f.info()
		if err != nil {
			return render.Result{}, err
		}
		if err := f.addStore(ctx, info); err != nil {
			return render.Result{}, err
		}
		return render.Result{Value: *info, Lines: info.lines()}, nil
	})
}

func (f *Factory) info() (*InfoResult, error) {
	own, err := f.Config()
	if err != nil {
		return nil, err
	}
	view, err := f.View()
	if err != nil {
		return nil, err
	}
	http, https, none := view.Proxies()
	info := &InfoResult{
		Driver: noDriver, DriverStatus: [][]string{}, OSType: runtime.GOOS, Architecture: machine(), NCPU: runtime.NumCPU(),
		HTTPProxy: maskedProxy(http.Value), HTTPSProxy: maskedProxy(https.Value), NoProxy: none.Value,
		ClientInfo: InfoClient{
			Debug: f.Flags.Debug, Version: version(), GoVersion: runtime.Version(), Os: runtime.GOOS, Arch: runtime.GOARCH,
		},
		RegistryConfig: f.infoConfig(view),
		Files:          []InfoFile{},
		OwnOnly:        f.whoOwnOnly(own),
	}
	if state := f.stateFolder(); state != "" {
		info.StateFolder = filepath.Join(state, "wherry")
	}
	for _, file := range view.Files() {
		said := InfoFile{Path: file.Path, Registries: file.Registries, Mirrors: file.Mirrors, ShortNames: file.ShortNames}
		if file.Unread != nil {
			said.Unread = file.Unread.Error()
		}
		info.Files = append(info.Files, said)
	}
	return info, nil
}

// addStore adds what is to be said of the local store.
func (f *Factory) addStore(ctx context.Context, info *InfoResult) (err error) {
	info.DockerRootDir = f.storeFolder()
	if info.DockerRootDir == "" {
		return nil
	}
	info.Driver = storeDriver
	store, err := f.openStore()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	images, err := store.Images(ctx)
	if err != nil {
		return err
	}
	usage, err := store.Usage(ctx)
	if err != nil {
		return err
	}
	info.Images = len(images)
	info.DriverStatus = [][]string{{"Blobs", strconv.Itoa(usage.Blobs)}, {"Size", humanSize(usage.Bytes)}}
	return nil
}

// machine returns the architecture in the words of uname, which docker uses here.
func machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}

// maskedProxy returns the address of a proxy as docker info shows it, without what
// stands behind its port: nothing goes there, and a secret may have got there.
func maskedProxy(p config.Proxy) string {
	u := p.URL()
	if u == nil {
		return ""
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.User != nil {
		shown.User = url.UserPassword("xxxxx", "xxxxx")
	}
	return shown.String()
}

// infoConfig lists the registries that have mirrors, or are insecure.
func (f *Factory) infoConfig(view *config.View) InfoConfig {
	c := InfoConfig{
		InsecureRegistryCIDRs: []string{"::1/128", "127.0.0.0/8"}, // as docker has it: hosts of this machine may speak http
		IndexConfigs:          map[string]InfoIndex{},
	}
	for _, one := range f.mirrored(view) {
		c.IndexConfigs[one.Name] = one
	}
	c.Mirrors = append([]string{}, c.IndexConfigs[registry.DockerHub].Mirrors...)
	places, networks := view.Insecure()
	for _, p := range places {
		one, ok := c.IndexConfigs[p.Value.String()]
		if !ok {
			one = newIndex(p.Value)
		}
		one.Secure = false
		c.IndexConfigs[one.Name] = one
	}
	for _, network := range networks {
		if !slices.Contains(c.InsecureRegistryCIDRs, network.Value) {
			c.InsecureRegistryCIDRs = append(c.InsecureRegistryCIDRs, network.Value)
		}
	}
	return c
}

func newIndex(p config.Place) InfoIndex {
	return InfoIndex{Name: p.String(), Mirrors: []string{}, Secure: true, Official: p.Host == registry.DockerHub}
}

// mirrored lists Docker Hub, and what has mirrors. A place that has none but those
// of all of its registry, or of all registries, is not listed for them again.
func (f *Factory) mirrored(view *config.View) []InfoIndex {
	var list []InfoIndex
	listed := map[string]bool{} // by host and who named its mirrors
	for _, p := range view.Places() {
		r, err := view.Place(p)
		if err != nil {
			f.Warn("%s", err)
			continue
		}
		one := newIndex(p)
		var by strings.Builder
		for _, m := range r.Mirrors {
			fmt.Fprintf(&by, " %s", m.From)
			one.Mirrors = append(one.Mirrors, mirrorURL(m))
		}
		again := listed[p.Host+by.String()] || !one.Official && listed["*"+by.String()]
		listed[p.Host+by.String()] = true
		if one.Name == registry.DockerHub || len(one.Mirrors) > 0 && !again {
			list = append(list, one)
		}
	}
	return list
}

// mirrorURL returns the address of a mirror as docker info shows it: without the
// path of the API, a slash at its end.
func mirrorURL(m config.Endpoint) string {
	scheme := schemesOf(m)[0]
	u := url.URL{Scheme: scheme, Host: m.URL(scheme).Host, Path: "/"}
	return u.JoinPath(strings.TrimSuffix(m.Path, "/v2"), m.Repository, "/").String()
}

// sortedIndexes returns the registries in the order of their names.
func (c InfoConfig) sortedIndexes() []InfoIndex {
	var list []InfoIndex
	for _, name := range slices.Sorted(maps.Keys(c.IndexConfigs)) {
		list = append(list, c.IndexConfigs[name])
	}
	return list
}
