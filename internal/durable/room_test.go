package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestRoomIsThatOfTheNearestFolderThatIsThere(t *testing.T) {
	dir := t.TempDir()
	disk, free, err := Room(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("the system does not say")
	}
	if disk == "" || free <= 0 || err != nil {
		t.Fatalf("Room = %q, %d, %v", disk, free, err)
	}
	below, _, err := Room(filepath.Join(dir, "not", "there", "yet"))
	if below != disk || err != nil {
		t.Errorf("below: Room = %q, %v; want %q", below, err, disk)
	}
}

func TestAFileHoldsWhatWasWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 1<<20)
	for i := range raw {
		raw[i] = byte(i * i >> 7)
	}
	_, werr := f.Write(raw)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if held := Held(fi); held < 1<<19 {
		t.Errorf("Held = %d of a file of %d bytes", held, len(raw))
	}
}
