package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/faults"
)

const document = "../../docs/reliability.md"

// TestTheDocumentHasTheTable compares docs/reliability.md with the list. UPDATE_GOLDEN=1 writes it.
func TestTheDocumentHasTheTable(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- faults: make golden writes what follows -->\n", "<!-- end of faults -->\n"
	head, rest, found := strings.Cut(string(raw), begin)
	_, tail, ends := strings.Cut(rest, end)
	if !found || !ends {
		t.Fatalf("%s has no place for the table", document)
	}
	want := head + begin + table() + end + tail
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(raw) != want {
		t.Errorf("%s has another table; UPDATE_GOLDEN=1 writes it anew", document)
	}
}

func table() string {
	var b strings.Builder
	part := faults.Part("")
	ordered := slices.Clone(faults.Table())
	order := []faults.Part{faults.Reading, faults.Writing, faults.Disk, faults.Network}
	slices.SortStableFunc(ordered, func(a, b faults.Fault) int { return slices.Index(order, a.Part) - slices.Index(order, b.Part) })
	for _, f := range ordered {
		if f.Part != part {
			part = f.Part
			fmt.Fprintf(&b, "\n### %s\n\n| Fault | What goes wrong | What becomes of a copy |\n|---|---|---|\n", titles[part])
		}
		name := "`" + f.Name + "`"
		if !f.Served() {
			name = f.Name
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, f.Does, strings.Join(becomes(f), "; "))
	}
	b.WriteString("\n")
	return b.String()
}

var titles = map[faults.Part]string{
	faults.Reading: "Reading", faults.Writing: "Writing", faults.Disk: "Disk and process", faults.Network: "On the way",
}

func becomes(f faults.Fault) []string {
	var all []string
	switch {
	case f.Served() && f.Lasts:
		all = append(all, outcome(f.Want))
	case f.Served() && f.Thrice == nil:
		all = append(all, outcome(f.Want)+", for each of one or three strikes")
	case f.Served():
		all = append(all, "once: "+outcome(f.Want), "three times: "+outcome(*f.Thrice))
	}
	if len(f.Held) > 0 {
		all = append(all, "held by `"+strings.Join(f.Held, "`, `")+"`")
	}
	if f.Out != "" {
		all = append(all, "not tested: "+f.Out)
	}
	return all
}

func outcome(w faults.Want) string {
	if w.Class != nil {
		return fmt.Sprintf("fails with exit code %d (%v)", w.Exit, w.Class)
	}
	said := fmt.Sprintf("goes well; at most %v times what was struck is moved again, in %d more requests", w.Again, w.Requests)
	if w.AtLeast > 0 {
		said += fmt.Sprintf(", and nobody asks for %s", w.AtLeast)
	}
	return said
}

// TestTheTableIsWhole holds every row to saying what it is, how it is made and who holds it.
func TestTheTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range faults.Table() {
		if f.Name == "" || f.Does == "" || f.Part == "" || seen[f.Name] {
			t.Errorf("%+v: a fault has a name of its own, a part and what it does", f)
		}
		seen[f.Name] = true
		if ways := len(f.Cases()) + len(f.Held) + len(f.Out); ways == 0 {
			t.Errorf("%s: nobody holds it", f.Name)
		}
		for _, c := range f.Cases() {
			target, err := faults.TargetAt(small(), c.At)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Arm(target); err != nil {
				t.Errorf("%s: %v", c, err)
			}
		}
		for _, held := range f.Held {
			if !exists(t, held) {
				t.Errorf("%s: there is no test %s", f.Name, held)
			}
		}
	}
}

// exists reports whether there is a test: a script, or folder.TestName.
func exists(t *testing.T, held string) bool {
	t.Helper()
	if strings.HasSuffix(held, ".txtar") {
		_, err := os.Stat(filepath.Join("../..", held))
		return err == nil
	}
	folder, name, _ := strings.Cut(held, ".")
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`(?m)^func ` + name + `\(t \*testing\.T\)`).Match(raw) {
			return true
		}
	}
	return false
}

// A said is a buffer that tells when something was written.
type said struct {
	bytes.Buffer
	wrote chan struct{}
}

func (s *said) Write(p []byte) (int, error) {
	defer func() {
		select {
		case s.wrote <- struct{}{}:
		default:
		}
	}()
	return s.Buffer.Write(p)
}

func TestTheCommandServesAFault(t *testing.T) {
	folder := t.TempDir()
	if err := faults.Write(small(), folder, tag); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-fault", "rst-half", "-blob", "config", "-times", "3"},
		{"-fault", "http-503", "-blob", "manifest", "-image", folder},
		{"-fault", "rst-half", "-blob", "manifest", "-times", "0"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		stdout, stderr := &said{wrote: make(chan struct{}, 1)}, &bytes.Buffer{}
		code := make(chan int)
		go func() { code <- faults.Command(ctx, append(args, "-addr", "127.0.0.1:0"), stdout, stderr) }()
		<-stdout.wrote
		at := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(stdout.String())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/v2/"+repo+"/manifests/"+tag, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close() // its status is what counts
		transport.CloseIdleConnections()
		cancel()
		if got := <-code; got != 0 || stderr.Len() > 0 {
			t.Errorf("exit code %d, %s", got, stderr)
		}
		struck, status := "struck 0 times", http.StatusOK
		if args[3] == "manifest" {
			struck = "struck once"
		}
		if args[1] == "http-503" {
			status = http.StatusServiceUnavailable
		}
		if !strings.Contains(stdout.String(), struck) || resp.StatusCode != status {
			t.Errorf("status %d, and it says %s", resp.StatusCode, stdout)
		}
	}
}

func TestTheCommandSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-list"}, 0, ""},
		{[]string{"-fault", "no-such"}, 1, "no fault"},
		{[]string{"-fault", "killed"}, 1, "no fault"},
		{[]string{"-blob", "fourth"}, 1, "no part"},
		{[]string{"-addr", "0.0.0.0:5005"}, 1, "loopback only"},
		{[]string{"-image", filepath.Join(t.TempDir(), "none")}, 1, "no such file"},
		{[]string{"-odd"}, 2, "not defined"},
		{[]string{"rst-half"}, 2, "named with -fault"},
		{[]string{"-times", "-1"}, 1, "once or more often"},
		{[]string{"-fault", "goaway"}, 1, "goaway does not strike"},
		{[]string{"-fault", "web-page", "-blob", "first"}, 1, "web-page does not strike"},
	} {
		var stdout, stderr bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := faults.Command(ctx, tt.args, &stdout, &stderr); got != tt.code || !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("%q: exit code %d, %s", tt.args, got, stderr.String())
		}
		if listed := strings.Contains(stdout.String(), "rst-half"); listed != (tt.code == 0) {
			t.Errorf("%q: %s", tt.args, stdout.String())
		}
	}
	if _, err := faults.Read(t.Context(), t.TempDir(), tag); err == nil {
		t.Error("an empty folder is no image")
	}
}
