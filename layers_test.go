package wherry_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/wherry-dev/wherry"

// A layer is one box of the layer diagram: a folder with what is under it, and what of ours it may import.
type layer struct {
	folder string
	may    []string // folders; what is under them is meant too
}

// layers is the diagram, bottom first. A folder that stands nowhere here fails the test: a new package is
// given its place in the diagram when it is made. A folder may always import what is under itself.
var layers = []layer{
	{"internal/pattern", nil},
	{"internal/outside", nil},
	{"internal/reference", nil},
	{"internal/semver", nil},
	{"content", []string{"internal/outside", "internal/reference"}},
	{"internal/packed", []string{"content"}},
	{"internal/spool", []string{"content"}},
	{"internal/installed", nil},

	{"internal/httpx", []string{"content"}},
	{"internal/durable", []string{"content"}},
	{"registry/config", []string{"content", "internal/pattern", "internal/reference"}},
	{"registry", []string{"content", "internal/httpx", "internal/outside", "internal/pattern"}},
	{"layout", []string{"content", "internal/durable", "internal/reference"}},
	{"archive", []string{"content", "internal/durable", "internal/packed", "internal/spool"}},
	{"internal/testregistry", []string{"content"}},
	{"internal/testlink", nil},

	{"transfer", []string{"content"}},
	{"image", []string{"content", "internal/packed", "internal/spool", "internal/installed"}},

	{"bundle", lower},
	{"serve", lower},
	{"internal/endpoint", lower},
	{"internal/cloud", []string{"content", "registry", "internal/httpx", "internal/pattern"}}, // clouds are asked beside the client
	{"internal/backup", lower},
	{"internal/batch", slices.Concat(lower, []string{"internal/endpoint"})},
	{"internal/retention", lower},
	{"internal/doctor", slices.Concat(lower, []string{"internal/endpoint", "internal/httpx"})}, // it looks below the client
	{"internal/policy", lower},
	{"internal/scan", lower},
	{"internal/build", lower},

	{"internal/term", lower},
	{"internal/render", slices.Concat(lower, []string{"internal/term"})},
	{"internal/report", []string{"image", "internal/term"}},
	{"internal/explore", []string{"image", "internal/term"}},
	{"internal/cli", slices.Concat(lower, []string{
		"internal/render", "internal/term", "internal/report", "internal/explore", "internal/endpoint", "internal/backup", "internal/batch", "internal/retention",
		"internal/cloud", "internal/doctor", "internal/policy", "internal/scan", "internal/build", "bundle", "serve",
		"internal/durable", // hands its Facts to registry and transfer
		"internal/semver",  // what tags are as versions
		"internal/spool",   // makes the files that plans are kept in
	})},

	{"internal/faults", []string{"content", "layout", "archive", "internal/testregistry"}},
	{"internal/demo", []string{"content", "internal/testregistry"}},
	{"bench", []string{"internal/testlink"}},
	{"cmd", []string{"internal/cli"}},
	{"cmd/wherry-faultreg", []string{"internal/faults"}},
}

// lower is what every feature may stand on.
var lower = []string{"content", "registry", "layout", "archive", "transfer", "image", "internal/pattern", "internal/reference"}

// guests are modules of others that only some folders may import.
var guests = map[string][]string{
	"github.com/google/go-containerregistry": {"registry", "image", "internal/policy", "internal/build", "internal/testregistry"},
	"github.com/pelletier/go-toml":           {"registry/config"},
	"github.com/aws":                         {"internal/cloud"},
	"github.com/Azure":                       {"internal/cloud"},
	"golang.org/x/oauth2":                    {"internal/cloud"},
	"github.com/moby/buildkit":               {"internal/build"},
	"charm.land":                             {"internal/explore"},
	"github.com/spf13/cobra":                 {"internal/cli"},
	"github.com/spf13/pflag":                 {"internal/cli"},
}

func TestPackagesImportOnlyWhatIsBelowThem(t *testing.T) {
	files := sources(t)
	if len(files) == 0 {
		t.Fatal("no Go file found")
	}
	for _, file := range files {
		from := path.Dir(file)
		at, ok := layerOf(from)
		if !ok {
			t.Errorf("%s: folder %s stands nowhere in the layer diagram", file, from)
			continue
		}
		for _, imported := range imports(t, file) {
			if err := allowed(at, from, imported); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

func TestLayerRuleRefusesAnImportThatGoesUpOrSideways(t *testing.T) {
	tests := []struct {
		name, from, imported string
		want                 bool
	}{
		{"content imports nothing that is above it", "content", module + "/registry", false},
		{"content may use the standard library", "content", "net/http", true},
		{"the contract suite imports content", "content/contenttest", module + "/content", true},
		{"places import content", "archive", module + "/content", true},
		{"places never meet", "registry", module + "/layout", false},
		{"a place does not import an engine", "layout", module + "/transfer", false},
		{"an engine never knows a place", "transfer", module + "/registry", false},
		{"an engine does not use what serves a place", "transfer", module + "/internal/httpx", false},
		{"the settings of registries do not know the client", "registry/config", module + "/registry", false},
		{"the client may know the settings", "registry", module + "/registry/config", true},
		{"a prefix of a name is not the name", "transfer", module + "/contents", false},
		{"features do not import the command line", "internal/endpoint", module + "/internal/cli", false},
		{"the command line imports features", "internal/cli", module + "/internal/endpoint", true},
		{"the command line does not import the tests' registry", "internal/cli", module + "/internal/testregistry", false},
		{"cmd imports the command line only", "cmd/wherry", module + "/registry", false},
		{"the command of the fault table imports the table", "cmd/wherry-faultreg", module + "/internal/faults", true},
		{"the command line does not import the fault table", "internal/cli", module + "/internal/faults", false},
		{"an image is read without the parser of Dockerfiles", "image", "github.com/moby/buildkit/frontend/dockerfile/parser", false},
		{"cobra is for the command line", "internal/endpoint", "github.com/spf13/cobra", false},
		{"the command line imports no library of a cloud", "internal/cli", "github.com/aws/aws-sdk-go-v2/config", false},
		{"logins to clouds do", "internal/cloud", "github.com/aws/aws-sdk-go-v2/config", true},
		{"registry may use ggcr", "registry", "github.com/google/go-containerregistry/pkg/name", true},
		{"content never uses ggcr", "content", "github.com/google/go-containerregistry/pkg/name", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, ok := layerOf(tt.from)
			if !ok {
				t.Fatalf("no layer for %s", tt.from)
			}
			if err := allowed(at, tt.from, tt.imported); (err == nil) != tt.want {
				t.Errorf("allowed(%s, %s) = %v, want allowed: %t", tt.from, tt.imported, err, tt.want)
			}
		})
	}
}

// allowed says why a file in folder from, which belongs to layer at, may not import a package, or nil.
func allowed(at layer, from, imported string) error {
	for guest, hosts := range guests {
		if under(imported, guest) && !slices.Contains(hosts, at.folder) {
			return fmt.Errorf("%s imports %s; only %s may", from, imported, strings.Join(hosts, ", "))
		}
	}
	if imported == module {
		return fmt.Errorf("%s imports the module's root, which holds no package", from)
	}
	folder, ours := strings.CutPrefix(imported, module+"/")
	if !ours || under(folder, at.folder) {
		return nil
	}
	if slices.ContainsFunc(at.may, func(f string) bool { return under(folder, f) }) {
		return nil
	}
	return fmt.Errorf("%s imports %s; it may import: %s", from, folder, strings.Join(at.may, ", "))
}

// layerOf finds the innermost layer that folder is in.
func layerOf(folder string) (found layer, ok bool) {
	for _, l := range layers {
		if under(folder, l.folder) && len(l.folder) >= len(found.folder) {
			found, ok = l, true
		}
	}
	return found, ok
}

func under(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, folder+"/")
}

// sources lists the Go files of this module that are not tests, for every platform, with slashes.
func sources(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(name, entry.Name())
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// enter returns fs.SkipDir for folders the go command does not look into, and for modules of their own.
func enter(name, base string) error {
	if name == "." {
		return nil
	}
	if base == "testdata" || base[0] == '.' || base[0] == '_' {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}
