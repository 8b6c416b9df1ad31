package badinput

import (
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// TestConfigsAreShownEscaped inspects images whose config is odd, and copies them as they are.
func TestConfigsAreShownEscaped(t *testing.T) {
	const start = `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}`
	tests := []struct{ name, config, shows, warns string }{
		{"created in year 0", start + `,"created":"0000-01-01T00:00:00Z"}`, "linux/amd64", ""},
		{"created in year 9999", start + `,"created":"9999-12-31T23:59:59Z"}`, "linux/amd64", ""},
		{"created without a date", start + `,"created":""}`, "linux/amd64", `created ""`},
		{"created in escape sequences", start + `,"created":"\u001b[2J"}`, "linux/amd64", `created "\u001b[2J"`},
		{"environment with NUL", start + `,"config":{"Env":["A=\u0000B"]}}`, `A=\x00B`, ""},
		{"labels with escape sequences", start + `,"config":{"Labels":{"a":"\u001b]8;;http://x\u0007","\u202eb":"\u009b2J"}}}`, `\x1b]8;;http://x\x07`, ""},
		{"an author with a line of its own", start + `,"author":"me\nDigest: sha256:0"}`, `me\x0aDigest`, ""},
		{"no platform", `{"rootfs":{"type":"layers","diff_ids":[]}}`, "Digest", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var w workshop
			root := s.give(&w.Builder, w.raw(ociManifest, `"config":`+w.blob(ocispec.MediaTypeImageConfig, tt.config, "", "")+`,"layers":[]`))
			o := s.run(nil, "inspect", "FROM/app:v1")
			if o.Code != 0 || !strings.Contains(o.stdout, tt.shows) {
				t.Errorf("exit code %d, want %q on standard output:\n%s%s", o.Code, tt.shows, o.stdout, o.stderr)
			}
			wantWarning(t, o, tt.warns)
			if o := s.run(nil, "inspect", "--json", "FROM/app:v1"); o.Code != 0 {
				t.Errorf("as JSON: exit code %d:\n%s", o.Code, o.stderr)
			}
			s.arrives(root, "copy", "FROM/app:v1", "oci:layout:v1")
		})
	}
}

// wantWarning wants one line of warning that says so, or none at all.
func wantWarning(t *testing.T, o outcome, says string) {
	t.Helper()
	if says == "" && o.stderr != "" {
		t.Errorf("on standard error:\n%s", o.stderr)
	}
	if says != "" && (!strings.HasPrefix(o.stderr, "wherry: warning: ") || !strings.Contains(o.stderr, says) || strings.Count(o.stderr, "\n") != 1) {
		t.Errorf("want one warning of %q:\n%s", says, o.stderr)
	}
}

func TestDiffIDsThatDoNotFitTheLayersAreTold(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var w workshop
	config := w.blob(ocispec.MediaTypeImageConfig, `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`, "", "")
	root := s.give(&w.Builder, w.raw(ociManifest, `"config":`+config+`,"layers":[`+w.layer()+`]`))
	wantWarning(t, s.run(nil, "inspect", "FROM/app:v1"), "0 diff IDs for 1 layers")
	s.arrives(root, "copy", "FROM/app:v1", "oci:layout:v1")
}

// TestSizesThatAreNotThoseOfTheBlobs finds out while the bytes move.
func TestSizesThatAreNotThoseOfTheBlobs(t *testing.T) {
	tests := []struct{ name, size, says string }{
		{"a byte too many", "8", "got 7 bytes, want 8"},
		{"a byte too few", "6", "got 7 bytes or more, want 6"},
		{"1 GiB", "1073741824", "got 7 bytes, want 1073741824"},
		{"none", "0", "got bytes whose digest is " + digest.FromString("").String()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var w workshop
			s.give(&w.Builder, w.image(w.blob("application/x", "a layer", tt.size, ""), ""))
			for _, to := range []string{"TO/app:v1", "oci:layout:v1", "oci-archive:image.tar:v1"} {
				s.refusedLate(nil, 6, tt.says, "copy", "FROM/app:v1", to)
			}
		})
	}
}

// TestAChildThatIsItsOwnIndex is a cycle, which only a registry that lies can have.
func TestAChildThatIsItsOwnIndex(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	img := testimage.Index(3)
	img.PutTo(s.from, repo, tag)
	for d := range img.Manifests {
		if d != img.Root.Digest {
			s.from.PutManifest(repo, d.String(), ociIndex, img.Manifests[img.Root.Digest].Bytes)
		}
	}
	for _, to := range []string{"TO/app:v1", "oci:layout:v1"} {
		s.refused(nil, 6, "digest", "copy", "FROM/app:v1", to)
	}
}

func TestManifestsWithoutEnd(t *testing.T) {
	for _, fault := range []string{"longer=600MiB", "endless"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			testimage.Index(3).PutTo(s.from, repo, tag)
			f, err := testregistry.ParseFault(fault + ",kind=manifest,method=GET")
			must(t, err)
			s.from.SetFaults(f)
			s.refused(nil, 6, "4194304", "copy", "FROM/app:v1", "TO/app:v1")
		})
	}
}

// TestPlatformsThatAreOdd picks one of several images in the same way each time.
func TestPlatformsThatAreOdd(t *testing.T) {
	var b testimage.Builder
	image := func(platform string) ocispec.Descriptor { return b.Image(platform, b.Layer(testimage.Gzip, 100)) }
	none := image("linux/amd64")
	none.Platform = nil
	unknown, first, second, v8 := image("unknown/unknown"), image("linux/amd64"), image("linux/amd64"), image("linux/arm64/v8")
	odd := image("\x1b[2J/\u202e")
	img := b.Done(b.Index(none, unknown, first, second, v8, odd))
	tests := []struct {
		platform string
		want     digest.Digest
		says     string
	}{
		{"linux/amd64", first.Digest, ""},
		{"linux/arm64", v8.Digest, ""},
		{"linux/arm64/v8", v8.Digest, ""},
		{"unknown/unknown", unknown.Digest, ""},
		{"linux/s390x", "", "unknown/unknown, linux/amd64, linux/amd64, linux/arm64, "},
		{"linux/arm64/v7", "", `linux/arm64, \x1b[2J/\u202e)`},
	}
	for _, tt := range tests {
		t.Run(tt.platform, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			img.PutTo(s.from, repo, tag)
			if tt.want == "" {
				s.refused(nil, 4, tt.says, "inspect", "--platform", tt.platform, "FROM/app:v1")
				s.refused(nil, 4, tt.says, "copy", "--platform", tt.platform, "FROM/app:v1", "oci:layout:v1")
				return
			}
			for range 2 {
				o := s.run(nil, "digest", "--platform", tt.platform, "FROM/app:v1")
				if strings.TrimSpace(o.stdout) != tt.want.String() {
					t.Errorf("exit code %d, picked %s, want %s\n%s", o.Code, o.stdout, tt.want, o.stderr)
				}
			}
		})
	}
}

// TestAFallbackTagThatIsNoIndex is never written over.
func TestAFallbackTagThatIsNoIndex(t *testing.T) {
	img := testimage.WithReferrers(3)
	fallback := "sha256-" + img.Root.Digest.Encoded()
	t.Run("at the destination", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		s.to = testregistry.Start(t, testregistry.Config{NoReferrers: true})
		other := testimage.Single(4)
		other.PutTo(s.to, repo, fallback)
		img.PutTo(s.from, repo, tag)
		o := s.run(nil, "copy", "--quiet", "FROM/app:v1", "TO/app:v1")
		if s.to.Digest(repo, fallback) != other.Root.Digest || s.to.Digest(repo, tag) != img.Root.Digest || o.Code != 0 {
			t.Errorf("it was written over, or the image is not there: exit code %d", o.Code)
		}
		wantWarning(t, o, fallback)
	})
	t.Run("at the source", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		s.from = testregistry.Start(t, testregistry.Config{NoReferrers: true})
		testimage.Single(4).PutTo(s.from, repo, fallback)
		img.PutTo(s.from, repo, tag)
		wantWarning(t, s.run(nil, "copy", "--quiet", "FROM/app:v1", "TO/app:v1"), fallback)
		if s.to.Digest(repo, tag) != img.Root.Digest {
			t.Error("the image is not there")
		}
	})
	t.Run("that is the image itself", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		s.from = testregistry.Start(t, testregistry.Config{NoReferrers: true})
		img.PutTo(s.from, repo, tag)
		s.from.Tag(repo, fallback, img.Root.Digest)
		s.arrives(img.Root.Digest, "copy", "FROM/app:v1", "TO/app:v1")
	})
}

// TestADigestCountsMoreThanATag warns where they differ.
func TestADigestCountsMoreThanATag(t *testing.T) {
	old, current := testimage.Single(3), testimage.Single(4)
	tests := []struct{ name, tag, warns string }{
		{"the tag is the digest's", "old", ""},
		{"the tag is another's", "new", "is " + current.Root.Digest.String() + " now"},
		{"the tag is not there", "none", "is not there"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			old.PutTo(s.from, repo, "old")
			current.PutTo(s.from, repo, "new")
			ref := "FROM/app:" + tt.tag + "@" + old.Root.Digest.String()
			wantWarning(t, s.run(nil, "inspect", ref), tt.warns)
			o := s.run(nil, "copy", "--quiet", ref, "TO/app:v2")
			if got := s.to.Digest(repo, "v2"); o.Code != 0 || got != old.Root.Digest {
				t.Errorf("exit code %d, got %s, want %s", o.Code, got, old.Root.Digest)
			}
			wantWarning(t, o, tt.warns)
		})
	}
}

// TestArchivesThatAreCutOff cuts one at every block: it is refused, or it is the whole image.
func TestArchivesThatAreCutOff(t *testing.T) {
	raw, err := io.ReadAll(good()(t))
	must(t, err)
	s := newScene(t)
	s.write("whole.tar", raw)
	want := s.run(nil, "digest", "./whole.tar").stdout
	for n := 0; n < len(raw); n += 512 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.write("in.tar", raw[:n])
			before := s.state()
			o := s.run(nil, "validate", "./in.tar")
			d := s.run(nil, "digest", "./in.tar")
			if o.Code != 6 && (o.Code != 0 || d.stdout != want) {
				t.Errorf("exit code %d, digest %s\n%s", o.Code, d.stdout, o.stderr)
			}
			if diff := cmp.Diff(before, s.state()); diff != "" {
				t.Errorf("something has changed: %s", diff)
			}
		})
	}
}

func TestAnArchiveWithoutAnEndIsShownWithAWarning(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	raw, err := io.ReadAll(good()(t))
	must(t, err)
	s.write("in.tar", raw[:len(raw)-1024])
	o := s.run(nil, "inspect", "./in.tar")
	if o.Code != 0 {
		t.Errorf("exit code %d", o.Code)
	}
	wantWarning(t, o, "no end marker")
}
