package durable

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// A Journal keeps where uploads stood: one file an upload, readable by its owner
// only, in a folder that is made when the first is saved. It is a
// [content.Journal]; the zero Journal keeps nothing. It must not be copied after
// use.
//
// A file whose owner is somebody else, or that others may read or write, is no
// record, nor is one that is not whole. Hash states of before the machine's last
// start are left out: what was written just before a power failure proves little.
type Journal struct {
	Dir    string
	MaxAge time.Duration // a record older than this is forgotten; 0 means 7 days, for which registries keep sessions
	Most   int           // records that are kept, the newest; 0 means 256

	boot string // of the machine, in tests

	mu    sync.Mutex
	held  map[string]*Lock // by file name
	swept bool
}

var _ content.Journal = (*Journal)(nil)

// A journalled upload is what stands in a file.
type journalled struct {
	Sum    string          `json:"sum"` // of Record, so that a file is whole or nothing
	Record json.RawMessage `json:"record"`
}

type journalRecord struct {
	Key  string `json:"key"`
	Boot string `json:"boot"`
	content.Record
}

const maxRecord = 1 << 20

// lockEnd is the end of the name of the lock of a record.
const lockEnd = ".lock"

// errNoPlace says that a Journal has no folder.
var errNoPlace = errors.New("the journal has no folder")

// Load implements [content.Journal].
func (j *Journal) Load(key string) (content.Record, bool) {
	if j.Dir == "" {
		return content.Record{}, false
	}
	root, err := os.OpenRoot(j.Dir)
	if err != nil {
		return content.Record{}, false
	}
	defer root.Close() //nolint:errcheck // nothing was written
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := root.Lstat(fileName(key)); err != nil {
		return content.Record{}, false
	}
	if err := j.hold(root, fileName(key)); err != nil {
		return content.Record{}, false
	}
	return j.read(root, key)
}

// read returns the record of key, which is held.
func (j *Journal) read(root *os.Root, key string) (content.Record, bool) {
	name := fileName(key)
	fi, err := root.Lstat(name)
	if err != nil || !private(fi) || j.expired(fi) {
		return content.Record{}, false
	}
	raw, err := ReadRegular(root, name, maxRecord, ErrNotRegular)
	if err != nil {
		return content.Record{}, false
	}
	var file journalled
	var got journalRecord
	if json.Unmarshal(raw, &file) != nil || file.Sum != sumOf(file.Record) || json.Unmarshal(file.Record, &got) != nil || got.Key != key {
		return content.Record{}, false
	}
	if boot := j.bootNow(); boot == "" || got.Boot != boot {
		got.Hash = nil
	}
	return got.Record, true
}

// Save implements [content.Journal].
func (j *Journal) Save(key string, r content.Record) error {
	if j.Dir == "" {
		return errNoPlace
	}
	raw, err := encodeRecord(journalRecord{Key: key, Boot: j.bootNow(), Record: r})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(j.Dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(j.Dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // the file was closed
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.swept {
		j.swept = true
		j.sweep(root)
	}
	name := fileName(key)
	if err := j.hold(root, name); err != nil {
		return err
	}
	return replacePrivate(root, name, raw)
}

// Drop implements [content.Journal].
func (j *Journal) Drop(key string) error {
	if j.Dir == "" {
		return nil
	}
	root, err := os.OpenRoot(j.Dir)
	if err != nil {
		return missingIsFine(err)
	}
	defer root.Close() //nolint:errcheck // nothing was written
	j.mu.Lock()
	defer j.mu.Unlock()
	name := fileName(key)
	if _, err := root.Lstat(name); err != nil && j.held[name] == nil {
		return missingIsFine(err)
	}
	if err := j.hold(root, name); err != nil {
		return err // another process's upload
	}
	lock := j.held[name]
	delete(j.held, name)
	return errors.Join(missingIsFine(root.Remove(name)), lock.release(root))
}

// hold makes sure that the record called name is this process's.
func (j *Journal) hold(root *os.Root, name string) error {
	if j.held[name] != nil {
		return nil
	}
	lock, err := Try(root, name+lockEnd)
	if err != nil {
		return err
	}
	if j.held == nil {
		j.held = map[string]*Lock{}
	}
	j.held[name] = lock
	return nil
}

// release is Release by way of another root of the same folder: the one that the
// lock was taken by is closed.
func (l *Lock) release(root *os.Root) error {
	l.root = root
	return l.Release()
}

// sweep removes what has expired, what writers left that were killed, and of too
// many records the oldest. What another process holds stays.
func (j *Journal) sweep(root *os.Root) {
	entries, err := os.ReadDir(j.Dir)
	if err != nil {
		return
	}
	var records []fs.FileInfo
	for _, e := range entries {
		fi, err := e.Info()
		switch {
		case err != nil || !fi.Mode().IsRegular():
		case len(e.Name()) == len(fileName("")):
			records = append(records, fi)
		case j.expired(fi) && strings.HasSuffix(e.Name(), lockEnd):
			j.remove(root, strings.TrimSuffix(e.Name(), lockEnd))
		case j.expired(fi):
			_ = root.Remove(e.Name()) // somebody else removed it, or it stays
		}
	}
	slices.SortFunc(records, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for i, fi := range records {
		if i >= cmp.Or(j.Most, 256) || j.expired(fi) {
			j.remove(root, fi.Name())
		}
	}
}

// remove takes away a record that nobody holds.
func (j *Journal) remove(root *os.Root, name string) {
	lock, err := Try(root, name+lockEnd)
	if err != nil {
		return
	}
	_ = root.Remove(name) // as above
	_ = lock.Release()
}

func (j *Journal) expired(fi fs.FileInfo) bool {
	return time.Since(fi.ModTime()) > cmp.Or(j.MaxAge, 7*24*time.Hour)
}

func (j *Journal) bootNow() string { return cmp.Or(j.boot, Boot()) }

func encodeRecord(r journalRecord) ([]byte, error) {
	record, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(journalled{Sum: sumOf(record), Record: record})
	if err == nil && len(raw) > maxRecord {
		err = fmt.Errorf("a record of %d bytes: %w", len(raw), content.ErrInvalid)
	}
	return raw, err
}

func sumOf(raw []byte) string { return fmt.Sprintf("%x", sha256.Sum256(raw)) }

// replacePrivate puts raw in place of file name, for its owner alone.
func replacePrivate(root *os.Root, name string, raw []byte) error {
	temporary := name + ".new"
	if err := missingIsFine(root.Remove(temporary)); err != nil {
		return err
	}
	f, err := root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, missingIsFine(root.Remove(temporary)))
	}
	return nil
}

func missingIsFine(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
