package cli

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// TreeResult is what `wherry tree` says: an image and all that refers to it
// (docs/schemas/tree.json).
type TreeResult struct {
	Name string `json:"name"`
	TreeNode
}

// A TreeNode is a manifest with what is below it and what refers to it.
type TreeNode struct {
	Kind      image.Kind    `json:"kind"` // index, image, signature, sbom, attestation, artifact
	Type      string        `json:"type,omitempty"`
	Platform  string        `json:"platform,omitempty"`
	Digest    digest.Digest `json:"digest"`
	Tag       string        `json:"tag,omitempty"`  // digest tag that leads to it
	Size      int64         `json:"size,omitempty"` // bytes of its blobs; left out of images in an index, which are not read
	Created   *time.Time    `json:"created,omitempty"`
	Missing   bool          `json:"missing,omitempty"` // what leads to it leads to nothing
	Children  []TreeNode    `json:"children,omitempty"`
	Referrers []TreeNode    `json:"referrers,omitempty"`
}

func newTree(f *Factory) *cobra.Command {
	var platforms Platforms
	cmd := &cobra.Command{
		Use:   "tree IMAGE",
		Short: "Show the signatures, SBOMs and attestations of an image",
		Long: "Show what refers to an image, to the images of its platforms, and to what refers to them: signatures, SBOMs and\n" +
			"attestations, whether they refer by themselves, stand under the fallback tag or under one of cosign's, or are in\n" +
			"the index. SIZE is that of what a manifest has, and CREATED what its annotations say. Through a pipe there is a line\n" +
			"for each manifest: what it refers to or stands in, kind, digest, bytes, time, type, platform and tag.",
		Example: "  wherry tree ghcr.io/org/app:2\n  wherry tree --platform linux/arm64 ghcr.io/org/app:2\n" +
			"  wherry tree --json oci:images:app | jq '.. | objects | select(.kind==\"sbom\").digest'",
		Args: exactArgs(1),
	}
	cmd.Flags().Var(&platforms, "platform", "only the images of an index for `PLATFORMS`, os/arch[/variant], with commas between")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		root, err := p.root(ctx)
		if err != nil {
			return render.Result{}, err
		}
		f.warnAmbiguous(root)
		tree, err := p.tree(ctx, f, root, platforms.list())
		if err != nil {
			return render.Result{}, err
		}
		return treeResult(p.at.String(), tree), nil
	})
}

// tree finds what refers to root, which must be for one of platforms, or have an
// image for one of them.
func (p *place) tree(ctx context.Context, f *Factory, root content.Manifest, platforms []content.Platform) (*image.Branch, error) {
	below, err := p.below(f)
	if err != nil {
		return nil, err
	}
	if len(platforms) > 0 && !root.IsIndex() {
		if err := content.CheckPlatform(ctx, below, root, platforms, content.Limits{}); err != nil {
			return nil, p.fail(err)
		}
	}
	tree, err := image.Survey{Platforms: platforms, Unread: f.warnUnreadManifests}.Of(ctx, below, p.Ref, root)
	if err == nil && len(platforms) > 0 && !hasImage(tree) {
		_, err = content.PickPlatform(root, platforms[0])
	}
	return tree, p.fail(err)
}

// warnUnreadManifests says that what refers to an image may be missing.
func (f *Factory) warnUnreadManifests(err *content.UnreadError) {
	f.Warn("%v; what it refers to is not known, and may be missing here", err)
}

// hasImage reports whether an image is in the tree.
func hasImage(b *image.Branch) bool {
	return b.Kind != image.KindIndex || slices.ContainsFunc(b.Children, hasImage)
}

func treeResult(name string, tree *image.Branch) render.Result {
	r := TreeResult{Name: name, TreeNode: nodeOf(tree)}
	return render.Result{
		Value: r,
		Quiet: r.digests(nil),
		Tables: []render.Table{{
			Header:  []string{"IMAGE", "DIGEST", "SIZE", "CREATED", "TYPE"},
			Rows:    func(yield func([]string) bool) { r.draw(r.Name, "", "", yield) },
			Records: func(yield func([]string) bool) { r.record("", yield) },
		}},
	}
}

func nodeOf(b *image.Branch) TreeNode {
	n := TreeNode{Kind: b.Kind, Type: b.Type, Platform: b.Platform, Digest: b.Digest, Tag: b.Tag, Size: b.Size, Missing: b.Missing}
	if !b.Created.IsZero() {
		n.Created = &b.Created
	}
	for _, child := range b.Children {
		n.Children = append(n.Children, nodeOf(child))
	}
	for _, referrer := range b.Referrers {
		n.Referrers = append(n.Referrers, nodeOf(referrer))
	}
	return n
}

// below returns what refers to n and then what is in it, which is the longer part.
func (n TreeNode) below() []TreeNode { return slices.Concat(n.Referrers, n.Children) }

// digests appends the digests of all that refers to something.
func (n TreeNode) digests(all []string) []string {
	if all == nil {
		all = []string{}
	}
	for _, r := range n.Referrers {
		all = append(all, r.Digest.String())
	}
	for _, b := range n.below() {
		all = b.digests(all)
	}
	return all
}

// draw yields the rows of n, called name, and of all below it. branch stands in
// front of n's own row, and trunk in front of those below.
func (n TreeNode) draw(name, branch, trunk string, yield func([]string) bool) bool {
	size := term.Size(n.Size)
	switch {
	case n.Missing:
		size = "not there"
	case n.unread():
		size = ""
	}
	if !yield([]string{branch + name, n.Digest.String(), size, created(n.Created), n.Type}) {
		return false
	}
	below := n.below()
	for i, b := range below {
		branch, further := "├─ ", "│  "
		if i == len(below)-1 {
			branch, further = "└─ ", "   "
		}
		if !b.draw(b.name(), trunk+branch, trunk+further, yield) {
			return false
		}
	}
	return true
}

// unread reports whether the size is not known, or none: an index has no blobs.
func (n TreeNode) unread() bool {
	return n.Size == 0 && (n.Kind == image.KindImage || n.Kind == image.KindIndex)
}

// name is what a node is called in the tree.
func (n TreeNode) name() string {
	if n.Platform != "" {
		return n.Platform
	}
	return nameOfKind(n.Kind)
}

// record yields a line for programs for n, which refers to about or stands in it,
// and for all below it.
func (n TreeNode) record(about digest.Digest, yield func([]string) bool) bool {
	size := strconv.FormatInt(n.Size, 10)
	if n.Missing || n.unread() {
		size = ""
	}
	if !yield([]string{about.String(), string(n.Kind), n.Digest.String(), size, created(n.Created), n.Type, n.Platform, n.Tag}) {
		return false
	}
	for _, b := range n.below() {
		if !b.record(n.Digest, yield) {
			return false
		}
	}
	return true
}
