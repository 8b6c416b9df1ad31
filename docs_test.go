package wherry_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
