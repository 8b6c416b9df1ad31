package report_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/report"
)

func write(t *testing.T, p report.Page) string {
	t.Helper()
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var embedded = regexp.MustCompile(`(?s)<script type="application/json" id="files">(.*?)</script>`)

// nodes returns the map that a page has.
func nodes(t *testing.T, page string) report.Node {
	t.Helper()
	found := embedded.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("the page has no map:\n%.2000s", page)
	}
	var root report.Node
	if err := json.Unmarshal([]byte(found[1]), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestWhatComesFromTheImageIsTextOnly(t *testing.T) {
	const hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202egpj\x1b[31m\u2028{{.Name}}"
	page := write(t, report.Page{
		Name:   hostile,
		Facts:  []report.Fact{{Name: "Size", Value: hostile}},
		Layers: []report.Layer{{Number: 1, Command: hostile, Size: 10}},
		Wasted: []report.Wasted{{Path: hostile, Count: 2, Bytes: 10, Layers: "1,2"}},
		Advice: []report.Advice{{ID: "distroless", Text: hostile}},
		Files:  []image.Stored{{Path: hostile, Bytes: 10}},
	})
	plain := write(t, report.Page{Files: []image.Stored{{Path: "a", Bytes: 10}}})
	for _, tag := range []string{"<script", "</script", "<img", "onerror=alert(2)>"} {
		if got, want := strings.Count(page, tag), strings.Count(plain, tag); got != want {
			t.Errorf("%q is there %d times, want %d", tag, got, want)
		}
	}
	for _, bad := range []string{"\u202e", "\x1b", "\u2028"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q in it", bad)
		}
	}
	below := nodes(t, page).Children[0]
	if want := "<"; below.Name != want { // the path has slashes
		t.Errorf("name = %q, want %q", below.Name, want)
	}
}

// A page loads nothing: the policy forbids it, and there is nothing to load.
func TestAPageNeedsNothingElse(t *testing.T) {
	page := write(t, report.Page{Name: "app"})
	if want := `content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"`; !strings.Contains(page, want) {
		t.Errorf("the page has not %s", want)
	}
	if found := regexp.MustCompile(`(?i)\b(src|href|action)=|url\(|@import|//[a-z]`).FindAllString(page, -1); found != nil {
		t.Errorf("the page refers to something: %q", found)
	}
}

func TestMapSaysWhatIsWhere(t *testing.T) {
	root := nodes(t, write(t, report.Page{Files: []image.Stored{
		{Path: "usr/bin/perl", Layer: 0, Bytes: 40, Lost: true}, {Path: "usr/bin/perl", Layer: 1, Bytes: 60}, {Path: "etc/hosts", Layer: 2, Bytes: 10},
	}}))
	got := fmt.Sprintf("%+v", flat(&root))
	want := "[/ 110 40 2 3 usr 100 40 2 2 bin 100 40 2 2 perl 100 40 2 0 etc 10 0 3 1 hosts 10 0 3 0]"
	if got != want {
		t.Errorf("map =\n%s, want\n%s", got, want)
	}
}

func flat(n *report.Node) []string {
	all := []string{fmt.Sprint(n.Name, " ", n.Bytes, n.Lost, n.Layer, n.Files)}
	for _, c := range n.Children {
		all = append(all, flat(c)...)
	}
	return all
}

func TestMapIsBounded(t *testing.T) {
	deep := strings.Repeat("d/", 2000)
	tests := map[string]func(i int) image.Stored{
		"many small files":    func(i int) image.Stored { return image.Stored{Path: fmt.Sprintf("d/%d", i), Bytes: 1} },
		"many small folders":  func(i int) image.Stored { return image.Stored{Path: fmt.Sprintf("%d/f", i), Bytes: 1} },
		"files without bytes": func(i int) image.Stored { return image.Stored{Path: fmt.Sprint(i)} },
		"names that are long": func(i int) image.Stored {
			return image.Stored{Path: fmt.Sprint(i, strings.Repeat("\x1b", 3000)), Bytes: 5}
		},
		"a few deep folders":   func(i int) image.Stored { return image.Stored{Path: fmt.Sprint(i%3, "/", deep, i), Bytes: 1000} },
		"files that are equal": func(i int) image.Stored { return image.Stored{Path: fmt.Sprint(i), Bytes: 1 << 40} },
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			n := 6000
			if name == "a few deep folders" {
				n = 30
			}
			var files []image.Stored
			for i := range n {
				files = append(files, file(i))
			}
			smallMap(t, files)
		})
	}
}

// smallMap holds a page of files to what it may have, and its map to their bytes.
func smallMap(t *testing.T, files []image.Stored) {
	t.Helper()
	page := write(t, report.Page{Files: files})
	root := nodes(t, page)
	if n := len(flat(&root)); n > 4000 {
		t.Errorf("the map has %d nodes", n)
	}
	if len(page) > 4<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	var sum, below int64
	for _, f := range files {
		sum += f.Bytes
	}
	for _, c := range root.Children {
		below += c.Bytes
	}
	if root.Bytes != sum || below != sum {
		t.Errorf("the map has %d bytes, %d below, of %d", root.Bytes, below, sum)
	}
}

func TestAPageHasTheFirstOfManyPaths(t *testing.T) {
	page := write(t, report.Page{Wasted: make([]report.Wasted, 5000)})
	if !strings.Contains(page, "The first 100 of 5000.") {
		t.Error("the page does not say that there are more")
	}
	if n := strings.Count(page, "<tr>"); n > 110 {
		t.Errorf("the page has %d rows", n)
	}
}
