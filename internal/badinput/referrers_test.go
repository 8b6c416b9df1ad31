package badinput

import (
	"strconv"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// referred is an image that n manifests with so many bytes refer to.
func referred(n, bytes int) func(w *workshop) ocispec.Descriptor {
	return func(w *workshop) ocispec.Descriptor {
		root := w.image(w.layer(), "")
		for i := range n {
			w.refer(root, strconv.Itoa(i)+strings.Repeat("x", bytes))
		}
		return root
	}
}

// chained is an image that n manifests refer to, each to the one before it.
func chained(n int) func(w *workshop) ocispec.Descriptor {
	return func(w *workshop) ocispec.Descriptor {
		root := w.image(w.layer(), "")
		subject := root
		for i := range n {
			subject = w.refer(subject, strconv.Itoa(i))
		}
		return root
	}
}

// refer adds a manifest that refers to subject, with a note.
func (w *workshop) refer(subject ocispec.Descriptor, note string) ocispec.Descriptor {
	return w.image("", `,"subject":`+described(subject, "", "")+`,"n":"`+note+`"`)
}

// TestReferrers copies images that are referred to in more ways than there can be reason for.
func TestReferrers(t *testing.T) {
	tests := []struct {
		name string
		make func(w *workshop) ocispec.Descriptor
		code int
		says string
	}{
		{"60", referred(60, 0), 0, ""}, // each is synchronised with the disk, so that more would measure the disk
		{"15 of 1 MiB", referred(15, 1<<20), 0, ""},
		{"17 of 1 MiB", referred(17, 1<<20), 6, "more than 16777216 bytes"},
		{"5 of 3.9 MiB", referred(5, 3900<<10), 6, "more than 16777216 bytes"},
		{"5,000", referred(5000, 0), 6, "over the limit of 4096"},
		{"8 that refer to one another", chained(8), 0, ""},
		{"100 that refer to one another", chained(100), 6, "more than 8 times over"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var w workshop
			root := s.give(&w.Builder, tt.make(&w))
			s.copied(root, tt.code, tt.says)
		})
	}
}
