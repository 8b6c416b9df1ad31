package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
)

// RemoveResult is what rmi and prune took away.
type RemoveResult struct {
	Images         []RemovedImage  `json:"images"`
	Deleted        []digest.Digest `json:"deleted"` // blobs that nothing needs any more, configs among them
	SpaceReclaimed int64           `json:"spaceReclaimed"`
}

// A RemovedImage has lost names, or is gone.
type RemovedImage struct {
	Untagged []string      `json:"untagged"`
	Deleted  digest.Digest `json:"deleted,omitempty"` // the ID of the image, where it is gone
	root     digest.Digest
}

type removeOptions struct {
	Force   bool
	NoPrune bool
}

func newRemove(f *Factory) *cobra.Command {
	var o removeOptions
	cmd := &cobra.Command{
		Use:   "rmi IMAGE…",
		Short: "Remove images from the local store",
		Long: "Take a name away from an image of the local store. With its last tag go the image, its signatures and SBOMs, and blobs\n" +
			"that nothing else needs. By its ID, or how that begins, an image goes with all its names; --force where those are in\n" +
			"several repositories. An ID that several images have stands for all of them. Nothing is removed that a pull under way\n" +
			"relies on.",
		Example: "  wherry rmi nginx:1.27\n  wherry rmi $(wherry images -q app)",
		Args:    minArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.Force, "force", "f", false, "remove an image with names in several repositories; what is not there is no error")
	flags.BoolVar(&o.NoPrune, "no-prune", false, "leave what the image needed in the store until prune")
	f.completeStored(cmd, anyNumber, cobra.ShellCompDirectiveNoFileComp)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runRemove(ctx, f, args, o)
	})
}

func runRemove(ctx context.Context, f *Factory, args []string, o removeOptions) (_ render.Result, err error) {
	store, err := f.openStore()
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	result := RemoveResult{Images: []RemovedImage{}, Deleted: []digest.Digest{}}
	var errs []error
	for _, arg := range args {
		removed, err := f.removeImage(ctx, store, arg, o)
		if errors.Is(err, content.ErrNotFound) && result.hasDeleted(arg) {
			continue // by an ID before it, which several images had
		}
		if errors.Is(err, content.ErrNotFound) && o.Force {
			f.Warn("%v", err)
			err = nil
		}
		result.Images = append(result.Images, removed...)
		errs = append(errs, err)
	}
	if !o.NoPrune && len(result.Images) > 0 {
		errs = append(errs, result.collect(ctx, store, layout.CollectOptions{}))
	}
	return result.removed(), partly(errs, len(result.Images))
}

// hasDeleted reports whether arg is the ID, or how it begins, of an image that is
// gone.
func (r *RemoveResult) hasDeleted(arg string) bool {
	hex := strings.TrimPrefix(arg, "sha256:")
	return slices.ContainsFunc(r.Images, func(i RemovedImage) bool {
		return len(hex) >= shortID && i.Deleted != "" && strings.HasPrefix(i.Deleted.Encoded(), hex)
	})
}

// partly joins errors: where something went well as well, the batch was done in
// part.
func partly(errs []error, done int) error {
	err := errors.Join(errs...)
	if err == nil || done == 0 {
		return err
	}
	return &PartlyError{Err: err}
}

// removeImage removes what arg means: one name, or by its ID all of an image.
func (f *Factory) removeImage(ctx context.Context, store *layout.Store, arg string, o removeOptions) ([]RemovedImage, error) {
	e, err := f.parseInStore(arg)
	if err != nil {
		return nil, err
	}
	images, err := store.FindAll(ctx, e.Name)
	if err != nil {
		return nil, notInStore(arg, err)
	}
	if slices.Contains(images[0].Names, shownName(e)) {
		r, err := store.Remove(ctx, e.Name)
		if err != nil {
			return nil, notInStore(arg, err)
		}
		return []RemovedImage{removedImage(images[0], r)}, nil
	}
	if e.Digest != "" {
		if err := checkDigestOf(arg, e, images, o); err != nil {
			return nil, err
		}
	}
	images = untaggedFirst(images)
	if repositories := repositoriesOf(images); len(repositories) > 1 && !o.Force {
		return nil, fmt.Errorf("conflict: unable to delete %s (must be forced) - image is referenced in multiple repositories: %s",
			shortened(images[0].ID(content.HostPlatform())), strings.Join(repositories, ", "))
	}
	var removed []RemovedImage
	for _, image := range images {
		r, err := store.RemoveImage(ctx, image.Root.Digest, image.Names)
		if err != nil {
			return removed, err
		}
		removed = append(removed, removedImage(image, r))
	}
	return removed, nil
}

// untaggedFirst returns those of images, which all have one ID, that have no tag,
// where there are such, and else all. A tag moves to another manifest of the same
// image when that is pushed in part and pulled: then the ID that a listing of dangling
// images shows is not about the image that has the tag.
func untaggedFirst(images []layout.Image) []layout.Image {
	var untagged []layout.Image
	for _, i := range images {
		if len(i.Tags()) == 0 {
			untagged = append(untagged, i)
		}
	}
	if len(untagged) == 0 {
		return images
	}
	return untagged
}

// checkDigestOf refuses a name by digest of an image that is in no such repository,
// and of one that has tags.
func checkDigestOf(arg string, e endpoint.Endpoint, images []layout.Image, o removeOptions) error {
	repository, _ := content.SplitName(content.FamiliarName(e.Host + "/" + e.Repository))
	if e.Repository != "" && !slices.Contains(repositoriesOf(images), repository) {
		return notInStore(arg, content.ErrNotFound) // what has the digest is called otherwise
	}
	if tags := images[0].Tags(); len(tags) > 0 && !o.Force {
		return fmt.Errorf("conflict: unable to delete %s (must be forced) - image is called %s", arg, strings.Join(tags, ", "))
	}
	return nil
}

func removedImage(i layout.Image, r layout.Removal) RemovedImage {
	removed := RemovedImage{Untagged: orEmpty(r.Names)}
	if r.Gone != nil {
		removed.Deleted, removed.root = i.ID(content.HostPlatform()), r.Gone.Digest
	}
	return removed
}

// repositoriesOf returns the repositories that images have names in.
func repositoriesOf(images []layout.Image) []string {
	var repositories []string
	for _, i := range images {
		for _, name := range i.Names {
			repository, _, byDigest := strings.Cut(name, "@")
			if !byDigest {
				repository, _ = content.SplitName(name)
			}
			if !slices.Contains(repositories, repository) {
				repositories = append(repositories, repository)
			}
		}
	}
	return repositories
}

// collect removes what nothing needs any more, and adds it to r.
func (r *RemoveResult) collect(ctx context.Context, store *layout.Store, o layout.CollectOptions) error {
	for _, image := range r.Images {
		if image.root != "" {
			o.Forget = append(o.Forget, image.root)
		}
	}
	got, err := store.Collect(ctx, o)
	r.Deleted = append(r.Deleted, got.Removed...)
	r.SpaceReclaimed += got.Bytes
	return err
}

// removed says in docker's words what was removed.
func (r *RemoveResult) removed() render.Result {
	return render.Result{Value: *r, Lines: r.lines("Untagged: ", "Deleted: "), Quiet: []string{}}
}

func (r *RemoveResult) lines(untagged, deleted string) []string {
	var lines []string
	said := map[digest.Digest]bool{}
	for _, image := range r.Images {
		for _, name := range image.Untagged {
			lines = append(lines, untagged+name)
		}
		if image.Deleted != "" && !said[image.Deleted] {
			said[image.Deleted] = true
			lines = append(lines, deleted+image.Deleted.String())
		}
	}
	for _, d := range r.Deleted {
		if !said[d] {
			lines = append(lines, deleted+d.String())
		}
	}
	return lines
}
