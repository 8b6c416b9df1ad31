package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func TestModesAreThoseOfLs(t *testing.T) {
	for mode, want := range map[int64]string{
		0o755: "drwxr-xr-x", 0: "d---------", 0o4755: "drwsr-xr-x", 0o4644: "drwSr--r--", 0o2755: "drwxr-sr-x",
		0o2745: "drwxr-Sr-x", 0o1777: "drwxrwxrwt", 0o1776: "drwxrwxrwT", 0o7777: "drwsrwsrwt",
	} {
		if got := lsMode('d', mode); got != want {
			t.Errorf("%o: got %s, want %s", mode, got, want)
		}
	}
}

func TestLayersArePickedByNumberOrDigest(t *testing.T) {
	var layers []ocispec.Descriptor
	for _, begin := range []string{"aaaa11", "aaaa22", "123456", "aaaa11"} {
		layers = append(layers, ocispec.Descriptor{Digest: digest.Digest("sha256:" + begin + strings.Repeat("0", 58))})
	}
	tests := []struct {
		which string
		want  int // from 1; 0 is not found, -1 a mistake
	}{
		{"1", 1},
		{"4", 4},
		{"0", 0},
		{"5", 0},
		{"-1", 0},
		{"1234", 3},
		{"sha256:aaaa2", 2},
		{"aaaa1", 1},
		{layers[2].Digest.String(), 3},
		{"aaaa", -1},
		{"aaa", 0},
		{"sha256:", 0},
		{"bbbb", 0},
	}
	for _, tt := range tests {
		n, err := pickLayer(layers, tt.which)
		got := n + 1
		switch {
		case isUsage(err):
			got = -1
		case errors.Is(err, content.ErrNotFound):
			got = 0
		case err != nil:
			t.Error(err)
		}
		if got != tt.want {
			t.Errorf("%q: got %d, want %d", tt.which, got, tt.want)
		}
	}
}

// However text is cut into pieces, a terminal gets the same, with its last line
// ended, and nothing that would steer it.
func TestFilesAreWrittenForEyes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"a\tb\n":                              "a\tb\n",
		"no end":                              "no end\n",
		"\x1b[2J caf\u00e9 \u20ac \U0001f600": "\\x1b[2J caf\u00e9 \u20ac \U0001f600\n",
		"cut \xe2\x82":                        "cut \\xe2\\x82\n",
		"\xe2\x82\xff\x80\n":                  "\\xe2\\x82\\xff\\x80\n",
	} {
		for size := 1; size <= len(text)+1; size++ {
			var out strings.Builder
			w := &textWriter{w: &out}
			for at := 0; at < len(text); at += size {
				if _, err := w.Write([]byte(text[at:min(at+size, len(text))])); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil || out.String() != want {
				t.Errorf("%q in pieces of %d: %q, %v", text, size, out.String(), err)
			}
		}
	}
}
