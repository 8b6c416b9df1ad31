package backup

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func blobOf(text string) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromString(text), Size: int64(len(text))}
}

func TestADescriptionIsReadAsItWasWritten(t *testing.T) {
	want := Description{Base: digest.FromString("base"), Index: digest.FromString("index"), Blobs: sorted([]ocispec.Descriptor{blobOf("a"), blobOf("bb"), blobOf("ccc")})}
	raw, id, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, again, err := Parse(raw)
	if err != nil || again != id || id != digest.FromBytes(raw) {
		t.Fatalf("ID %s, want %s, %v", again, id, err)
	}
	if other, _, err := got.Encode(); err != nil || !bytes.Equal(other, raw) {
		t.Errorf("it is written as\n%s\nand was\n%s\n%v", other, raw, err)
	}
	when := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	line, err := EncodeLast(when, "/a\nb.tar", raw)
	if err != nil {
		t.Fatal(err)
	}
	last, err := ParseLast(line)
	if err != nil || last.ID != id || last.File != "/a\nb.tar" || !last.Time.Equal(when) || len(last.Blobs) != 3 {
		t.Errorf("the last backup is %+v, %v", last, err)
	}
	for _, broken := range []string{"", "{}", "{}\n", "no\n" + string(raw)} {
		if _, err := ParseLast([]byte(broken)); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v, want invalid", broken, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	raw, _, err := Description{Index: digest.FromString("index"), Blobs: []ocispec.Descriptor{blobOf("a")}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":1,"index":"sha256:x","blobs":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, id, err := Parse(raw)
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("error has no class: %v", err)
			}
			return
		}
		if id != digest.FromBytes(raw) {
			t.Errorf("ID is %s", id)
		}
		again, _, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Parse(again); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}

// line returns backups of which each is the base of the next.
func line(t *testing.T, names ...string) []*Part {
	t.Helper()
	var parts []*Part
	var base digest.Digest
	for _, name := range names {
		d := Description{Base: base, Index: digest.FromString(name)}
		_, id, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, &Part{Path: name, ID: id, Description: d})
		base = id
	}
	return parts
}

func TestAChainIsOneLine(t *testing.T) {
	p, q := line(t, "full", "mon", "tue", "wed"), line(t, "other", "thu")
	fork := line(t, "full", "mon", "fri")
	tests := []struct {
		name  string
		given []*Part
		want  string // the order, or the error
		fails bool
	}{
		{"in order", p, "full mon tue wed", false},
		{"in any order", []*Part{p[2], p[0], p[3], p[1]}, "full mon tue wed", false},
		{"a full one alone", p[:1], "full", false},
		{"its end alone", p[2:], "tue wed", false},
		{"nothing", nil, "no backup was given", true},
		{"one is missing", []*Part{p[0], p[2]}, "tue builds on backup " + p[1].ID.String() + ", which is none of those given", true},
		{"two full ones", []*Part{p[0], q[0]}, "full and other are both full backups", true},
		{"two lines", []*Part{p[0], p[1], q[1]}, "thu builds on backup " + q[0].ID.String(), true},
		{"a fork", []*Part{p[0], p[1], fork[2], p[2]}, "both build on mon", true},
		{"one twice", []*Part{p[0], p[0]}, "are the same backup", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := NewChain(tt.given)
			var paths []string
			for _, part := range c {
				paths = append(paths, part.Path)
			}
			switch {
			case tt.fails && (!errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error is %v, want %s", err, tt.want)
			case !tt.fails && (err != nil || strings.Join(paths, " ") != tt.want):
				t.Errorf("chain is %q, %v, want %s", paths, err, tt.want)
			}
		})
	}
}
