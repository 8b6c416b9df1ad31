package cli

import (
	"archive/tar"
	"encoding/json"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
)

// DiveResult is what `dive --json` writes of an image, and so does `wherry analyze
// --compat dive` (docs/schemas/analyze-dive.json).
// https://github.com/wagoodman/dive/blob/v0.13.1/runtime/export/export.go
type DiveResult struct {
	Layer []DiveLayer `json:"layer"`
	Image DiveImage   `json:"image"`
}

// A DiveLayer is a layer of a DiveResult.
type DiveLayer struct {
	Index     int           `json:"index"`
	ID        string        `json:"id"` // where dive has the name of a folder in the archive, the digest of the layer
	DigestID  digest.Digest `json:"digestId"`
	SizeBytes int64         `json:"sizeBytes"`
	Command   string        `json:"command"`
	FileList  []DiveFile    `json:"fileList"`
}

// A DiveFile is an entry of a layer.
type DiveFile struct {
	Path     string `json:"path"`
	TypeFlag byte   `json:"typeFlag"`
	LinkName string `json:"linkName"`
	Size     int64  `json:"size"`
	FileMode uint32 `json:"fileMode"` // as Go has it
	UID      int    `json:"uid"`
	GID      int    `json:"gid"`
	IsDir    bool   `json:"isDir"`
}

// A DiveImage is what a DiveResult says of all layers.
type DiveImage struct {
	SizeBytes        int64           `json:"sizeBytes"`
	InefficientBytes int64           `json:"inefficientBytes"`
	EfficiencyScore  float64         `json:"efficiencyScore"`
	FileReference    []DiveReference `json:"fileReference"`
}

// A DiveReference is a path that several layers have.
type DiveReference struct {
	Count     int    `json:"count"`
	SizeBytes int64  `json:"sizeBytes"`
	File      string `json:"file"`
}

// diveRender shows an analysis of m as dive does.
func diveRender(f *Factory, a *image.Analysis, m content.Manifest) (render.Result, error) {
	r := diveResult(a, m)
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: r, Raw: f.exact(append(raw, '\n'))}, nil
}

func diveResult(a *image.Analysis, m content.Manifest) DiveResult {
	r := DiveResult{Layer: []DiveLayer{}, Image: DiveImage{
		SizeBytes: a.Waste.Size, InefficientBytes: a.Waste.Bytes, EfficiencyScore: a.Waste.Efficiency, FileReference: []DiveReference{},
	}}
	for i, contents := range a.Tree.Layers() {
		command := a.Steps[i].CreatedBy
		if command == "" {
			command = "(missing)"
		}
		l := DiveLayer{
			Index: i, ID: m.Layers()[i].Digest.Encoded(), DigestID: a.DiffIDs[i], SizeBytes: contents.Size(),
			Command: strings.TrimPrefix(command, "/bin/sh -c "), FileList: []DiveFile{},
		}
		contents.Walk(func(_ string, e *image.Entry) { l.FileList = append(l.FileList, diveFile(e)) })
		r.Layer = append(r.Layer, l)
	}
	for _, p := range a.Waste.Paths {
		r.Image.FileReference = append(r.Image.FileReference, DiveReference{Count: len(p.Layers), SizeBytes: p.Bytes, File: "/" + p.Path})
	}
	return r
}

// diveFile returns an entry; a folder that none tells of is empty.
func diveFile(e *image.Entry) DiveFile {
	if e == nil {
		return DiveFile{}
	}
	h := tar.Header{Name: e.Path, Typeflag: e.Type, Mode: e.Mode, Size: e.Size, Linkname: e.Link}
	mode := h.FileInfo().Mode()
	if e.Type == tar.TypeLink {
		mode &^= fs.ModeType
	}
	return DiveFile{
		Path: e.Path, TypeFlag: e.Type, LinkName: e.Link, Size: e.Size, FileMode: uint32(mode), UID: e.UID, GID: e.GID, IsDir: e.IsDir(),
	}
}
