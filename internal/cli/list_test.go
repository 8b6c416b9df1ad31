package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// listLong returns the rows of tags -l by tag.
func listLong(t *testing.T, repository string) map[string]TagResult {
	t.Helper()
	got := run(t, "tags", "-l", "--json", repository)
	if got.code != 0 || got.errors != "" {
		t.Fatalf("exit code %d, %s", got.code, got.errors)
	}
	checkSchema(t, "tags-l", got.out)
	var rows []TagResult
	if err := json.Unmarshal([]byte(got.out), &rows); err != nil {
		t.Fatal(err)
	}
	byTag := map[string]TagResult{}
	for _, row := range rows {
		byTag[row.Tag] = row
	}
	return byTag
}

func TestEveryKindOfImageIsListedWithTheSizeOfInspect(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	for _, kind := range testimage.Kinds() {
		kind.Make(1).PutTo(r, "app", kind.Name)
	}
	rows := listLong(t, r.Host()+"/app")
	for _, kind := range testimage.Kinds() {
		var want InspectResult
		got := run(t, "inspect", "--json", "--sizes", r.Host()+"/app:"+kind.Name)
		if err := json.Unmarshal([]byte(got.out), &want); err != nil {
			t.Fatalf("%s: %v", got.errors, err)
		}
		row := rows[kind.Name]
		if row.Digest != want.Digest || row.Size != want.Total || row.Error != "" {
			t.Errorf("%s: %+v, want %s of %d bytes", kind.Name, row, want.Digest, want.Total)
		}
		if len(want.Children) == 0 && want.Image != nil && (row.Created == nil || strings.Join(row.Platforms, ",") != want.Image.Platform) {
			t.Errorf("%s: %+v, want the platform %q and a time", kind.Name, row, want.Image.Platform)
		}
	}
	for tag, want := range map[string]string{
		"nested-index": "linux/arm64,linux/arm/v7,linux/amd64", "docker-list": "linux/amd64,linux/arm64", "artifact": "",
	} {
		if got := strings.Join(rows[tag].Platforms, ","); got != want {
			t.Errorf("%s is for %q, want %q", tag, got, want)
		}
	}
}

func TestTheTimeOfAnIndexIsThatOfItsFirstImage(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	b := testimage.Builder{Seed: 1}
	image := b.Image("linux/amd64", b.Layer(testimage.Gzip, 100))
	b.Done(b.Index(b.Attestation(image), image)).PutTo(r, "app", "index")
	b.Done(image).PutTo(r, "app", "image")
	r.Reset()
	rows := listLong(t, r.Host()+"/app")
	index, alone := rows["index"], rows["image"]
	if index.Created == nil || alone.Created == nil || !index.Created.Equal(*alone.Created) {
		t.Errorf("the index is of %v, want %v", index.Created, alone.Created)
	}
	var manifests, configs int
	for _, q := range r.Requests() {
		switch {
		case q.Method == http.MethodGet && q.Kind == testregistry.KindManifest:
			manifests++
		case q.Kind == testregistry.KindBlob:
			configs++
		}
	}
	if manifests != 4 || configs != 1 {
		t.Errorf("%d manifests and %d configs were read, want both tags', the two below the index, and one config", manifests, configs)
	}
}

func TestAListingTellsWhatIsOddOnce(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	putConfig(r, `{"architecture":"amd64","os":"linux","created":"nonsense"}`)
	m, _ := r.Manifest("app", "v1")
	r.PutManifest("app", "v2", m.MediaType, m.Bytes)
	got := run(t, "tags", "-l", r.Host()+"/app")
	if got.code != 0 || strings.Count(got.errors, "warning") != 1 || !strings.Contains(got.errors, `v1: the config has created "nonsense", which is no time`) {
		t.Errorf("exit code %d, %s", got.code, got.errors)
	}
	if !strings.HasPrefix(got.out, "v1\t") || strings.Count(got.out, "\t\t") != 2 {
		t.Errorf("got %q, want two rows without a time", got.out)
	}
}

// manyTagged is a registry in whose repository app n tags, v1.0.0 and so on, stand
// for one image, but for the highest, which stand for images of their own.
func manyTagged(t *testing.T, n, highest int) *testregistry.Registry {
	t.Helper()
	r := testregistry.Start(t, testregistry.Config{PageSize: 1000})
	name := func(i int) string { return fmt.Sprintf("v1.%d.0", i) }
	testimage.Single(1).PutTo(r, "app", name(0))
	common, _ := r.Manifest("app", name(0))
	for i := 1; i < n-highest; i++ {
		r.PutManifest("app", name(i), common.MediaType, common.Bytes)
	}
	for i := n - highest; i < n; i++ {
		testimage.Single(uint64(i)).PutTo(r, "app", name(i))
	}
	r.Reset()
	return r
}

func TestTheHighestOfManyVersionsCostNoMoreThanTheyDo(t *testing.T) {
	r := manyTagged(t, 5000, 20)
	got := run(t, "tags", "-l", "--sort", "semver", "-n", "20", r.Host()+"/app")
	if got.code != 0 || got.errors != "" {
		t.Fatalf("exit code %d, %s", got.code, got.errors)
	}
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if len(lines) != 20 || !strings.HasPrefix(lines[0], "v1.4999.0\t") || !strings.HasPrefix(lines[19], "v1.4980.0\t") {
		t.Errorf("got\n%s", got.out)
	}
	list := r.Count(testregistry.Is("", testregistry.KindTags))
	if beyond := len(r.Requests()) - list; list != 5 || beyond > 60 {
		t.Errorf("%d requests for the list, and %d beyond; want 5, and 60 at most", list, beyond)
	}
}

func TestWhatSortingManyTagsCostsIsSaidBefore(t *testing.T) {
	r := manyTagged(t, 101, 0)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--sort", "created", "-n", "1"}, "wherry: --sort created looks at all 101 tags: 101 requests, and up to 101 more for images that were not looked at before; an index takes one more for each manifest in it\n"},
		{[]string{"-l", "--since", "1d"}, "wherry: --since 1d looks at all 101 tags: 101 requests, and up to 101 more for images that were not looked at before; an index takes one more for each manifest in it\n"},
		{[]string{"--digest", "sha256:" + strings.Repeat("0", 64)}, "wherry: --digest looks at all 101 tags: 101 requests\n"},
		{[]string{"--sort", "created", "-n", "1", "--match", "v1.1*"}, ""}, // few
		{[]string{"--sort", "created", "-n", "1", "--quiet"}, ""},
		{[]string{"-l"}, ""}, // all of them are shown
	} {
		got := run(t, append([]string{"tags", r.Host() + "/app"}, tt.args...)...)
		if got.code != 0 || got.errors != tt.want {
			t.Errorf("%v: exit code %d, says\n%swant\n%s", tt.args, got.code, got.errors, tt.want)
		}
	}
}

func TestWhatSortingCostsIsToldInPullsWhereTheyAreCounted(t *testing.T) {
	r := manyTagged(t, 101, 0)
	config := filepath.Join(t.TempDir(), "config.yaml")
	text := "registries:\n  docker.io: {address: \"" + r.Host() + "\", plainHTTP: true}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 101 {
		r.PutManifest("library/app", fmt.Sprint(i), "application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"manifests":[]}`))
	}
	got := run(t, "tags", "--config", config, "--sort", "size", "-n", "1", "app")
	if got.code != 0 || !strings.Contains(got.errors, "up to 202 more for images that were not looked at before, of which docker.io counts 101 as pulls; an index takes one more for each manifest in it, which is a pull too\n") {
		t.Errorf("exit code %d, says %s", got.code, got.errors)
	}
}

func TestWhatSortingCostsIsWhatIsAsked(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{PageSize: 1000})
	for i := range 202 {
		testimage.NoLayers(uint64(i)).PutTo(r, "app", fmt.Sprintf("v%d.%d", i/101, i))
	}
	index := testimage.IndexOf(1, "linux/amd64", "linux/arm64")
	index.PutTo(r, "multi", "0")
	for i := range 101 {
		r.Tag("multi", fmt.Sprint(i), index.Root.Digest)
	}
	env := testEnv(t, nil)
	for _, tt := range []struct {
		name              string
		args              []string
		tags, more, asked int // of a first look at an image more is what is asked beyond tags
	}{
		{"a repository that nobody looked at", []string{"app", "--sort", "created", "--match", "v0.*"}, 101, 101, 202},
		{"once more", []string{"app", "--sort", "created", "--match", "v0.*"}, 101, 202, 101},
		{"images that are new in it", []string{"app", "--sort", "created", "--match", "v1.*"}, 101, 202, 303},
		{"an index with its four manifests", []string{"multi", "--sort", "size"}, 101, 101, 101 + 1 + 4},
		{"what is known by digest", []string{"multi", "--sort", "size", "--digest", index.Root.Digest.String()}, 101, 0, 101},
	} {
		r.Reset()
		var out, errs bytes.Buffer
		args := append([]string{"tags", r.Host() + "/" + tt.args[0]}, tt.args[1:]...)
		code := Main(t.Context(), args, Stdio{In: strings.NewReader(""), Out: &out, Err: &errs}, env)
		want := fmt.Sprintf("looks at all 101 tags: %d requests", tt.tags)
		if tt.more > 0 {
			want += fmt.Sprintf(", and up to %d more for images", tt.more)
		}
		if code != 0 || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: exit code %d, says %s, want %s", tt.name, code, errs.String(), want)
		}
		if got := len(r.Requests()) - r.Count(testregistry.Is("", testregistry.KindTags)); got != tt.asked {
			t.Errorf("%s: %d requests, want %d", tt.name, got, tt.asked)
		}
	}
}
