package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// A diveReport is what dive writes with --json.
type diveReport struct {
	Layer []struct {
		SizeBytes int64
		Command   string
		FileList  []struct{ Path string }
	}
	Image struct {
		SizeBytes        int64
		InefficientBytes int64
		EfficiencyScore  float64
		FileReference    []struct {
			Count     int
			SizeBytes int64
			File      string
		}
	}
}

// TestAnalyzeCountsAsDiveDoes runs both over every archive of testdata/images, and over images of real size.
func TestAnalyzeCountsAsDiveDoes(t *testing.T) {
	archives, err := filepath.Glob("../testdata/images/*.tar")
	if err != nil || len(archives) < 9 {
		t.Fatalf("%d archives, %v", len(archives), err)
	}
	for _, name := range []string{"app-v1.tar", "app-v2.tar", "app-v1-arm64.tar", "big.tar"} {
		archives = append(archives, realImage(t, name))
	}
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			path, err := filepath.Abs(archive)
			if err != nil {
				t.Fatal(err)
			}
			sameAsDive(t, newBox(t), path)
		})
	}
}

func sameAsDive(t *testing.T, b *box, archive string) {
	t.Helper()
	b.must(call{Tool: "dive", Args: []string{"--source", "docker-archive", archive, "--json", b.path("dive.json")}, Env: []string{"CI=true"}})
	raw, err := os.ReadFile(b.path("dive.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got diveReport
	read(t, string(raw), &want)
	image := archive
	if filepath.Base(archive) == "docker-two-images.tar" {
		image = "docker-archive:" + archive + ":test_image_1:latest" // the first, which is the one that dive takes
	}
	// dive knows no tables of contents, and reads layers as they are.
	read(t, b.wherry("analyze", "--whole", "--compat", "dive", image), &got)
	near(t, "efficiencyScore", got.Image.EfficiencyScore, want.Image.EfficiencyScore)
	near(t, "inefficientBytes", float64(got.Image.InefficientBytes), float64(want.Image.InefficientBytes))
	near(t, "sizeBytes", float64(got.Image.SizeBytes), float64(want.Image.SizeBytes))
	if len(got.Layer) != len(want.Layer) {
		t.Fatalf("%d layers, dive has %d", len(got.Layer), len(want.Layer))
	}
	for i, layer := range want.Layer {
		near(t, fmt.Sprintf("size of layer %d", i), float64(got.Layer[i].SizeBytes), float64(layer.SizeBytes))
		if len(got.Layer[i].FileList) != len(layer.FileList) {
			t.Errorf("layer %d has %d files, for dive %d", i, len(got.Layer[i].FileList), len(layer.FileList))
		}
	}
	if ours, theirs := references(got), references(want); !maps.Equal(ours, theirs) {
		t.Errorf("paths that waste:\n%v\nfor dive:\n%v", ours, theirs)
	}
}

// near holds a figure to dive's, within half a percent of it.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > want*0.005 {
		t.Errorf("%s = %g, for dive %g", what, got, want)
	}
}

// references returns the paths that waste, with how often each is there and what it takes.
func references(r diveReport) map[string]string {
	all := map[string]string{}
	for _, f := range r.Image.FileReference {
		all[f.File] = fmt.Sprintf("%d times, %d bytes", f.Count, f.SizeBytes)
	}
	return all
}

func read(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v\n%.200s", err, text)
	}
}
