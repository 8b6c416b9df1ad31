package cli

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

func TestWhatIsAttestedIsReadAsWhatItIsCalled(t *testing.T) {
	const spdx = "https://spdx.dev/Document"
	statement := func(predicate string) string {
		return `{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"` + spdx + `","predicate":` + predicate + `}`
	}
	for _, tt := range []struct {
		name, raw string
		change    func(l *testimage.Layer)
		code      int
		out       string
		fails     string // what the error says, in one line
	}{
		{name: "a statement", raw: statement(`{"name":"x"}`), out: "{\"SPDX\":{\"name\":\"x\"}}\n"},
		{name: "a statement of nothing", raw: statement(`null`), out: "{}\n"},
		{name: "a layer of another kind", raw: statement(`1`), out: "{}\n", change: func(l *testimage.Layer) { l.Descriptor.MediaType = "text/plain" }},
		{name: "no JSON", raw: "\x1b[31mno", code: exitRefused, fails: ": invalid character '\\x1b'"},
		{name: "another type", raw: strings.Replace(statement(`1`), spdx, "https://other.example", 1), code: exitRefused, fails: `is of type "https://other.example", and its manifest says "https://spdx.dev/Document"`},
		{name: "no type", raw: `{"predicate":1}`, code: exitRefused, fails: `is of type ""`},
		{name: "null", raw: `null`, code: exitRefused, fails: `is of type ""`},
		{name: "a list", raw: `[]`, code: exitRefused, fails: "cannot unmarshal array"},
		{name: "very deep", raw: statement(strings.Repeat("[", 20000) + strings.Repeat("]", 20000)), code: exitRefused, fails: "exceeded max depth"},
		{name: "one byte too large", raw: statement(`1`), code: exitRefused, fails: "the attestations have more than 33554432 bytes", change: func(l *testimage.Layer) { l.Descriptor.Size = 32<<20 + 1 }},
		{name: "far too large", raw: statement(`1`), code: exitRefused, fails: "the attestations have more than 33554432 bytes", change: func(l *testimage.Layer) { l.Descriptor.Size = 1 << 50 }},
		{name: "other bytes", raw: statement(`1`), code: exitRefused, fails: digest.FromString("other").String(), change: func(l *testimage.Layer) { l.Descriptor.Digest = digest.FromString("other") }},
	} {
		r := testregistry.Start(t, testregistry.Config{})
		b := testimage.Builder{Seed: 1}
		image := b.Image("linux/amd64", b.Layer(testimage.Gzip, 100))
		layer := b.RawStatement(spdx, []byte(tt.raw))
		if tt.change != nil {
			tt.change(&layer)
		}
		b.Done(b.Index(image, b.Attest(image, layer))).PutTo(r, "app", "v1")
		r.PutBlobAs("app", digest.FromString("other"), []byte(tt.raw))
		r.Reset()
		got := run(t, "inspect", "--compat", "buildx", "--format", "{{json .SBOM}}", r.Host()+"/app:v1")
		line, hint, _ := strings.Cut(got.errors, "\n")
		if got.code != tt.code || !strings.Contains(line, tt.fails) || got.out != tt.out || hint != "" && !strings.HasPrefix(hint, "hint: ") {
			t.Errorf("%s: exit code %d, %q, %s; want %d, %q, %s", tt.name, got.code, got.out, got.errors, tt.code, tt.out, tt.fails)
		}
		if n := r.Count(testregistry.Is("", testregistry.KindBlob)); strings.Contains(tt.name, "too large") && n != 1 {
			t.Errorf("%s: %d blobs were asked for, and only the config should be", tt.name, n)
		}
	}
}
