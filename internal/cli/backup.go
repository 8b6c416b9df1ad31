package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/backup"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/layout"
)

type backupOptions struct {
	SinceLast bool
	Replace   bool
	DryRun    bool
	Deep      bool
	Jobs      int
}

// The kinds of backup.
const (
	backupFolder    = "folder"
	backupFull      = "full"
	backupIncrement = "increment"
)

// BackupResult is what backup did, or would do.
type BackupResult struct {
	DryRun bool          `json:"dryRun"`
	To     string        `json:"to"`
	Kind   string        `json:"kind"`           // folder, full or increment
	ID     digest.Digest `json:"id,omitempty"`   // of a file
	Base   digest.Digest `json:"base,omitempty"` // the ID of what an increment builds on
	Images int           `json:"images"`         // manifests and indexes that index.json has an entry for, signatures included
	Names  int           `json:"names"`
	Blobs  int           `json:"blobs"`  // all that the images need, manifests included
	Stored int           `json:"stored"` // configs and layers that were moved
	Bytes  int64         `json:"bytes"`  // of those
}

func newBackup(f *Factory) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup DIR|FILE.tar",
		Short: "Back up the local store to a folder or a file",
		Long: "Back up all images of the local store, with names, signatures and what has no name, to a folder or to a tar. A folder is an\n" +
			"OCI layout that is made to say what the store says: run again it gets only what is new. A tar is an OCI archive of all, or\n" +
			"with --since-last of what the backup to a file before did not have. What is not there yet is a file where it ends in .tar,\n" +
			"and else a folder. Every blob is hashed on the way; nothing has its name before all is there.",
		Example: "  wherry backup /mnt/backup/images\n" +
			"  wherry backup full.tar\n" +
			"  wherry backup --since-last monday.tar",
		Args: exactArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.SinceLast, "since-last", false, "leave out what the last backup to a file had; a folder gets only what is new in any case")
	flags.BoolVar(&o.Replace, "replace", false, "make a folder say what the store says although it holds other images")
	flags.BoolVar(&o.DryRun, "dry-run", false, "print the plan and stop")
	flags.BoolVar(&o.Deep, "deep", false, "hash every blob that is there already")
	flags.IntVarP(&o.Jobs, "jobs", "j", 0, "`N` blobs in flight, 6 by default")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		result, err := runBackup(ctx, f, args[0], o)
		return result.render(), err
	})
}

func runBackup(ctx context.Context, f *Factory, to string, o backupOptions) (r BackupResult, err error) {
	folder, err := isBackupFolder(to)
	if err != nil {
		return BackupResult{}, err
	}
	m, err := f.newMover(moverOptions{moveOptions: moveOptions{DryRun: o.DryRun, Deep: o.Deep, Jobs: o.Jobs}})
	if err != nil {
		return BackupResult{}, err
	}
	defer func() {
		if err = errors.Join(err, m.Close()); err != nil {
			r = BackupResult{} // what is not there is not called a backup
		}
	}()
	b := &backingUp{storeMover: storeMover{mover: m}, o: o, to: to}
	if err := b.look(ctx); err != nil {
		return BackupResult{}, err
	}
	if folder {
		f.resumes = func() bool { return true }
		return b.toFolder(ctx)
	}
	return b.toFile(ctx)
}

// isBackupFolder reports whether path is, or will be, a folder.
func isBackupFolder(path string) (bool, error) {
	if path == "" || path == "-" {
		return false, usagef("%q is neither a folder nor a file", path)
	}
	fi, err := os.Stat(path)
	switch transport, rest, _ := strings.Cut(path, ":"); {
	case err == nil:
		return fi.IsDir(), nil
	case transport == "oci" || transport == "oci-archive":
		return false, usagef("backups are folders and files: write the path alone, %s", rest)
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	if promisesCompression(path) {
		return false, usagef("%s would become a folder: a backup to a file is a FILE.tar, not compressed", path)
	}
	return !strings.HasSuffix(path, ".tar"), nil
}

// A backingUp is a backup under way.
type backingUp struct {
	storeMover
	o        backupOptions
	to       string
	contents []ocispec.Descriptor // what the store has for its images
}

// look finds out what there is to back up, and keeps it from being removed.
func (b *backingUp) look(ctx context.Context) (err error) {
	if _, err := b.openStore(); err != nil {
		return err
	}
	snap, err := b.store.Snapshot()
	if err != nil {
		return err
	}
	b.take(snap)
	if len(b.roots) == 0 {
		return fmt.Errorf("store %s has no image: %w", b.f.storeFolder(), content.ErrNotFound)
	}
	// What cannot be written down, in a store that can only be read, may be gone
	// later: then the backup fails.
	_ = b.store.Rely(ctx, b.roots...)
	if b.contents, err = backup.Contents(ctx, b.store.Layout, b.roots, b.called); err != nil {
		return err
	}
	_ = b.store.Rely(ctx, b.contents...)
	return nil
}

func (b *backingUp) result(kind string) BackupResult {
	return BackupResult{DryRun: b.o.DryRun, To: b.to, Kind: kind, Images: len(b.roots), Names: b.named, Blobs: len(b.contents)}
}

// toFolder makes a layout say what the store says.
func (b *backingUp) toFolder(ctx context.Context) (r BackupResult, err error) {
	store, err := b.place(b.f.storeFolder())
	if err != nil {
		return r, err
	}
	if to, err := b.place(b.to); err != nil || to == store {
		return r, cmp.Or(err, usagef("%s is the store itself", b.to))
	}
	dst, err := b.opener.Layout.Create(b.to)
	if err != nil {
		return r, err
	}
	b.close = append(b.close, dst.Close)
	marked, err := b.checkMirror(dst, store)
	if err != nil {
		return r, err
	}
	_ = dst.Rely(ctx, b.contents...) // at once, in place of one after the other
	plan, err := b.plan(ctx, b.store.Layout, dst.Stage(), b.to)
	if err != nil {
		return r, err
	}
	r = b.result(backupFolder)
	if b.o.DryRun {
		r.Stored, r.Bytes = wanted(plan)
		return r, nil
	}
	done, err := b.carry(ctx, plan)
	if err != nil {
		return BackupResult{}, err
	}
	r.Stored, r.Bytes = stored(done)
	if !marked { // at the end: a run that breaks off takes no folder for the store's
		if err := dst.Keep(ctx, layout.MirrorOf, []byte(store)); err != nil {
			return r, err
		}
	}
	return r, dst.Mirror(ctx, b.snap)
}

// place returns the path of a folder, the same for all its spellings.
func (b *backingUp) place(folder string) (string, error) {
	return b.opener.Place(endpoint.Endpoint{Transport: endpoint.Layout, Path: folder})
}

// checkMirror refuses a layout whose names would be lost, and reports whether it is
// known for a mirror of this store.
func (b *backingUp) checkMirror(dst *layout.Layout, store string) (marked bool, err error) {
	raw, err := dst.Memo(layout.MirrorOf)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return false, err
	}
	if string(raw) == store {
		return true, nil
	}
	there, err := dst.Snapshot()
	if err != nil || len(there.Entries()) == 0 || b.o.Replace {
		return false, err
	}
	if len(raw) > 0 {
		return false, refusal{fmt.Errorf("%s is the backup of store %s, whose names it would lose; --replace makes it one of %s", b.to, raw, store)}
	}
	return false, refusal{fmt.Errorf("%s has images and is no backup of this store: it would lose its names; --replace makes it one", b.to)}
}

// toFile writes an archive, which gets its name when all is in it.
func (b *backingUp) toFile(ctx context.Context) (r BackupResult, err error) {
	base, err := b.base()
	if err != nil {
		return r, err
	}
	r = b.result(backupFull)
	if base != nil {
		r.Kind, r.Base = backupIncrement, base.ID
	}
	raw := b.snap.Raw()
	description, id, err := backup.Description{Base: r.Base, Index: digest.FromBytes(raw), Blobs: b.contents}.Encode()
	if err != nil {
		return r, err
	}
	r.ID = id
	w, err := b.writer()
	if err != nil {
		return r, err
	}
	b.close = append(b.close, w.Close)
	if base != nil {
		w.Assume(base.Blobs...)
	}
	plan, err := b.plan(ctx, b.store.Layout, heldSink{w}, b.to)
	if err != nil {
		return BackupResult{}, err
	}
	if b.o.DryRun {
		r.Stored, r.Bytes = wanted(plan)
		return r, nil
	}
	done, err := b.carry(ctx, plan)
	if err != nil {
		return BackupResult{}, err
	}
	r.Stored, r.Bytes = stored(done)
	w.SetIndex(raw)
	if err := w.PutFile(ctx, backup.File, description); err != nil {
		return BackupResult{}, err
	}
	if err := w.Commit(ctx); err != nil {
		return BackupResult{}, err
	}
	b.remember(ctx, description)
	return r, nil
}

// base returns the backup that this one builds on; nil where it is a full one.
func (b *backingUp) base() (*backup.Last, error) {
	if !b.o.SinceLast {
		return nil, nil //nolint:nilnil // a full backup has none
	}
	if _, err := os.Lstat(b.to); err == nil {
		return nil, refusal{fmt.Errorf("%s is there already: --since-last replaces no file, which could be what others build on", b.to)}
	}
	raw, err := b.store.Memo(layout.LastBackup)
	if errors.Is(err, content.ErrNotFound) {
		b.f.Note("there was no backup to a file before: this is a full one")
		return nil, nil //nolint:nilnil // a full backup has none
	}
	if err != nil {
		return nil, err
	}
	last, err := backup.ParseLast(raw)
	if err != nil {
		b.f.Warn("what the last backup had cannot be read, this is a full one: %s", err)
		return nil, nil //nolint:nilnil // a full backup has none
	}
	if _, err := os.Stat(last.File); errors.Is(err, fs.ErrNotExist) {
		b.f.Warn("%s, which this builds on, is not there any more: without it this cannot be restored", last.File)
	}
	return &last, nil
}

// writer begins the archive, or with --dry-run one that nobody sees.
func (b *backingUp) writer() (*archive.Writer, error) {
	if b.o.DryRun {
		return archive.NewWriter(io.Discard), nil
	}
	e := endpoint.Endpoint{Transport: endpoint.OCIArchive, Path: b.to}
	if err := b.checkFolder(e); err != nil {
		return nil, err
	}
	b.warnPlain(e)
	return archive.Create(b.to)
}

// remember keeps what the backup has. A store that cannot be written to has its
// backup all the same; the next increment builds on the one before.
func (b *backingUp) remember(ctx context.Context, description []byte) {
	at, err := b.place(b.to)
	if err != nil {
		at = b.to
	}
	raw, err := backup.EncodeLast(b.f.Now(), at, description)
	if err == nil {
		err = b.store.Keep(ctx, layout.LastBackup, raw)
	}
	if err != nil {
		b.f.Warn("%s is complete, and cannot be remembered as what the next increment builds on: %s", b.to, err)
	}
}

// render says what was done in a line, and what to call it.
func (r BackupResult) render() render.Result {
	if r.To == "" {
		return render.Result{}
	}
	what := map[string]string{backupFolder: "backup", backupFull: "full backup", backupIncrement: "increment"}[r.Kind]
	moved := "moved"
	if r.DryRun {
		moved = "to be moved"
	}
	out := render.Result{Value: r, Quiet: []string{}, Lines: []string{fmt.Sprintf("%s: %s of %s with %s, %s (%s) %s",
		r.To, what, count(r.Images, "image"), count(r.Names, "name"), count(r.Stored, "blob"), term.Size(r.Bytes), moved)}}
	if r.ID != "" {
		out.Lines = append(out.Lines, "ID: "+r.ID.String())
		out.Quiet = append(out.Quiet, r.ID.String())
	}
	return out
}
