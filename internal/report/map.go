package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/term"
)

// mostNodes is how many folders and files the map of a page may have: more than
// anybody can see, and little to draw.
const mostNodes = 4000

// A Node is a folder or file of a map, whose area is its bytes.
type Node struct {
	Name     string  `json:"n"`
	Bytes    int64   `json:"b"`           // of it and all below it, lost ones too
	Lost     int64   `json:"w,omitempty"` // of these, what is no file of the image
	Layer    int     `json:"l"`           // that most of the bytes are of, the lowest is 1
	Files    int     `json:"f,omitempty"` // of a folder, and of what is too small to be shown alone
	Children []*Node `json:"c,omitempty"` // the most bytes first
}

// A dir is a folder before it is known what of it is shown.
type dir struct {
	children map[string]*dir
	bytes    int64
	lost     int64
	files    int
	layers   map[int]int64 // bytes of each
}

// Map returns the root of what files make, with at most some thousand nodes: what
// is small is put together with its neighbours.
func Map(files []image.Stored) *Node {
	root := &dir{}
	for _, f := range files {
		d := root
		for name := range strings.SplitSeq(f.Path, "/") {
			d = d.child(name)
		}
		d.add(f)
	}
	root.sum()
	for least := root.bytes/20_000 + 1; ; least *= 2 {
		if root.count(least) <= mostNodes {
			return root.node("/", least)
		}
	}
}

func (d *dir) child(name string) *dir {
	c := d.children[name]
	if c == nil {
		c = &dir{}
		if d.children == nil {
			d.children = map[string]*dir{}
		}
		d.children[name] = c
	}
	return c
}

func (d *dir) add(f image.Stored) {
	if d.layers == nil {
		d.layers = map[int]int64{}
	}
	d.layers[f.Layer+1] += f.Bytes
	d.bytes += f.Bytes
	d.files++
	if f.Lost {
		d.lost += f.Bytes
	}
}

// sum gives folders what is in them.
func (d *dir) sum() {
	for _, c := range d.children {
		c.sum()
		d.bytes += c.bytes
		d.lost += c.lost
		d.files += c.files
		if d.layers == nil {
			d.layers = map[int]int64{}
		}
		for layer, bytes := range c.layers {
			d.layers[layer] += bytes
		}
	}
}

// count returns how many nodes there are where each has that many bytes at least.
func (d *dir) count(least int64) int {
	n := 1
	for _, c := range d.children {
		if c.bytes >= least {
			n += c.count(least)
		}
	}
	if len(d.children) > 0 {
		n++ // the small ones
	}
	return n
}

// node returns d, with what has that many bytes at least.
func (d *dir) node(name string, least int64) *Node {
	n := &Node{Name: shown(name), Bytes: d.bytes, Lost: d.lost, Layer: d.layer()}
	if d.children == nil {
		return n
	}
	n.Files = d.files
	small := &Node{}
	of := map[int]int64{}
	for name, c := range d.children {
		if c.bytes >= least {
			n.Children = append(n.Children, c.node(name, least))
			continue
		}
		small.Bytes += c.bytes
		small.Lost += c.lost
		small.Files += c.files
		for layer, bytes := range c.layers {
			of[layer] += bytes
		}
	}
	if small.Files > 0 {
		small.Name, small.Layer = fmt.Sprintf("%d more", small.Files), (&dir{layers: of}).layer()
		n.Children = append(n.Children, small)
	}
	slices.SortFunc(n.Children, func(a, b *Node) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Name, b.Name))
	})
	return n
}

// layer returns the layer that most bytes are of.
func (d *dir) layer() int {
	most := 0
	for layer, bytes := range d.layers {
		if most == 0 || bytes > d.layers[most] || bytes == d.layers[most] && layer < most {
			most = layer
		}
	}
	return most
}

// shown returns a name as it may be shown.
func shown(name string) string {
	const most = 100
	safe := []rune(term.Safe(name))
	if len(safe) > most {
		safe = append(safe[:most-1], '…')
	}
	return string(safe)
}
