package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/layout"
)

// storeFolder returns where the user's store is, or nothing where there can be
// none: as --store says, as WHERRY_STORE says, or below the folder for data.
// https://specifications.freedesktop.org/basedir-spec/latest/
func (f *Factory) storeFolder() string {
	if f.Flags.Store != "" {
		return f.Flags.Store
	}
	if folder := f.Env("WHERRY_STORE"); folder != "" {
		return folder
	}
	if folder := f.folder("XDG_DATA_HOME", filepath.Join(".local", "share")); folder != "" {
		return filepath.Join(folder, "wherry", "store")
	}
	return ""
}

// layouts returns how layouts are opened, and the store is.
func (f *Factory) layouts() layout.Options {
	return layout.Options{Wait: func(w layout.Waiting) { f.Warn("%s", w) }}
}

// openStore opens the user's store, which is made when something is put into it.
func (f *Factory) openStore() (*layout.Store, error) { return f.openStoreWith(f.layouts()) }

func (f *Factory) newStore() (*layout.Store, error) {
	store, err := f.openStore()
	f.store = store
	return store, err
}

// closeStore closes the store if it was opened for the run.
func (f *Factory) closeStore() error {
	if f.store == nil {
		return nil
	}
	return f.store.Close()
}

func (f *Factory) openStoreWith(o layout.Options) (*layout.Store, error) {
	folder := f.storeFolder()
	if folder == "" {
		return nil, usagef("there is no home folder to keep a store in: name one with --store")
	}
	return o.OpenStore(folder)
}

// parseStored reads an argument of docker's verbs, for which a bare reference, or
// an image ID, is an image of the store. Anything with a transport in front is
// what it is.
func (f *Factory) parseStored(arg string) (endpoint.Endpoint, error) {
	if hex := strings.TrimPrefix(arg, "sha256:"); hex != "" && strings.Trim(hex, "0123456789abcdef") == "" {
		return endpoint.InStore(arg), nil
	}
	e, err := f.parse(arg)
	if err != nil || e.Transport != endpoint.Registry || strings.HasPrefix(arg, "docker://") {
		return e, err
	}
	return e.Stored(), nil
}

// parseInStore is parseStored for verbs that mean nothing but the store.
func (f *Factory) parseInStore(arg string) (endpoint.Endpoint, error) {
	e, err := f.parseStored(arg)
	if err == nil && e.Transport != endpoint.Store {
		err = usagef("%s is not in the store: %s takes images of the store only", arg, f.verb.CommandPath())
	}
	return e, err
}

// pullPolicy is --pull of docker's verbs that read: when the registry is asked.
type pullPolicy uint8

const (
	pullMissing pullPolicy = iota // where the store does not have the image
	pullAlways
	pullNever
)

func newPullPolicy() choice[pullPolicy] {
	return choice[pullPolicy]{
		words: []string{"missing", "always", "never"},
		means: []pullPolicy{pullMissing, pullAlways, pullNever},
	}
}

func bindPull(set *pflag.FlagSet, policy *choice[pullPolicy]) {
	*policy = newPullPolicy()
	set.Var(policy, "pull", "when to read from the registry, `missing|always|never`: missing, the default, is what the store lacks")
}

// stored returns where what arg means is read from: the store, or the registry
// where the policy says so, which is told. Nothing is pulled into the store.
func (f *Factory) stored(ctx context.Context, arg string, policy pullPolicy) (endpoint.Endpoint, error) {
	e, err := f.parseStored(arg)
	if err != nil || e.Transport != endpoint.Store {
		return e, err
	}
	remote, isName := e.InRegistry()
	isName = isName && !looksLikeID(arg)
	if policy == pullAlways && isName {
		return remote, nil
	}
	store, err := f.Store()
	if err != nil {
		return e, err
	}
	e, err = inStore(ctx, store, e)
	if !errors.Is(err, content.ErrNotFound) || policy == pullNever || !isName || strings.HasPrefix(arg, storePrefix) {
		return e, notInStore(arg, err)
	}
	f.Note("%s is not in the store, it is read from %s", arg, remote.Host)
	return remote, nil
}

// inStore returns e by its name if that is one, and by its digest where it is an
// image ID.
func inStore(ctx context.Context, store *layout.Store, e endpoint.Endpoint) (endpoint.Endpoint, error) {
	if _, err := store.Holder(ctx, e.Name); err == nil {
		return e, nil
	}
	d, err := store.Resolve(ctx, e.Name)
	if err != nil {
		return e, err
	}
	return endpoint.InStore(d.Digest.String()), nil
}

// looksLikeID reports whether arg is what verbs print as an image ID. It may be a
// name as well, but nobody's.
func looksLikeID(arg string) bool {
	return len(arg) == shortID && strings.Trim(arg, "0123456789abcdef") == ""
}

// shortID is how many digits of an image ID are shown.
const shortID = 12

const storePrefix = "store:"

// noSuchImage says in docker's words that neither the store nor the registry has
// the image arg, which was read from e.
func noSuchImage(arg string, e endpoint.Endpoint, err error) error {
	if e.Transport != endpoint.Registry || strings.HasPrefix(arg, "docker://") || !errors.Is(answered(err), content.ErrNotFound) {
		return err
	}
	return fmt.Errorf("No such image: %s: %w", shownName(e), err) //nolint:staticcheck // docker's words, which scripts look for
}

// notInStore says in docker's words that the store has no image arg.
func notInStore(arg string, err error) error {
	if !errors.Is(err, content.ErrNotFound) {
		return err
	}
	name := shownName(endpoint.InStore(strings.TrimPrefix(arg, storePrefix)))
	return fmt.Errorf("No such image: %s: %w", name, content.ErrNotFound) //nolint:staticcheck // docker's words, which scripts look for
}
