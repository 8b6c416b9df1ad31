package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// storeImages is how many images the store has.
const storeImages = 5000

// store lists and tags in a store of thousands of images.
var store = scenario{
	name: "store", title: "A store of 5,000 images", runs: shortRuns,
	note: "Each is an index of two platforms, of which one is in the store, with a name of its own; the store is on a memory file system, where fsync is free. " +
		"`wherry images` has been called before. Files are counted by strace, those of the program's start included.",
	alone: func(ctx context.Context, b *bench, r *result) error {
		t, err := b.wherry()
		if err != nil {
			return err
		}
		folder := filepath.Join(b.memory, "store")
		if err := fillStore(folder, storeImages); err != nil {
			return err
		}
		work := []struct {
			name string
			args func(round int) []string
			most float64 // seconds of CPU
		}{
			{"images", func(int) []string { return []string{"--store", folder, "images"} }, 0.150},
			{"tag", func(round int) []string {
				return []string{"--store", folder, "tag", storeName(1), fmt.Sprintf("mine:%d", round)}
			}, 0.050},
			{"version", func(int) []string { return []string{"version"} }, 0},
		}
		r.Apart = true
		for _, w := range work {
			r.Tools = append(r.Tools, row{Name: "wherry " + w.name})
		}
		for round := range r.Runs + 1 {
			for i, w := range work {
				s, err := b.trial(ctx, trial{
					name: fmt.Sprintf("store-%d-%s", round, w.name), tool: t,
					args:  func(string) []string { return w.args(round) },
					check: func(string) error { return nil },
				})
				if err != nil {
					return err
				}
				if round > 0 {
					r.Tools[i].Samples = append(r.Tools[i].Samples, s)
					report("store", w.name, s)
				}
			}
		}
		for i, w := range work {
			if got := spreadOf(r.Tools[i].column(cpu)).median; w.most > 0 {
				r.Bars = append(r.Bars, bar{
					What: "CPU of wherry " + w.name, Got: fmt.Sprintf("%.0f ms", got*1000),
					Want: fmt.Sprintf("≤ %.0f ms", w.most*1000), Reached: got <= w.most,
				})
			}
		}
		opened, err := opens(ctx, t, work[0].args(0))
		if errors.Is(err, exec.ErrNotFound) {
			return nil // there is no strace
		}
		r.Bars = append(r.Bars, bar{What: "files that wherry images opens", Got: fmt.Sprint(opened), Want: "≤ 20", Reached: opened <= 20})
		return err
	},
}

// opens counts the files that a command opens.
func opens(ctx context.Context, t tool, args []string) (n int, err error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, strace, append([]string{"-f", "-qq", "-e", "trace=open,openat,openat2", t.path}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("strace: %w\n%s", err, lastLines(said.String(), 6))
	}
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, "open") && !strings.Contains(line, "= -1 ") && !strings.Contains(line, "resumed") {
			n++
		}
	}
	return n, nil
}

func storeName(i int) string { return fmt.Sprintf("registry.example:5000/team/app-%d:v%d", i%700, i) }

// fillStore makes a store of n images. Nothing of it is durable.
func fillStore(folder string, n int) error {
	blobs := filepath.Join(folder, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	put := func(mediaType string, v any) (descriptor, error) {
		raw, err := json.Marshal(v)
		if err != nil {
			return descriptor{}, err
		}
		d := descriptorOf(mediaType, raw)
		return d, os.WriteFile(filepath.Join(blobs, strings.TrimPrefix(d.Digest, "sha256:")), raw, 0o644)
	}
	entries := make([]map[string]any, n)
	for i := range n {
		root, err := storeImage(i, put)
		if err != nil {
			return err
		}
		entries[i] = map[string]any{
			"mediaType": root.MediaType, "digest": root.Digest, "size": root.Size,
			"annotations": map[string]string{"org.opencontainers.image.ref.name": storeName(i), "io.containerd.image.name": storeName(i)},
		}
	}
	raw, err := json.Marshal(indexOf(entries...))
	return cmp.Or(err,
		os.WriteFile(filepath.Join(folder, "index.json"), raw, 0o644),
		os.WriteFile(filepath.Join(folder, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
}

// storeImage puts image number i, an index.
func storeImage(i int, put func(mediaType string, v any) (descriptor, error)) (descriptor, error) {
	const oci = "application/vnd.oci.image."
	config, err := put(oci+"config.v1+json", map[string]any{
		"os": runtime.GOOS, "architecture": runtime.GOARCH, "created": time.Unix(int64(i)*1e5, 0).UTC(),
		"config": map[string]any{"Labels": map[string]string{"maintainer": "a team"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	layer, err := put(oci+"layer.v1.tar", fmt.Sprint("layer ", i))
	if err != nil {
		return descriptor{}, err
	}
	here, err := put(oci+"manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": []descriptor{layer},
	})
	if err != nil {
		return descriptor{}, err
	}
	missing := descriptorOf(oci+"manifest.v1+json", fmt.Append(nil, i))
	child := func(d descriptor, architecture string) map[string]any {
		return map[string]any{
			"mediaType": d.MediaType, "digest": d.Digest, "size": d.Size, "platform": map[string]string{"os": runtime.GOOS, "architecture": architecture},
		}
	}
	return put(oci+"index.v1+json", indexOf(child(here, runtime.GOARCH), child(missing, "riscv64")))
}

func indexOf(manifests ...map[string]any) map[string]any {
	return map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
}
