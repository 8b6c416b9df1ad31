package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/internal/endpoint"
)

// A draft is an index that is put together on this machine, out of manifests in
// registries, before it is pushed.
type draft struct {
	List     string       `json:"list"` // what it will be called: docker.io/library/app:v1
	Children []draftChild `json:"children"`
}

// A draftChild is a manifest of a draft. Its bytes are kept, so that the draft can
// be shown without a request.
type draftChild struct {
	Ref        string             `json:"ref"`        // as it was named, in full
	Descriptor ocispec.Descriptor `json:"descriptor"` // with the platform it will have in the index
	Raw        []byte             `json:"raw"`
}

// manifest returns the child, verified.
func (c draftChild) manifest() (content.Manifest, error) {
	return content.VerifyManifest(c.Descriptor, c.Raw, content.Limits{})
}

// find returns the index of the child that e names by what it was called, or by its
// digest in its repository; -1 for none.
func (d *draft) find(e endpoint.Endpoint) int {
	return slices.IndexFunc(d.Children, func(c draftChild) bool {
		if c.Ref == canonical(e) {
			return true
		}
		at, err := endpoint.Parse(c.Ref)
		return err == nil && placeOf(at) == placeOf(e) && e.Digest == c.Descriptor.Digest
	})
}

// add puts a child in, in place of the one that has its name. One that is the same
// manifest stays, with what it was annotated with.
func (d *draft) add(child draftChild) {
	i := slices.IndexFunc(d.Children, func(c draftChild) bool { return c.Ref == child.Ref })
	switch {
	case i < 0:
		d.Children = append(d.Children, child)
	case d.Children[i].Descriptor.Digest != child.Descriptor.Digest:
		d.Children[i] = child
	}
}

// canonical returns the full name of what is in a registry, as docker writes it:
// with latest where there is neither tag nor digest. Elsewhere it is e as it was
// given.
func canonical(e endpoint.Endpoint) string {
	if e.Transport == endpoint.Registry && e.Digest == "" {
		return e.FullName()
	}
	return e.String()
}

// A noSuchManifestError is a manifest, or a draft, that is not there. It is in
// docker's words, which scripts look for.
type noSuchManifestError struct {
	text string
	err  error
}

func (e *noSuchManifestError) Error() string { return e.text }
func (e *noSuchManifestError) Unwrap() error { return e.err }

// noSuchManifest says so of what is called name.
func noSuchManifest(name string, err error) error {
	return &noSuchManifestError{"no such manifest: " + name, err}
}

// drafts keep each draft in a file that its owner alone may read.
type drafts struct{ dir string } // "" where there is no place for any

// drafts returns those of the user.
func (f *Factory) drafts() drafts {
	state := f.stateFolder()
	if state == "" {
		return drafts{}
	}
	return drafts{filepath.Join(state, "wherry", "manifests")}
}

// load returns the draft of a list; there being none is content.ErrNotFound.
func (d drafts) load(list string) (_ draft, err error) {
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return draft{}, noDraft(list, err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return readDraft(root, list)
}

// noDraft is err, or that there is no such draft where err says that a file is not
// there.
func noDraft(list string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &noSuchManifestError{"no such manifest list: " + list, content.ErrNotFound}
	}
	return err
}

func readDraft(root *os.Root, list string) (draft, error) {
	const most = 32 << 20 // more than an index can have children for
	name := draftFile(list)
	raw, err := durable.ReadRegular(root, name, most, content.ErrInvalid)
	if err != nil {
		return draft{}, noDraft(list, err)
	}
	var got draft
	if err := json.Unmarshal(raw, &got); err != nil || got.List != list {
		return draft{}, fmt.Errorf("%s is no draft of %s: %w", filepath.Join(root.Name(), name), list, content.ErrInvalid)
	}
	for _, child := range got.Children {
		if _, err := child.manifest(); err != nil {
			return draft{}, fmt.Errorf("%s: %s: %w", filepath.Join(root.Name(), name), child.Ref, err)
		}
	}
	return got, nil
}

// change lets edit change the draft of a list, which has no children where there is
// none yet, and keeps what came of it unless edit fails. Two processes do so one
// after the other.
func (d drafts) change(ctx context.Context, list string, edit func(*draft) error) error {
	return d.locked(ctx, list, func(root *os.Root) error {
		was, err := readDraft(root, list)
		if errors.Is(err, content.ErrNotFound) {
			was, err = draft{List: list}, nil
		}
		if err != nil {
			return err
		}
		if err := edit(&was); err != nil {
			return err
		}
		raw, err := json.Marshal(was)
		if err != nil {
			return err
		}
		file := draftFile(list)
		written, err := durable.WritePrivate(root, file+".new", raw)
		if err != nil {
			return err
		}
		return written.Publish(file)
	})
}

// drop removes the draft of a list; there being none is content.ErrNotFound.
func (d drafts) drop(ctx context.Context, list string) error {
	if _, err := os.Stat(d.dir); err != nil {
		return noDraft(list, err)
	}
	return d.locked(ctx, list, func(root *os.Root) error {
		return noDraft(list, root.Remove(draftFile(list)))
	})
}

// purge removes the draft that was read as was. One that is another by now is
// [content.ErrConflict] and stays, and that it is gone is what was wanted.
func (d drafts) purge(ctx context.Context, was draft) error {
	return d.locked(ctx, was.List, func(root *os.Root) error {
		now, err := readDraft(root, was.List)
		switch {
		case errors.Is(err, content.ErrNotFound):
			return nil
		case err != nil:
			return err
		case !reflect.DeepEqual(now, was):
			return fmt.Errorf("the draft of %s was changed meanwhile: %w", was.List, content.ErrConflict)
		}
		return root.Remove(draftFile(was.List))
	})
}

// locked lets do work on the draft of a list while nobody else does.
func (d drafts) locked(ctx context.Context, list string, do func(root *os.Root) error) (err error) {
	if d.dir == "" {
		return errors.New("a draft has no place: HOME is not set")
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	lock, err := durable.Acquire(ctx, root, draftFile(list)+".lock", nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	return do(root)
}

// draftFile returns the name of the file of a list, whose own name has characters
// that no file can have.
func draftFile(list string) string {
	sum := sha256.Sum256([]byte(list))
	return hex.EncodeToString(sum[:]) + ".json"
}

// parseList reads the argument that names a list: a tag of a repository.
func parseList(arg string) (endpoint.Endpoint, error) {
	e, err := endpoint.Parse(arg)
	switch {
	case err != nil:
		return e, err
	case e.Transport != endpoint.Registry:
		return e, usagef("%s is in no registry, where a manifest list belongs", arg)
	case e.Digest != "":
		return e, usagef("%s has a digest; a manifest list is named by a tag", arg)
	}
	return e, nil
}
