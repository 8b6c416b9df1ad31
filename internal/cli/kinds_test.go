package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// checkSchema holds the output of a verb to its schema.
func checkSchema(t *testing.T, verb, out string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(schemaFolder(), verb+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%s says %q: %v", verb, out, err)
	}
	if err := resolved.Validate(v); err != nil {
		t.Errorf("%s: %v in\n%s", verb, err, out)
	}
}

func TestEveryKindOfImageCanBeLookedAt(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	for _, kind := range testimage.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			kind.Make(1).PutTo(r, kind.Name, "v1")
			arg := r.Host() + "/" + kind.Name + ":v1"
			for _, verb := range []string{"inspect", "digest", "manifest", "exists", "validate"} {
				got := run(t, verb, "--json", arg)
				if got.code != 0 || got.errors != "" {
					t.Errorf("wherry %s: exit code %d, %s", verb, got.code, got.errors)
					continue
				}
				checkSchema(t, verb, got.out)
			}
			if got := run(t, "inspect", arg); got.code != 0 || got.out == "" {
				t.Errorf("wherry inspect: exit code %d, %s", got.code, got.errors)
			}
			m, _ := r.Manifest(kind.Name, "v1")
			if got := run(t, "manifest", arg); got.out != string(m.Bytes) {
				t.Errorf("wherry manifest gives %q, want %q", got.out, m.Bytes)
			}
		})
	}
}

func TestWhatCanBeReadInTwoWaysIsShownWithAWarning(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	b := testimage.Builder{Seed: 1}
	config, err := json.Marshal(b.Config("linux/amd64"))
	if err != nil {
		t.Fatal(err)
	}
	raw := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":` + string(config) + `,"layers":[],"layers":[]}`
	b.Done(b.RawManifest(ocispec.MediaTypeImageManifest, []byte(raw))).PutTo(r, "app", "v1")
	arg := r.Host() + "/app:v1"
	for _, verb := range []string{"inspect", "manifest"} {
		got := run(t, verb, arg)
		if got.code != 0 || got.out == "" || !strings.HasPrefix(got.errors, "wherry: warning: ") || !strings.Contains(got.errors, "ambiguous") {
			t.Errorf("wherry %s: %+v", verb, got)
		}
	}
	if got := run(t, "validate", arg); got.code != 6 || !strings.Contains(got.out, "ambiguous") {
		t.Errorf("wherry validate: %+v, want exit code 6", got)
	}
}

func TestNamesFromOutsideAreEscaped(t *testing.T) {
	fault, err := testregistry.ParseFault("status=200,kind=tags,body=" + `{"name":"app","tags":["good","bad\u001b[31m\u202e"]}`)
	if err != nil {
		t.Fatal(err)
	}
	r := testregistry.Start(t, testregistry.Config{Faults: []testregistry.Fault{fault}})
	got := run(t, "tags", r.Host()+"/app")
	if !strings.HasPrefix(got.out, "good\n") || strings.ContainsAny(got.out+got.errors, "\x1b\u202e") {
		t.Errorf("%+v", got)
	}
}
