package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

// A madeBlob is a blob out of memory that counts what is read of it.
type madeBlob struct {
	desc  ocispec.Descriptor
	raw   []byte
	wrong int // the first readings that have a wrong byte in the middle
	short int // bytes missing at the end
	fails error

	opened int
	read   int64
}

func (b *madeBlob) Descriptor() ocispec.Descriptor { return b.desc }

func (b *madeBlob) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	b.opened++
	off, n, err := r.Resolve(b.desc.Size)
	if err != nil {
		return nil, err
	}
	raw := b.raw[off : off+n]
	if b.opened <= b.wrong && len(raw) > 0 {
		raw = bytes.Clone(raw)
		raw[len(raw)/2] ^= 1
	}
	rd := io.Reader(bytes.NewReader(raw[:len(raw)-b.short]))
	if b.fails != nil {
		rd = io.MultiReader(io.LimitReader(rd, n/2), failing{b.fails})
	}
	return io.NopCloser(io.TeeReader(rd, counter{&b.read})), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type counter struct{ n *int64 }

func (c counter) Write(p []byte) (int, error) { *c.n += int64(len(p)); return len(p), nil }

func made(raw []byte) *madeBlob { return &madeBlob{desc: descriptorOf(raw), raw: raw} }

func TestWritingSurvivesWhatConnectionsAndHostsDo(t *testing.T) {
	const size = 18 << 20
	raw := random(size, 6)
	put := func(f fault) fault { f.Method, f.Kind = http.MethodPut, testregistry.KindUpload; return f }
	patch := func(f fault) fault { f.Method, f.Kind = http.MethodPatch, testregistry.KindUpload; return f }
	post := func(f fault) fault { f.Method, f.Kind = http.MethodPost, testregistry.KindUpload; return f }
	tests := []struct {
		name     string
		config   testregistry.Config
		faults   []fault
		want     error
		requests int     // for uploads; 0 is not looked at
		bytes    float64 // received by the registry, which reads what it refuses too: at most so many times the blob's size
	}{
		{"nothing wrong", testregistry.Config{}, nil, nil, 2, 1},
		{"reset at half", testregistry.Config{}, []fault{put(fault{Effect: testregistry.ResetAfter, N: size / 2, Times: 1})}, nil, 5, 1.01},
		{"closed at half", testregistry.Config{}, []fault{put(fault{Effect: testregistry.CutAfter, N: size / 2, Times: 1})}, nil, 5, 1.01},
		{
			"reset again and again, with progress",
			testregistry.Config{},
			[]fault{
				put(fault{Effect: testregistry.ResetAfter, N: size / 8, Times: 1}),
				patch(fault{Effect: testregistry.ResetAfter, N: size / 8, Times: 6}),
			},
			nil, 0, 1.01,
		},
		{"500 on PUT", testregistry.Config{}, []fault{put(fault{Effect: testregistry.Answer, N: 500, Times: 1})}, nil, 4, 2},
		{"500 on PUT for ever", testregistry.Config{}, []fault{put(fault{Effect: testregistry.Answer, N: 500})}, content.ErrUnavailable, 0, 0},
		{"503 on POST twice", testregistry.Config{}, []fault{post(fault{Effect: testregistry.Answer, N: 503, Times: 2})}, nil, 4, 1},
		{"429 on PUT", testregistry.Config{}, []fault{put(fault{Effect: testregistry.Answer, N: 429, Times: 1})}, nil, 4, 2},
		{"401 on PUT", testregistry.Config{}, []fault{put(fault{Effect: testregistry.Answer, N: 401, Times: 1})}, nil, 3, 2},
		{"session lost once", testregistry.Config{}, []fault{put(fault{Effect: testregistry.SessionLost, Times: 1})}, nil, 4, 2},
		{"session lost on resuming", testregistry.Config{}, []fault{
			put(fault{Effect: testregistry.ResetAfter, N: size / 2, Times: 1}),
			{Method: http.MethodGet, Effect: testregistry.SessionLost, Times: 1},
		}, nil, 5, 1.51},
		{"session lost for ever", testregistry.Config{}, []fault{put(fault{Effect: testregistry.SessionLost})}, content.ErrUnavailable, 8, 0},
		{"answer lost", testregistry.Config{}, []fault{put(fault{Effect: testregistry.CutAfter, N: size, Times: 1})}, nil, 0, 2},
		{"denied", testregistry.Config{}, []fault{post(fault{Effect: testregistry.Answer, N: 403})}, content.ErrDenied, 1, 0},
		{"chunks of 16 MiB at most", testregistry.Config{}, []fault{put(fault{Effect: testregistry.Answer, N: 413, Times: 1})}, nil, 6, 2},
		{"chunks of 3 MiB at most", testregistry.Config{ChunkMax: 3 << 20}, []fault{put(fault{Effect: testregistry.Answer, N: 413, Times: 1})}, nil, 0, 3},
		{"416 for what is too large", testregistry.Config{ChunkMax: 4 << 20}, []fault{put(fault{Effect: testregistry.Answer, N: 416, Times: 1})}, nil, 0, 3},
		{"chunks of 10 MiB at least", testregistry.Config{ChunkMin: 10 << 20}, []fault{put(fault{Effect: testregistry.Answer, N: 413, Times: 1})}, nil, 0, 3},
		{"chunks that get lost", testregistry.Config{}, []fault{
			put(fault{Effect: testregistry.ResetAfter, N: size / 2, Times: 1}),
			patch(fault{Effect: testregistry.Keep, N: 0}),
		}, nil, 0, 2.01},
		{"relative location", testregistry.Config{}, []fault{{Effect: testregistry.Location, Value: "relative"}}, nil, 2, 1},
		{"absolute location", testregistry.Config{}, []fault{{Effect: testregistry.Location, Value: "absolute"}}, nil, 2, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, tt.config)
			repo := repository(t, client(t), server, "app")
			blob := made(raw)
			if _, err := repo.Has(t.Context(), blob.desc); err != nil {
				t.Fatal(err)
			}
			server.SetFaults(tt.faults...)
			outcome, err := repo.PutBlob(t.Context(), blob)
			if !errors.Is(err, tt.want) || err == nil && outcome != content.Stored {
				t.Fatalf("%v, %v; want stored, %v", outcome, err, tt.want)
			}
			if got, _ := server.Blob("app", blob.desc.Digest); tt.want == nil && !bytes.Equal(got, raw) {
				t.Errorf("registry has %d bytes", len(got))
			}
			checkUploads(t, server, tt.requests)
			if got := float64(server.BlobBytesReceived()) / size; tt.bytes > 0 && got > tt.bytes {
				t.Errorf("%.2f times the blob was sent, want at most %.2f", got, tt.bytes)
			}
		})
	}
}

// checkUploads counts the requests of uploads, where want is not 0, and the sessions left open.
func checkUploads(t *testing.T, server *testregistry.Registry, want int) {
	t.Helper()
	if n := server.Count(testregistry.Is("", testregistry.KindUpload)); want != 0 && n != want {
		t.Errorf("%d requests, want %d: %s", n, want, methods(server))
	}
	if n := server.Uploads(); n != 0 {
		t.Errorf("%d upload sessions are left open", n)
	}
}

func methods(server *testregistry.Registry) (all []string) {
	for _, q := range server.Requests() {
		all = append(all, q.Method+" "+string(q.Kind)+" "+http.StatusText(q.Status))
	}
	return all
}

func TestBytesThatAreNotTheBlobAreNeverCommitted(t *testing.T) {
	raw := random(3<<20, 7)
	broken := errors.New("the disk is on fire")
	tests := []struct {
		name   string
		blob   *madeBlob
		want   error
		opened int
	}{
		{"a wrong byte, once", &madeBlob{wrong: 1}, nil, 2},
		{"a wrong byte, always", &madeBlob{wrong: 9}, content.ErrCorrupt, 2},
		{"too short", &madeBlob{short: 5}, content.ErrCorrupt, 2},
		{"a source that fails", &madeBlob{fails: broken}, broken, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{})
			tt.blob.desc, tt.blob.raw = descriptorOf(raw), raw
			_, err := repository(t, client(t), server, "app").PutBlob(t.Context(), tt.blob)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if got, there := server.Blob("app", tt.blob.desc.Digest); there != (tt.want == nil) || there && !bytes.Equal(got, raw) {
				t.Errorf("blob there: %t, %d bytes", there, len(got))
			}
			if tt.blob.opened != tt.opened {
				t.Errorf("source was opened %d times, want %d", tt.blob.opened, tt.opened)
			}
			if n := server.Uploads(); n != 0 {
				t.Errorf("%d upload sessions are left open", n)
			}
			commits := server.Count(func(q testregistry.Request) bool { return q.Method == http.MethodPut && q.Status == http.StatusCreated })
			if want := map[bool]int{true: 1}[tt.want == nil]; commits != want {
				t.Errorf("%d commits, want %d", commits, want)
			}
		})
	}
}

func TestABlobThatGoesOnAfterItsEndIsNeverCommitted(t *testing.T) {
	for _, size := range []int{1, 1000, 64 << 10, 1 << 20} {
		raw := random(size, 15)
		from := testregistry.Start(t, testregistry.Config{Faults: []fault{{Effect: testregistry.Endless}}})
		from.PutBlob("app", raw)
		to := testregistry.Start(t, testregistry.Config{})
		c := client(t)
		blob := content.NewBlob(repository(t, c, from, "app"), descriptorOf(raw))
		_, err := repository(t, c, to, "app").PutBlob(t.Context(), blob)
		if _, there := to.Blob("app", blob.Descriptor().Digest); there || !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("of %d bytes: there %t, error %v", size, there, err)
		}
	}
}

func TestASmallUploadThatDoesNotFitItsSessionBeginsAnewOnce(t *testing.T) {
	small := testregistry.Config{Faults: []fault{{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.Answer, N: 413, Times: 1}}}
	for _, tt := range []struct {
		name   string
		method string
		config testregistry.Config
		times  int // 416 is answered; 0 is for ever
		size   int
		want   error
	}{
		{"in one request", http.MethodPut, testregistry.Config{}, 1, 1000, nil},
		{"in chunks", http.MethodPatch, small, 1, 512 << 10, nil},
		{"in one request, for ever", http.MethodPut, testregistry.Config{}, 0, 1000, content.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := random(tt.size, 16)
			config := tt.config
			config.Faults = append(config.Faults, fault{Method: tt.method, Kind: testregistry.KindUpload, Effect: testregistry.Answer, N: 416, Times: tt.times})
			server := testregistry.Start(t, config)
			_, err := repository(t, client(t), server, "app").PutBlob(t.Context(), made(raw))
			if _, there := server.Blob("app", descriptorOf(raw).Digest); !errors.Is(err, tt.want) || there != (tt.want == nil) {
				t.Errorf("there: %t, %v; want %v", there, err, tt.want)
			}
			if n := server.Count(testregistry.Is(tt.method, testregistry.KindUpload)); n > 4 {
				t.Errorf("%d times %s", n, tt.method)
			}
			if n := server.Uploads(); n != 0 {
				t.Errorf("%d upload sessions are left open", n)
			}
		})
	}
}

func TestResumingReadsLittleOfTheSourceAgain(t *testing.T) {
	const size = 24 << 20
	raw := random(size, 8)
	server := testregistry.Start(t, testregistry.Config{Faults: []fault{
		{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.ResetAfter, N: size / 2, Times: 1},
	}})
	blob := made(raw)
	if _, err := repository(t, client(t), server, "app").PutBlob(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	if again := blob.read - size; again > 8<<20 { // what filled the sockets' buffers, and up to a mark before it
		t.Errorf("%d bytes of the source were read again", again)
	}
}

func TestBlobsOfOtherKindsArrive(t *testing.T) {
	raw := random(1000, 9)
	sha512 := descriptorOf(raw)
	sha512.Digest = digest.SHA512.FromBytes(raw)
	for _, tt := range []struct {
		name string
		blob *madeBlob
	}{
		{"named by sha512", &madeBlob{desc: sha512, raw: raw}},
		{"empty", made(nil)},
		{"of one byte", made([]byte{1})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{})
			repo := repository(t, client(t), server, "app")
			outcome, err := repo.PutBlob(t.Context(), tt.blob)
			if err != nil || outcome != content.Stored {
				t.Fatal(outcome, err)
			}
			if got, there := server.Blob("app", tt.blob.desc.Digest); !there || !bytes.Equal(got, tt.blob.raw) {
				t.Errorf("there: %t, %d bytes", there, len(got))
			}
			if n := server.Count(testregistry.Is("", testregistry.KindUpload)); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
}

func TestWhatIsThereIsNotSent(t *testing.T) {
	raw := random(1000, 10)
	server := testregistry.Start(t, testregistry.Config{})
	server.PutBlob("app", raw)
	repo := repository(t, client(t), server, "app")
	ctx := t.Context()
	if there, err := repo.Has(ctx, descriptorOf(raw)); !there || err != nil {
		t.Fatal(there, err)
	}
	for range 3 {
		if outcome, err := repo.PutBlob(ctx, made(raw)); outcome != content.Existed || err != nil {
			t.Fatal(outcome, err)
		}
	}
	if n := len(server.Requests()); n != 1 {
		t.Errorf("%d requests, want the one of Has", n)
	}
}

func TestABlobOfTheSameHostIsMounted(t *testing.T) {
	raw := random(1<<20, 11)
	d := descriptorOf(raw)
	bearer := testregistry.Auth{Scheme: testregistry.Bearer, Users: map[string]string{"ann": "secret"}}
	noSource := bearer
	noSource.Allow = func(_, repo, _ string) bool { return repo == "to" }
	tests := []struct {
		name     string
		config   testregistry.Config
		want     content.Outcome
		requests int // to the repository "to", for uploads
	}{
		{"by a registry that mounts", testregistry.Config{}, content.Mounted, 1},
		{"by one that wants a token for both", testregistry.Config{Auth: bearer}, content.Mounted, 1},
		{"not by one that opens a session instead", testregistry.Config{NoMount: true}, content.Stored, 2},
		{"not where the source may not be read", testregistry.Config{Auth: noSource}, content.Stored, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, tt.config)
			server.PutBlob("from", raw)
			c := client(t)
			from, to := repository(t, c, server, "from"), repository(t, c, server, "to")
			blob := content.NewBlob(from, d)
			if tt.config.Auth.Allow != nil {
				blob = origin{made(raw), server.Host()}
			}
			got, err := to.PutBlob(t.Context(), blob)
			if err != nil || got != tt.want {
				t.Fatalf("%v, %v; want %v", got, err, tt.want)
			}
			uploads := func(q testregistry.Request) bool { return q.Repo == "to" && q.Kind == testregistry.KindUpload }
			if n := server.Count(uploads); tt.requests != 0 && n != tt.requests {
				t.Errorf("%d requests, want %d: %v", n, tt.requests, methods(server))
			}
			if n := server.BlobBytesReceived(); tt.want == content.Mounted && n != 0 {
				t.Errorf("%d bytes were sent", n)
			}
		})
	}
}

// An origin is a blob that says it is in the repository "from".
type origin struct {
	*madeBlob
	host string
}

func (o origin) Origin() (host, repository string) { return o.host, "from" }

func TestABlobThatAnotherRepositoryIsKnownToHaveIsMounted(t *testing.T) {
	raw := random(1<<20, 12)
	server := testregistry.Start(t, testregistry.Config{})
	c := client(t)
	if _, err := repository(t, c, server, "one").PutBlob(t.Context(), made(raw)); err != nil {
		t.Fatal(err)
	}
	if got, err := repository(t, c, server, "two").PutBlob(t.Context(), made(raw)); got != content.Mounted || err != nil {
		t.Errorf("%v, %v; want mounted", got, err)
	}
}

func TestACancelledUploadLeavesNoSession(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	blob := made(random(3<<20, 13))
	server.SetFaults(fault{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.StallAfter, N: 1 << 20, Hit: cancel})
	_, err := repository(t, client(t), server, "app").PutBlob(ctx, blob)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want canceled", err)
	}
	if n := server.Uploads(); n != 0 {
		t.Errorf("%d upload sessions are left open", n)
	}
}
