package explore_test

import (
	"archive/tar"
	"regexp"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/explore"
)

func file(path string, size int64) image.Entry {
	return image.Entry{Path: path, Type: tar.TypeReg, Mode: 0o644, Size: size}
}

func folder(path string) image.Entry { return image.Entry{Path: path, Type: tar.TypeDir, Mode: 0o755} }

// shop is an image of three layers.
func shop(t *testing.T) explore.Image {
	t.Helper()
	layers := []*image.Contents{
		image.NewContents(folder("usr"), folder("usr/bin"), file("usr/bin/perl", 4_000_000), file("usr/bin/sh", 100_000), file("etc/hosts", 100), image.Entry{Path: "bin", Type: tar.TypeSymlink, Link: "usr/bin"}),
		image.NewContents(file("usr/bin/perl", 5_000_000), file("app/main.go", 3000), file("app/cache", 2_000_000)),
		image.NewContents(file("app/.wh.cache", 0)),
	}
	tree, err := image.Merge(layers)
	if err != nil {
		t.Fatal(err)
	}
	return explore.Image{
		Name: "shop:1", Facts: "efficiency 60.0 %, 11MB wasted", Tree: tree, Wasted: image.WasteOf(layers).Paths,
		Layers: []explore.Layer{{4_100_100, "ADD rootfs.tar /"}, {7_003_000, "RUN apt-get install -y perl && make a cache that is very large indeed"}, {0, "RUN rm /app/cache"}},
	}
}

var style = regexp.MustCompile("\x1b\\[[0-9;]*m")

// screen is what is seen after keys, without colours and blanks at the ends of lines.
func screen(t *testing.T, m *explore.Model, keys ...string) []string {
	t.Helper()
	for _, key := range keys {
		m.Update(press(key))
	}
	v := m.View()
	if !v.AltScreen {
		t.Error("the screen of the shell is written over")
	}
	var lines []string
	for line := range strings.SplitSeq(style.ReplaceAllString(v.Content, ""), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

func press(key string) tea.KeyPressMsg {
	codes := map[string]rune{"tab": tea.KeyTab, "enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "end": tea.KeyEnd, "home": tea.KeyHome, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace}
	if code, ok := codes[key]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	return tea.KeyPressMsg{Code: []rune(key)[0], Text: key}
}

func TestTheScreenHasLayersAndFiles(t *testing.T) {
	m := explore.New(shop(t))
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 13})
	want := []string{
		"shop:1  efficiency 60.0 %, 11MB wasted",
		"  #      SIZE COMMAND            │      SIZE    ALL LAYERS, by size",
		"all    11.1MB                    │     5.1MB  ! ▾ usr/",
		"  1     4.1MB ADD rootfs.tar /   │     5.1MB  !   ▾ bin/",
		"  2   7.003MB RUN apt-get insta… │       5MB  !       perl",
		"  3        0B RUN rm /app/cache  │     100kB          sh",
		"                                 │       3kB    ▾ app/",
		"                                 │       3kB        main.go",
		"                                 │      100B    ▾ etc/",
		"                                 │      100B        hosts",
		"────────────────────────────────────────────────────────────────────────────────",
		"",
		"tab switch · ↑↓ move · ←→ fold · a all files · s sort · / filter · q quit",
	}
	if diff := cmp.Diff(want, screen(t, m)); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
}

// files are the lines on the right.
func files(t *testing.T, m *explore.Model, keys ...string) string {
	t.Helper()
	var right []string
	for _, line := range screen(t, m, keys...) {
		if _, after, ok := strings.Cut(line, " │"); ok && strings.TrimSpace(after) != "" {
			right = append(right, strings.Join(strings.Fields(after), " "))
		}
	}
	return strings.Join(right, "\n")
}

func TestKeysLeadThroughAnImage(t *testing.T) {
	tests := []struct {
		name string
		keys []string
		want string
	}{
		{"what a layer changes", []string{"down", "down"}, "SIZE CHANGES OF LAYER 2, by size\n" +
			"5MB ! ▾ usr/\n5MB ! ▾ bin/\n5MB ~! perl\n2.003MB ! ▾ app/\n2MB +! cache\n3kB + main.go"},
		{"what a layer removes", []string{"end"}, "SIZE CHANGES OF LAYER 3, by size\n2MB ! ▾ app/\n2MB -! cache"},
		{"all files up to a layer", []string{"end", "a"}, "SIZE LAYERS UP TO 3, by size\n" +
			"5.1MB ! ▾ usr/\n5.1MB ! ▾ bin/\n5MB ! perl\n100kB sh\n2.003MB ! ▾ app/\n2MB -! cache\n3kB main.go\n100B ▾ etc/\n100B hosts\n0B bin → usr/bin"},
		{"by name", []string{"end", "up", "s"}, "SIZE CHANGES OF LAYER 2, by name\n" +
			"2.003MB ! ▾ app/\n2MB +! cache\n3kB + main.go\n5MB ! ▾ usr/\n5MB ! ▾ bin/\n5MB ~! perl"},
		{"a folder that is closed", []string{"tab", "left"}, "SIZE ALL LAYERS, by size\n5.1MB ! ▸ usr/\n3kB ▾ app/\n3kB main.go\n100B ▾ etc/\n100B hosts\n0B bin → usr/bin"},
		{"and opened again", []string{"tab", "enter", "down", "enter", "up", "enter", "end", "s", "home", "enter"}, "SIZE ALL LAYERS, by name\n" +
			"3kB ▾ app/\n3kB main.go\n0B bin → usr/bin\n100B ▾ etc/\n100B hosts\n5.1MB ! ▾ usr/\n5.1MB ! ▾ bin/\n5MB ! perl\n100kB sh"},
		{"left leads to the folder", []string{"enter", "down", "down", "left", "left"}, "SIZE ALL LAYERS, by size\n5.1MB ! ▾ usr/\n5.1MB ! ▸ bin/\n3kB ▾ app/\n3kB main.go\n100B ▾ etc/\n100B hosts\n0B bin → usr/bin"},
		{"a filter", []string{"/", "M", "A", "x", "backspace", "enter"}, "SIZE ALL LAYERS, by size, with MA\n3kB ▾ app/\n3kB main.go"},
		{"a filter that nothing has", []string{"/", "z", "z"}, "SIZE ALL LAYERS, by size, with zz\nnothing"},
		{"a filter that is cleared", []string{"/", "z", "esc", "tab", "end"}, "SIZE CHANGES OF LAYER 3, by size\n2MB ! ▾ app/\n2MB -! cache"},
		{"the letters of keys in a filter", []string{"/", "q", "esc", "/", "s", "h", "enter"}, "SIZE ALL LAYERS, by size, with sh\n5.1MB ! ▾ usr/\n5.1MB ! ▾ bin/\n100kB sh"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := explore.New(shop(t))
			m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(files(t, m, tt.keys...), "\n")); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// What is open in a tree is remembered while a few others are shown, and no longer:
// trees are large.
func TestAFewTreesAreKept(t *testing.T) {
	tests := []struct {
		name string
		keys []string
		want string
	}{
		{"after three others", []string{"down", "a", "a", "down", "home"}, "▸ usr/"},
		{"after four others", []string{"down", "a", "down", "a", "home"}, "▾ usr/"},
		{"shown again in between", []string{"down", "a", "home", "down", "down", "a", "home"}, "▸ usr/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := explore.New(shop(t))
			got := files(t, m, append([]string{"tab", "left", "tab"}, tt.keys...)...)
			if !strings.Contains(got, tt.want) {
				t.Errorf("no %q in\n%s", tt.want, got)
			}
		})
	}
}

func TestALineTellsAboutWhatIsChosen(t *testing.T) {
	m := explore.New(shop(t))
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 24})
	line := func(keys ...string) string { all := screen(t, m, keys...); return all[len(all)-2] }
	if got, want := line("down", "down"), "RUN apt-get install -y perl && make a cache that is very large indeed"; got != want {
		t.Errorf("of a layer: %q, want %q", got, want)
	}
	if got, want := line("enter", "down", "down"), "/usr/bin/perl  5MB  -rw-r--r--  0:0  layer 2  changed  in several layers"; got != want {
		t.Errorf("of a file: %q, want %q", got, want)
	}
	if got, want := line("/", "x"), "filter: x▏"; got != want {
		t.Errorf("of a filter: %q, want %q", got, want)
	}
}

func TestQEnds(t *testing.T) {
	for _, key := range []tea.KeyPressMsg{press("q"), {Code: 'c', Mod: tea.ModCtrl}} {
		_, cmd := explore.New(shop(t)).Update(key)
		if cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not end it", key)
		}
	}
	m := explore.New(shop(t))
	m.Update(press("/"))
	if _, cmd := m.Update(press("q")); cmd != nil {
		t.Error("q in a filter ends it")
	}
}

// Every line has the width of the screen, whatever the image is called and has.
func TestTheScreenIsFilledToTheColumn(t *testing.T) {
	img := shop(t)
	img.Name = "漢字\x1b[2J\u202e" + strings.Repeat("x", 300)
	img.Layers[0].Command = strings.Repeat("漢", 100_000)
	tree, err := image.Merge([]*image.Contents{image.NewContents(file(strings.Repeat("d/", 60)+"\x1b]0;x\x07漢字", 1), file("漢字漢字漢字漢字漢字漢字漢字漢字漢字", 2)), {}, {}})
	if err != nil {
		t.Fatal(err)
	}
	img.Tree = tree
	for _, size := range []tea.WindowSizeMsg{{Width: 80, Height: 24}, {Width: 50, Height: 10}, {Width: 51, Height: 11}, {Width: 300, Height: 100}} {
		m := explore.New(img)
		m.Update(size)
		m.Update(press("tab"))
		m.Update(press("end"))
		text := style.ReplaceAllString(m.View().Content, "")
		if strings.ContainsAny(text, "\x1b\x07\u202e") {
			t.Errorf("%v: the screen has controls of the image in it", size)
		}
		lines := strings.Split(text, "\n")
		if len(lines) != size.Height {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if got := lipgloss.Width(line); got != size.Width {
				t.Errorf("%v: a line has %d columns: %q", size, got, line)
			}
		}
	}
	m := explore.New(img)
	m.Update(tea.WindowSizeMsg{Width: 30, Height: 5})
	if got := m.View().Content; !strings.HasPrefix(got, "It takes 50 columns") {
		t.Errorf("a small screen says %q", got)
	}
}

// A list that is longer than the screen moves with the cursor.
func TestListsScroll(t *testing.T) {
	var entries []image.Entry
	for name := range strings.FieldsSeq(strings.Repeat("a b c d e f g h i j ", 10)) {
		entries = append(entries, file(name+"/"+string(rune('a'+len(entries)/10)), 1))
	}
	tree, err := image.Merge([]*image.Contents{image.NewContents(entries...)})
	if err != nil {
		t.Fatal(err)
	}
	m := explore.New(explore.Image{Tree: tree, Layers: make([]explore.Layer, 1)})
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 10})
	if got := files(t, m, "s", "tab", "pgdown"); !strings.HasSuffix(got, "10B ▸ f/") {
		t.Errorf("after a page:\n%s", got)
	}
	if got := files(t, m, "end"); !strings.HasSuffix(got, "10B ▸ j/") {
		t.Errorf("at the end:\n%s", got)
	}
	if got := files(t, m, "home"); !strings.Contains(got, "10B ▸ a/") {
		t.Errorf("at the start:\n%s", got)
	}
}
