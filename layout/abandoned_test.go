package layout

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPartialBlobsGoWhenNobodyHasWorkedOnThemForAWeek(t *testing.T) {
	now := time.Now()
	b := counted("", noise(1, 100))
	week := 7 * 24 * time.Hour
	tests := map[string]struct {
		file, note time.Duration // age; 0 means that there is none
		held, gone bool
	}{
		"new":                           {file: time.Hour},
		"almost a week old":             {file: week - time.Minute, note: week - time.Minute},
		"old":                           {file: week + time.Minute, gone: true},
		"old, with an old note":         {file: week + time.Minute, note: week + time.Minute, gone: true},
		"old, with a new note":          {file: week + time.Minute, note: time.Hour},
		"old, and somebody works on it": {file: week + time.Minute, held: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := created(t)
			file := filepath.Join(l.disk.path, l.disk.partial(b.d.Digest))
			aged(t, file, now.Add(-tt.file))
			if tt.note > 0 {
				aged(t, file+spansEnd, now.Add(-tt.note))
			}
			if tt.held {
				lock, err := l.disk.lockBlob(t.Context(), b.d.Digest)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = lock.Release() })
			}
			got, err := l.Collect(t.Context(), CollectOptions{Now: now})
			if err != nil || (len(got.Partials) == 1) != tt.gone {
				t.Errorf("Collect = %+v, %v", got, err)
			}
			if _, err := os.Lstat(file); errors.Is(err, os.ErrNotExist) != tt.gone {
				t.Errorf("the file: %v; gone is to be %t", err, tt.gone)
			}
		})
	}
}

// aged writes a file that was written to last at a time.
func aged(t *testing.T, file string, when time.Time) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("some bytes"), 0o600), os.Chtimes(file, when, when))
	if err != nil {
		t.Fatal(err)
	}
}
