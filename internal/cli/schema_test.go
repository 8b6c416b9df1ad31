package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/opencontainers/go-digest"
)

// schemas are made from the types of results; the scripts hold real output to
// them. What is written by hand stands in handmade.
var schemas = map[string]reflect.Type{
	"analyze":        reflect.TypeFor[AnalyzeResult](),
	"backup":         reflect.TypeFor[BackupResult](),
	"blob":           reflect.TypeFor[BlobResult](),
	"cat":            reflect.TypeFor[CatResult](),
	"check-base":     reflect.TypeFor[CheckBaseResult](),
	"config":         reflect.TypeFor[ConfigResult](),
	"diff":           reflect.TypeFor[DiffResult](),
	"digest":         reflect.TypeFor[DigestResult](),
	"doctor":         reflect.TypeFor[DoctorResult](),
	"exists":         reflect.TypeFor[DigestResult](),
	"export":         reflect.TypeFor[ExportResult](),
	"files":          reflect.TypeFor[[]FileResult](),
	"history":        reflect.TypeFor[HistoryResult](), // of a line
	"images":         reflect.TypeFor[ImagesResult](),  // of a line, of system df --verbose too
	"import":         reflect.TypeFor[ImportResult](),
	"info":           reflect.TypeFor[InfoResult](),
	"inspect":        reflect.TypeFor[InspectResult](),
	"inspect-buildx": reflect.TypeFor[BuildxResult](),
	"login":          reflect.TypeFor[LoginResult](),
	"logout":         reflect.TypeFor[LoginResult](),
	"manifest":       reflect.TypeFor[ManifestResult](),
	"ratelimit":      reflect.TypeFor[RateLimitResult](),
	"repos":          reflect.TypeFor[ReposResult](),
	"restore":        reflect.TypeFor[RestoreResult](),
	"rmi":            reflect.TypeFor[RemoveResult](),
	"search":         reflect.TypeFor[SearchResult](), // of a line
	"tag":            reflect.TypeFor[TaggedResult](),
	"tags":           reflect.TypeFor[TagsResult](),
	"tags-l":         reflect.TypeFor[[]TagResult](),
	"validate":       reflect.TypeFor[ValidateResult](),
	"version":        reflect.TypeFor[VersionResult](),
	"which":          reflect.TypeFor[WhichResult](),

	"analyze-dive":  reflect.TypeFor[DiveResult](),
	"image-inspect": reflect.TypeFor[[]ImageInspectResult](),
	"system-df":     reflect.TypeFor[UsageResult](), // of a line

	"manifest-annotate": reflect.TypeFor[DraftResult](),
	"manifest-create":   reflect.TypeFor[DraftResult](),
	"manifest-rm":       reflect.TypeFor[RemovedDraftsResult](),
}

// handmade says which schema the other verbs follow.
var handmade = map[string]string{"copy": "copy", "manifest-push": "copy", "tree": "tree"}

// others says which verbs have the schema of another one.
var others = map[string]string{
	"save": "copy", "load": "copy", "pull": "copy", "push": "copy", "prune": "rmi", "system-prune": "rmi", "system-info": "info",
	"image-history": "history", "image-import": "import", "image-load": "copy", "image-ls": "images", "image-prune": "rmi", "image-pull": "copy",
	"image-push": "copy", "image-rm": "rmi", "image-save": "copy", "image-tag": "tag",
}

func schemaFolder() string { return filepath.Join("..", "..", "docs", "schemas") }

// TestSchemasAreThoseOfTheTypes compares docs/schemas with the types; with
// UPDATE_GOLDEN set it writes the files.
func TestSchemasAreThoseOfTheTypes(t *testing.T) {
	for verb, typ := range schemas {
		want := schemaOf(t, verb, typ)
		path := filepath.Join(schemaFolder(), verb+".json")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not the schema of %s any more; run make golden", path, typ)
		}
	}
}

func schemaOf(t *testing.T, verb string, typ reflect.Type) []byte {
	t.Helper()
	s, err := jsonschema.ForType(typ, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[digest.Digest]():   {Type: "string", Pattern: "^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$"},
		reflect.TypeFor[json.RawMessage](): {},
	}})
	if err != nil {
		t.Fatal(err)
	}
	neverNull(s)
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	words := strings.NewReplacer("-l", " -l", "-", " ") // tags-l is about a flag
	s.Title = "wherry " + words.Replace(verb) + " --json"
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, '\n')
}

// neverNull takes null off the types: what is empty is left out, or an empty list.
func neverNull(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.Types = slices.DeleteFunc(s.Types, func(t string) bool { return t == "null" })
	if len(s.Types) == 1 {
		s.Type, s.Types = s.Types[0], nil
	}
	for _, p := range s.Properties {
		neverNull(p)
	}
	neverNull(s.Items)
	neverNull(s.AdditionalProperties)
}

func TestEveryVerbHasASchema(t *testing.T) {
	for _, cmd := range everyVerb(t) {
		verb := strings.ReplaceAll(strings.TrimPrefix(cmd.CommandPath(), "wherry "), " ", "-")
		if verb == "completion" || verb == "help" || verb == "man" || strings.HasSuffix(cmd.Use, nounArgument) {
			continue
		}
		file := cmp.Or(handmade[verb], others[verb], verb)
		raw, err := os.ReadFile(filepath.Join(schemaFolder(), file+".json"))
		if err != nil {
			t.Errorf("wherry %s: %v", verb, err)
			continue
		}
		var s jsonschema.Schema
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if _, err := s.Resolve(nil); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
