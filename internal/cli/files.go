package cli

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
)

// FileResult is what `wherry files` says of a path.
type FileResult struct {
	Path     string            `json:"path"`
	Type     string            `json:"type"` // dir, file, symlink, hardlink (with --layer), char, block, fifo
	Mode     string            `json:"mode"` // as ls has it
	UID      int               `json:"uid"`
	GID      int               `json:"gid"`
	Size     int64             `json:"size"`
	Modified *time.Time        `json:"modified,omitempty"`
	Link     string            `json:"link,omitempty"`   // where a link leads to
	Device   string            `json:"device,omitempty"` // major:minor
	Digest   digest.Digest     `json:"digest,omitempty"` // of the bytes of a file
	Xattrs   map[string]string `json:"xattrs,omitempty"` // extended attributes in base64, by name

	Layer       int           `json:"layer,omitempty"` // it comes from, the lowest is 1; none of a folder that no layer tells of
	LayerDigest digest.Digest `json:"layerDigest,omitempty"`

	Removes string `json:"removes,omitempty"` // with --layer: the path that a whiteout takes away
	Empties string `json:"empties,omitempty"` // with --layer: the folder that is emptied of what lower layers have in it
}

type filesOptions struct {
	layerFlags

	Long  bool
	Layer string
}

func newFiles(f *Factory) *cobra.Command {
	var o filesOptions
	cmd := &cobra.Command{
		Use:   "files IMAGE [PATH]",
		Short: "List the files of an image, and which layer each comes from",
		Long: "List the files of an image, without pulling it: its layers one over the other, without what they remove, a path a line,\n" +
			"folders with a slash behind them, as docker export | tar t shows them. PATH narrows it to a file, or a folder and what is\n" +
			"in it. With --layer one layer as it is, whiteouts included; the lowest is 1.\n" +
			"What a layer has is remembered by its digest, so that the second time no layer is read. Of layers that carry a table of\n" +
			"contents, eStargz and zstd:chunked, only that is read: what it says is the word of whoever made the image; --whole reads the\n" +
			"layers themselves. Through a pipe the columns of -l have tabs between them, and sizes in bytes.",
		Example: "  wherry files nginx:1.27 | grep '\\.so$'\n  wherry files -l nginx:1.27 etc/nginx\n" +
			"  wherry files --layer 2 nginx:1.27\n  wherry files --format '{{.LayerDigest}} {{.Path}}' nginx:1.27 usr/sbin/nginx",
		Args: cobra.MatchAll(minArgs(1), upToArgs(2)),
	}
	flags := cmd.Flags()
	o.bind(flags)
	flags.BoolVarP(&o.Long, "long", "l", false, "show mode, owner, size, time and layer of each path")
	flags.StringVar(&o.Layer, "layer", "", "one `LAYER` as it is, by its number from 1, the lowest, or by the beginning of its digest")
	return f.RunInside(cmd, func(ctx context.Context, p *place, rest []string) (render.Result, error) {
		return runFiles(ctx, f, p, rest, o)
	})
}

func runFiles(ctx context.Context, f *Factory, p *place, rest []string, o filesOptions) (render.Result, error) {
	m, err := o.image(ctx, f, p)
	if err != nil {
		return render.Result{}, err
	}
	r := o.reader(f)
	shown, err := f.reading()
	if err != nil {
		return render.Result{}, err
	}
	defer shown.Close()
	p = p.watched(shown)
	list := p.listTree
	if o.Layer != "" {
		list = p.listLayer
	}
	files, err := list(ctx, r, m, strings.Join(rest, ""), o)
	if err != nil {
		return render.Result{}, p.fail(err)
	}
	return o.render(f, files), nil
}

// listTree returns the files of image m, those at and below name.
func (p *place) listTree(ctx context.Context, r image.Reader, m content.Manifest, name string, _ filesOptions) (iter.Seq[FileResult], error) {
	tree, err := r.Tree(ctx, p, m)
	if err != nil {
		return nil, err
	}
	at, err := whereIs(tree, name)
	if err != nil {
		return nil, err
	}
	layers := m.Layers()
	return func(yield func(FileResult) bool) {
		for file := range tree.Below(at.Path) {
			if !yield(fileResult(file, layers)) {
				return
			}
		}
	}, nil
}

// whereIs returns what is at name. A link is what is there, as for ls, and with a
// slash behind it where it leads to.
func whereIs(tree *image.Tree, name string) (image.File, error) {
	if strings.HasSuffix(name, "/") {
		return tree.Follow(name)
	}
	return tree.Lookup(name)
}

// listLayer returns what one layer of image m has, at and below name.
func (p *place) listLayer(ctx context.Context, r image.Reader, m content.Manifest, name string, o filesOptions) (iter.Seq[FileResult], error) {
	layers := m.Layers()
	n, err := pickLayer(layers, o.Layer)
	if err != nil {
		return nil, err
	}
	contents, err := r.Contents(ctx, p, layers[n])
	if err != nil {
		return nil, err
	}
	below := strings.Trim(name, "/")
	all := func(yield func(FileResult) bool) {
		for i, e := range contents.All() {
			if below != "" && e.Path != below && !strings.HasPrefix(e.Path, below+"/") {
				continue
			}
			file := fileResult(image.File{Path: e.Path, Layer: n, Number: i, Entry: e}, layers)
			file.Removes, _ = e.Whiteout()
			if folder, ok := e.Opaque(); ok {
				file.Empties = folder + "/"
			}
			if !yield(file) {
				return
			}
		}
	}
	for range all {
		return all, nil
	}
	if below == "" {
		return all, nil
	}
	return nil, fmt.Errorf("%.200q: layer %d has nothing there: %w", name, n+1, content.ErrNotFound)
}

// pickLayer returns which of layers is meant: by its number, from 1, by its
// digest, or by the beginning of that.
func pickLayer(layers []ocispec.Descriptor, which string) (int, error) {
	n, err := strconv.Atoi(which)
	if err == nil && 1 <= n && n <= len(layers) {
		return n - 1, nil
	}
	const least = 4 // digits, fewer are a slip
	prefix := strings.TrimPrefix(which, "sha256:")
	var found []int
	for i, d := range layers {
		twice := slices.ContainsFunc(found, func(j int) bool { return layers[j].Digest == d.Digest })
		if len(prefix) >= least && !twice && (strings.HasPrefix(d.Digest.Encoded(), prefix) || d.Digest.String() == which) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return 0, usagef("--layer %s: %s begin so", which, count(len(found), "layer"))
	}
	return 0, fmt.Errorf("--layer %.100q: the image has %s, the lowest is 1: %w", which, count(len(layers), "layer"), content.ErrNotFound)
}

// modeLetters are what the modes of ls begin with.
var modeLetters = map[byte]byte{
	tar.TypeDir: 'd', tar.TypeReg: '-', tar.TypeSymlink: 'l', tar.TypeLink: 'h', tar.TypeChar: 'c', tar.TypeBlock: 'b', tar.TypeFifo: 'p',
}

func fileResult(f image.File, layers []ocispec.Descriptor) FileResult {
	if f.Entry == nil {
		return FileResult{Path: f.Path + "/", Type: "dir", Mode: lsMode('d', 0o755)}
	}
	e := f.Entry
	letter := cmp.Or(modeLetters[e.Type], '?')
	r := FileResult{
		Path: f.Path, Type: e.TypeName(), Mode: lsMode(letter, e.Mode), UID: e.UID, GID: e.GID,
		Size: e.Size, Link: e.Link, Digest: e.Digest, Layer: f.Layer + 1, LayerDigest: layers[f.Layer].Digest,
	}
	if at := e.ModTime.UTC(); at.Year() >= 0 && at.Year() <= 9999 {
		r.Modified = &at
	}
	switch e.Type {
	case tar.TypeDir:
		r.Path = strings.TrimPrefix(f.Path+"/", "/")
		if r.Path == "" {
			r.Path = "./"
		}
	case tar.TypeChar, tar.TypeBlock:
		r.Device = fmt.Sprintf("%d:%d", e.Major, e.Minor)
	}
	for name, value := range e.Xattrs {
		if r.Xattrs == nil {
			r.Xattrs = map[string]string{}
		}
		r.Xattrs[name] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	return r
}

// lsMode returns a mode as ls -l shows it.
func lsMode(kind byte, mode int64) string {
	text := []byte("?rwxrwxrwx")
	text[0] = kind
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			text[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit    int64
		at     int
		letter byte // where it may be executed, too
	}{{0o4000, 3, 's'}, {0o2000, 6, 's'}, {0o1000, 9, 't'}} {
		switch {
		case mode&special.bit == 0:
		case text[special.at] == 'x':
			text[special.at] = special.letter
		default:
			text[special.at] = special.letter - 'a' + 'A'
		}
	}
	return string(text)
}

// render lays files out: a path a line, or a row each.
func (o filesOptions) render(f *Factory, files iter.Seq[FileResult]) render.Result {
	if f.Flags.asked() {
		all := slices.Collect(files)
		if all == nil {
			all = []FileResult{}
		}
		return render.Result{Value: all}
	}
	row, record := FileResult.name, FileResult.name
	var header []string
	if o.Long {
		header = []string{"MODE", "OWNER", "SIZE", "MODIFIED", "LAYER", "PATH"}
		row, record = FileResult.cells, FileResult.record
	}
	return render.Result{Tables: []render.Table{{Header: header, Rows: mapped(files, row), Records: mapped(files, record)}}}
}

// mapped yields what of makes of each file.
func mapped(files iter.Seq[FileResult], of func(FileResult) []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for file := range files {
			if !yield(of(file)) {
				return
			}
		}
	}
}

func (r FileResult) name() []string { return []string{r.Path} }

// cells are what people see of a file.
func (r FileResult) cells() []string {
	size, name := strconv.FormatInt(r.Size, 10), r.Path
	if r.Device != "" {
		size = r.Device
	}
	switch {
	case r.Type == "hardlink":
		name += " link to " + r.Link
	case r.Link != "":
		name += " -> " + r.Link
	}
	return []string{r.Mode, fmt.Sprintf("%d:%d", r.UID, r.GID), size, r.time("2006-01-02 15:04"), r.layer(), name}
}

// record is what programs see of a file: a link has where it leads to in a column
// more.
func (r FileResult) record() []string {
	size := strconv.FormatInt(r.Size, 10)
	if r.Device != "" {
		size = r.Device
	}
	record := []string{r.Mode, fmt.Sprintf("%d:%d", r.UID, r.GID), size, r.time(time.RFC3339), r.layer(), r.Path}
	if r.Link != "" {
		record = append(record, r.Link)
	}
	return record
}

func (r FileResult) time(layout string) string {
	if r.Modified == nil {
		return ""
	}
	return r.Modified.Format(layout)
}

func (r FileResult) layer() string {
	if r.Layer == 0 {
		return ""
	}
	return strconv.Itoa(r.Layer)
}
