package main

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdExpand puts the variables of the script into files of it.
func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "expand FILE…")
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// cmdSmaller checks that a file has less than so many bytes.
func cmdSmaller(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, "smaller FILE BYTES")
	most, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	fi, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	switch smaller := fi.Size() < most; {
	case neg && smaller, !neg && !smaller:
		ts.Fatalf("%s has %d bytes", args[0], fi.Size())
	}
}

// cmdDamage changes a byte of the largest blob of a layout or an archive, or with
// -remove takes that of a layout away.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	remove := len(args) == 2 && args[0] == "-remove"
	usage(ts, !neg && (len(args) == 1 || remove), "damage [-remove] LAYOUT|FILE")
	file := ts.MkAbs(args[len(args)-1])
	fi, err := os.Stat(file)
	ts.Check(err)
	at := int64(0)
	if fi.IsDir() {
		file = largestBlob(ts, file)
	} else {
		at = largestEntry(ts, file)
	}
	if remove {
		ts.Check(os.Remove(file))
		return
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	ts.Check(err)
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	ts.Check(err)
	b[0] ^= 0xff
	_, err = f.WriteAt(b[:], at)
	ts.Check(errors.Join(err, f.Close()))
}

// largestBlob returns the path of the largest blob of a layout.
func largestBlob(ts *testscript.TestScript, layout string) (path string) {
	most := int64(-1)
	ts.Check(filepath.WalkDir(filepath.Join(layout, "blobs"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fi, err := e.Info()
		if err == nil && fi.Size() > most {
			path, most = name, fi.Size()
		}
		return err
	}))
	return path
}

// largestEntry returns where the bytes of the largest blob of a tar begin.
func largestEntry(ts *testscript.TestScript, file string) (at int64) {
	f, err := os.Open(file)
	ts.Check(err)
	defer func() { ts.Check(f.Close()) }()
	most := int64(-1)
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return at
		}
		ts.Check(err)
		if strings.HasPrefix(h.Name, "blobs/") && h.Size > most {
			most = h.Size
			at, err = f.Seek(0, io.SeekCurrent)
			ts.Check(err)
		}
	}
}
