package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A synthetic registry speaks http on loopback and stores next to nothing. The bytes of the images it gives are reckoned
// when they are asked for; of those it is sent it keeps digests and sizes. It knows repositories of one word, and neither
// lists nor deletion nor mounts.
type synthetic struct {
	host     string
	most     int // requests for blobs at once; more are 429; 0 is no limit
	requests atomic.Int64
	refused  atomic.Int64
	open     atomic.Int64  // requests for blobs now
	number   atomic.Uint64 // of seeds and of upload sessions

	server *http.Server
	done   chan struct{}

	mu        sync.Mutex
	manifests map[string][]byte // by repository and name or digest
	blobs     map[string]func() io.ReadSeeker
	taken     map[string]int64 // size of what was sent, by digest
	uploads   map[string]*meter
}

// startSynthetic starts a registry that answers 429 where more than so many requests for blobs are open.
func startSynthetic(ctx context.Context, most int) (*synthetic, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &synthetic{
		host: listener.Addr().String(), most: most, done: make(chan struct{}),
		manifests: map[string][]byte{}, blobs: map[string]func() io.ReadSeeker{}, taken: map[string]int64{}, uploads: map[string]*meter{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.NotFound(w, r)
		}
	})
	mux.HandleFunc("GET /v2/{repository}/manifests/{name}", s.manifest)
	mux.HandleFunc("PUT /v2/{repository}/manifests/{name}", s.putManifest)
	mux.HandleFunc("GET /v2/{repository}/blobs/{digest}", s.blob)
	mux.HandleFunc("POST /v2/{repository}/blobs/uploads/", s.begin)
	mux.HandleFunc("PATCH /v2/{repository}/blobs/uploads/{id}", s.chunk)
	mux.HandleFunc("PUT /v2/{repository}/blobs/uploads/{id}", s.finish)
	mux.HandleFunc("GET /v2/{repository}/blobs/uploads/{id}", s.stands)
	mux.HandleFunc("GET /v2/{repository}/referrers/{digest}", s.referrers)
	s.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		mux.ServeHTTP(w, r)
	})}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(listener) // ends with stop
	}()
	return s, nil
}

// stop ends the registry, and all connections to it.
func (s *synthetic) stop() error {
	err := s.server.Close()
	<-s.done
	return err
}

// make adds an image with layers of those sizes, under the tag v1.
func (s *synthetic) make(repository string, sizes ...int64) (image, error) {
	layers, flows := make([]descriptor, len(sizes)), make([]flow, len(sizes))
	var all sync.WaitGroup
	for i, size := range sizes {
		flows[i] = flow{seed: s.number.Add(1), size: size}
		all.Go(func() {
			content, sum := flows[i], sha256.New()
			_, _ = io.Copy(sum, &content) // neither end fails
			layers[i] = descriptor{typeLayer, digestOf(sum), size}
		})
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range layers {
		s.blobs[d.Digest] = func() io.ReadSeeker { return &flow{seed: flows[i].seed, size: d.Size} }
	}
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"author":%q}`, repository)
	m := manifest{SchemaVersion: 2, MediaType: typeManifest, Config: descriptorOf(typeConfig, config), Layers: layers}
	body, err := json.Marshal(m)
	if err != nil {
		return image{}, err
	}
	s.blobs[m.Config.Digest] = func() io.ReadSeeker { return bytes.NewReader(config) }
	img := image{repository: repository, root: descriptorOf(typeManifest, body), blobs: append([]descriptor{m.Config}, layers...)}
	s.manifests[repository+"@v1"], s.manifests[repository+"@"+img.root.Digest] = body, body
	return img, nil
}

// has fails where something of an image that was sent to a repository is not there.
func (s *synthetic) has(repository string, img image) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := descriptorOf(typeManifest, s.manifests[repository+"@v1"]); got.Digest != img.root.Digest {
		return fmt.Errorf("%s/%s:v1 is %s, want %s", s.host, repository, got.Digest, img.root.Digest)
	}
	for _, d := range img.blobs {
		if n, ok := s.taken[d.Digest]; !ok || n != d.Size {
			return fmt.Errorf("%s/%s: %d bytes of %s, want %d", s.host, repository, n, d.Digest, d.Size)
		}
	}
	return nil
}

// forget drops what was sent.
func (s *synthetic) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.taken)
	clear(s.manifests)
	clear(s.uploads)
}

func (s *synthetic) manifest(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	body, ok := s.manifests[r.PathValue("repository")+"@"+r.PathValue("name")]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	d := descriptorOf(typeManifest, body)
	w.Header().Set("Content-Type", d.MediaType)
	w.Header().Set("Docker-Content-Digest", d.Digest)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that went away is its own affair
}

func (s *synthetic) putManifest(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d := descriptorOf(typeManifest, body)
	s.mu.Lock()
	for _, name := range []string{r.PathValue("name"), d.Digest} {
		s.manifests[r.PathValue("repository")+"@"+name] = body
	}
	s.mu.Unlock()
	w.Header().Set("Docker-Content-Digest", d.Digest)
	w.WriteHeader(http.StatusCreated)
}

func (s *synthetic) blob(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("digest")
	s.mu.Lock()
	open := s.blobs[name]
	size, taken := s.taken[name]
	s.mu.Unlock()
	switch {
	case r.Method == http.MethodHead && taken:
		w.Header().Set("Docker-Content-Digest", name)
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		return
	case open == nil:
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodGet {
		defer s.open.Add(-1)
		if now := s.open.Add(1); s.most > 0 && now > int64(s.most) {
			s.refused.Add(1)
			http.Error(w, "too many requests at once", http.StatusTooManyRequests)
			return
		}
	}
	w.Header().Set("Docker-Content-Digest", name)
	w.Header().Set("ETag", `"`+name+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, open())
}

func (s *synthetic) begin(w http.ResponseWriter, r *http.Request) {
	id := strconv.FormatUint(s.number.Add(1), 10)
	s.mu.Lock()
	s.uploads[id] = &meter{Hash: sha256.New()}
	s.mu.Unlock()
	w.Header().Set("Location", "/v2/"+r.PathValue("repository")+"/blobs/uploads/"+id)
	w.WriteHeader(http.StatusAccepted)
}

// upload is a session, or nil after an answer that there is none.
func (s *synthetic) upload(w http.ResponseWriter, r *http.Request) *meter {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.uploads[r.PathValue("id")]
	if m == nil {
		http.NotFound(w, r)
	}
	return m
}

// tell answers where a session stands.
func (s *synthetic) tell(w http.ResponseWriter, r *http.Request, m *meter, status int) {
	w.Header().Set("Location", r.URL.Path)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, m.n-1)))
	w.WriteHeader(status)
}

func (s *synthetic) stands(w http.ResponseWriter, r *http.Request) {
	if m := s.upload(w, r); m != nil {
		s.tell(w, r, m, http.StatusNoContent)
	}
}

func (s *synthetic) chunk(w http.ResponseWriter, r *http.Request) {
	m := s.upload(w, r)
	if m == nil {
		return
	}
	var first, last int64
	if n, _ := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-%d", &first, &last); n == 2 && first != m.n {
		s.tell(w, r, m, http.StatusRequestedRangeNotSatisfiable)
		return
	}
	if _, err := io.Copy(m, r.Body); err != nil {
		return // the client is gone, and may come back for the rest
	}
	s.tell(w, r, m, http.StatusAccepted)
}

func (s *synthetic) finish(w http.ResponseWriter, r *http.Request) {
	m := s.upload(w, r)
	if m == nil {
		return
	}
	if _, err := io.Copy(m, r.Body); err != nil {
		return
	}
	digest := r.URL.Query().Get("digest")
	if got := digestOf(m); got != digest {
		http.Error(w, fmt.Sprintf("%d bytes are %s, not %s", m.n, got, digest), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.taken[digest] = m.n
	s.mu.Unlock()
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Location", "/v2/"+r.PathValue("repository")+"/blobs/"+digest)
	w.WriteHeader(http.StatusCreated)
}

func (s *synthetic) referrers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	_, _ = io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
}

func digestOf(sum hash.Hash) string { return "sha256:" + hex.EncodeToString(sum.Sum(nil)) }

func descriptorOf(mediaType string, body []byte) descriptor {
	sum := sha256.Sum256(body)
	return descriptor{mediaType, "sha256:" + hex.EncodeToString(sum[:]), int64(len(body))}
}
