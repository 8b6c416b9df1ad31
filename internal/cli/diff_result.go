package cli

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/image"
)

// DiffResult is what `wherry diff` says.
type DiffResult struct {
	A        DiffImage        `json:"a"`
	B        DiffImage        `json:"b"`
	Same     bool             `json:"same"` // nothing differs that was compared
	Settings []DiffSetting    `json:"settings"`
	Packages []DiffPackage    `json:"packages"`
	Files    []DiffFile       `json:"files"`
	Layers   []DiffLayer      `json:"layers"`
	Unread   []digest.Digest  `json:"unread,omitempty"`   // layers of both images that would settle what is not
	Unsought []string         `json:"unsought,omitempty"` // PATHs of which it is not known whether the images have them: such layers were not read
	Unlisted []DiffUncompared `json:"unlisted,omitempty"` // files that tell packages, and could not be compared
}

// DiffImage is one of the two images.
type DiffImage struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
	Layers int           `json:"layers"`
	Size   int64         `json:"size"` // of the layers, as they are stored, in bytes
}

// DiffSetting is a setting that differs.
type DiffSetting struct {
	Change string `json:"change"` // added, removed, changed
	Name   string `json:"name"`
	Key    string `json:"key,omitempty"` // of a variable, a label, a port, a volume; the number of a step
	Was    string `json:"was,omitempty"`
	Now    string `json:"now,omitempty"`
}

// DiffPackage is a package that differs.
type DiffPackage struct {
	Change  string `json:"change"` // added, removed, upgraded, downgraded, changed
	Manager string `json:"manager"`
	Name    string `json:"name"`
	Arch    string `json:"arch,omitempty"`
	Was     string `json:"was,omitempty"` // version; commas between several
	Now     string `json:"now,omitempty"`
}

// DiffFile is a path at which the images differ.
type DiffFile struct {
	Change    string        `json:"change"` // added, removed, changed, touched
	Path      string        `json:"path"`   // with a slash behind it where it is a folder
	What      []string      `json:"what,omitempty"`
	Was       *DiffFileSide `json:"was,omitempty"`
	Now       *DiffFileSide `json:"now,omitempty"`
	Unsettled bool          `json:"unsettled,omitempty"` // a layer of both images was not read that would tell
	By        string        `json:"by,omitempty"`        // the image whose own layers touch the file
	Patch     string        `json:"patch,omitempty"`
}

// DiffFileSide is what one image has at a path.
type DiffFileSide struct {
	Type     string            `json:"type"`
	Mode     string            `json:"mode"` // octal
	UID      int               `json:"uid"`
	GID      int               `json:"gid"`
	Size     int64             `json:"size"`
	Modified *time.Time        `json:"modified,omitempty"`
	Link     string            `json:"link,omitempty"`
	Device   string            `json:"device,omitempty"`
	Digest   digest.Digest     `json:"digest,omitempty"`
	Xattrs   map[string][]byte `json:"xattrs,omitempty"`
}

// DiffLayer is a layer of either image, or of both.
type DiffLayer struct {
	In     string        `json:"in"` // a, b, both
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Other  digest.Digest `json:"other,omitempty"` // of B, where both have the layer, compressed in two ways
}

// DiffUncompared is a file that tells which packages there are.
type DiffUncompared struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

func newDiffResult(c *image.Comparison, names [2]string) DiffResult {
	r := DiffResult{
		A:        DiffImage{names[0], c.A.Digest, c.A.Layers, c.A.Size},
		B:        DiffImage{names[1], c.B.Digest, c.B.Layers, c.B.Size},
		Same:     c.Same(),
		Unsought: c.Unsought,
		Settings: make([]DiffSetting, len(c.Settings)),
		Packages: make([]DiffPackage, len(c.Packages)),
		Files:    make([]DiffFile, len(c.Files)),
		Layers:   make([]DiffLayer, len(c.Layers)),
	}
	for i, s := range c.Settings {
		r.Settings[i] = DiffSetting{s.String(), s.Name, s.Key, s.Was, s.Now}
	}
	for i, p := range c.Packages {
		r.Packages[i] = DiffPackage{p.Change, p.Manager, p.Name, p.Arch, p.Was, p.Now}
	}
	for i, f := range c.Files {
		r.Files[i] = newDiffFile(f)
	}
	for i, l := range c.Layers {
		r.Layers[i] = newDiffLayer(l)
	}
	for _, d := range c.Unread {
		r.Unread = append(r.Unread, d.Digest)
	}
	for _, u := range c.Unlisted {
		why := "a layer of both images was not read"
		if u.Err != nil {
			why = u.Err.Error()
		}
		r.Unlisted = append(r.Unlisted, DiffUncompared{u.Path, why})
	}
	return r
}

func newDiffFile(f image.FileChange) DiffFile {
	d := DiffFile{
		Change: f.String(), Path: f.Path, What: f.Aspects.Names(), Was: newDiffFileSide(f.Was), Now: newDiffFileSide(f.Now),
		Unsettled: f.Unsettled, By: f.By, Patch: f.Patch,
	}
	last := f.Now
	if last == nil {
		last = f.Was
	}
	// A folder that no entry tells of has none.
	if last != nil && last.IsDir() || last == nil && f.Difference != image.Touched || f.Path == "" {
		d.Path += "/"
	}
	return d
}

func newDiffFileSide(e *image.Entry) *DiffFileSide {
	if e == nil {
		return nil
	}
	s := &DiffFileSide{
		Type: e.TypeName(), Mode: fmt.Sprintf("%04o", e.Mode), UID: e.UID, GID: e.GID, Size: e.Size, Link: e.Link, Digest: e.Digest,
	}
	if at := e.ModTime.UTC(); at.Year() >= 0 && at.Year() <= 9999 {
		s.Modified = &at
	}
	if e.Major != 0 || e.Minor != 0 {
		s.Device = fmt.Sprintf("%d:%d", e.Major, e.Minor)
	}
	for name, value := range e.Xattrs {
		if s.Xattrs == nil {
			s.Xattrs = map[string][]byte{}
		}
		s.Xattrs[name] = []byte(value)
	}
	return s
}

func newDiffLayer(p image.LayerPair) DiffLayer {
	switch {
	case !p.Shared() && p.A.Digest != "":
		return DiffLayer{In: "a", Digest: p.A.Digest, Size: p.A.Size}
	case !p.Shared():
		return DiffLayer{In: "b", Digest: p.B.Digest, Size: p.B.Size}
	}
	l := DiffLayer{In: "both", Digest: p.A.Digest, Size: p.A.Size}
	if p.A.Digest != p.B.Digest {
		l.Other = p.B.Digest
	}
	return l
}
