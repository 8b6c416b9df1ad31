package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	tests := []struct {
		name    string
		figures []float64
		want    spread
	}{
		{"no figure gives nothing", nil, spread{}},
		{"one figure is all three", []float64{2}, spread{2, 2, 2}},
		{"an odd number has one in the middle", []float64{5, 1, 3}, spread{3, 1, 5}},
		{"an even number has a middle between two", []float64{4, 1, 2, 9}, spread{3, 1, 9}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := spreadOf(tt.figures); got != tt.want {
				t.Errorf("spreadOf(%v) = %v, want %v", tt.figures, got, tt.want)
			}
		})
	}
}

func TestRatiosCompareFiguresOfTheSameRepetition(t *testing.T) {
	if got, want := ratios([]float64{2, 9, 5}, []float64{1, 3, 0}), []float64{2, 3}; !slices.Equal(got, want) {
		t.Errorf("ratios = %v, want %v", got, want)
	}
}

func TestTableComparesWithTheFirstToolThatDidNotFail(t *testing.T) {
	got := result{Title: "Title", Note: "Note.", Runs: 2, Tools: []row{
		{Name: "gone", Failed: "exit 1 | no\nmore"},
		{Name: "first", Samples: []sample{{Wall: 1, CPU: 0.05, RSS: 10 << 20, Requests: 3}, {Wall: 2, CPU: 0.05, RSS: 12 << 20, Requests: 3}}},
		{Name: "second", Samples: []sample{{Wall: 2, CPU: 0.1, Requests: 3}, {Wall: 2, CPU: 0.1, Requests: 5}}},
	}}.markdown()
	for _, want := range []string{
		"| | wall | × first | CPU | × first | peak RSS | requests |\n",
		`| gone | failed: exit 1 \| no | | | | | |` + "\n",
		"| first | 1.50 s (1.00–2.00) | 1 | 50 ms | 1 | 11.0 MiB (10.0–12.0) | 3 |\n",
		"| second | 2.00 s (2.00–2.00) | 1.50 (1.00–2.00) | 0.10 s | 2.00 (2.00–2.00) | – | 4 (3–5) |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the table lacks %q:\n%s", want, got)
		}
	}
}

func TestPageKeepsWhatIsOutsideTheMarkersAndTheTablesOfOtherScenarios(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	before := "# Words\n<!-- bench:copy -->\nold\n<!-- /bench:copy -->\nmore\n<!-- bench:start -->\nkept\n<!-- /bench:start -->\n"
	if err := os.WriteFile(page, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writePage(page, results{Scenarios: []result{{Name: "copy", Title: "New"}, {Name: "mount", Title: "Added"}}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	for _, want := range []string{"# Words\n", "## New\n", "\nmore\n", "\nkept\n", "<!-- bench:mount -->\n\n## Added\n", "<!-- bench:machine -->\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "old") {
		t.Errorf("the page kept an old table:\n%s", got)
	}
}

func TestLogbookCountsTheRequestsOfOthers(t *testing.T) {
	l := &logbook{ready: make(chan string, 1)}
	for _, part := range []string{
		"level=info msg=\"listening on 127.0.0.1:5", "123\"\n",
		"127.0.0.1 - - [x] \"GET /v2/ HTTP/1.1\" 200 2 \"\" \"crane/v0.22.1\"\n127.0.0.1 - - [x] \"HEAD /v2/a/blobs/x HTTP/1.1\" 200",
		" 2 \"\" \"skopeo\"\nmsg=\"response completed\" http.request.method=GET http.request.uri=/v2/\n",
		"127.0.0.1 - - [x] \"HEAD /v2/a/blobs/x HTTP/1.1\" 200 2 \"\" \"" + userAgent + "\"\n",
	} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-l.ready; got != "127.0.0.1:5123" {
		t.Errorf("listening on %q, want 127.0.0.1:5123", got)
	}
	if got := l.count(); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
	if got := l.tail(); strings.Count(got, "\n") != 4 {
		t.Errorf("tail has other than five lines:\n%s", got)
	}
}

func TestFirstVersion(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a bare version", "v0.22.1\n", "v0.22.1"},
		{"a version after words", "skopeo version 1.9.3 commit: unknown\n", "1.9.3"},
		{"a table", "VCSTag: v0.11.7\nVCSRef: abc\n", "v0.11.7"},
		{"no version at all", "unknown\nmore\n", "unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := firstVersion(tt.text); got != tt.want {
				t.Errorf("firstVersion(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

func TestCheckLayoutFindsWhatIsWrong(t *testing.T) {
	blob := []byte("cargo")
	sum := sha256.Sum256(blob)
	d := descriptor{MediaType: typeManifest, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(blob))}
	tests := []struct {
		name    string
		index   []descriptor
		content []byte
		wrong   bool
	}{
		{"a layout that is right", []descriptor{d}, blob, false},
		{"an index that names something else", []descriptor{{Digest: "sha256:00"}}, blob, true},
		{"a blob that is cut short", []descriptor{d}, blob[:3], true},
		{"a blob with a flipped byte", []descriptor{d}, []byte("carga"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			index, err := json.Marshal(map[string]any{"manifests": tt.index})
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, "blobs", strings.ReplaceAll(d.Digest, ":", "/"))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			for path, text := range map[string][]byte{name: tt.content, filepath.Join(dir, "index.json"): index} {
				if err := os.WriteFile(path, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := checkLayout(dir, image{root: d}); (err != nil) != tt.wrong {
				t.Errorf("checkLayout = %v, want an error: %t", err, tt.wrong)
			}
		})
	}
}

func TestRandomLayerIsTheSameEachTime(t *testing.T) {
	var first, again, diff bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &again} {
		diff.Reset()
		if err := writeRandom(w, &diff, 1<<16); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), again.Bytes()) || first.Len() < 1<<16 || diff.Len() <= 1<<16 {
		t.Errorf("two layers of %d and %d bytes differ or are short", first.Len(), again.Len())
	}
}
