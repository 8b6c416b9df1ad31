package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/wherry-dev/wherry/internal/pattern"
)

// Config is the configuration file: what somebody does not want to type each
// time. A flag that is given beats it.
type Config struct {
	Jobs      *int     `json:"jobs,omitempty"`      // as --jobs
	Progress  string   `json:"progress,omitempty"`  // as --progress
	PlainHTTP []string `json:"plainHTTP,omitempty"` // hosts, as --plain-http
	OwnOnly   bool     `json:"ownOnly,omitempty"`   // leave podman's, containerd's and docker's files about registries alone

	// Registries are the settings of registries; package registry/config reads them.
	Registries map[string]any `json:"registries,omitempty"`

	path string // "" is none
}

// maxConfig is more than any configuration has.
const maxConfig = 1 << 20

// readConfig reads the file that --config or WHERRY_CONFIG names, which must be
// there, or else the one in the user's folder, which need not.
func (f *Factory) readConfig() (Config, error) {
	path, by := f.Flags.ConfigFile, "--config"
	if path == "" {
		path, by = f.Env("WHERRY_CONFIG"), "WHERRY_CONFIG"
	}
	if path != "" {
		c, err := loadConfig(path)
		return c, namedFile(by, err)
	}
	folder := f.configFolder()
	if folder == "" {
		return Config{}, nil
	}
	path = filepath.Join(folder, "wherry", "config.yaml")
	c, err := loadConfig(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	return c, err
}

func loadConfig(path string) (c Config, err error) {
	c.path = path
	raw, err := readBounded(path, maxConfig)
	if err != nil {
		return Config{}, err
	}
	if err := yaml.UnmarshalStrict(raw, &c); err != nil {
		return Config{}, &usageError{err: fmt.Errorf("%s: %s", path, misread(err))}
	}
	if c.Jobs != nil && *c.Jobs < 1 {
		return Config{}, usagef("%s: jobs %d is less than one", path, *c.Jobs)
	}
	return c, nil
}

var unknownSetting = pattern.Lazy(`unknown field ("[^"]*")`)

// Words of a file are not repeated where they may be secrets: in quotation marks,
// and as names that no setting could have.
var (
	quotedWord  = pattern.Lazy("\"[^\"]*\"|'[^']*'|`[^`]*`")
	settingName = pattern.Lazy(`^"[A-Za-z_-]{1,40}"$`)
)

func called(quoted string) string {
	if settingName().MatchString(quoted) {
		return quoted
	}
	return "of that name"
}

// misread says what is wrong with a configuration file, without the words of the
// packages that read it.
func misread(err error) string {
	const settings = "jobs (a number), progress (a word), plainHTTP (a list of hosts), ownOnly (true or false) and registries (settings by host)"
	var (
		wrong   *json.UnmarshalTypeError
		endless *json.UnsupportedValueError
	)
	_, syntax, isSyntax := strings.Cut(err.Error(), "yaml: ")
	switch m := unknownSetting().FindStringSubmatch(err.Error()); {
	case m != nil:
		return "there is no setting " + called(m[1]) + "; there are " + settings
	case errors.As(err, &wrong) && wrong.Field != "":
		return "setting " + wrong.Field + " is not of its kind; there are " + settings
	case errors.As(err, &endless):
		return "a number that is none: .nan or .inf"
	case isSyntax:
		return "not YAML: " + tidied(syntax)
	}
	return "not a list of settings; there are " + settings
}

// tidied returns on one line what the parser says, without the words of the file.
func tidied(said string) string {
	said = quotedWord().ReplaceAllString(strings.TrimPrefix(said, "unmarshal errors:"), "…")
	said = strings.ReplaceAll(said, "key … already set in map", "a key is here twice")
	return strings.ReplaceAll(strings.TrimSpace(said), "\n  ", "; ")
}

// namedFile makes a wrong command line of err where it is about a file that the
// flag or variable by names and that cannot be read.
func namedFile(by string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return usagef("%s %s: %w", by, path.Path, path.Err)
	}
	return err
}

// configFolder returns the user's configuration folder, or nothing where there
// is none. https://specifications.freedesktop.org/basedir-spec/latest/
func (f *Factory) configFolder() string { return f.folder("XDG_CONFIG_HOME", ".config") }

// stateFolder returns where what wherry learns is kept.
func (f *Factory) stateFolder() string {
	return f.folder("XDG_STATE_HOME", filepath.Join(".local", "state"))
}

func (f *Factory) folder(variable, below string) string {
	if dir := f.Env(variable); filepath.IsAbs(dir) {
		return dir
	}
	if home := f.home(); home != "" {
		return filepath.Join(home, below)
	}
	return ""
}

func (f *Factory) home() string {
	if home := f.Env("HOME"); home != "" {
		return home
	}
	return f.Env("USERPROFILE")
}
