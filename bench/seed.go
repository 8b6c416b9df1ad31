package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"time"
)

// userAgent tells this program's own requests from those of the tools.
const userAgent = "wherry-bench"

// Media types of what is pushed.
const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// A descriptor names content.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// A manifest is an OCI image manifest.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// An image is what was pushed: where to, and what a copy of it must be.
type image struct {
	repository string
	root       descriptor
	blobs      []descriptor // config and layers
}

// size is the bytes of all blobs.
func (i image) size() (total int64) {
	for _, d := range i.blobs {
		total += d.Size
	}
	return total
}

// pushArchive pushes the one image of a docker archive whose layers are gzipped, as an OCI image tagged v1.
func (r *registry) pushArchive(ctx context.Context, path, repository string) (image, error) {
	f, err := os.Open(path)
	if err != nil {
		return image{}, err
	}
	defer func() { _ = f.Close() }() // only read
	var images []struct {
		Config string
		Layers []string
	}
	blobs := map[string]descriptor{}
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF) && len(images) == 0:
			return image{}, fmt.Errorf("%s: no manifest.json, or an empty one", path)
		case errors.Is(err, io.EOF):
			return r.pushManifest(ctx, repository, images[0].Config, images[0].Layers, blobs)
		case err != nil:
			return image{}, fmt.Errorf("%s: %w", path, err)
		case h.Name == "manifest.json":
			err = json.NewDecoder(t).Decode(&images)
			if err == nil && len(images) != 1 {
				err = fmt.Errorf("%s holds %d images, want 1", path, len(images))
			}
		default:
			blobs[h.Name], err = r.pushBlob(ctx, repository, t)
		}
		if err != nil {
			return image{}, err
		}
	}
}

// pushManifest pushes the manifest over blobs that are there already.
func (r *registry) pushManifest(ctx context.Context, repository, config string, layers []string, blobs map[string]descriptor) (image, error) {
	m := manifest{SchemaVersion: 2, MediaType: typeManifest, Config: blobs[config]}
	m.Config.MediaType = typeConfig
	img := image{repository: repository, blobs: []descriptor{m.Config}}
	for _, name := range layers {
		d := blobs[name]
		d.MediaType = typeLayer
		m.Layers = append(m.Layers, d)
		img.blobs = append(img.blobs, d)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return image{}, err
	}
	sum := sha256.Sum256(body)
	img.root = descriptor{typeManifest, "sha256:" + hex.EncodeToString(sum[:]), int64(len(body))}
	url := "http://" + r.host + "/v2/" + repository + "/manifests/v1"
	_, err = send(ctx, call{http.MethodPut, url, typeManifest, bytes.NewReader(body), http.StatusCreated})
	return img, err
}

// pushBlob uploads what content gives, whose digest is known only at its end.
func (r *registry) pushBlob(ctx context.Context, repository string, content io.Reader) (descriptor, error) {
	const octets = "application/octet-stream"
	session, err := send(ctx, call{http.MethodPost, "http://" + r.host + "/v2/" + repository + "/blobs/uploads/", octets, nil, http.StatusAccepted})
	if err != nil {
		return descriptor{}, err
	}
	sum := &meter{Hash: sha256.New()}
	session, err = send(ctx, call{http.MethodPatch, session, octets, io.TeeReader(content, sum), http.StatusAccepted})
	if err != nil {
		return descriptor{}, err
	}
	d := descriptor{Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil)), Size: sum.n}
	_, err = send(ctx, call{http.MethodPut, session + "&digest=" + d.Digest, octets, nil, http.StatusCreated})
	return d, err
}

// A meter hashes and counts.
type meter struct {
	hash.Hash
	n int64
}

func (m *meter) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	return m.Hash.Write(p)
}

// A call is one request and the status it must have.
type call struct {
	method, url, mediaType string
	body                   io.Reader
	want                   int
}

// send makes one request and returns where its answer points.
func send(ctx context.Context, c call) (location string, err error) {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, c.body)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Content-Type", c.mediaType)
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != c.want {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what can be had of an explanation
		return "", fmt.Errorf("%s %s: %s %s", c.method, c.url, resp.Status, text)
	}
	return resp.Header.Get("Location"), nil
}

// pushRandom pushes an image of one layer: a tar with one file of random bytes, the same each time, stored in a gzip
// stream that does not compress.
func (r *registry) pushRandom(ctx context.Context, repository string, size int64) (image, error) {
	diff := sha256.New()
	in, out := io.Pipe()
	go func() { out.CloseWithError(writeRandom(out, diff, size)) }()
	layer, err := r.pushBlob(ctx, repository, in)
	if err != nil {
		return image{}, errors.Join(err, in.CloseWithError(err))
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(diff.Sum(nil))}},
	})
	if err != nil {
		return image{}, err
	}
	c, err := r.pushBlob(ctx, repository, bytes.NewReader(config))
	if err != nil {
		return image{}, err
	}
	return r.pushManifest(ctx, repository, "config", []string{"layer"}, map[string]descriptor{"config": c, "layer": layer})
}

// writeRandom writes the layer to w and its uncompressed bytes to diff as well.
func writeRandom(w, diff io.Writer, size int64) error {
	z, err := gzip.NewWriterLevel(w, gzip.NoCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(io.MultiWriter(z, diff))
	head := &tar.Header{Typeflag: tar.TypeReg, Name: "cargo", Mode: 0o644, Size: size, ModTime: time.Unix(1_700_000_000, 0)}
	if err := t.WriteHeader(head); err != nil {
		return err
	}
	if _, err := io.CopyN(t, rand.NewChaCha8([32]byte{}), size); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}
