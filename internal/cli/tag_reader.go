package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry"
)

const (
	listJobs  = 16       // tags that are read at once: as many requests as a host answers
	shelfRoom = 16 << 20 // bytes of manifests that are kept for other tags
)

// A tagReader finds out what tags stand for. Each manifest and each config is
// read once, however many tags lead to it, and what is known of a digest in a
// registry is known to the runs to come.
type tagReader struct {
	*place

	f       *Factory
	client  *registry.Client // nil where the place is no registry
	listing listingUse
	all     int  // tags of the place, as far as they were listed
	fresh   bool // nothing is known of the repository's images, and it costs no more to get them

	shelf   *content.Shelf
	images  memo[imageFacts]
	configs memo[configFacts]

	limited lastWord
	looked  []*tagRow // that something was asked about
}

func (f *Factory) newTagReader(p *place, use listingUse, all int) (*tagReader, error) {
	r := &tagReader{place: p, f: f, listing: use, all: all, shelf: &content.Shelf{Source: p.Source, Room: shelfRoom}}
	if p.Found != endpoint.Registry {
		return r, nil
	}
	var err error
	if r.client, err = f.Client(); err != nil {
		return nil, err
	}
	r.fresh = !r.knows() && !r.countsPulls()
	return r, nil
}

// imageFacts are what is told of an image or index.
type imageFacts struct {
	config    configFacts // of the first image
	size      int64
	platforms []string
	missing   string // what an index names and is not there
	odd       []string
}

// configFacts are what is told of the config of an image.
type configFacts struct {
	created  *time.Time
	platform string
	odd      string
}

// resolve finds out the digests of tags. flag is what they are asked for.
func (r *tagReader) resolve(ctx context.Context, rows []*tagRow, flag string) error {
	r.looked = append(r.looked, rows...)
	r.sayCost(flag, rows, costOfDigests)
	return r.each(ctx, rows, func(ctx context.Context, row *tagRow) (err error) {
		row.Digest, err = r.digestOf(ctx, row.Tag)
		return err
	})
}

// read finds out what is told of tags, where that is not known yet. flag is what
// more are read for than are shown, "" where it is for those that are.
func (r *tagReader) read(ctx context.Context, rows []*tagRow, flag string) error {
	rows = slices.DeleteFunc(slices.Clone(rows), func(row *tagRow) bool { return row.told || row.err != nil })
	r.looked = append(r.looked, rows...)
	r.askListing(ctx, rows)
	rows = slices.DeleteFunc(rows, func(row *tagRow) bool { return row.told })
	if flag != "" {
		r.sayCost(flag, rows, costOfFacts)
	}
	err := r.each(ctx, rows, r.describeRow)
	if slices.ContainsFunc(rows, func(row *tagRow) bool { return row.err == nil }) {
		r.know()
	}
	return err
}

// each calls find for rows, several at once.
func (r *tagReader) each(ctx context.Context, rows []*tagRow, find func(context.Context, *tagRow) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listJobs)
	for _, row := range rows {
		g.Go(func() error {
			row.err = r.limited.said()
			if row.err == nil {
				row.err = find(ctx, row)
			}
			if row.err != nil {
				row.Error = row.err.Error()
			}
			// Whoever limits us answers no other tag either, and every try counts.
			if errors.Is(row.err, content.ErrRateLimited) {
				r.limited.say(row.err)
			}
			return context.Cause(ctx)
		})
	}
	return g.Wait()
}

// describeRow finds out what is told of a tag. Of one that a listing told of
// without its digest that is all that is missing.
func (r *tagReader) describeRow(ctx context.Context, row *tagRow) error {
	row.told = true
	read, err := r.lookUp(ctx, row)
	if err != nil || row.Listing != "" {
		return err
	}
	facts, err := r.images.get(row.Digest, func() (imageFacts, error) { return r.recall(ctx, row.Digest, read) })
	row.Created, row.Size, row.Platforms, row.odd = facts.config.created, facts.size, facts.platforms, facts.odd
	row.Error = facts.missing
	return err
}

// atOnce reports whether a tag is asked for its manifest, and not for its digest
// before. Some registries tell only with a manifest that they count pulls.
func (r *tagReader) atOnce() bool { return r.fresh && !r.countsPulls() }

// lookUp finds out what digest a tag has, where that is not known yet, and returns
// what reads its manifest, or has.
func (r *tagReader) lookUp(ctx context.Context, row *tagRow) (read func() (content.Manifest, error), err error) {
	if row.Digest == "" && row.Listing == "" && r.atOnce() {
		m, err := r.Manifest(ctx, row.Tag)
		row.Digest = m.Digest()
		return func() (content.Manifest, error) { return m, nil }, err
	}
	if row.Digest == "" {
		row.Digest, err = r.digestOf(ctx, row.Tag)
	}
	return func() (content.Manifest, error) { return r.shelf.Manifest(ctx, row.Digest.String()) }, err
}

// unread is the error of a listing some of whose tags could not be read, of all
// that were looked at.
func (r *tagReader) unread() error {
	var unread unreadError
	seen := map[*tagRow]bool{}
	for _, row := range r.looked {
		if !seen[row] {
			seen[row] = true
			unread.add(row)
		}
	}
	return unread.of(len(seen))
}

// digestOf asks for no more than the digest where there is such a thing: at a
// registry that is not counted as a pull. A tag that was listed and is not found
// so is asked for in the other way.
func (r *tagReader) digestOf(ctx context.Context, tag string) (digest.Digest, error) {
	if resolver, ok := content.As[content.Resolver](r.Source); ok {
		d, err := resolver.Resolve(ctx, tag)
		if !errors.Is(err, content.ErrNotFound) {
			return d.Digest, err
		}
	}
	m, err := r.Manifest(ctx, tag)
	return m.Digest(), err
}

// describe finds out what is told of the image or index that read returns.
func (r *tagReader) describe(ctx context.Context, read func() (content.Manifest, error)) (imageFacts, error) {
	m, err := read()
	if err != nil {
		return imageFacts{}, err
	}
	g, err := loadThere(ctx, r.shelf, m)
	if err != nil {
		return imageFacts{}, err
	}
	facts := imageFacts{size: content.SizeOf(g.Blobs()), platforms: platformsOf(g)}
	if ambiguous := m.Ambiguous(); ambiguous != nil {
		facts.odd = append(facts.odd, ambiguous.Error())
	}
	facts.missing = sayMissing(g)
	if facts.missing != "" {
		facts.odd = append(facts.odd, facts.missing)
	}
	images := imagesOf(g)
	if len(images) == 0 {
		return facts, nil
	}
	config, _ := images[0].ImageConfig()
	facts.config, err = r.configs.get(config.Digest, func() (configFacts, error) { return r.readConfig(ctx, images[0]) })
	if facts.config.odd != "" {
		facts.odd = append(facts.odd, facts.config.odd)
	}
	if !m.IsIndex() && facts.config.platform != "" {
		facts.platforms = []string{facts.config.platform}
	}
	return facts, err
}

func (r *tagReader) readConfig(ctx context.Context, m content.Manifest) (configFacts, error) {
	raw, err := content.ReadConfig(ctx, r.Source, m, content.Limits{})
	if err != nil {
		return configFacts{}, err
	}
	var config struct {
		ocispec.Platform

		Created json.RawMessage `json:"created"` // not always a time
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return configFacts{}, fmt.Errorf("config of %s: %w: %w", m.Digest(), err, content.ErrInvalid)
	}
	var facts configFacts
	created, ok := readTime(config.Created)
	if !ok {
		facts.odd = fmt.Sprintf("the config has created %.40s, which is no time", config.Created)
	}
	facts.created = created
	if config.OS != "" || config.Architecture != "" {
		facts.platform = content.PlatformOf(config.Platform).String()
	}
	return facts, nil
}

// platformsOf returns the platforms that the indexes of a graph state, each once.
func platformsOf(g *content.Graph) []string {
	var all []string
	seen := map[string]bool{}
	for child := range childrenOf(g) {
		if child.Platform == nil || content.IsAttestation(child) {
			continue
		}
		if p := content.PlatformOf(*child.Platform).String(); !seen[p] {
			seen[p] = true
			all = append(all, p)
		}
	}
	return all
}

// A memo keeps what was found out about a digest. It must not be copied after use.
type memo[V any] struct {
	mu  sync.Mutex
	all map[digest.Digest]func() (V, error)
}

// get returns what find finds: the first that asks calls it, others wait.
func (m *memo[V]) get(d digest.Digest, find func() (V, error)) (V, error) {
	m.mu.Lock()
	found, ok := m.all[d]
	if !ok {
		if m.all == nil {
			m.all = map[digest.Digest]func() (V, error){}
		}
		found = sync.OnceValues(find)
		m.all[d] = found
	}
	m.mu.Unlock()
	return found()
}

// A lastWord is an error after which nobody is asked again.
type lastWord struct {
	mu  sync.Mutex
	err error
}

func (l *lastWord) say(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lastWord) said() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
