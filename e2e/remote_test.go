package e2e

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Media types the tests write.
const (
	ociManifest  = "application/vnd.oci.image.manifest.v1+json"
	ociIndex     = "application/vnd.oci.image.index.v1+json"
	ociConfig    = "application/vnd.oci.image.config.v1+json"
	ociLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
	ociEmpty     = "application/vnd.oci.empty.v1+json"
	dockerList   = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerV2     = "application/vnd.docker.distribution.manifest.v2+json"
)

// A descriptor names content.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *platform         `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// A manifest is an image manifest or an index: whatever of the two is not there stays empty.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *descriptor       `json:"config,omitempty"`
	Layers        []descriptor      `json:"layers,omitempty"`
	Manifests     []descriptor      `json:"manifests,omitempty"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// A remote is one repository, spoken to with nothing but net/http: neither wherry's code nor that of a peer judges it.
type remote struct {
	t    *testing.T
	base string // http://host/v2/name
	Name string // host/name
}

func (r *registry) remote(t *testing.T, name string) *remote {
	t.Helper()
	return &remote{t: t, base: "http://" + r.Host + "/v2/" + name, Name: r.Host + "/" + name}
}

// digestOf is the digest of bytes, by the algorithm of a digest such as "sha512:…"; sha256 for "".
func digestOf(like string, b []byte) string {
	if strings.HasPrefix(like, "sha512:") {
		sum := sha512.Sum512(b)
		return "sha512:" + hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// digestFrom is the digest of all that can be read, by the algorithm of a digest, and how many bytes that was.
func digestFrom(t *testing.T, like string, from io.Reader) (digest string, size int64) {
	t.Helper()
	algorithm, sum := "sha256:", sha256.New()
	if strings.HasPrefix(like, "sha512:") {
		algorithm, sum = "sha512:", sha512.New()
	}
	n, err := io.Copy(sum, from)
	if err != nil {
		t.Fatal(err)
	}
	return algorithm + hex.EncodeToString(sum.Sum(nil)), n
}

// An answer is a response that was read to its end.
type answer struct {
	status int
	url    *url.URL // of the request, after redirects
	header http.Header
	body   []byte
}

// do sends a request, wants one of the statuses, and reads the answer.
func (r *remote) do(req *http.Request, want ...int) answer {
	r.t.Helper()
	resp, err := new(http.Client).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if !slices.Contains(want, resp.StatusCode) {
		r.t.Fatalf("%s %s: %s\n%s", req.Method, req.URL, resp.Status, body)
	}
	return answer{resp.StatusCode, resp.Request.URL, resp.Header, body}
}

func (r *remote) request(method, target string, body []byte) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return req
}

// putBlob uploads a blob in one piece.
func (r *remote) putBlob(mediaType string, b []byte) descriptor {
	r.t.Helper()
	d := descriptor{MediaType: mediaType, Digest: digestOf("", b), Size: int64(len(b))}
	started := r.do(r.request(http.MethodPost, r.base+"/blobs/uploads/", nil), http.StatusAccepted)
	session, err := started.url.Parse(started.header.Get("Location"))
	if err != nil {
		r.t.Fatal(err)
	}
	query := session.Query()
	query.Set("digest", d.Digest)
	session.RawQuery = query.Encode()
	req := r.request(http.MethodPut, session.String(), b)
	req.Header.Set("Content-Type", "application/octet-stream")
	r.do(req, http.StatusCreated)
	return d
}

// putManifest writes m under its digest, and under tag where that is not empty.
func (r *remote) putManifest(m manifest, tag string) descriptor {
	r.t.Helper()
	m.SchemaVersion = 2
	body, err := json.Marshal(m)
	if err != nil {
		r.t.Fatal(err)
	}
	d := descriptor{MediaType: m.MediaType, Digest: digestOf("", body), Size: int64(len(body)), ArtifactType: m.ArtifactType}
	name := tag
	if name == "" {
		name = d.Digest
	}
	req := r.request(http.MethodPut, r.base+"/manifests/"+name, body)
	req.Header.Set("Content-Type", m.MediaType)
	r.do(req, http.StatusCreated)
	return d
}

// manifest reads what a tag or digest stands for, and its exact bytes.
func (r *remote) manifest(ref string) (descriptor, manifest, []byte) {
	r.t.Helper()
	req := r.request(http.MethodGet, r.base+"/manifests/"+ref, nil)
	req.Header.Set("Accept", strings.Join([]string{ociIndex, ociManifest, dockerList, dockerV2}, ", "))
	a := r.do(req, http.StatusOK)
	var m manifest
	if err := json.Unmarshal(a.body, &m); err != nil {
		r.t.Fatalf("%s/%s: %v", r.Name, ref, err)
	}
	return descriptor{MediaType: a.header.Get("Content-Type"), Digest: digestOf(ref, a.body), Size: int64(len(a.body))}, m, a.body
}

// digest is the digest that a tag stands for, computed from the bytes.
func (r *remote) digest(ref string) string {
	r.t.Helper()
	d, _, _ := r.manifest(ref)
	return d.Digest
}

// has says whether a manifest is there.
func (r *remote) has(ref string) bool {
	r.t.Helper()
	req := r.request(http.MethodHead, r.base+"/manifests/"+ref, nil)
	req.Header.Set("Accept", strings.Join([]string{ociIndex, ociManifest, dockerList, dockerV2}, ", "))
	return r.do(req, http.StatusOK, http.StatusNotFound).status == http.StatusOK
}

// tags lists the repository's tags, sorted.
func (r *remote) tags() []string {
	r.t.Helper()
	body := r.do(r.request(http.MethodGet, r.base+"/tags/list", nil), http.StatusOK).body
	var list struct{ Tags []string }
	if err := json.Unmarshal(body, &list); err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(list.Tags)
	return list.Tags
}

// referrers lists what refers to a manifest: by the API where the registry has it, else by the fallback tag.
func (r *remote) referrers(subject string) []descriptor {
	r.t.Helper()
	a := r.do(r.request(http.MethodGet, r.base+"/referrers/"+url.PathEscape(subject), nil), http.StatusOK, http.StatusNotFound)
	body := a.body
	if a.status == http.StatusNotFound {
		tag := strings.Replace(subject, ":", "-", 1)
		if !r.has(tag) {
			return nil
		}
		_, _, body = r.manifest(tag)
	}
	var index manifest
	if err := json.Unmarshal(body, &index); err != nil {
		r.t.Fatal(err)
	}
	return index.Manifests
}

// walk reads everything under a tag or digest, hashes all of it, and returns the digests, sorted and once each.
// What is missing or does not match its digest or size fails the test.
func (r *remote) walk(ref string) []string {
	r.t.Helper()
	seen := map[string]bool{}
	r.visit(ref, seen)
	all := make([]string, 0, len(seen))
	for d := range seen {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

func (r *remote) visit(ref string, seen map[string]bool) {
	r.t.Helper()
	d, m, body := r.manifest(ref)
	if strings.Contains(ref, ":") && ref != d.Digest {
		r.t.Fatalf("%s@%s has bytes of %s", r.Name, ref, d.Digest)
	}
	if seen[d.Digest] {
		return
	}
	seen[d.Digest] = true
	for _, child := range m.Manifests {
		r.visit(child.Digest, seen)
	}
	blobs := slices.Clone(m.Layers)
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, blob := range blobs {
		if !seen[blob.Digest] && len(blob.URLs) == 0 {
			seen[blob.Digest] = true
			r.checkBlob(blob)
		}
	}
	if len(blobs)+len(m.Manifests) == 0 && !bytes.Contains(body, []byte(`"manifests"`)) {
		r.t.Errorf("%s@%s names nothing", r.Name, ref)
	}
}

// checkBlob hashes a blob as it comes.
func (r *remote) checkBlob(d descriptor) {
	r.t.Helper()
	resp, err := new(http.Client).Do(r.request(http.MethodGet, r.base+"/blobs/"+d.Digest, nil))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, n := digestFrom(r.t, d.Digest, resp.Body)
	if resp.StatusCode != http.StatusOK || n != d.Size || got != d.Digest {
		r.t.Errorf("%s@%s: %s, %d bytes of %d, hash %s", r.Name, d.Digest, resp.Status, n, d.Size, got)
	}
}
