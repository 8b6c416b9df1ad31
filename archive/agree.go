package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// agree compares what index.json and manifest.json name: a reader of the one
// must not get another image than a reader of the other.
func (a *Archive) agree(ctx context.Context, images []*dockerImage) error {
	if len(images) == 0 {
		return nil
	}
	all := map[digest.Digest]bool{}
	byName := map[string]map[digest.Digest]bool{}
	for _, r := range a.roots {
		configs, err := a.configs(ctx, r.desc.Digest)
		if err != nil {
			return err
		}
		maps.Copy(all, configs)
		for _, name := range r.names {
			byName[content.NormalName(name)] = configs
		}
	}
	for _, image := range images {
		config, err := a.configDigest(image, all)
		if err != nil {
			return err
		}
		if !all[config] {
			return fmt.Errorf("%s names an image with config %s that %s does not know: %w", manifestFile, config, indexFile, content.ErrInvalid)
		}
		for _, name := range image.names() {
			if configs, ok := byName[content.NormalName(name)]; ok && !configs[config] {
				return fmt.Errorf("%s and %s disagree about %q: %w", indexFile, manifestFile, clip(name), content.ErrInvalid)
			}
		}
	}
	return nil
}

// configDigest returns the digest of an image's config. A path that states a
// known one is believed, however large the file: whoever copies it compares.
func (a *Archive) configDigest(image *dockerImage, known map[digest.Digest]bool) (digest.Digest, error) {
	if d, ok := statedDigest(image.Config); ok && known[d] {
		return d, nil
	}
	config, _, err := a.config(image)
	return config.Digest, err
}

// configs returns the configs of the images below d that are in the file.
func (a *Archive) configs(ctx context.Context, d digest.Digest) (map[digest.Digest]bool, error) {
	found := map[digest.Digest]bool{}
	err := a.walk(ctx, d, map[digest.Digest]bool{}, func(n node) {
		if n.config != "" {
			found[n.config] = true
		}
	})
	return found, err
}

// What the indexes of one archive may have together: descriptors, and steps to
// find out what is below what. More are made to keep readers busy.
const (
	maxEdges = 1 << 18
	maxSteps = 1 << 22
)

// A node is what is kept of a manifest to know what is below it.
type node struct {
	config   digest.Digest
	children []digest.Digest
}

// walk calls visit for the manifests below d that are in the file, d first,
// each once and not those in seen. Those that are not there are passed over:
// docker saves the index of an image with the manifests of one platform.
func (a *Archive) walk(ctx context.Context, d digest.Digest, seen map[digest.Digest]bool, visit func(node)) error {
	todo := []digest.Digest{d}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[next] {
			continue
		}
		seen[next] = true
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := a.node(next)
		if errors.Is(err, content.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		visit(n)
		todo = append(todo, n.children...)
	}
	return nil
}

// node reads the manifest with digest d for a walk; each is read once.
func (a *Archive) node(d digest.Digest) (node, error) {
	a.mu.Lock()
	n, ok := a.nodes[d]
	a.steps++
	tooMany := a.steps > maxSteps || a.edges > maxEdges
	a.mu.Unlock()
	if tooMany {
		return n, fmt.Errorf("more than %d manifests in its indexes: %w", maxEdges, content.ErrInvalid)
	}
	if ok {
		return n, nil
	}
	m, err := a.manifest(d)
	if err != nil {
		return n, err
	}
	if c, ok := m.Config(); ok {
		n.config = c.Digest
	}
	for _, child := range m.Children() {
		n.children = append(n.children, child.Digest)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodes[d] = n
	a.edges += len(n.children)
	return n, nil
}
