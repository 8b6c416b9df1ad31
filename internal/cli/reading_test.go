package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/term"
)

// A slowSource is a registry that gives a million bytes a second.
type slowSource struct{ content.Source }

func (slowSource) Origin() (host, repository string) { return "r.example", "app" }

func (slowSource) Open(_ context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	_, n, err := r.Resolve(d.Size)
	return io.NopCloser(&slowReader{left: n}), err
}

type slowReader struct{ left int64 }

func (s *slowReader) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), s.left)
	<-time.After(time.Duration(n) * time.Microsecond)
	s.left -= n
	return int(n), nil
}

// readLayers reads layers of so many bytes from src, one after the other, and returns what
// standard error got.
func readLayers(t *testing.T, mode term.Mode, src content.Source, ranges ...content.Range) string {
	t.Helper()
	var errs bytes.Buffer
	f := &Factory{Err: term.NewScreen(term.Open(&errs, nil)), Flags: &Flags{Progress: mode}}
	shown, err := f.reading()
	if err != nil {
		t.Fatal(err)
	}
	defer shown.Close()
	p := (&place{Source: &endpoint.Source{Source: src}}).watched(shown)
	for _, r := range ranges {
		rc, err := p.Open(t.Context(), ocispec.Descriptor{Digest: digest.FromString("layer"), Size: 100_000_000}, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, rc); err != nil {
			t.Fatal(err)
		}
		if err := rc.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return errs.String()
}

func TestLayersOfARegistryAreShownWhileTheyAreRead(t *testing.T) {
	short := digest.FromString("layer").Encoded()[:12]
	for _, tt := range []struct {
		name   string
		mode   term.Mode
		ranges []content.Range
		want   []string // in this order
	}{
		{"a line every ten seconds", term.Plain, []content.Range{{}}, []string{"reading " + short + ": 10.13MB of 100MB, 1MB/s\n", "reading " + short + ": 20.24MB of 100MB, 1MB/s\n", ": 91.06MB"}},
		{"of many that are fast, too", term.Plain, []content.Range{{Len: 6e6}, {Len: 6e6}, {Len: 6e6}}, []string{short + ": 4"}},
		{"a part", term.Plain, []content.Range{{Off: 5, Len: 15e6}}, []string{short + ": 10.13MB of 15MB"}},
		{"for programs", term.JSON, []content.Range{{Len: 2e6}}, []string{
			`{"event":"blob-start"`, `"size":2000000,"bytes":0}`, `{"event":"blob-progress"`, `{"event":"progress"`, `"total":2000000`, `{"event":"blob-done"`,
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			got := readLayers(t, tt.mode, slowSource{}, tt.ranges...)
			rest := got
			for _, want := range tt.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("%s: no %q in\n%s", tt.name, want, got)
				}
				rest = after
			}
		})
	}
}

func TestOnlyWhatIsLargeAndRemoteIsShown(t *testing.T) {
	small := make([]content.Range, 30)
	for i := range small {
		small[i].Len = readingLeast - 1
	}
	for _, tt := range []struct {
		name   string
		mode   term.Mode
		src    content.Source
		ranges []content.Range
	}{
		{"small layers", term.JSON, slowSource{}, small},
		{"a layer on disk", term.JSON, struct{ content.Source }{onDisk{}}, []content.Range{{}}},
		{"without progress", term.None, slowSource{}, []content.Range{{}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := readLayers(t, tt.mode, tt.src, tt.ranges...); got != "" {
				t.Errorf("%s: %q", tt.name, got)
			}
		})
	}
}

// An onDisk is a place on a disk.
type onDisk struct{ content.Source }

func (onDisk) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	return slowSource{}.Open(ctx, d, r)
}

func TestBarsAreGoneBeforeTheResultIsWritten(t *testing.T) {
	var screen bytes.Buffer
	f := &Factory{Err: term.NewScreen(term.Open(&screen, nil)), Flags: &Flags{Progress: term.TTY}}
	shown, err := f.reading()
	if err != nil {
		t.Fatal(err)
	}
	d := ocispec.Descriptor{Digest: digest.FromString("layer"), Size: 100_000_000}
	layer := shown.begin(d)
	shown.came(layer, 4e7)
	var out bytes.Buffer
	if _, err := shown.before(&out).Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	drawn := screen.String()
	layer.told = time.Time{} // it is time to tell once more
	shown.came(layer, 1e7)
	shown.end(layer)
	shown.Close()
	if got := screen.String(); got != drawn || out.String() != "text" {
		t.Errorf("%q was drawn after %q", got[len(drawn):], out.String())
	}
}

// watchJSON does something with a reading for programs, and returns the events that are
// told, one a line: the kind, of a blob its size and how many bytes have come, of all that
// is read how many have come of how many.
func watchJSON(t *testing.T, do func(shown *reading)) string {
	t.Helper()
	var errs bytes.Buffer
	f := &Factory{Err: term.NewScreen(term.Open(&errs, nil)), Flags: &Flags{Progress: term.JSON}}
	shown, err := f.reading()
	if err != nil {
		t.Fatal(err)
	}
	do(shown)
	shown.Close()
	var lines strings.Builder
	for events := json.NewDecoder(&errs); events.More(); {
		var e struct {
			Event              string
			Size, Bytes, Total int64
		}
		if err := events.Decode(&e); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&lines, e.Event, e.Bytes, "of", e.Size+e.Total)
	}
	return lines.String()
}

func TestTheEndOfOneReadingLeavesTheOthersOfItsBlob(t *testing.T) {
	d := func(size int64) ocispec.Descriptor {
		return ocispec.Descriptor{Digest: digest.FromString("layer"), Size: size}
	}
	for _, tt := range []struct {
		name string
		do   func(shown *reading)
		want string
	}{
		{"the one that is shown ends first", func(shown *reading) {
			one, two := shown.begin(d(100)), shown.begin(d(200))
			shown.came(two, 50)
			shown.came(one, 100)
			shown.end(one)
			<-time.After(blobToldEvery)
			shown.came(two, 60)
			shown.end(two)
		}, "blob-start 0 of 100\nblob-progress 100 of 100\nblob-done 0 of 100\nblob-start 50 of 200\nblob-progress 110 of 200\nblob-done 0 of 200\n"},
		{"the other ends first", func(shown *reading) {
			one, two := shown.begin(d(100)), shown.begin(d(200))
			shown.came(two, 200)
			shown.end(two)
			shown.came(one, 50)
			shown.end(one)
		}, "blob-start 0 of 100\nblob-progress 50 of 100\nblob-done 0 of 100\n"},
		{"what breaks off and is read once more", func(shown *reading) {
			one := shown.begin(d(100))
			shown.came(one, 40)
			shown.end(one)
			again := shown.begin(d(100))
			<-time.After(paceToldEvery)
			shown.came(again, 100)
			shown.end(again)
		}, "blob-start 0 of 100\nblob-progress 40 of 100\nblob-done 0 of 100\nblob-start 0 of 100\nblob-progress 100 of 100\nprogress 140 of 140\nblob-done 0 of 100\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := watchJSON(t, tt.do); got != tt.want {
				t.Errorf("%s:\n%s, want\n%s", tt.name, got, tt.want)
			}
		})
	}
}
