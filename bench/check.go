package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// checkLayout hashes what a tool wrote: the image's manifest must be in index.json, and every blob must be right.
func checkLayout(folder string, want image) error {
	text, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		return err
	}
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(text, &index); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	if !slices.ContainsFunc(index.Manifests, func(d descriptor) bool { return d.Digest == want.root.Digest }) {
		return fmt.Errorf("%s: index.json does not name %s", folder, want.root.Digest)
	}
	for _, d := range append([]descriptor{want.root}, want.blobs...) {
		if err := checkFile(filepath.Join(folder, "blobs", strings.ReplaceAll(d.Digest, ":", "/")), d); err != nil {
			return err
		}
	}
	return nil
}

func checkFile(path string, d descriptor) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != d.Digest || n != d.Size {
		return fmt.Errorf("%s: %d bytes with %s, want %d", path, n, got, d.Size)
	}
	return nil
}

// check asks the registry for the image and each of its blobs in a repository.
func (r *registry) check(ctx context.Context, repository string, want image) error {
	base := "http://" + r.host + "/v2/" + repository
	if err := head(ctx, base+"/manifests/v1", want.root); err != nil {
		return err
	}
	for _, d := range want.blobs {
		if err := head(ctx, base+"/blobs/"+d.Digest, d); err != nil {
			return err
		}
	}
	return nil
}

func head(ctx context.Context, url string, d descriptor) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", typeManifest)
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Docker-Content-Digest"); resp.StatusCode != http.StatusOK || got != d.Digest || resp.ContentLength != d.Size {
		return fmt.Errorf("HEAD %s: %s, %s with %d bytes, want %s with %d", url, resp.Status, got, resp.ContentLength, d.Digest, d.Size)
	}
	return nil
}
