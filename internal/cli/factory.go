// Package cli is wherry's command line: one file per verb, each of which parses
// its flags, runs, and returns a value that package render shows.
//
// What all verbs share stands in one place: global flags in flags.go, exit codes
// in exit.go, advice in hint.go. The environment is read here and handed down.
package cli

import (
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// Stdio is what a command line reads and writes.
type Stdio struct {
	In  io.Reader
	Out io.Writer // the result and nothing else
	Err io.Writer // progress, warnings, errors
}

// A Factory makes what verbs need. Its functions make things once, when a verb
// first asks, so that a verb which needs no registry reads no credentials.
type Factory struct {
	In  io.Reader
	Out term.Output  // the result and nothing else
	Err *term.Screen // progress, warnings, errors: log lines and bars do not tear each other
	Env func(name string) string
	Now func() time.Time

	// Flags are those that mean the same for every verb.
	Flags *Flags

	// SrcHost and DstHost are the registries that --username and --dst-username
	// are about. Run takes them from the arguments; a verb that knows better
	// sets them before it asks for Client.
	SrcHost, DstHost string

	// verb is the command that runs, for advice about its line; nil before one does.
	verb *cobra.Command

	// helpers are asked for credentials, and shown says where those come from that
	// hosts were shown, for advice.
	helpers answers
	shown   sources

	// tables says, for advice, that an image is looked into by the tables of contents
	// that its layers carry.
	tables bool

	// retries says what is asked of a host once more.
	retries teller

	// resumes reports, for advice, whether a second run of the verb goes on from
	// what this one leaves; nil where a verb moves no images.
	resumes func() bool

	// Log returns where --verbose and --debug are written; without them only warnings are.
	Log func() *slog.Logger

	// Config returns what the configuration file says.
	Config func() (Config, error)

	// given returns what flags say about hosts.
	given func() (map[string]config.Host, error)

	// View returns what is known about registries, by flags, configuration and environment.
	View func() (*config.View, error)

	// Client returns the process's registry client.
	Client func() (*registry.Client, error)

	// Cloud returns what logs in to the registries of clouds.
	Cloud func() (*cloud.Keychain, error)

	// Opener returns what opens endpoints, with Client.
	Opener func() (*endpoint.Opener, error)

	// Store returns the user's store for all that look into it: a large one takes
	// long to open. It is closed at the end of the run.
	Store func() (*layout.Store, error)
	store *layout.Store // nil before it is opened
}

// newFactory returns a factory whose functions look at flags and environment
// when they are called.
func newFactory(stdio Stdio, env func(string) string) *Factory {
	f := &Factory{
		In:    stdio.In,
		Out:   term.Open(stdio.Out, env),
		Err:   term.NewScreen(term.Open(stdio.Err, env)),
		Env:   env,
		Now:   time.Now,
		Flags: &Flags{},
	}
	f.Log = sync.OnceValue(f.newLog)
	f.Config = sync.OnceValues(f.readConfig)
	f.given = sync.OnceValues(f.givenSettings)
	f.View = sync.OnceValues(f.newView)
	f.Client = sync.OnceValues(f.newClient)
	f.Cloud = sync.OnceValues(f.newCloud)
	f.Opener = sync.OnceValues(f.newOpener)
	f.Store = sync.OnceValues(f.newStore)
	return f
}
