package faults

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// A Target is what a fault strikes.
type Target struct {
	Digest  digest.Digest
	Size    int64
	Kind    testregistry.Kind // blob or manifest
	Session int               // number of the upload session that it has where all of the image is uploaded in order
}

// TargetAt finds what is at a position of an image: in the first manifest below
// its root that has layers.
func TargetAt(img testimage.Image, at Position) (Target, error) {
	root, err := imageOf(img, img.Root.Digest)
	if err != nil {
		return Target{}, err
	}
	if at == Manifest {
		return Target{Digest: root.Digest(), Size: int64(len(root.Raw())), Kind: testregistry.KindManifest}, nil
	}
	var layers []ocispec.Descriptor
	for _, e := range root.Edges() {
		switch {
		case e.Role == content.RoleConfig && at == Config:
			return Target{Digest: e.Descriptor.Digest, Size: e.Descriptor.Size, Kind: testregistry.KindBlob, Session: 1}, nil
		case e.Role == content.RoleLayer:
			layers = append(layers, e.Descriptor)
		}
	}
	if len(layers) == 0 {
		return Target{}, fmt.Errorf("manifest %s has no %s blob: %w", root.Digest(), at, content.ErrNotFound)
	}
	n := map[Position]int{First: 0, Middle: len(layers) / 2, Last: len(layers) - 1}[at]
	return Target{Digest: layers[n].Digest, Size: layers[n].Size, Kind: testregistry.KindBlob, Session: n + 1}, nil
}

// imageOf returns manifest d, or the first with blobs below it.
func imageOf(img testimage.Image, d digest.Digest) (content.Manifest, error) {
	stored, there := img.Manifests[d]
	if !there {
		return content.Manifest{}, fmt.Errorf("manifest %s: %w", d, content.ErrNotFound)
	}
	m, err := content.ParseManifest(stored.MediaType, stored.Bytes, content.Limits{})
	if err != nil {
		return content.Manifest{}, err
	}
	for _, e := range m.Edges() {
		if e.Role == content.RoleChild {
			return imageOf(img, e.Descriptor.Digest)
		}
	}
	return m, nil
}

// Arm returns what makes a registry have the fault: what registry it is, and the
// faults that strike there, the first of which is the one that is counted.
func (c Case) Arm(target Target) (testregistry.Config, error) {
	words := slices.Clone(c.Server)
	switch c.Protocol {
	case HTTPS:
		words = append(words, "tls", "no-http2")
	case HTTP2:
		words = append(words, "tls")
	case HTTP:
	}
	for _, text := range c.Strikes {
		words = append(words, c.spell(text, target))
	}
	config, err := testregistry.ParseConfig(words...)
	if err != nil {
		return testregistry.Config{}, fmt.Errorf("fault %s: %w", c.Name, err)
	}
	return config, nil
}

// always is how many strikes of {part} bytes one content has room for where a fault
// strikes always: who begins anew each time never gets to its end.
const always = 3

// spell fills in what a strike leaves out.
func (c Case) spell(text string, target Target) string {
	text = strings.NewReplacer(
		"{part}", strconv.FormatInt(target.Size/int64(cmp.Or(c.Times, always)+1), 10),
		"{half}", strconv.FormatInt(target.Size/2, 10),
		"{size}", strconv.FormatInt(target.Size, 10),
		"{hex}", target.Digest.Encoded(),
		"{times}", strconv.Itoa(c.Times),
	).Replace(text)
	text, body, hasBody := strings.Cut(text, ",body=")
	add := func(key, value string) {
		if !strings.Contains(text, ","+key+"=") {
			text += "," + key + "=" + value
		}
	}
	kind, method := target.Kind, "GET"
	if c.Part == Writing {
		method = "PUT"
		if kind == testregistry.KindBlob {
			kind, method = testregistry.KindUpload, "PUT|PATCH"
		}
	}
	add("kind", string(kind))
	add("method", method)
	add("times", strconv.Itoa(c.Times))
	if c.Part == Writing && kind == testregistry.KindManifest {
		add("repo", "*") // what a tag stands for is not known before it is there
	} else {
		add("about", target.Digest.Encoded())
	}
	if kind == testregistry.KindUpload {
		add("session", strconv.Itoa(target.Session))
	}
	text = strings.NewReplacer(",about=any", "", ",method=any", "", ",repo=*", "").Replace(text)
	if hasBody {
		text += ",body=" + body
	}
	return text
}
