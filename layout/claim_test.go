package layout

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// dirChild opens the plain directory PATH, says so, and after a line on standard
// input puts image NUMBER there and says what became of it.
func dirChild(args []string) (err error) {
	i, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	d, err := CreateDir(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if _, err := fmt.Fprintln(os.Stdout, "open"); err != nil {
		return err
	}
	bufio.NewScanner(os.Stdin).Scan()
	said := "put"
	if err = putWork(d, i); errors.Is(err, content.ErrConflict) && !strings.Contains(err.Error(), "\n") {
		said, err = "taken", nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, said)
	return err
}

// putWork stores image i.
func putWork(s content.Sink, i int) error {
	w, err := workOf(i)
	if err != nil {
		return err
	}
	own := counted(ocispec.MediaTypeImageLayer, noise(uint64(2+i), 10_000))
	for _, b := range []*countedBlob{w.big, own, w.config} {
		if _, err := s.PutBlob(context.Background(), b); err != nil {
			return err
		}
	}
	return s.PutManifest(context.Background(), w.m, "v1")
}

// Eight at once left blobs of several images, and a manifest of one of them.
func TestOfManyProcessesOneGetsADir(t *testing.T) {
	for name, image := range map[string]func(process int) int{
		"images of their own": func(process int) int { return process },
		"one image":           func(int) int { return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			for range rounds(1, 10) {
				path := filepath.Join(t.TempDir(), "dir")
				winners := race(t, path, image)
				if same := image(0) == image(1); same != (len(winners) == 8) || !same && len(winners) != 1 {
					t.Fatalf("%d processes say that their image is there", len(winners))
				}
				wantOnly(t, path, image(winners[0]))
			}
		})
	}
}

// race lets eight processes put image(i) into a plain directory and returns
// which of them did.
func race(t *testing.T, path string, image func(i int) int) (winners []int) {
	t.Helper()
	var workers []*worker
	for i := range 8 {
		w := startChild(t, child(t, "dir", path, strconv.Itoa(image(i))))
		if got := w.said(t); got != "open" {
			t.Fatalf("process %d says %q", i, got)
		}
		workers = append(workers, w)
	}
	for _, w := range workers {
		w.order(t, "go")
	}
	for i, w := range workers {
		if w.said(t) == "put" {
			winners = append(winners, i)
		}
		w.end(t)
	}
	return winners
}

// wantOnly wants all of image i at path, and nothing else.
func wantOnly(t *testing.T, path string, i int) {
	t.Helper()
	w, err := workOf(i)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{dirManifest, versionFile, ownDir}
	for _, b := range w.m.Blobs() {
		want = append(want, b.Digest.Encoded())
	}
	slices.Sort(want)
	if got := listing(t, path); got != strings.Join(want, " ") {
		t.Errorf("files are\n%s, want\n%s", got, strings.Join(want, " "))
	}
	if m, err := closedDir(t)(OpenDir(path)).Manifest(t.Context(), ""); err != nil || m.Digest() != w.m.Digest() {
		t.Errorf("the image is %s, %v; want %s", m.Digest(), err, w.m.Digest())
	}
}

// Two processes that each write to one directory and want the other's waited for
// each other.
func TestWhoWritesToADirWaitsNotLongForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		im := anImage(t, "a")
		held, _ := createdDir(t)
		put(t, held, im)
		other := durable.Holder(held.disk.root, writerFile) + 1
		if err := os.WriteFile(filepath.Join(held.disk.path, writerFile), fmt.Appendf(nil, "%d %s\n", other, host), 0o644); err != nil {
			t.Fatal(err)
		}
		mine, _ := createdDir(t)
		put(t, mine, im)
		var said []Waiting
		second := closedDir(t)(CreateDir(held.disk.path))
		second.Wait = func(w Waiting) { said = append(said, w) }
		if _, err := second.PutBlob(t.Context(), bytesOf("", "new")); !errors.Is(err, content.ErrConflict) {
			t.Errorf("PutBlob = %v, want a conflict", err)
		}
		want := []Waiting{{Path: filepath.Join(held.disk.path, writerFile), PID: other}}
		if !slices.Equal(said, want) {
			t.Errorf("said %+v, want %+v", said, want)
		}
	})
}
