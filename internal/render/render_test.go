package render

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/term"
)

type tag struct {
	Name      string            `json:"name"`
	MediaType string            `json:"mediaType"`
	Size      int64             `json:"size"`
	Labels    []string          `json:"labels,omitempty"`
	Created   time.Time         `json:"-"`
	Env       map[string]string `json:"-"`
}

var tags = []tag{
	{Name: "v1", MediaType: "a/b", Size: 12, Labels: []string{"x", "y"}},
	{Name: "latest", MediaType: "a/c<d>", Size: 1},
}

func rows(all ...[]string) iter.Seq[[]string] { return slices.Values(all) }

func listing() Result {
	return Result{
		Value: tags,
		Tables: []Table{{Header: []string{"NAME", "SIZE", ""}, Rows: rows(
			[]string{"v1", "12", ""}, []string{"evil\x1b[2J", "1", "here"},
		)}},
		Lines: []string{"total\u202e 2"},
		Quiet: []string{"v1", "latest"},
	}
}

func TestPrinterWritesTheFormThatWasAskedFor(t *testing.T) {
	raw := Result{Raw: strings.NewReader("{\n}")}
	both := Result{Value: tags[0], Raw: strings.NewReader("bytes")}
	tests := []struct {
		name   string
		format string
		quiet  bool
		result Result
		want   string
	}{
		{name: "nothing for nothing", result: Result{}, want: ""},
		{name: "a table by default", result: listing(), want: "NAME          SIZE\nv1            12\nevil\\x1b[2J   1      here\ntotal\\u{202e} 2\n"},
		{name: "quiet", quiet: true, result: listing(), want: "v1\nlatest\n"},
		{name: "quiet with nothing to say", quiet: true, result: Result{Quiet: []string{}, Lines: []string{"x"}}, want: ""},
		{name: "quiet where nothing is left out", quiet: true, result: Result{Lines: []string{"x"}}, want: "x\n"},
		{name: "JSON outranks quiet", quiet: true, format: "json", result: Result{Value: 1, Quiet: []string{"x"}}, want: "1\n"},
		{name: "JSON is one document", format: "json", result: Result{Value: tags[1:]}, want: "[\n  {\n    \"name\": \"latest\",\n    \"mediaType\": \"a/c<d>\",\n    \"size\": 1\n  }\n]\n"},
		{name: "raw bytes stay", result: raw, want: "{\n}"},
		{name: "raw bytes are JSON enough", format: "json", result: Result{Raw: strings.NewReader("{}")}, want: "{}"},
		{name: "JSON of a value beside raw bytes", format: "json", result: Result{Value: 2, Raw: strings.NewReader("{}")}, want: "2\n"},
		{name: "a template beside raw bytes", format: "{{.Name}}", result: both, want: "v1\n"},
		{name: "a template over a list", format: "{{.Name}}={{.Size}}", result: listing(), want: "v1=12\nlatest=1\n"},
		{name: "a table template", format: `table {{.Name}}\t{{.MediaType}}\t{{json .Labels}}`, result: listing(), want: "NAME     MEDIA TYPE   LABELS\nv1       a/b          [\"x\",\"y\"]\nlatest   a/c<d>       null\n"},
		{name: "a table template over nothing", format: "table {{.Name}}", result: Result{Value: []tag{}}, want: "NAME\n"},
		{name: "a table template over one value", format: "table {{upper .Name}}", result: both, want: "NAME\nV1\n"},
		{name: "records where there is no terminal", result: Result{Tables: []Table{{Header: []string{"A"}, Rows: rows([]string{"1k"}), Records: rows([]string{"1000", "", "x\ty"})}}}, want: "1000\t\tx\\x09y\n"},
		{name: "no record at all", result: Result{Tables: []Table{{Header: []string{"A"}, Records: rows()}}}, want: ""},
		{name: "two tables", result: Result{Tables: []Table{{Title: "a", Rows: rows([]string{"1"})}, {Rows: rows([]string{"2"})}}}, want: "a\n1\n\n2\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parseFormat(tt.format)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			p := Printer{Out: term.Open(&out, nil), Format: f, Quiet: tt.quiet}
			if err := p.Print(tt.result); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// A word is text of a type of its own, as digests are.
type word string

func TestTemplatesHaveDockersFunctions(t *testing.T) {
	value := struct {
		Name string
		List []string
		Nums []int
		Map  map[string]int
		Word word
		At   *word
		None *word
	}{"hello world", []string{"a", "b"}, []int{1, 2}, map[string]int{"k": 2, "j": 1}, "sha256:ab", new(word("x")), nil}
	tests := []struct{ template, want string }{
		{`{{join .List ","}}`, "a,b"},
		{`{{join .Nums "-"}}`, "1-2"},
		{`{{join .Map " "}}`, "1 2"},
		{`{{index (split .Name " ") 1}}`, "world"},
		{`{{lower "ABC"}}{{upper "abc"}}`, "abcABC"},
		{`{{title .Name}}`, "Hello World"},
		{`<{{pad .Name 1 2}}>`, "< hello world  >"},
		{`<{{pad "" 1 2}}>`, "<>"},
		{`{{truncate .Name 5}}`, "hello"},
		{`{{truncate .Name 500}}`, "hello world"},
		{`{{truncate "aé" 2}}`, "a"},
		{`{{truncate .Word 6}}{{index (split .Word ":") 1}}`, "sha256ab"},
		{`{{upper .Word}}{{lower .Word}}{{title .Word}}`, "SHA256:ABsha256:abSha256:ab"},
		{`<{{pad .Word 1 1}}{{truncate .Nums 2}}{{upper .At}}{{upper .None}}>`, "< sha256:ab [1X>"},
		{`{{json .List}}`, `["a","b"]`},
		{`{{json "<&>"}}`, `"<&>"`},
		{`{{range .List}}{{println .}}{{end}}`, "a\nb\n"},
		{`a\tb\nc{{""}}`, "a\tb\nc"},
	}
	for _, tt := range tests {
		t.Run(tt.template, func(t *testing.T) {
			f, err := parseFormat(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := (Printer{Out: term.Open(&out, nil), Format: f}).Print(Result{Value: value}); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != tt.want+"\n" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTemplateOutputIsEscapedOnATerminalOnly(t *testing.T) {
	f, err := parseFormat("{{.}}")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		tty  bool
		want string
	}{{false, "a\x1bb\n"}, {true, "a\\x1bb\n"}} {
		var out bytes.Buffer
		p := Printer{Out: term.Output{Writer: &out, TTY: tt.tty}, Format: f}
		if err := p.Print(Result{Value: "a\x1bb"}); err != nil {
			t.Fatal(err)
		}
		if out.String() != tt.want {
			t.Errorf("tty %t: got %q, want %q", tt.tty, out.String(), tt.want)
		}
	}
}

func TestJSONIsEscapedForATerminal(t *testing.T) {
	for _, result := range []Result{
		{Value: map[string]string{"ID": "a\u009b2Jb"}},
		{Listing: &Listing{Rows: []imageRow{{ID: "a\u009b2Jb"}}, Keys: []string{"ID"}}},
	} {
		for tty, want := range map[bool]string{false: "a\u009b2Jb", true: `a\u009b2Jb`} {
			var out bytes.Buffer
			p := Printer{Out: term.Output{Writer: &out, TTY: tty}, Format: JSON()}
			if err := p.Print(result); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(out.String()), ""); got != `{"ID":"`+want+`"}` {
				t.Errorf("tty %t: got %q, want %q", tty, got, want)
			}
		}
	}
}

func TestBadTemplatesAreErrors(t *testing.T) {
	if _, err := parseFormat("{{.Name"); err == nil {
		t.Error("a template that does not end was taken")
	}
	f, err := parseFormat("{{.Nothing}}")
	if err != nil {
		t.Fatal(err)
	}
	if err := (Printer{Out: term.Open(&bytes.Buffer{}, nil), Format: f}).Print(Result{Value: tags}); err == nil {
		t.Error("a field that is not there was taken")
	}
}

func TestAFormatKnowsWhichFieldsItMayHave(t *testing.T) {
	for s, want := range map[string]bool{
		"{{json .SBOM}}":                                   true,
		"{{with $}}{{$.SBOM.SPDX}}{{end}}":                 true,
		"table {{(.).SBOM}}":                               true,
		`{{define "x"}}{{.SBOM}}{{end}}{{template "x" .}}`: true,
		"{{json .}}":                                       false,
		"SBOM {{.Name}}":                                   false,
		"json":                                             false,
		"":                                                 false,
	} {
		if f, err := parseFormat(s); err != nil || f.Has("SBOM") != want {
			t.Errorf("%q: %v, want %v; %v", s, f.Has("SBOM"), want, err)
		}
	}
}

func TestWhatIsNoFormatIsRefused(t *testing.T) {
	for _, s := range []string{"yaml", "jsno", "Name", "table Name", "}}"} {
		if _, err := parseFormat(s); err == nil || !strings.Contains(err.Error(), "table, json") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestTemplateErrorsSpeakOfFieldsAndNotOfTypes(t *testing.T) {
	const fields = "; the result has Name, MediaType, Size, Labels, Created, Env"
	tests := []struct{ format, want string }{
		{"{{.Nope}}", "--format: {{.Nope}}: there is no field Nope" + fields},
		{"{{.name}}", "--format: {{.name}}: there is no field name" + fields},
		{"table {{.Name.First}}", "--format: {{.Name.First}}: there is no field First" + fields},
		{"{{len .Size}}", "--format: {{len .Size}}: error calling len: len"},
		{`{{join .Size ","}}`, `--format: {{join .Size ","}}: error calling join: join takes a list`},
		{"{{index .Labels 7}}", "--format: {{index .Labels 7}}: error calling index: index out of range: 7"},
	}
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			f, err := parseFormat(tt.format)
			if err != nil {
				t.Fatal(err)
			}
			err = (Printer{Out: term.Open(&bytes.Buffer{}, nil), Format: f}).Print(Result{Value: tags[:1]})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func TestAWriterThatFailsIsTold(t *testing.T) {
	p := Printer{Out: term.Open(broken{}, nil)}
	if err := p.Print(listing()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
