package cli

import (
	"encoding/json"
	"net/http"
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
		got := run(t, "inspect", "--json", r.Host()+"/app:"+kind.Name)
		if err := json.Unmarshal([]byte(got.out), &want); err != nil {
			t.Fatalf("%s: %v", got.errors, err)
		}
		row := rows[kind.Name]
		if row.Digest != want.Digest || row.Size != want.Total || row.Error != "" {
			t.Errorf("%s: %+v, want %s of %d bytes", kind.Name, row, want.Digest, want.Total)
		}
		if want.Image != nil && (row.Created == nil || strings.Join(row.Platforms, ",") != want.Image.Platform) {
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
	if manifests != 3 || configs != 1 {
		t.Errorf("%d manifests and %d configs were read, want the index, the image, the attestation, and one config", manifests, configs)
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
