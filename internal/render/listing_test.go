package render

import (
	"bytes"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/term"
)

type imageRow struct{ Size, ID, CreatedBy, Layer string }

func dockers() Result {
	return Result{
		Listing: &Listing{
			Rows: []imageRow{
				{ID: "4dd97cefde62", CreatedBy: "COPY a b && <c>", Size: "72.9MB", Layer: "sha256:1"},
				{ID: "<none>", CreatedBy: "evil\x1b[2J", Size: "0B"},
			},
			Columns: []string{"ID", "CreatedBy", "Size"},
			Keys:    []string{"ID", "Size", "CreatedBy"},
			Headers: map[string]string{"ID": "IMAGE ID"},
		},
		Quiet: []string{"4dd97cefde62"},
	}
}

func TestAListingIsWrittenAsDockerWritesIt(t *testing.T) {
	all := dockers()
	all.Listing.Keys = nil
	none := Result{Listing: &Listing{Rows: []imageRow{}, Columns: []string{"ID"}, Headers: map[string]string{"ID": "IMAGE ID"}}}
	tests := []struct {
		name   string
		format string
		quiet  bool
		result Result
		want   string
	}{
		{name: "a table", result: dockers(), want: "IMAGE ID       CREATED BY        SIZE\n4dd97cefde62   COPY a b && <c>   72.9MB\n<none>         evil\\x1b[2J       0B\n"},
		{name: "a table of nothing", result: none, want: "IMAGE ID\n"},
		{name: "quiet", quiet: true, result: dockers(), want: "4dd97cefde62\n"},
		{name: "an object a line, keys sorted, escaped as docker does", format: "json", result: dockers(), want: `{"CreatedBy":"COPY a b \u0026\u0026 \u003cc\u003e","ID":"4dd97cefde62","Size":"72.9MB"}` + "\n" + `{"CreatedBy":"evil\u001b[2J","ID":"\u003cnone\u003e","Size":"0B"}` + "\n"},
		{name: "all keys", format: "json", result: all, want: `{"CreatedBy":"COPY a b \u0026\u0026 \u003cc\u003e","ID":"4dd97cefde62","Layer":"sha256:1","Size":"72.9MB"}` + "\n" + `{"CreatedBy":"evil\u001b[2J","ID":"\u003cnone\u003e","Layer":"","Size":"0B"}` + "\n"},
		{name: "no object for nothing", format: "json", result: none, want: ""},
		{name: "a template", format: "{{.ID}}: {{.Layer}}", quiet: true, result: dockers(), want: "4dd97cefde62: sha256:1\n<none>: \n"},
		{name: "a table template", format: `table {{.Size}}\t{{lower .ID}}`, result: dockers(), want: "SIZE     IMAGE ID\n72.9MB   4dd97cefde62\n0B       <none>\n"},
		{name: "a table template of nothing", format: `table {{.Size}}\t{{.ID}}`, result: none, want: "SIZE   IMAGE ID\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parseFormat(tt.format)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := (Printer{Out: term.Open(&out, nil), Format: f, Quiet: tt.quiet}).Print(tt.result); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestAListingNamesItsFieldsWhereATemplateWantsOthers(t *testing.T) {
	for _, format := range []string{"{{.Name}}", "table {{.Name.First}}"} {
		f, err := parseFormat(format)
		if err != nil {
			t.Fatal(err)
		}
		err = (Printer{Out: term.Open(&bytes.Buffer{}, nil), Format: f}).Print(dockers())
		if err == nil || !strings.HasSuffix(err.Error(), "; the result has Size, ID, CreatedBy, Layer") {
			t.Errorf("%s: got %v", format, err)
		}
	}
}
