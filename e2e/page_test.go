package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"image/png"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A browser is a headless Chromium with one page open.
type browser struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // it is what chromedp calls a tab

	mu       sync.Mutex
	asked    []string // addresses
	problems []string // exceptions, and what the policy of the page forbade
}

// openBrowser opens a file.
func openBrowser(t *testing.T, file string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(tool(t, "chromium")), chromedp.WindowSize(1200, 1000))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with it
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	tell(b, network.Enable, network.EnableParams{})
	tell(b, runtime.Enable, cdp.Empty{})
	b.run(chromedp.Navigate("file://"+file), chromedp.WaitVisible(chromedp.CSS("#map button.tile")))
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, "console: "+e.Type.String())
	}
}

func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// value evaluates an expression.
func value[T any](b *browser, expression string) T {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[T](expression))
}

// ask runs an action and returns what it gives.
func ask[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// tell sends a command of the protocol.
func tell[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// button selects a button of the way to the folder that is shown.
func button(name string) chromedp.Search {
	return chromedp.Search(`//nav/button[text()="` + name + `"]`)
}

// fetched returns what the page asked for beside itself.
func (b *browser) fetched() (beside, problems []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) == 0 {
		b.t.Error("requests are not counted: not even the page is among them")
		return nil, b.problems
	}
	return b.asked[1:], b.problems
}

// TestThePageOfAnalyze opens the page in a browser: there is a map, a click leads into a folder and a key out of it, and
// nothing is fetched. With UPDATE_GOLDEN set the README's picture is taken anew.
func TestThePageOfAnalyze(t *testing.T) {
	chromium := tool(t, "chromium")
	b := newBox(t)
	b.wherry("copy", realImage(t, "big.tar"), "oci:layout:shop")
	b.wherry("analyze", "--html", "page.html", "oci:layout:shop")
	t.Logf("%s, page of %d bytes", chromium, fileSize(t, b.path("page.html")))
	page := openBrowser(t, b.path("page.html"))

	tiles := value[[]string](page, `Array.from(document.querySelectorAll("#map > button.tile"), t => t.title)`)
	if len(tiles) < 3 || !strings.HasPrefix(tiles[0], "usr, ") {
		t.Fatalf("tiles = %q, want usr first and others", tiles)
	}
	// The tiles fill the map, and each has the part of it that it has of the bytes.
	if filled := value[float64](page, `Array.from(document.querySelectorAll("#map > button.tile")).reduce((n, t) => n + parseFloat(t.style.width) * parseFloat(t.style.height), 0)
		/ (document.getElementById("map").clientWidth * document.getElementById("map").clientHeight)`); filled < 0.97 || filled > 1.001 {
		t.Errorf("the tiles fill %g of the map", filled)
	}
	if n := value[int](page, `document.querySelectorAll("#map .tile .tile").length`); n < 50 {
		t.Errorf("%d tiles are inside of others", n)
	}
	if rows := value[int](page, `document.querySelectorAll("#layers tbody tr").length`); rows != 8 {
		t.Errorf("%d rows of layers, want 8", rows)
	}
	if advice := value[string](page, `document.getElementById("advice").textContent`); !strings.Contains(advice, "multi-stage") {
		t.Errorf("advice = %q", advice)
	}
	saveShot(t, page, "light")

	page.run(chromedp.Click(chromedp.CSS("#map > button.tile")), chromedp.WaitVisible(button("usr")))
	inside := value[[]string](page, `Array.from(document.querySelectorAll("#map > button.tile"), t => t.title)`)
	if len(inside) < 3 || !strings.HasPrefix(inside[0], "lib, ") {
		t.Errorf("tiles in usr = %q, want lib first", inside)
	}
	// From here by keyboard: in by enter, out by escape.
	page.run(chromedp.KeyEvent("\r"), chromedp.WaitVisible(button("lib")))
	page.run(chromedp.KeyEvent("\x1b"), chromedp.WaitNotPresent(button("lib")))
	page.run(chromedp.Click(button("/")), chromedp.WaitNotPresent(button("usr")))

	before := value[string](page, `document.querySelector("#map > button.tile").style.background`)
	page.run(chromedp.Click(chromedp.CSS("#by-waste")))
	if after := value[string](page, `document.querySelector("#map > button.tile").style.background`); after == before {
		t.Errorf("the colour by waste is that by layer, %s", after)
	}
	tell(page, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	if ground := value[string](page, `getComputedStyle(document.body).backgroundColor`); ground != "rgb(20, 24, 28)" {
		t.Errorf("the ground is %s where dark is preferred", ground)
	}
	saveShot(t, page, "dark")
	if beside, problems := page.fetched(); len(beside) > 0 || len(problems) > 0 {
		t.Errorf("the page fetched %q, and had these problems: %q", beside, problems)
	}
}

// TestThePageOfAHostileImage has names of files that try to be script.
func TestThePageOfAHostileImage(t *testing.T) {
	tool(t, "chromium")
	b := newBox(t)
	name := "x<" + "script>alert(1)<" + "img src=y onerror=alert(2)>\u202e\x1b[31m"
	layer := tarWith(t, name, "0123456789")
	b.write(b.path("rootfs.tar"), string(layer))
	b.wherry("import", "rootfs.tar", "oci:layout:hostile")
	b.wherry("analyze", "--html", "page.html", "oci:layout:hostile")
	page := openBrowser(t, b.path("page.html"))
	want := `x<script>alert(1)<img src=y onerror=alert(2)>\u{202e}\x1b[31m`
	if got := value[string](page, `document.querySelector("#map > button.tile .name").textContent`); got != want {
		t.Errorf("the name is %q, want %q", got, want)
	}
	if n := value[int](page, `document.querySelectorAll("img").length`); n != 0 {
		t.Errorf("%d pictures were made of names", n)
	}
	if beside, problems := page.fetched(); len(beside) > 0 || len(problems) > 0 {
		t.Errorf("the page fetched %q, and had these problems: %q", beside, problems)
	}
}

// tarWith returns a tar of one file.
func tarWith(t *testing.T, name, body string) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// saveShot takes a picture of what is seen. With UPDATE_GOLDEN set the light one is the README's.
func saveShot(t *testing.T, page *browser, name string) {
	t.Helper()
	shot := ask(page, chromedp.CaptureScreenshot())
	picture, err := png.DecodeConfig(bytes.NewReader(shot))
	if err != nil || picture.Width != 1200 {
		t.Errorf("the picture is %d × %d: %v", picture.Width, picture.Height, err)
	}
	path := t.TempDir() + "/" + name + ".png"
	if os.Getenv("UPDATE_GOLDEN") != "" && name == "light" {
		path = "../docs/analyze.png"
	}
	if err := os.WriteFile(path, shot, 0o644); err != nil {
		t.Fatal(err)
	}
	const most = 200 << 10
	if info := fileSize(t, path); info > most {
		t.Errorf("%s has %d bytes, more than %d", path, info, most)
	}
}
