package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// A counted is a source that counts the bytes it gives of layers, and how often
// it is asked for one.
type counted struct {
	content.Source

	mu     sync.Mutex
	opened map[digest.Digest]int
	bytes  int64
}

func (c *counted) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	rc, err := c.Source.Open(ctx, d, r)
	if err != nil || d.MediaType == ocispec.MediaTypeImageConfig {
		return rc, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened == nil {
		c.opened = map[digest.Digest]int{}
	}
	c.opened[d.Digest]++
	return countedBody{rc, c}, nil
}

type countedBody struct {
	io.ReadCloser

	c *counted
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	b.c.bytes += int64(n)
	return n, err
}

// A memoryCache is a cache that lives as long as the test.
type memoryCache struct{ sync.Map }

func (c *memoryCache) Load(key string) ([]byte, bool) {
	raw, ok := c.Map.Load(key)
	if !ok {
		return nil, false
	}
	return raw.([]byte), true
}

func (c *memoryCache) Store(key string, raw []byte) { c.Map.Store(key, raw) }

// only returns what is stored, of which there is one.
func (c *memoryCache) only() (key string, raw []byte) {
	c.Range(func(k, v any) bool {
		key, raw = k.(string), v.([]byte)
		return false
	})
	return key, raw
}

func sumOf(text string) digest.Digest { return digest.FromString(text) }

// allKinds are entries of every kind, in no particular order.
func allKinds() []entry {
	at := time.Unix(1_700_000_000, 0)
	entries := []entry{
		folder("./"),
		owned(folder("usr/bin/"), 1, 2, 0o1755),
		owned(file("usr/bin/su", strings.Repeat("su ", 5000)), 0, 0, 0o4755),
		withXattr(file("usr/bin/ping", "ping"), "security.capability", "\x01\x00\x00\x02\xff"),
		hardlink("usr/bin/ping6", "usr/bin/ping"),
		symlink("bin", "usr/bin"),
		file("empty", ""),
		device("dev/null", tar.TypeChar, 1, 3),
		device("dev/sda", tar.TypeBlock, 8, 1),
		device("pipe", tar.TypeFifo, 0, 0),
		file("usr/.wh.share", ""),
		file("opt/.wh..wh..opq", ""),
		file("caf\u00e9 \"x\"\n", "odd"),
	}
	for i := range entries {
		entries[i].ModTime = at.Add(time.Duration(i) * time.Hour)
	}
	return entries
}

func TestContentsAreWhatTheTarHas(t *testing.T) {
	var b builder
	d := b.layer(allKinds()...)
	got, err := image.Reader{}.Contents(t.Context(), &b.place, d)
	if err != nil {
		t.Fatal(err)
	}
	raw := tarOf(allKinds()...)
	if got.Layer != d.Digest || got.Table != "" || got.DiffID != digest.FromBytes(raw) || got.Unpacked != int64(len(raw)) || got.Size() != 15_000+7 {
		t.Errorf("got %s %s %s %d %d", got.Layer, got.Table, got.DiffID, got.Unpacked, got.Size())
	}
	var lines []string
	for _, e := range got.All() {
		what := fmt.Sprintf("%q %c %o %d:%d %d %d %q %d,%d %q", e.Path, e.Type, e.Mode, e.UID, e.GID, e.Size, e.ModTime.Unix()-1_700_000_000, e.Link, e.Major, e.Minor, e.Xattrs)
		if (e.Type == tar.TypeReg) != (e.Digest != "") {
			what += " digest " + e.Digest.String()
		}
		if removed, ok := e.Whiteout(); ok {
			what += " removes " + removed
		}
		if emptied, ok := e.Opaque(); ok {
			what += " empties " + emptied
		}
		lines = append(lines, what)
	}
	want := []string{
		`"" 5 755 0:0 0 0 "" 0,0 map[]`,
		`"usr/bin" 5 1755 1:2 0 3600 "" 0,0 map[]`,
		`"usr/bin/su" 0 4755 0:0 15000 7200 "" 0,0 map[]`,
		`"usr/bin/ping" 0 644 0:0 4 10800 "" 0,0 map["security.capability":"\x01\x00\x00\x02\xff"]`,
		`"usr/bin/ping6" 1 0 0:0 0 14400 "usr/bin/ping" 0,0 map[]`,
		`"bin" 2 777 0:0 0 18000 "usr/bin" 0,0 map[]`,
		`"empty" 0 644 0:0 0 21600 "" 0,0 map[]`,
		`"dev/null" 3 600 0:0 0 25200 "" 1,3 map[]`,
		`"dev/sda" 4 600 0:0 0 28800 "" 8,1 map[]`,
		`"pipe" 6 600 0:0 0 32400 "" 0,0 map[]`,
		`"usr/.wh.share" 0 644 0:0 0 36000 "" 0,0 map[] removes usr/share`,
		`"opt/.wh..wh..opq" 0 644 0:0 0 39600 "" 0,0 map[] empties opt`,
		`"café \"x\"\n" 0 644 0:0 3 43200 "" 0,0 map[]`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if got.Entry(3).Digest != sumOf("ping") || got.Entry(6).Digest != sumOf("") {
		t.Errorf("digests are %s and %s", got.Entry(3).Digest, got.Entry(6).Digest)
	}
}

const stargzAnnotation = estargz.TOCJSONDigestAnnotation

// A packer makes a layer that carries a table of contents.
type packer func(tb testing.TB, b *builder, raw []byte) ocispec.Descriptor

func stargz(tb testing.TB, b *builder, raw []byte) ocispec.Descriptor {
	tb.Helper()
	return tabled(tb, b, raw, ocispec.MediaTypeImageLayerGzip)
}

func stargzInFewMembers(tb testing.TB, b *builder, raw []byte) ocispec.Descriptor {
	tb.Helper()
	return tabled(tb, b, raw, ocispec.MediaTypeImageLayerGzip, estargz.WithMinChunkSize(20_000), estargz.WithChunkSize(6000))
}

func zstdChunked(tb testing.TB, b *builder, raw []byte) ocispec.Descriptor {
	tb.Helper()
	annotations := map[string]string{}
	c := struct {
		*zstdchunked.Compressor
		*zstdchunked.Decompressor
	}{&zstdchunked.Compressor{CompressionLevel: zstd.SpeedDefault, Metadata: annotations}, &zstdchunked.Decompressor{}}
	d := tabled(tb, b, raw, ocispec.MediaTypeImageLayerZstd, estargz.WithCompression(c), estargz.WithChunkSize(6000))
	d.Annotations = map[string]string{}
	for key, value := range annotations { // as containers/storage has it today
		d.Annotations[strings.Replace(key, "io.containers.", "io.github.containers.", 1)] = value
	}
	return d
}

func tabled(tb testing.TB, b *builder, raw []byte, mediaType string, o ...estargz.Option) ocispec.Descriptor {
	tb.Helper()
	blob, err := estargz.Build(io.NewSectionReader(bytes.NewReader(raw), 0, int64(len(raw))), o...)
	if err != nil {
		tb.Fatal(err)
	}
	stored, err := io.ReadAll(blob)
	if err != nil {
		tb.Fatal(err)
	}
	d := b.blob(mediaType, stored)
	d.Annotations = map[string]string{stargzAnnotation: blob.TOCDigest().String()}
	return d
}

var packers = map[string]packer{"eStargz": stargz, "eStargz in few members": stargzInFewMembers, "zstd:chunked": zstdChunked}

// incompressible are files whose bytes are most of a layer.
func incompressible(files, size int) []entry {
	r := rand.New(rand.NewPCG(1, 2))
	var entries []entry
	for i := range files {
		body := make([]byte, size)
		for j := range body {
			body[j] = byte(r.Uint32())
		}
		entries = append(entries, file(fmt.Sprintf("usr/lib/f%d", i), string(body)))
	}
	return entries
}

func TestContentsComeFromTheTableThatALayerCarries(t *testing.T) {
	for name, pack := range packers {
		t.Run(name, func(t *testing.T) {
			var b builder
			d := pack(t, &b, tarOf(append(allKinds(), incompressible(10, 30_000)...)...))
			whole, err := image.Reader{Whole: true}.Contents(t.Context(), &b.place, d)
			if err != nil {
				t.Fatal(err)
			}
			src := &counted{Source: &b.place}
			got, err := image.Reader{}.Contents(t.Context(), src, d)
			if err != nil {
				t.Fatal(err)
			}
			if got.Table == "" || src.bytes*50 > d.Size {
				t.Errorf("%d of %d bytes were read, for table %q", src.bytes, d.Size, got.Table)
			}
			same := cmp.Options{cmpopts.IgnoreUnexported(image.Entry{}), cmpopts.EquateApproxTime(0)}
			if diff := cmp.Diff(entriesIn(whole), entriesIn(got), same); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// entriesIn returns the entries of c.
func entriesIn(c *image.Contents) []image.Entry {
	var all []image.Entry
	for _, e := range c.All() {
		all = append(all, *e)
	}
	return all
}

func TestContentsAreReadOnce(t *testing.T) {
	layers := map[string]packer{"gzip": func(_ testing.TB, b *builder, raw []byte) ocispec.Descriptor {
		return b.blob(ocispec.MediaTypeImageLayerGzip, packed(gzipped, raw))
	}}
	maps.Copy(layers, packers)
	for name, pack := range layers {
		t.Run(name, func(t *testing.T) {
			var b builder
			d := pack(t, &b, tarOf(allKinds()...))
			cache := &memoryCache{}
			first, err := image.Reader{Cache: cache}.Contents(t.Context(), &b.place, d)
			if err != nil {
				t.Fatal(err)
			}
			src := &counted{Source: &b.place}
			second, err := image.Reader{Cache: cache}.Contents(t.Context(), src, d)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first, second, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateApproxTime(0)); diff != "" {
				t.Error(diff)
			}
			if len(src.opened) != 0 {
				t.Errorf("layers were opened: %v", src.opened)
			}
		})
	}
}

// Whatever is on disk, layers are read then.
func TestContentsThatAreBrokenOnDiskAreReadAgain(t *testing.T) {
	var b builder
	d := b.layer(allKinds()...)
	cache := &memoryCache{}
	want, err := image.Reader{Cache: cache}.Contents(t.Context(), &b.place, d)
	if err != nil {
		t.Fatal(err)
	}
	key, good := cache.only()
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	other := &memoryCache{}
	if _, err := (image.Reader{Cache: other}).Contents(t.Context(), &b.place, b.layer(file("other", "x"))); err != nil {
		t.Fatal(err)
	}
	_, others := other.only()
	broken := [][]byte{nil, good[:len(good)-1], flipped, []byte("something else"), packed(zstandard, []byte("wherry contents 2\n")), others}
	for _, raw := range broken {
		cache.Store(key, raw)
		src := &counted{Source: &b.place}
		got, err := image.Reader{Cache: cache}.Contents(t.Context(), src, d)
		if err != nil {
			t.Fatal(err)
		}
		if src.opened[d.Digest] != 1 || got.Len() != want.Len() {
			t.Errorf("%.20q: opened %d times, %d entries", raw, src.opened[d.Digest], got.Len())
		}
	}
}

func TestContentsOnDiskThatPromiseEntriesTakeLittleMemory(t *testing.T) {
	var b builder
	d := b.layer(file("f", "f"))
	cache := &memoryCache{}
	_, err := image.Reader{Cache: cache}.Contents(t.Context(), &b.place, d)
	must(err)
	key, _ := cache.only()
	head := binary.AppendVarint([]byte("wherry contents 2\n\x00\x00\x00\x00"), 1<<20)
	cache.Store(key, packed(zstandard, append(head, make([]byte, 1<<20)...)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = image.Reader{Cache: cache}.Contents(t.Context(), &b.place, d)
	must(err)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("took %d bytes", n)
	}
}

func TestContentsAreVerified(t *testing.T) {
	var b builder
	d := b.layer(allKinds()...)
	cache := &memoryCache{}
	cut := func(p []byte) []byte { return p[:len(p)-1] }
	if _, err := (image.Reader{Cache: cache}).Contents(t.Context(), meddler{&b.place, cut}, d); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	cache.Range(func(k, _ any) bool {
		t.Errorf("%v was kept", k)
		return true
	})
	bomb := b.layer(file("f", strings.Repeat("\x00", 1<<20)))
	if _, err := (image.Reader{MaxUnpacked: 1 << 19}).Contents(t.Context(), &b.place, bomb); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	huge := sparse(1 << 40)
	if _, err := (image.Reader{}).Contents(t.Context(), &b.place, b.blob(ocispec.MediaTypeImageLayer, huge)); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkCachedContents(b *testing.B) {
	var made builder
	entries := make([]entry, 100_000)
	for i := range entries {
		entries[i] = file(fmt.Sprintf("usr/share/doc/package-%d/file-%d", i/20, i), fmt.Sprint(i))
	}
	d := made.layer(entries...)
	cache := &memoryCache{}
	if _, err := (image.Reader{Cache: cache}).Contents(b.Context(), &made.place, d); err != nil {
		b.Fatal(err)
	}
	cache.Range(func(_, v any) bool {
		b.ReportMetric(float64(len(v.([]byte))), "stored-bytes")
		return true
	})
	for b.Loop() {
		c, err := image.Reader{Cache: cache}.Contents(b.Context(), &made.place, d)
		if err != nil || c.Len() != len(entries) {
			b.Fatal(err)
		}
	}
}
