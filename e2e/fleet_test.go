package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A fleet is a multi-arch image as publishers make them today: an index of real Debian applications for amd64 and
// arm64, an attestation for each, a cosign-style signature under its tag, and OCI referrers of the index and of a child.
type fleet struct {
	Tag       string
	Index     descriptor
	Children  map[string]descriptor // by architecture
	Attests   []descriptor          // children of the index too
	Signature descriptor            // under SigTag
	SigTag    string
	Referrers map[string][]descriptor // by the digest of their subject
}

// An archiveOf names the docker archive that each architecture comes from.
type archiveOf map[string]string

// realFleet pushes a fleet of real size (~150 MB) to repository name under the tag v1.
func realFleet(t *testing.T, reg *registry, name string) fleet {
	t.Helper()
	return pushFleet(t, reg.remote(t, name), "v1", archiveOf{"amd64": realImage(t, "app-v1.tar"), "arm64": realImage(t, "app-v1-arm64.tar")})
}

// smallFleet is the same in shape and some 4 MB in size, for what needs no weight.
func smallFleet(t *testing.T, reg *registry, name string) fleet {
	t.Helper()
	return pushFleet(t, reg.remote(t, name), "v1", archiveOf{"amd64": sample(t, "alpine-3.20.tar"), "arm64": sample(t, "whiteout.tar")})
}

func pushFleet(t *testing.T, r *remote, tag string, archives archiveOf) fleet {
	t.Helper()
	b := newBox(t)
	f := fleet{Tag: tag, Children: map[string]descriptor{}, Referrers: map[string][]descriptor{}}
	var children []descriptor
	for _, arch := range []string{"amd64", "arm64"} {
		staged := r.Name + ":stage-" + arch
		b.crane("push", archives[arch], staged)
		d := r.asOCI("stage-"+arch, platform{OS: "linux", Architecture: arch})
		f.Children[arch] = d
		children = append(children, d)
	}
	for _, child := range slices.Clone(children) {
		a := r.attest(child)
		f.Attests = append(f.Attests, a)
		children = append(children, a)
	}
	f.Index = r.putManifest(manifest{MediaType: ociIndex, Manifests: children}, tag)

	f.SigTag = strings.Replace(f.Index.Digest, ":", "-", 1) + ".sig"
	f.Signature = r.putManifest(manifest{
		MediaType: ociManifest,
		Config:    new(r.putBlob(ociConfig, []byte(`{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}`))),
		Layers:    []descriptor{r.putBlob("application/vnd.dev.cosign.simplesigning.v1+json", fmt.Appendf(nil, `{"critical":{"image":{"docker-manifest-digest":%q}}}`, f.Index.Digest))},
	}, f.SigTag)
	for _, subject := range []descriptor{f.Index, f.Children["arm64"]} {
		d := r.refer(subject, "application/spdx+json", `{"spdxVersion":"SPDX-2.3"}`)
		f.Referrers[subject.Digest] = append(f.Referrers[subject.Digest], d)
	}
	return f
}

// asOCI writes the docker manifest of a tag anew with OCI media types and a config that says its platform, for the same
// layers.
func (r *remote) asOCI(tag string, p platform) descriptor {
	r.t.Helper()
	_, m, _ := r.manifest(tag)
	var config map[string]any
	text := r.do(r.request(http.MethodGet, r.base+"/blobs/"+m.Config.Digest, nil), http.StatusOK).body
	if err := json.Unmarshal(text, &config); err != nil {
		r.t.Fatal(err)
	}
	config["os"], config["architecture"] = p.OS, p.Architecture
	text, err := json.Marshal(config)
	if err != nil {
		r.t.Fatal(err)
	}
	m.MediaType, m.Config = ociManifest, new(r.putBlob(ociConfig, text))
	for i := range m.Layers {
		m.Layers[i].MediaType = ociLayerGzip
	}
	d := r.putManifest(m, "")
	d.Platform = &p
	return d
}

// attest writes an attestation as buildkit does, and returns it as the index lists it.
func (r *remote) attest(subject descriptor) descriptor {
	r.t.Helper()
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{"sha256":%q}}]}`, strings.TrimPrefix(subject.Digest, "sha256:"))
	layer := r.putBlob("application/vnd.in-toto+json", statement)
	layer.Annotations = map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}
	config := r.putBlob(ociConfig, fmt.Appendf(nil, `{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[%q]}}`, layer.Digest))
	d := r.putManifest(manifest{MediaType: ociManifest, Config: &config, Layers: []descriptor{layer}}, "")
	d.Platform = &platform{OS: "unknown", Architecture: "unknown"}
	d.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": subject.Digest,
	}
	return d
}

// refer writes an artifact that refers to subject, and lists it under the fallback tag where the registry has no
// referrers API, as clients have to.
func (r *remote) refer(subject descriptor, artifactType, payload string) descriptor {
	r.t.Helper()
	d := r.putManifest(manifest{
		MediaType: ociManifest, ArtifactType: artifactType,
		Config:      new(r.putBlob(ociEmpty, []byte("{}"))),
		Layers:      []descriptor{r.putBlob(artifactType, []byte(payload))},
		Subject:     &descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{"org.example.of": subject.Digest},
	}, "")
	for _, known := range r.referrers(subject.Digest) {
		if known.Digest == d.Digest {
			return d // the registry has the API
		}
	}
	tag := strings.Replace(subject.Digest, ":", "-", 1)
	list := append(r.referrers(subject.Digest), d)
	r.putManifest(manifest{MediaType: ociIndex, Manifests: list}, tag)
	return d
}

// sameFleet wants everything of a fleet in another repository: the same index and children down to the last byte, the
// signature under its tag, every referrer listed and whole.
func sameFleet(t *testing.T, want fleet, r *remote, tag string) {
	t.Helper()
	if got := r.digest(tag); got != want.Index.Digest {
		t.Errorf("%s:%s is %s, want %s", r.Name, tag, got, want.Index.Digest)
	}
	r.walk(want.Index.Digest)
	if !r.has(want.SigTag) {
		t.Errorf("%s: signature tag %s is missing", r.Name, want.SigTag)
	} else if got := r.digest(want.SigTag); got != want.Signature.Digest {
		t.Errorf("%s:%s is %s, want %s", r.Name, want.SigTag, got, want.Signature.Digest)
	}
	for subject, referrers := range want.Referrers {
		listed := r.referrers(subject)
		for _, d := range referrers {
			r.walk(d.Digest)
			if !slices.ContainsFunc(listed, func(l descriptor) bool { return l.Digest == d.Digest }) {
				text, _ := json.Marshal(listed)
				t.Errorf("%s: %s is not listed as referrer of %s: %s", r.Name, d.Digest, subject, text)
			}
		}
	}
}
