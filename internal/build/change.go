// Package build knows the instructions of Dockerfiles. It reads them with the
// parser of BuildKit, so that they mean what they mean to docker.
package build

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/pattern"
)

// allowed are the instructions that change a config and nothing else, as docker
// commit and docker import take them.
var allowed = []string{"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}

// A Config is what changes are made to: the config of an image, and what docker
// has in it besides.
type Config = dockerspec.DockerOCIImageConfig

// A ChangeError is a change that is none, or cannot be made.
type ChangeError struct {
	Change string // as it was given
	Err    error
}

func (e *ChangeError) Error() string { return fmt.Sprintf("%.100q: %v", e.Change, e.Err) }

// Unwrap returns what is wrong.
func (e *ChangeError) Unwrap() error { return e.Err }

// Change makes changes to c, in order, as docker import --change does for an image
// of that operating system. Each is one instruction of a Dockerfile, or several on
// lines of their own; what it says of $NAME is taken from the variables of c. An
// error is a *[ChangeError], and c may have been changed in part then.
//
// A command that is no JSON is one for the shell. ENTRYPOINT takes away a command
// that no change has set.
// https://docs.docker.com/reference/cli/docker/image/import/
func Change(c *Config, os string, changes ...string) error {
	changer := changer{config: c, os: os}
	for _, change := range changes {
		if err := changer.apply(change); err != nil {
			return &ChangeError{Change: change, Err: err}
		}
	}
	return nil
}

// A changer makes the changes of one Change.
type changer struct {
	config *Config
	os     string
	lex    *shell.Lex
	cmdSet bool // a change has set the command
}

func (c *changer) apply(change string) error {
	parsed, err := parser.Parse(strings.NewReader(change))
	if err != nil {
		return plain(err)
	}
	c.lex = shell.NewLex(parsed.EscapeToken)
	for _, node := range parsed.AST.Children {
		if !slices.Contains(allowed, strings.ToUpper(node.Value)) {
			return fmt.Errorf("%.20q is no instruction that changes a config; those are %s", node.Value, strings.Join(allowed, ", "))
		}
		command, err := instructions.ParseCommand(node)
		if err != nil {
			return plain(err)
		}
		if ex, ok := command.(instructions.SupportsSingleWordExpansion); ok {
			if err := ex.Expand(c.word); err != nil {
				return plain(err)
			}
		}
		if err := c.make(command); err != nil {
			return err
		}
	}
	return nil
}

// plain takes off an error that it is about a line of a file.
func plain(err error) error {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "dockerfile parse error on line "); ok {
		if _, what, ok := strings.Cut(rest, ": "); ok {
			text = what
		}
	}
	return errors.New(text)
}

// word puts the variables into a word.
func (c *changer) word(word string) (string, error) {
	result, _, err := c.lex.ProcessWord(word, shell.EnvsFromSlice(c.config.Env))
	return result, err
}

func (c *changer) make(command instructions.Command) error {
	switch command := command.(type) {
	case *instructions.CmdCommand:
		c.config.Cmd, c.cmdSet = c.line(command.ShellDependantCmdLine), true
	case *instructions.EntrypointCommand:
		c.config.Entrypoint = c.line(command.ShellDependantCmdLine)
		if !c.cmdSet {
			c.config.Cmd = nil
		}
	case *instructions.EnvCommand:
		for _, pair := range command.Env {
			c.setEnv(pair.Key, pair.Value)
		}
	case *instructions.ExposeCommand:
		return c.expose(command.Ports)
	case *instructions.HealthCheckCommand:
		c.config.Healthcheck = command.Health
	case *instructions.LabelCommand:
		for _, pair := range command.Labels {
			set(&c.config.Labels, pair.Key, pair.Value)
		}
	case *instructions.OnbuildCommand:
		c.config.OnBuild = append(c.config.OnBuild, command.Expression)
	case *instructions.StopSignalCommand:
		if !isSignal(command.Signal) {
			return fmt.Errorf("%.40q is no signal such as SIGTERM or 15", command.Signal)
		}
		c.config.StopSignal = command.Signal
	case *instructions.UserCommand:
		c.config.User = command.User
	case *instructions.VolumeCommand:
		for _, folder := range command.Volumes {
			set(&c.config.Volumes, folder, struct{}{})
		}
	case *instructions.WorkdirCommand:
		c.config.WorkingDir = c.workdir(command.Path)
	}
	return nil
}

func set[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// line returns a command line; one for the shell has that in front.
func (c *changer) line(l instructions.ShellDependantCmdLine) []string {
	if !l.PrependShell || l.CmdLine == nil {
		return l.CmdLine
	}
	sh := c.config.Shell
	switch {
	case len(sh) > 0:
	case c.os == "windows":
		sh = []string{"cmd", "/S", "/C"}
	default:
		sh = []string{"/bin/sh", "-c"}
	}
	return slices.Concat(sh, l.CmdLine)
}

// setEnv sets a variable where it is, or at the end.
func (c *changer) setEnv(name, value string) {
	pair := name + "=" + value
	i := slices.IndexFunc(c.config.Env, func(known string) bool { return strings.HasPrefix(known, name+"=") })
	if i < 0 {
		c.config.Env = append(c.config.Env, pair)
		return
	}
	c.config.Env[i] = pair
}

// workdir returns where a change of folder leads.
func (c *changer) workdir(to string) string {
	if c.os == "windows" { // a folder of a system that is not this one's
		return to
	}
	if path.IsAbs(to) {
		return path.Clean(to)
	}
	return path.Join("/", c.config.WorkingDir, to)
}

var ports = pattern.Lazy(`^(?:.*:)?([0-9]+)(?:-([0-9]+))?(?:/(?i:(tcp|udp|sctp)))?$`)

// expose adds ports: 80, 53/udp, 8000-8010. A variable may have several.
func (c *changer) expose(specs []string) error {
	for _, spec := range specs {
		words, err := c.lex.ProcessWords(spec, shell.EnvsFromSlice(c.config.Env))
		if err != nil {
			return plain(err)
		}
		for _, word := range words {
			if err := c.exposeOne(word); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *changer) exposeOne(spec string) error {
	const most = 65535
	parts := ports().FindStringSubmatch(spec)
	if parts == nil {
		return fmt.Errorf("%.40q is no port such as 80, 53/udp or 8000-8010", spec)
	}
	first, err := strconv.Atoi(parts[1])
	last := first
	if err == nil && parts[2] != "" {
		last, err = strconv.Atoi(parts[2])
	}
	if err != nil || first > last || last > most {
		return fmt.Errorf("%.40q is no port, or range of ports, up to %d", spec, most)
	}
	protocol := strings.ToLower(parts[3])
	if protocol == "" {
		protocol = "tcp"
	}
	for port := first; port <= last; port++ {
		set(&c.config.ExposedPorts, fmt.Sprintf("%d/%s", port, protocol), struct{}{})
	}
	return nil
}
