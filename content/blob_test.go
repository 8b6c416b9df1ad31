package content_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A stream is a source that cannot seek. It counts what is open.
type stream struct {
	content.Source
	data []byte
	open int
}

func (s *stream) Open(_ context.Context, _ ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	if r != (content.Range{}) {
		return nil, errors.ErrUnsupported
	}
	s.open++
	return &tracked{Reader: iotest.OneByteReader(bytes.NewReader(s.data)), closed: func() { s.open-- }}, nil
}

func (s *stream) Origin() (host, repository string) { return "registry.example", "app" }

type tracked struct {
	io.Reader
	closed func()
}

func (r *tracked) Close() error {
	r.closed()
	return nil
}

func TestNewBlobReadsAnySpanOfASourceThatCannotSeek(t *testing.T) {
	data := []byte("0123456789")
	d := ocispec.Descriptor{Digest: digest.FromBytes(data), Size: 10}
	tests := []struct {
		name string
		r    content.Range
		want string
		err  error
	}{
		{"all", content.Range{}, "0123456789", nil},
		{"all, by its length", content.Range{Len: 10}, "0123456789", nil},
		{"the middle", content.Range{Off: 3, Len: 4}, "3456", nil},
		{"the end", content.Range{Off: 7}, "789", nil},
		{"nothing", content.Range{Off: 10}, "", nil},
		{"past the end", content.Range{Off: 11}, "", content.ErrInvalid},
		{"over the end", content.Range{Off: 9, Len: 2}, "", content.ErrInvalid},
		{"before the start", content.Range{Off: -1}, "", content.ErrInvalid},
		{"a negative length", content.Range{Len: -1}, "", content.ErrInvalid},
		{"numbers that overflow", content.Range{Off: 1 << 62, Len: 1 << 62}, "", content.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := &stream{data: data}
			rc, err := content.NewBlob(src, d).Open(t.Context(), tt.r)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Open: %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			got, err := io.ReadAll(rc)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if err := rc.Close(); err != nil || src.open != 0 {
				t.Errorf("Close: %v, and %d readers are open", err, src.open)
			}
		})
	}
}

func TestNewBlobOfAStreamThatEndsEarlyIsCorrupt(t *testing.T) {
	src := &stream{data: []byte("012")}
	d := ocispec.Descriptor{Digest: digest.FromString("0123456789"), Size: 10}
	_, err := content.NewBlob(src, d).Open(t.Context(), content.Range{Off: 5})
	if !errors.Is(err, content.ErrCorrupt) || src.open != 0 {
		t.Errorf("got %v with %d readers open; want corrupt content", err, src.open)
	}
}

func TestNewBlobShowsTheAbilitiesOfItsSource(t *testing.T) {
	b := content.NewBlob(&stream{}, ocispec.Descriptor{Size: 3})
	if b.Descriptor().Size != 3 {
		t.Errorf("Descriptor() = %+v", b.Descriptor())
	}
	o, ok := content.As[content.Originer](b)
	if !ok {
		t.Fatal("the source's origin is not found")
	}
	if host, repository := o.Origin(); host != "registry.example" || repository != "app" {
		t.Errorf("Origin() = %s, %s", host, repository)
	}
}

// A window lets what is below it be seen; a wall does not.
type window struct{ inner any }

func (w window) Unwrap() any { return w.inner }

type wall struct{ content.Source }

type resolver struct {
	window
	ocispec.Descriptor
}

func (r resolver) Resolve(context.Context, string) (ocispec.Descriptor, error) {
	return r.Descriptor, nil
}

func TestAsLooksThroughDecorators(t *testing.T) {
	memory := &content.Memory{}
	outer := resolver{window{memory}, ocispec.Descriptor{Size: 7}}
	tests := []struct {
		name string
		v    any
		find bool
	}{
		{"itself", memory, true},
		{"one decorator", window{memory}, true},
		{"three decorators", window{window{window{memory}}}, true},
		{"a decorator without Unwrap", wall{memory}, false},
		{"a decorator around one without Unwrap", window{wall{memory}}, false},
		{"nothing", nil, false},
		{"a decorator around nothing", window{nil}, false},
		{"something else", "text", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := content.As[content.Deleter](tt.v)
			if ok != tt.find || ok != (got != nil) {
				t.Errorf("As = %v, %t; want %t", got, ok, tt.find)
			}
		})
	}
	r, ok := content.As[content.Resolver](window{outer})
	if !ok {
		t.Fatal("no resolver found")
	}
	if d, err := r.Resolve(t.Context(), "v1"); err != nil || d.Size != 7 {
		t.Errorf("the inner resolver was found before the outer one: %+v, %v", d, err)
	}
}

func TestVerifier(t *testing.T) {
	const data = "all of the bytes"
	right := ocispec.Descriptor{Digest: digest.FromString(data), Size: int64(len(data))}
	by512 := ocispec.Descriptor{Digest: digest.SHA512.FromString(data), Size: right.Size}
	sized := func(n int64) ocispec.Descriptor { return ocispec.Descriptor{Digest: right.Digest, Size: n} }
	tests := []struct {
		name string
		d    ocispec.Descriptor
		data string
		want error
		says string
	}{
		{"the right bytes", right, data, nil, ""},
		{"the right bytes by sha512", by512, data, nil, ""},
		{"no bytes", ocispec.Descriptor{Digest: digest.FromString("")}, "", nil, ""},
		{"a flipped bit", right, "all of the Bytes", content.ErrCorrupt, "got bytes whose digest is sha256:"},
		{"a flipped bit by sha512", by512, "all of the Bytes", content.ErrCorrupt, "got bytes whose digest is sha512:"},
		{"too few", right, data[:10], content.ErrCorrupt, "got 10 bytes, want 16"},
		{"too many", right, data + "!", content.ErrCorrupt, "got 17 bytes or more, want 16"},
		{"many too many", right, data + strings.Repeat("!", 1<<20), content.ErrCorrupt, "got 17 bytes or more, want 16"},
		{"a smaller size", sized(3), data, content.ErrCorrupt, "got 4 bytes or more, want 3"},
		{"a negative size", sized(-1), data, content.ErrCorrupt, "want -1"},
		{"the largest size", sized(1<<63 - 1), data, content.ErrCorrupt, "want 9223372036854775807"},
		{"an unknown algorithm", ocispec.Descriptor{Digest: "md5:d41d8cd98f00b204e9800998ecf8427e"}, data, content.ErrInvalid, "not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, verify := range map[string]func(ocispec.Descriptor, string) error{"reader": verifyReader, "verifier": verifyWriter} {
				err := verify(tt.d, tt.data)
				if !errors.Is(err, tt.want) || (err != nil && !strings.Contains(err.Error(), tt.says)) {
					t.Errorf("%s: got %v; want %v that says %q", name, err, tt.want, tt.says)
				}
			}
		})
	}
}

func verifyReader(d ocispec.Descriptor, data string) error {
	under := strings.NewReader(data)
	r, err := content.VerifyReader(under, d)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, iotest.HalfReader(r))
	if read := int64(len(data) - under.Len()); d.Size >= 0 && read-1 > d.Size {
		return errors.New("more than one byte past the size was read")
	}
	if _, again := r.Read(make([]byte, 1)); err != nil && !errors.Is(again, content.ErrCorrupt) {
		return errors.New("a second read forgets the mismatch")
	}
	return err
}

func verifyWriter(d ocispec.Descriptor, data string) error {
	v, err := content.NewVerifier(d)
	if err != nil {
		return err
	}
	for p := range bytes.Lines([]byte(strings.ReplaceAll(data, " ", " \n"))) {
		p = bytes.TrimSuffix(p, []byte("\n"))
		if _, err := v.Write(p); err != nil {
			if v.Check() == nil {
				return errors.New("Check forgets what Write found")
			}
			return err
		}
	}
	if v.Size() != int64(len(data)) {
		return errors.New("Size is wrong")
	}
	return v.Check()
}

func TestVerifyReaderPassesOnWhatBreaks(t *testing.T) {
	d := ocispec.Descriptor{Digest: digest.FromString("abc"), Size: 3}
	cut := errors.New("the line is cut")
	r, err := content.VerifyReader(io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(cut)), d)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "ab" || !errors.Is(err, cut) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMismatchNamesWhatWasWanted(t *testing.T) {
	err := error(&content.MismatchError{Want: ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}, Size: 2})
	if !errors.Is(err, content.ErrCorrupt) || !strings.Contains(err.Error(), digest.FromString("x").String()) {
		t.Errorf("got %v", err)
	}
	err = &content.MismatchError{Want: ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}, Size: 1}
	if want := digest.FromString("x").String() + ": got other bytes"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	for o, want := range map[content.Outcome]string{
		content.Stored: "stored", content.Existed: "existed", content.Mounted: "mounted", 0: "outcome 0",
	} {
		if o.String() != want {
			t.Errorf("%d is %q, want %q", o, o, want)
		}
	}
}

func TestIsMissing(t *testing.T) {
	for err, want := range map[error]bool{
		content.ErrNotFound: true, errors.ErrUnsupported: true, content.ErrDenied: false, context.Canceled: false,
	} {
		if content.IsMissing(err) != want {
			t.Errorf("IsMissing(%v) is not %t", err, want)
		}
	}
}
