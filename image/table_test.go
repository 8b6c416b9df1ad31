package image_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// A table that nobody can rely on is as if there were none. What one manifest says
// about a layer is not what another hears of it.
func TestTablesThatCannotBeVerifiedArePassedOver(t *testing.T) {
	var b builder
	plain := b.layer(allKinds()...)
	star := stargz(t, &b, tarOf(allKinds()...))
	chunked := zstdChunked(t, &b, tarOf(allKinds()...))
	const checksum, position = "io.github.containers.zstd-chunked.manifest-checksum", "io.github.containers.zstd-chunked.manifest-position"
	evil := sumOf("evil").String()
	tests := map[string]struct {
		d           ocispec.Descriptor
		annotations map[string]string
	}{
		"no eStargz":                  {plain, map[string]string{stargzAnnotation: evil}},
		"another table of an eStargz": {star, map[string]string{stargzAnnotation: evil}},
		"no digest":                   {star, map[string]string{stargzAnnotation: "x"}},
		"another manifest":            {chunked, map[string]string{checksum: evil, position: chunked.Annotations[position]}},
		"no position":                 {chunked, map[string]string{checksum: chunked.Annotations[checksum]}},
		"a position past the end":     {chunked, map[string]string{checksum: evil, position: "9223372036854775807:9223372036854775807:1:1"}},
		"a position somewhere else":   {chunked, map[string]string{checksum: chunked.Annotations[checksum], position: "8:100:100:1"}},
		"a type that is not known":    {chunked, map[string]string{checksum: evil, position: "8:100:100:2"}},
		"a position that is none":     {chunked, map[string]string{checksum: evil, position: "a:b"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.d.Annotations = tt.annotations
			cache := &memoryCache{}
			got, err := image.Reader{Cache: cache}.Contents(t.Context(), &b.place, tt.d)
			if err != nil {
				t.Fatal(err)
			}
			if got.Table != "" || got.DiffID == "" {
				t.Errorf("table %s was relied on", got.Table)
			}
		})
	}
}

// Two manifests may say of one layer that it carries different tables.
func TestATableCountsForThoseOnlyWhoNameIt(t *testing.T) {
	var b builder
	d := stargz(t, &b, tarOf(allKinds()...))
	cache := &memoryCache{}
	if got, err := (image.Reader{Cache: cache}).Contents(t.Context(), &b.place, d); err != nil || got.Table == "" {
		t.Fatal(got, err)
	}
	d.Annotations = nil
	got, err := image.Reader{Cache: cache}.Contents(t.Context(), &b.place, d)
	if err != nil || got.Table != "" {
		t.Errorf("got table %q, %v", got.Table, err)
	}
}

// lying returns a zstd:chunked layer whose manifest is json, and carries its
// right checksum.
func lying(b *builder, json string) ocispec.Descriptor {
	z, err := zstd.NewWriter(nil)
	must(err)
	blob := packed(zstandard, tarOf(file("f", "f")))
	table := z.EncodeAll([]byte(json), nil)
	at := len(blob) + 8
	blob = append(blob, 0x50, 0x2a, 0x4d, 0x18, byte(len(table)), byte(len(table)>>8), byte(len(table)>>16), 0)
	d := b.blob(ocispec.MediaTypeImageLayerZstd, append(blob, table...))
	d.Annotations = map[string]string{
		"io.github.containers.zstd-chunked.manifest-checksum": digest.FromBytes(table).String(),
		"io.github.containers.zstd-chunked.manifest-position": fmt.Sprintf("%d:%d:%d:1", at, len(table), len(json)),
	}
	return d
}

func TestTablesThatDoNotTellEnoughArePassedOver(t *testing.T) {
	sum := sumOf("f").String()
	tests := map[string]string{
		"not JSON":                 "x",
		"no object":                "[]",
		"no entries":               `{"version":1}`,
		"entries that are none":    `{"version":1,"entries":{}}`,
		"cut off":                  `{"version":1,"entries":[{"type":"dir","name":"d"}`,
		"a file without a digest":  `{"version":1,"entries":[{"type":"reg","name":"f","size":1,"offset":1}]}`,
		"a digest of another kind": `{"version":1,"entries":[{"type":"reg","name":"f","size":1,"offset":1,"digest":"sha512:` + strings.Repeat("a", 128) + `"}]}`,
		"an unknown type":          `{"version":1,"entries":[{"type":"hologram","name":"f"}]}`,
		"less than no bytes":       `{"version":1,"entries":[{"type":"reg","name":"f","size":-1,"digest":"` + sum + `"}]}`,
		"more than may come out":   `{"version":1,"entries":[{"type":"reg","name":"f","size":9223372036854775807,"digest":"` + sum + `"}]}`,
		"outside of the layer":     `{"version":1,"entries":[{"type":"reg","name":"f","size":1,"offset":100000,"digest":"` + sum + `"}]}`,
		"a chunk of nothing":       `{"version":1,"entries":[{"type":"chunk","name":"f","offset":1}]}`,
		"a name that was no UTF-8": `{"version":1,"entries":[{"type":"dir","name":"caf\ufffd"}]}`,
		"no time":                  `{"version":1,"entries":[{"type":"dir","name":"d","modtime":"yesterday"}]}`,
		"one entry of megabytes":   `{"version":1,"entries":[{"type":"dir","name":"` + strings.Repeat("d", 5<<20) + `"}]}`,
	}
	for name, json := range tests {
		t.Run(name, func(t *testing.T) {
			var b builder
			got, err := image.Reader{}.Contents(t.Context(), &b.place, lying(&b, json))
			if err != nil {
				t.Fatal(err)
			}
			if got.Table != "" || got.Len() != 1 || got.Entry(0).Path != "f" {
				t.Errorf("got %+v", got)
			}
		})
	}
	var b builder
	got, err := image.Reader{}.Contents(t.Context(), &b.place, lying(&b, `{"version":1,"entries":[{"type":"dir","name":"d"}]}`))
	if err != nil || got.Table == "" || got.Entry(0).Path != "d" {
		t.Errorf("a table that tells enough is not read: %+v, %v", got, err)
	}
}

// A dropped is a place that answers, and breaks off before the first byte of a part.
type dropped struct{ content.Source }

func (p dropped) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	if r.Off == 0 {
		return p.Source.Open(ctx, d, r)
	}
	return io.NopCloser(iotest.ErrReader(content.ErrUnavailable)), nil
}

func TestATableThatBreaksOffIsNotPassedOver(t *testing.T) {
	var b builder
	_, err := image.Reader{}.Contents(t.Context(), dropped{&b.place}, lying(&b, `{"version":1,"entries":[]}`))
	if !errors.Is(err, content.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
