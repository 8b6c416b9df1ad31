package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// A memoryJournal is a journal that outlives clients, not the test.
type memoryJournal struct {
	mu      sync.Mutex
	records map[string]content.Record
	saved   []content.Record
	onSave  func()
}

func (j *memoryJournal) Load(key string) (content.Record, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r, found := j.records[key]
	return r, found
}

func (j *memoryJournal) Save(key string, r content.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.records == nil {
		j.records = map[string]content.Record{}
	}
	j.records[key] = r
	j.saved = append(j.saved, r)
	if j.onSave != nil {
		j.onSave()
	}
	return nil
}

func (j *memoryJournal) Drop(key string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.records, key)
	return nil
}

// change lets f change all records.
func (j *memoryJournal) change(f func(r *content.Record)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for key, r := range j.records {
		f(&r)
		j.records[key] = r
	}
}

// noting returns a client with that journal.
func noting(tb testing.TB, j content.Journal) *registry.Client {
	tb.Helper()
	c := client(tb)
	c.Journal = j
	return c
}

const (
	noted  = 5 << 20 // of bytes the first process sends
	longer = 6 << 20 // has the blob
)

// breakOff lets a process send a part of raw, whose network is down then.
func breakOff(t *testing.T, server *testregistry.Registry, j *memoryJournal, raw []byte) {
	t.Helper()
	server.SetFaults(
		fault{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.ResetAfter, N: noted},
		fault{Method: http.MethodGet, Kind: testregistry.KindUpload, Effect: testregistry.ResetAfter, N: -1},
	)
	defer server.SetFaults()
	_, err := repository(t, noting(t, j), server, "app").PutBlob(t.Context(), made(raw))
	if !errors.Is(err, content.ErrUnavailable) {
		t.Fatalf("error %v, want unavailable", err)
	}
	if len(j.records) != 1 || server.Uploads() != 1 {
		t.Fatalf("%d records, %d sessions; want one of each", len(j.records), server.Uploads())
	}
}

func TestTheNextProcessGoesOnWithAnUpload(t *testing.T) {
	raw := random(longer, 20)
	// The state of a hash of other bytes.
	wrong := sha256.New()
	_, _ = wrong.Write(raw[:1])
	state, err := wrong.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	const all, rest = longer, longer - noted
	tests := []struct {
		name       string
		between    func(server *testregistry.Registry, j *memoryJournal)
		sent, read int64 // bytes by the second process, at most
	}{
		{"where it stood", nil, rest, rest + 1<<20},
		{
			"where it stood, hashing all again where no state may be trusted",
			func(_ *testregistry.Registry, j *memoryJournal) { j.change(func(r *content.Record) { r.Hash = nil }) },
			rest, all,
		},
		{
			"from the start where the state of the hash was wrong",
			func(_ *testregistry.Registry, j *memoryJournal) {
				j.change(func(r *content.Record) { r.Hash[len(r.Hash)-1].State = state })
			},
			rest + all, rest + all + 1<<20,
		},
		{"from the start where the session is gone", func(server *testregistry.Registry, _ *memoryJournal) { server.DropUploads() }, all, all},
		{
			"from the start where the session is another blob's",
			func(_ *testregistry.Registry, j *memoryJournal) { j.change(func(r *content.Record) { r.Size++ }) },
			all, all,
		},
		{
			"from the start where the session is elsewhere",
			func(_ *testregistry.Registry, j *memoryJournal) {
				j.change(func(r *content.Record) { r.Session = "http://other.example/v2/app/blobs/uploads/1" })
			},
			all, all,
		},
		{
			"not at all where the blob is there",
			func(server *testregistry.Registry, _ *memoryJournal) { server.PutBlob("app", raw) },
			0, 0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{})
			j := &memoryJournal{}
			breakOff(t, server, j, raw)
			if tt.between != nil {
				tt.between(server, j)
			}
			before := server.BlobBytesReceived()
			blob := made(raw)
			if _, err := repository(t, noting(t, j), server, "app").PutBlob(t.Context(), blob); err != nil {
				t.Fatal(err)
			}
			if got, _ := server.Blob("app", blob.desc.Digest); !bytes.Equal(got, raw) {
				t.Errorf("registry has %d bytes", len(got))
			}
			if sent := server.BlobBytesReceived() - before; sent > tt.sent || blob.read > tt.read {
				t.Errorf("%d bytes were sent and %d read, want at most %d and %d", sent, blob.read, tt.sent, tt.read)
			}
			if len(j.records) != 0 {
				t.Errorf("%d records are left", len(j.records))
			}
		})
	}
}

func TestAResumedUploadTakesThreeRequests(t *testing.T) {
	raw := random(longer, 21)
	server := testregistry.Start(t, testregistry.Config{})
	j := &memoryJournal{}
	breakOff(t, server, j, raw)
	j.change(func(r *content.Record) { r.Saved = r.Saved.Add(-time.Minute) })
	server.Reset()
	if _, err := repository(t, noting(t, j), server, "app").PutBlob(t.Context(), made(raw)); err != nil {
		t.Fatal(err)
	}
	var uploads []string
	for _, q := range server.Requests() {
		if q.Kind == testregistry.KindUpload {
			uploads = append(uploads, q.Method)
		}
	}
	if want := []string{"GET", "PATCH", "PUT"}; !slices.Equal(uploads, want) {
		t.Errorf("%v, want %v", uploads, want)
	}
	checkUploads(t, server, 0)
}

// TestAnUploadWaitsForWhatIsStillArriving lets bytes of a process that was just killed come in late.
func TestAnUploadWaitsForWhatIsStillArriving(t *testing.T) {
	raw := random(longer, 27)
	server := testregistry.Start(t, testregistry.Config{})
	j := &memoryJournal{}
	breakOff(t, server, j, raw)
	var session string
	j.change(func(r *content.Record) { session = r.Session })
	late := sync.OnceFunc(func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, session, bytes.NewReader(raw[noted:noted+1000]))
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close() // nothing is in it
	})
	server.SetFaults(fault{Method: http.MethodGet, Kind: testregistry.KindUpload, Nth: 2, Times: 1, Hit: late})
	server.Reset()
	if _, err := repository(t, noting(t, j), server, "app").PutBlob(t.Context(), made(raw)); err != nil {
		t.Fatal(err)
	}
	if got := server.BlobBytesReceived(); got != longer-noted {
		t.Errorf("%d bytes arrived, want the %d that were missing", got, longer-noted)
	}
	if n := server.Count(testregistry.Is(http.MethodGet, testregistry.KindUpload)); n != 3 {
		t.Errorf("the session was asked %d times, want 3", n)
	}
}

func TestAnInterruptedUploadKeepsItsSession(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	j := &memoryJournal{onSave: cancel}
	repo := repository(t, noting(t, j), server, "app")
	raw := random(longer, 22)
	if _, err := repo.PutBlob(ctx, made(raw)); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want canceled", err)
	}
	if server.Uploads() != 1 || len(j.records) != 1 {
		t.Fatalf("%d sessions, %d records; want one of each", server.Uploads(), len(j.records))
	}
	j.onSave = nil
	if outcome, err := repo.PutBlob(t.Context(), made(raw)); outcome != content.Stored || err != nil {
		t.Fatal(outcome, err)
	}
	checkUploads(t, server, 0)
}

func TestWhatIsSentInNoTimeIsNotNoted(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{})
	j := &memoryJournal{}
	repo := repository(t, noting(t, j), server, "app")
	if _, err := repo.PutBlob(t.Context(), made(random(100_000, 23))); err != nil {
		t.Fatal(err)
	}
	if len(j.saved) != 0 {
		t.Errorf("%d records", len(j.saved))
	}
	checkUploads(t, server, 2)
}

// sessionAt is a registry that wants a password and takes every upload, there.
func sessionAt(location string) answering {
	return func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		switch {
		case req.Header.Get("Authorization") == "" && req.URL.Host == "r.example":
			return answered(req, http.StatusUnauthorized, "Www-Authenticate", "Basic realm=x")
		case req.Method == http.MethodHead:
			return answered(req, http.StatusNotFound)
		case req.Method == http.MethodPost:
			return answered(req, http.StatusAccepted, "Location", location)
		}
		return answered(req, http.StatusCreated)
	}
}

// TestOnlySessionsThatProveNothingAreNoted leads uploads to URLs that may be more than a name.
func TestOnlySessionsThatProveNothingAreNoted(t *testing.T) {
	raw := random(noted, 24)
	tests := []struct {
		name, location string
		noted          bool
	}{
		{"a path", "/v2/app/blobs/uploads/1", true},
		{"the state of a session", "/v2/app/blobs/uploads/1?_nouploadcache=false&_state=x%3D", true},
		{"another path of the host", "/artifacts/1", true},
		{"another host", "https://storage.example/1", false},
		{"a signature", "/v2/app/blobs/uploads/1?_state=x&X-Amz-Signature=y", false},
		{"a token", "/v2/app/blobs/uploads/1?token=y", false},
		{"the password that the host was shown", "/v2/app/blobs/uploads/secret?_state=x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sessionAt(tt.location).client()
			c.Keychain = keychain{"ann", "secret"}
			j := &memoryJournal{}
			c.Journal = j
			repo, err := c.Repository("r.example", "app")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := repo.PutBlob(t.Context(), made(raw)); err != nil {
				t.Fatal(err)
			}
			if got := len(j.saved) > 0; got != tt.noted {
				t.Errorf("noted: %t, want %t", got, tt.noted)
			}
			for _, r := range j.saved {
				if !strings.HasPrefix(r.Session, "https://r.example/") || len(r.Hash) == 0 || r.Size != noted {
					t.Errorf("noted: %s, %d states, %d bytes", r.Session, len(r.Hash), r.Size)
				}
			}
		})
	}
}

func TestWhatUploadsMayCarryIsRememberedForAWhile(t *testing.T) {
	raw := random(3<<20, 25)
	server := testregistry.Start(t, testregistry.Config{Quirks: []testregistry.Quirk{{Name: "max-body", N: 1 << 20}}})
	facts := contenttest.NewFacts()
	refused := func(repo string) int {
		server.Reset()
		c := client(t)
		c.Facts = facts
		if _, err := repository(t, c, server, repo).PutBlob(t.Context(), made(raw)); err != nil {
			t.Fatal(err)
		}
		return server.Count(func(q testregistry.Request) bool { return q.Status == http.StatusRequestEntityTooLarge })
	}
	if n := refused("first"); n == 0 {
		t.Error("the first process was not refused anything")
	}
	if n := refused("second"); n != 0 {
		t.Errorf("the second process was refused %d bodies", n)
	}
	const day = 24 * time.Hour
	facts.Age(8 * day)
	if n := refused("third"); n == 0 {
		t.Error("what was learnt a week ago is still believed")
	}
}

func TestThatChunksGetLostIsRemembered(t *testing.T) {
	raw := random(3<<20, 26)
	server := testregistry.Start(t, testregistry.Config{})
	facts := contenttest.NewFacts()
	put := func(repo string) int {
		server.SetFaults(
			fault{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.ResetAfter, N: 1 << 20, Times: 1},
			fault{Method: http.MethodPatch, Effect: testregistry.Keep, N: 0},
		)
		server.Reset()
		c := client(t)
		c.Facts = facts
		if _, err := repository(t, c, server, repo).PutBlob(t.Context(), made(raw)); err != nil {
			t.Fatal(err)
		}
		return server.Count(testregistry.Is(http.MethodPatch, testregistry.KindUpload))
	}
	if n := put("first"); n != 1 {
		t.Errorf("the first process sent %d chunks, want 1", n)
	}
	if n := put("second"); n != 0 {
		t.Errorf("the second process sent %d chunks", n)
	}
}
