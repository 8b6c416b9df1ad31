package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each parser is given the worst that fits into half a file, and comes back soon,
// whatever it says. Soon leaves room for the race detector on a busy machine.
func TestHostileFilesAreReadInReasonableTime(t *testing.T) {
	parsers := map[string]func([]byte) error{
		"registries.conf": func(raw []byte) error { _, err := parseContainers("file", raw); return err },
		"hosts.toml":      func(raw []byte) error { _, err := parseHosts("file", raw); return err },
		"daemon.json":     func(raw []byte) error { _, err := parseDaemon("file", raw); return err },
		"own file":        func(raw []byte) error { _, err := parseOwn("file", raw); return err },
	}
	fill := func(head, part string) string { return head + strings.Repeat(part, (maxFile/2-len(head))/len(part)) }
	numbered := func(head, format string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; b.Len() < maxFile/2; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	files := map[string]string{
		"lists in lists":         fill("a = ", "["),
		"lists in lists, YAML":   fill("a: ", "["),
		"lists in lists, JSON":   fill("", "["),
		"tables in tables":       fill("", `{"a":`),
		"tables in tables, YAML": fill("", "{a: "),
		"items in items":         fill("", "- "),
		"keys of keys":           fill("", "? "),
		"deeper line by line":    fill("", "a:\n  "),
		"a long key":             fill("", "a."),
		"a long table":           fill("[", "a."),
		"many registries":        numbered("", "[[registry]]\nlocation='a%d.example'\n"),
		"many mirrors":           numbered("[[registry]]\nlocation='a.example'\n", "[[registry.mirror]]\nlocation='a%d.example'\n"),
		"many hosts":             numbered("", "[host.'https://a%d.example']\n"),
		"many aliases":           numbered("[aliases]\n", "a%d='a.example/b'\n"),
		"many keys":              numbered("", "a%d=1\n"),
		"many keys, YAML":        numbered("registries:\n", "  a%d.example: {}\n"),
		"many unknown settings":  numbered("registries:\n  a.example:\n", "    mirrorz%d: 1\n"),
		"many anchors":           numbered("", "a%d: &a%[1]d x\n"),
		"many lines":             fill("", "\n"),
		"many comments":          fill("", "#\n"),
		"one long word":          fill("", "a"),
		"one long text":          fill(`a = "`, `\u0041`),
		"tabs":                   fill("", "\t"),
		"zeros":                  fill("", "\x00"),
	}
	for name, text := range files {
		for parser, parse := range parsers {
			began := time.Now()
			err := parse([]byte(text))
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s takes %v for %s (%v)", parser, took.Round(time.Millisecond), name, err)
			} else if testing.Verbose() && took > 200*time.Millisecond {
				t.Logf("%s takes %v for %s", parser, took.Round(time.Millisecond), name)
			}
		}
	}
}
