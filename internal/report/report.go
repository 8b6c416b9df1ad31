// Package report writes what is known of an image as one page of HTML that needs
// nothing else: a map of its files, its layers, what they waste, and what to do
// about it. What comes from the image is text there, and never markup or script.
package report

import (
	_ "embed"
	"html/template"
	"io"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/term"
)

// A Page is what is shown of an image. Its texts are made harmless here.
type Page struct {
	Name   string
	Facts  []Fact
	Layers []Layer
	Wasted []Wasted // the most bytes first; the page has the first of them
	Advice []Advice
	Files  []image.Stored
}

// A Fact is a figure about all of the image.
type Fact struct{ Name, Value string }

// A Layer is one layer of the image.
type Layer struct {
	Number     int // the lowest is 1
	Command    string
	Created    *time.Time
	Size       int64 // bytes of its files
	Hidden     int64 // of these, what later layers take away
	Compressed int64 // bytes it takes as it is stored
}

// A Wasted path is one that several layers have.
type Wasted struct {
	Path   string
	Count  int
	Bytes  int64
	Layers string
}

// An Advice says what to do.
type Advice struct {
	ID    string
	Bytes int64
	Text  string
}

// mostWasted is how many paths that waste the page has.
const mostWasted = 100

//go:embed page.html
var pageText string

// The template is parsed when a page is written: most runs write none.
var parsePage = sync.OnceValues(func() (*template.Template, error) {
	return template.New("page").Funcs(template.FuncMap{"safe": term.Safe, "size": term.Size, "percent": percent, "day": day, "kept": kept}).Parse(pageText)
})

// percent returns part of all in hundredths, for a width.
func percent(part, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) * 100 / float64(all)
}

func kept(l Layer) int64 { return l.Size - l.Hidden }

func day(t *time.Time) string {
	if t == nil || t.Year() < 2000 { // reproducible builds say 1970
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// Write writes p. An error is that of w.
func (p Page) Write(w io.Writer) error {
	page, err := parsePage()
	if err != nil {
		return err
	}
	largest := int64(0)
	for _, l := range p.Layers {
		largest = max(largest, l.Size)
	}
	return page.Execute(w, struct {
		Page

		Shown   []Wasted
		Largest int64
		Map     *Node
	}{p, p.Wasted[:min(mostWasted, len(p.Wasted))], largest, Map(p.Files)})
}
