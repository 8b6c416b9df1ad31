package testregistry

import (
	"bytes"
	"cmp"
	_ "crypto/sha256" // digest algorithm
	_ "crypto/sha512" // digest algorithm
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
)

// A Manifest is a stored manifest: the exact bytes and the media type they were pushed with.
type Manifest struct {
	MediaType string
	Bytes     []byte
}

type repository struct {
	blobs     map[digest.Digest][]byte
	manifests map[digest.Digest]Manifest
	tags      map[string]digest.Digest
}

// repo returns the repository of that name, made when it is new. The caller holds mu.
func (r *Registry) repo(name string) *repository {
	p, known := r.repos[name]
	if !known {
		p = &repository{
			blobs:     map[digest.Digest][]byte{},
			manifests: map[digest.Digest]Manifest{},
			tags:      map[string]digest.Digest{},
		}
		r.repos[name] = p
	}
	return p
}

// resolve returns the digest ref stands for; it may not exist.
func (p *repository) resolve(ref string) digest.Digest {
	if d, tagged := p.tags[ref]; tagged {
		return d
	}
	return digest.Digest(ref)
}

// PutBlob puts content into repo without a request and returns its sha256 digest. The bytes are not copied.
func (r *Registry) PutBlob(repo string, content []byte) digest.Digest {
	d := digest.FromBytes(content)
	r.PutBlobAs(repo, d, content)
	return d
}

// PutBlobAs puts content into repo under d, which need not be its digest: sha512, or a lie.
func (r *Registry) PutBlobAs(repo string, d digest.Digest, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo(repo).blobs[d] = content
}

// PutManifest puts a manifest into repo without a request and without checks, and returns its digest.
// With a digest as ref it is stored under that, even where it is wrong; any other ref but "" becomes a tag.
func (r *Registry) PutManifest(repo, ref, mediaType string, content []byte) digest.Digest {
	d := digest.FromBytes(content)
	given := digest.Digest(ref)
	if given.Validate() == nil {
		d = given
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repo(repo)
	p.manifests[d] = Manifest{MediaType: mediaType, Bytes: content}
	if ref != "" && d != given {
		p.tags[ref] = d
	}
	return d
}

// Tag points tag at d. Neither is checked: a test may need a tag that no registry should give out.
func (r *Registry) Tag(repo, tag string, d digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo(repo).tags[tag] = d
}

// Fill puts everything that other holds into r: a mirror, or the far end of a redirect.
func (r *Registry) Fill(other *Registry) {
	other.mu.Lock()
	repos := map[string]repository{}
	for name, p := range other.repos {
		repos[name] = repository{maps.Clone(p.blobs), maps.Clone(p.manifests), maps.Clone(p.tags)}
	}
	other.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, p := range repos {
		to := r.repo(name)
		maps.Copy(to.blobs, p.blobs)
		maps.Copy(to.manifests, p.manifests)
		maps.Copy(to.tags, p.tags)
	}
}

// Blob returns the bytes of d in repo. They must not be changed.
func (r *Registry) Blob(repo string, d digest.Digest) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.repos[repo]
	if !known {
		return nil, false
	}
	b, known := p.blobs[d]
	return b, known
}

// Blobs returns the digests of all blobs of repo, sorted.
func (r *Registry) Blobs(repo string) []digest.Digest {
	return keysOf(r, repo, func(p *repository) map[digest.Digest][]byte { return p.blobs })
}

// Manifest returns what ref, a tag or a digest, stands for in repo.
func (r *Registry) Manifest(repo, ref string) (Manifest, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.repos[repo]
	if !known {
		return Manifest{}, false
	}
	m, known := p.manifests[p.resolve(ref)]
	return m, known
}

// Manifests returns the digests of all manifests of repo, sorted.
func (r *Registry) Manifests(repo string) []digest.Digest {
	return keysOf(r, repo, func(p *repository) map[digest.Digest]Manifest { return p.manifests })
}

// Digest returns the digest that tag points at, or "".
func (r *Registry) Digest(repo, tag string) digest.Digest {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, known := r.repos[repo]; known {
		return p.tags[tag]
	}
	return ""
}

// Tags returns the tags of repo, sorted.
func (r *Registry) Tags(repo string) []string {
	return keysOf(r, repo, func(p *repository) map[string]digest.Digest { return p.tags })
}

// Repositories returns the names of all repositories, sorted.
func (r *Registry) Repositories() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.repos))
}

// CorruptBlob flips one bit in the middle of d in repo, and there only. It reports whether there was one to flip.
func (r *Registry) CorruptBlob(repo string, d digest.Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.repo(repo).blobs[d]
	if len(b) == 0 {
		return false
	}
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	r.repo(repo).blobs[d] = b
	return true
}

// DeleteBlob takes d out of repo.
func (r *Registry) DeleteBlob(repo string, d digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.repo(repo).blobs, d)
}

// DeleteManifest takes d out of repo, with the tags that point at it.
func (r *Registry) DeleteManifest(repo string, d digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo(repo).deleteManifest(d)
}

// Untag takes tag out of repo.
func (r *Registry) Untag(repo, tag string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.repo(repo).tags, tag)
}

func (p *repository) deleteManifest(d digest.Digest) {
	delete(p.manifests, d)
	maps.DeleteFunc(p.tags, func(_ string, to digest.Digest) bool { return to == d })
}

func keysOf[K cmp.Ordered, V any](r *Registry, repo string, of func(*repository) map[K]V) []K {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.repos[repo]
	if !known {
		return nil
	}
	return slices.Sorted(maps.Keys(of(p)))
}
