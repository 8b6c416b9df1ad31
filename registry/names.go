package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// Resolve implements [content.Resolver]: the repository's own host tells what a
// tag stands for, and where that is not reached a mirror that may.
func (m *Mirrored) Resolve(ctx context.Context, ref string) (d ocispec.Descriptor, err error) {
	if err := checkRef(ref); err != nil {
		return d, err
	}
	if isDigest(ref) {
		err = m.each(ctx, ref, func(r *Repository) (err error) {
			d, err = r.Resolve(ctx, ref)
			return err
		})
		return d, err
	}
	m.tagged.Store(true)
	if m.own.host.silent.Load() {
		err = m.instead(func(r *Repository) (err error) {
			d, err = r.Resolve(ctx, ref)
			return err
		})
		return d, err
	}
	told := m.askMirrors(ctx, ref)
	d, err = m.own.Resolve(ctx, ref)
	answers := <-told
	if err == nil {
		m.compare(ctx, ref, d.Digest, answers)
		return d, nil
	}
	if len(answers) == 0 || !isSilence(ctx, err) {
		return d, err
	}
	first := answers[0]
	m.fallSilent(ctx, first.from, err)
	m.log().WarnContext(ctx, "a mirror told what the tag stands for", "tag", m.own.String()+":"+ref, "mirror", first.from.host.name, "digest", first.desc.Digest)
	return first.desc, nil
}

// isSilence reports whether a host did not answer a question, or would not.
func isSilence(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (errors.Is(err, content.ErrUnavailable) || errors.Is(err, content.ErrRateLimited))
}

// fallSilent notes that the repository's own host does not answer: from now on
// mirrors that may are asked about names in its place.
func (m *Mirrored) fallSilent(ctx context.Context, mirror *Repository, err error) {
	if !m.own.host.silent.Swap(true) {
		m.log().WarnContext(ctx, "the registry does not answer; a mirror speaks for it", "registry", m.own.host.name, "mirror", mirror.host.name, "error", err)
	}
}

// speakers returns the mirrors that may tell what names stand for.
func (m *Mirrored) speakers() []*Repository {
	var may []*Repository
	for _, r := range m.mirrors {
		if r.resolvesTags && !r.host.mirror.benched.Load() {
			may = append(may, r.Repository)
		}
	}
	return may
}

// instead asks the mirrors that speak for a silent host, one after the other,
// and the host itself where there is none.
func (m *Mirrored) instead(ask func(*Repository) error) (err error) {
	speakers := m.speakers()
	if len(speakers) == 0 {
		return ask(m.own)
	}
	for _, r := range speakers {
		if err = ask(r); err == nil {
			return nil
		}
	}
	return err
}

// ReferrersState implements [content.ReferrerWatcher].
func (m *Mirrored) ReferrersState(ctx context.Context, subject digest.Digest) (state string, err error) {
	ask := func(r *Repository) (err error) {
		state, err = r.ReferrersState(ctx, subject)
		return err
	}
	if !m.own.host.silent.Load() {
		if err = ask(m.own); err == nil || !isSilence(ctx, err) || len(m.speakers()) == 0 {
			return state, err
		}
		m.fallSilent(ctx, m.speakers()[0], err)
	}
	return state, m.instead(ask)
}

// Referrers implements [content.ReferrerLister].
func (m *Mirrored) Referrers(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return spoken(ctx, m, func(r *Repository) iter.Seq2[ocispec.Descriptor, error] {
		return r.Referrers(ctx, subject, artifactType)
	})
}

// Tags implements [content.TagLister].
func (m *Mirrored) Tags(ctx context.Context) iter.Seq2[string, error] {
	return spoken(ctx, m, func(r *Repository) iter.Seq2[string, error] { return r.Tags(ctx) })
}

// spoken yields what the repository's own host lists, or where that does not
// even begin to answer what a mirror lists that may speak for it.
func spoken[T any](ctx context.Context, m *Mirrored, list func(*Repository) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		speakers := m.speakers()
		if len(speakers) == 0 {
			list(m.own)(yield)
			return
		}
		if !m.own.host.silent.Load() {
			err := begin(list(m.own), yield)
			if err == nil {
				return
			}
			if !isSilence(ctx, err) {
				var none T
				yield(none, err)
				return
			}
			m.fallSilent(ctx, speakers[0], err)
		}
		list(speakers[0])(yield)
	}
}

// begin yields a whole list, unless it begins with an error: that it returns.
func begin[T any](list iter.Seq2[T, error], yield func(T, error) bool) error {
	first := true
	for v, err := range list {
		if first && err != nil {
			return err
		}
		first = false
		if !yield(v, err) {
			return nil
		}
	}
	return nil
}

// A tagAnswer is what a mirror says of a tag.
type tagAnswer struct {
	from *Repository
	desc ocispec.Descriptor
}

// tagPatience is how long a mirror may take to say what a tag stands for.
const tagPatience = 5 * time.Second

// errMute is a mirror that says nothing for that long.
var errMute = fmt.Errorf("no answer in %s: %w", tagPatience, content.ErrUnavailable)

// askMirrors asks the mirrors that may tell what a tag stands for, all at once.
func (m *Mirrored) askMirrors(ctx context.Context, tag string) <-chan []tagAnswer {
	told := make(chan []tagAnswer, 1)
	asked := m.speakers()
	go func() {
		asking, cancel := context.WithTimeoutCause(ctx, tagPatience, errMute)
		defer cancel()
		answers := make([]tagAnswer, len(asked))
		var wg sync.WaitGroup
		for i, r := range asked {
			wg.Go(func() {
				d, err := r.Resolve(asking, tag)
				if err != nil {
					r.fell(ctx, tag, err)
					return
				}
				answers[i] = tagAnswer{r, d}
			})
		}
		wg.Wait()
		told <- slices.DeleteFunc(answers, func(a tagAnswer) bool { return a.desc.Digest == "" })
	}()
	return told
}

// compare says which mirrors are behind, once for each tag.
func (m *Mirrored) compare(ctx context.Context, tag string, want digest.Digest, answers []tagAnswer) {
	for _, a := range answers {
		if a.desc.Digest == want {
			continue
		}
		name := m.own.String() + ":" + tag
		if _, before := a.from.host.mirror.told.LoadOrStore(name, true); !before {
			m.log().WarnContext(ctx, "a mirror has another image under the tag: it is behind, or changed", "tag", name, "mirror", a.from.host.name, "there", a.desc.Digest, "digest", want)
		}
	}
}
