package wherry_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// link finds the target of a Markdown link or picture: [text](target) and [text](target "title").
var link = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)`)

// fence is a block of code, where brackets are not links.
var fence = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")

func TestMarkdownLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range targets(string(text)) {
			file := filepath.Join(filepath.Dir(page), filepath.FromSlash(target))
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: link to %s leads nowhere", page, target)
			}
		}
	}
}

func TestMarkdownAnchorsAreHeadings(t *testing.T) {
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range anchors(page, string(text)) {
			there, err := os.ReadFile(a.file)
			if err != nil {
				continue // the links to files say so
			}
			if !slices.Contains(headings(string(there)), a.heading) {
				t.Errorf("%s: %s has no heading #%s", page, a.file, a.heading)
			}
		}
	}
}

func TestMarkdownHeadingsAreNamedAsOnTheWeb(t *testing.T) {
	page := "# One two\n```\n# no heading\n```\n## How to …\n### `code`, and-more_x\n## One two\ntext # no\n"
	got := strings.Join(headings(page), " ")
	if want := "one-two how-to- code-and-more_x one-two-1"; got != want {
		t.Errorf("headings = %q, want %q", got, want)
	}
}

// An anchor is a place within a page that a link leads to.
type anchor struct{ file, heading string }

// anchors lists the headings of Markdown files that page links to, its own too.
func anchors(name, page string) []anchor {
	var all []anchor
	for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		u, err := url.Parse(m[1])
		if err != nil || u.Scheme != "" || u.Fragment == "" {
			continue
		}
		file := name
		if u.Path != "" {
			file = filepath.Join(filepath.Dir(name), filepath.FromSlash(u.Path))
		}
		if strings.HasSuffix(file, ".md") {
			all = append(all, anchor{file, u.Fragment})
		}
	}
	return all
}

// block is a fence of whole lines: in a heading, code counts.
var block = regexp.MustCompile("(?ms)^```.*?^```")

// headings lists what the headings of a page are called in links: lower case, with
// dashes for blanks and without punctuation, and a number where one is met again.
func headings(page string) []string {
	var names []string
	met := map[string]int{}
	for line := range strings.Lines(block.ReplaceAllString(page, "")) {
		text := strings.TrimLeft(line, "#")
		if level := len(line) - len(text); level == 0 || level > 6 || !strings.HasPrefix(text, " ") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(text))
		met[name]++
		if again := met[name] - 1; again > 0 {
			name += "-" + strconv.Itoa(again)
		}
		names = append(names, name)
	}
	return names
}

func TestMarkdownTargetsAreTheFilesAPageLinksTo(t *testing.T) {
	page := "see [a](docs/a.md#part), ![b](<b.png>), [web](https://example.test/x), [here](#here), `[no](code.md)`\n```\n[no](block.md)\n```\n"
	got := strings.Join(targets(page), " ")
	if want := "docs/a.md b.png"; got != want {
		t.Errorf("targets = %q, want %q", got, want)
	}
}

// targets lists the files that a page links to, without fragments; links to the web and into the page itself are left out.
func targets(page string) []string {
	var files []string
	for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		u, err := url.Parse(m[1])
		if err != nil || u.Scheme != "" || u.Path == "" {
			continue
		}
		files = append(files, u.Path)
	}
	return files
}

// pages lists the Markdown files of the repository, test data aside.
func pages(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (entry.Name() == "testdata" || entry.Name()[0] == '.' || entry.Name()[0] == '_'):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
