package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/pattern"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/semver"
)

// TagsResult is what `wherry tags` says.
type TagsResult struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// tagsOptions are the flags of tags.
type tagsOptions struct {
	nameFilter

	Long    bool
	Range   versionRange
	Since   since
	Digest  digestFlag
	Sort    choice[tagOrder]
	Reverse bool
	Listing choice[listingUse]
}

// A listingUse says whether the registry's own listing may be asked.
type listingUse uint8

const (
	listingAuto listingUse = iota
	listingNever
)

func newTags(f *Factory) *cobra.Command {
	o := tagsOptions{
		Since:   since{now: f.Now},
		Sort:    choice[tagOrder]{words: []string{"semver", "created", "size", "name"}, means: []tagOrder{bySemver, byCreated, bySize, byName}},
		Listing: choice[listingUse]{words: []string{"auto", "never"}, means: []listingUse{listingAuto, listingNever}, word: "auto"},
	}
	cmd := &cobra.Command{
		Use:     "tags REPOSITORY|LAYOUT|ARCHIVE",
		Aliases: []string{"ls"},
		Short:   "List the tags of a repository, or the names in a layout or archive",
		Long: "List the tags of a repository, or the names in a layout or archive, in the order that these have them in. With -l digest,\n" +
			"creation time, size and platforms as well: they are asked for of the tags that are shown alone, from the registry's own\n" +
			"listing where it has one, else with a HEAD a tag and, of an image that was not looked at before, its manifest with those\n" +
			"of its platforms, and a config; of a repository that nobody looked at before, without the HEAD, unless its registry counts\n" +
			"manifests as pulls. --sort created or size and --since ask that of all tags that the other conditions leave, --digest a\n" +
			"HEAD of each. Versions are tags such as v1.27 or 1.27-alpine, whose suffix makes a pre-release: --semver has those only\n" +
			"where it names one, as '>=1.2-0' does. Through a pipe the columns of -l have tabs between them, no header, and sizes in\n" +
			"bytes; a tag that cannot be read has its reason in the sixth.",
		Example: "  wherry tags ghcr.io/org/app\n  wherry tags oci:images\n  wherry tags -l --sort semver -n 20 nginx\n" +
			"  wherry tags --semver '>=1.2 <2' --match '/^v/' ghcr.io/org/app\n  wherry tags -l --sort created --since 30d ghcr.io/org/app\n" +
			"  wherry tags --digest sha256:… ghcr.io/org/app\n  wherry tags --format '{{join .Tags \" \"}}' ./images.tar",
		Args: exactArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.Long, "long", "l", false, "show digest, creation time, size and platforms of each tag")
	o.bind(flags)
	flags.Var(&o.Range, "semver", "only tags that are versions in `RANGE`, such as '>=1.2 <2', ~1.4 or ^2")
	flags.Var(&o.Since, "since", "only tags of images made since `TIME`, or so long ago: 30d, 12h, 2026-01-31")
	flags.Var(&o.Digest, "digest", "only tags that stand for `DIGEST`")
	flags.Var(&o.Sort, "sort", "sort by `semver|created|size|name`: the highest, newest or largest first, names from a to z")
	flags.BoolVarP(&o.Reverse, "reverse", "r", false, "the other way round")
	flags.Var(&o.Listing, "listing", "ask the registry's own listing for times and sizes: `auto|never`")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		if err := o.check(); err != nil {
			return render.Result{}, err
		}
		// What is left with --quiet are the names.
		o.Long = o.Long && (!f.Flags.Quiet || f.Flags.asked())
		return runTags(ctx, f, p, o)
	})
}

func runTags(ctx context.Context, f *Factory, p *place, o tagsOptions) (render.Result, error) {
	if p.at.Tag != "" || p.at.Name != "" || p.at.Digest != "" {
		return render.Result{}, usagef("%s names one image; its place is wanted here, without a tag or digest", p.at)
	}
	lister, ok := content.As[content.TagLister](p.Source)
	if !ok {
		return render.Result{}, p.fail(fmt.Errorf("names cannot be listed there: %w", errors.ErrUnsupported))
	}
	listed := 0
	tags, listErr := collectSome(f.counted(p.at.String(), lister.Tags(ctx)), o.enough(), func(name string) bool {
		listed++
		return o.means(name)
	})
	if listErr == nil && listed == 0 {
		f.warnNameless(p.at.String(), p.images(ctx))
	}
	tags = o.arrange(tags)
	if !o.asks() {
		return p.namesOf(tags), p.fail(listErr)
	}
	reader, err := f.newTagReader(p, o.Listing.value, listed)
	if err != nil {
		return render.Result{}, err
	}
	rows, err := o.pick(ctx, reader, tags)
	if err != nil {
		return render.Result{}, err
	}
	result := p.namesOf(tagsOf(rows))
	if o.Long {
		result = longTable(f, rows)
	}
	return result, p.fail(errors.Join(listErr, reader.unread()))
}

func tagsOf(rows []*tagRow) []string {
	tags := make([]string, len(rows))
	for i, row := range rows {
		tags[i] = row.Tag
	}
	return tags
}

// namesOf returns the names alone.
func (p *place) namesOf(names []string) render.Result {
	return render.Result{Value: TagsResult{Name: p.at.String(), Tags: names}, Lines: names}
}

func (f *Factory) warnNameless(place string, n int) {
	switch n {
	case 0:
	case 1:
		f.Warn("%s has 1 image without a name", place)
	default:
		f.Warn("%s has %d images without a name", place, n)
	}
}

// images returns how many images a layout or archive has, 0 where nobody can tell.
func (p *place) images(ctx context.Context) int {
	roots, ok := content.As[content.RootLister](p.Source)
	if !ok {
		return 0
	}
	n := 0
	for _, err := range roots.Roots(ctx) {
		if err != nil {
			return 0
		}
		n++
	}
	return n
}

// versionRange is the flag --semver.
type versionRange struct {
	semver.Range

	text string
}

// Set reads s.
func (r *versionRange) Set(s string) (err error) {
	r.Range, err = semver.ParseRange(s)
	r.text = s
	return err
}

// String returns the range as it was given.
func (r *versionRange) String() string { return r.text }

// Type is how help texts call the value.
func (r *versionRange) Type() string { return "RANGE" }

// digestFlag is a digest that was given.
type digestFlag digest.Digest

// Set reads s.
func (d *digestFlag) Set(s string) error {
	*d = digestFlag(s)
	return content.CheckDigest(digest.Digest(s))
}

// String returns the digest.
func (d *digestFlag) String() string { return string(*d) }

// Type is how help texts call the value.
func (d *digestFlag) Type() string { return "DIGEST" }

// since is a flag: a time, or how long before now it was.
type since struct {
	time.Time

	now  func() time.Time
	text string
}

var days = pattern.Lazy(`^([0-9]{1,6})([dw])$`)

// Set reads s: as docker does, or days and weeks.
func (t *since) Set(s string) (err error) {
	t.text = s
	if part := days().FindStringSubmatch(s); part != nil {
		n, _ := strconv.Atoi(part[1]) // it is digits
		t.Time = t.now().AddDate(0, 0, -n*map[string]int{"d": 1, "w": 7}[part[2]])
		return nil
	}
	if t.Time, err = parseWhen(s, t.now()); err != nil {
		return fmt.Errorf("%q is no time such as 30d, 12h, 2026-01-31 or 2026-01-31T15:04:05Z", s)
	}
	return nil
}

// String returns the time as it was given.
func (t *since) String() string { return t.text }

// Type is how help texts call the value.
func (t *since) Type() string { return "TIME" }
