package archive

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A catalog is what a Writer will say at the end: which manifests there are,
// and what they are called.
type catalog struct {
	manifests map[digest.Digest]leaf
	names     map[string]called        // by what is the same for docker
	unnamed   map[digest.Digest]string // artifact types of roots and referrers; "" for roots
	diffIDs   map[digest.Digest]int    // how many each config has
}

// A called is a name as it was given, and what it stands for.
type called struct {
	name string
	to   digest.Digest
}

// A leaf is what is kept of a manifest: its bytes are in the archive.
type leaf struct {
	desc     ocispec.Descriptor
	image    bool // something docker can load
	config   digest.Digest
	layers   []digest.Digest
	children []ocispec.Descriptor
}

func newCatalog() catalog {
	return catalog{
		manifests: map[digest.Digest]leaf{},
		names:     map[string]called{},
		unnamed:   map[digest.Digest]string{},
		diffIDs:   map[digest.Digest]int{},
	}
}

// enter notes m and its names.
func (c *catalog) enter(m content.Manifest, names []string) error {
	d := m.Digest()
	for _, name := range names {
		if err := content.CheckName(name); err != nil {
			return err
		}
	}
	c.manifests[d] = newLeaf(m)
	if _, refers := m.Subject(); refers {
		c.unnamed[d] = m.ArtifactType()
	}
	for _, name := range names {
		if name != d.String() {
			c.names[nameKey(name)] = called{name, d}
			continue
		}
		if _, ok := c.unnamed[d]; !ok {
			c.unnamed[d] = ""
		}
	}
	return nil
}

// nameKey returns the same for names that mean the same: nginx:latest and
// docker.io/library/nginx:latest.
func nameKey(name string) string {
	if content.IsFullName(name) {
		return content.NormalName(name)
	}
	return name
}

func newLeaf(m content.Manifest) leaf {
	l := leaf{desc: m.Descriptor(), children: m.Children()}
	l.desc.ArtifactType = ""
	config, ok := m.Config()
	if !ok {
		return l
	}
	l.config = config.Digest
	l.image = content.IsManifest(m.MediaType()) && (config.MediaType == ocispec.MediaTypeImageConfig || config.MediaType == content.DockerConfig)
	for _, d := range m.Layers() {
		l.layers = append(l.layers, d.Digest)
		l.image = l.image && isFilesystem(d.MediaType)
	}
	return l
}

// isFilesystem reports whether mediaType is that of a layer docker unpacks; the
// signatures and attestations among the artifacts have an image's config too.
func isFilesystem(mediaType string) bool {
	return strings.HasPrefix(mediaType, ocispec.MediaTypeImageLayer) || strings.HasPrefix(mediaType, content.DockerLayer)
}

// indexJSON returns index.json: the names in their order, then what has none by
// digest, whatever the order in which they were put.
func (c *catalog) indexJSON() ([]byte, error) {
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	named := map[digest.Digest]bool{}
	for _, key := range slices.Sorted(maps.Keys(c.names)) {
		n := c.names[key]
		named[n.to] = true
		d := c.manifests[n.to].desc
		d.Annotations = map[string]string{ocispec.AnnotationRefName: n.name}
		if content.IsFullName(n.name) {
			d.Annotations[content.AnnotationContainerdName] = key
		}
		index.Manifests = append(index.Manifests, d)
	}
	for _, to := range slices.Sorted(maps.Keys(c.unnamed)) {
		if named[to] {
			continue
		}
		d := c.manifests[to].desc
		d.ArtifactType = c.unnamed[to]
		index.Manifests = append(index.Manifests, d)
	}
	return json.Marshal(index)
}

// A loadable is an entry of manifest.json.
type loadable struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// manifestJSON returns manifest.json, one entry for each named or rooted image
// that docker can load (sizes has the blobs that are there); nil where there is
// none.
func (c *catalog) manifestJSON(sizes map[digest.Digest]int64) ([]byte, error) {
	tags := map[digest.Digest][]string{}
	for _, n := range c.names {
		image, ok := c.pick(n.to, sizes)
		if !ok {
			continue
		}
		tags[image] = append(tags[image], content.FamiliarName(n.name))
	}
	for root, artifactType := range c.unnamed {
		if image, ok := c.pick(root, sizes); ok && artifactType == "" {
			tags[image] = append(tags[image], "")
		}
	}
	if len(tags) == 0 {
		return nil, nil
	}
	var entries []loadable
	for image, names := range tags {
		l := c.manifests[image]
		e := loadable{Config: blobPath(l.config), Layers: []string{}}
		for _, name := range slices.Sorted(slices.Values(names)) {
			if name != "" {
				e.RepoTags = append(e.RepoTags, name)
			}
		}
		for _, d := range l.layers {
			e.Layers = append(e.Layers, blobPath(d))
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(x, y loadable) int {
		return cmp.Or(cmp.Compare(min(len(y.RepoTags), 1), min(len(x.RepoTags), 1)), slices.Compare(x.RepoTags, y.RepoTags),
			cmp.Compare(x.Config, y.Config), slices.Compare(x.Layers, y.Layers))
	})
	return json.Marshal(entries)
}

// pick returns the image docker should get for root: root itself, or of an
// index the best one for this machine, or else the first.
func (c *catalog) pick(root digest.Digest, sizes map[digest.Digest]int64) (digest.Digest, bool) {
	var found []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	todo := []ocispec.Descriptor{{Digest: root}}
	for len(todo) > 0 {
		d := todo[0]
		todo = todo[1:]
		l, ok := c.manifests[d.Digest]
		if !ok || seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		todo = append(slices.Clone(l.children), todo...)
		if c.loads(l, sizes) && !content.IsAttestation(d) {
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		return "", false
	}
	return slices.MinFunc(found, content.HostPlatform().CompareImages).Digest, true
}

// loads reports whether docker can load the image: all of it is there, and its
// config has a diff ID for each layer.
func (c *catalog) loads(l leaf, sizes map[digest.Digest]int64) bool {
	if n, ok := c.diffIDs[l.config]; !ok || n != len(l.layers) || !l.image {
		return false
	}
	for _, d := range append([]digest.Digest{l.config}, l.layers...) {
		if _, ok := sizes[d]; !ok {
			return false
		}
	}
	return true
}

// noteConfig counts the diff IDs of blob d, if it is the config of an image.
func (c *catalog) noteConfig(d digest.Digest, raw []byte) {
	var config imageConfig
	if len(raw) == 0 || json.Unmarshal(raw, &config) != nil {
		return
	}
	for _, id := range config.RootFS.DiffIDs {
		if content.CheckDigest(id) != nil {
			return
		}
	}
	c.diffIDs[d] = len(config.RootFS.DiffIDs)
}

// A configKeeper keeps what is written to it, unless that is no JSON object or
// is larger than any config.
type configKeeper struct {
	raw []byte
	not bool
}

func (k *configKeeper) Write(p []byte) (int, error) {
	begins := bytes.TrimLeft(p, " \t\r\n")
	k.not = k.not || len(k.raw) == 0 && len(begins) > 0 && begins[0] != '{' ||
		int64(len(k.raw)+len(p)) > content.Limits{}.Effective().ManifestSize
	if k.not {
		k.raw = nil
		return len(p), nil
	}
	k.raw = append(k.raw, p...)
	return len(p), nil
}
