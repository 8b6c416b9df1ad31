package layout

import (
	"context"
	"errors"

	"github.com/wherry-dev/wherry/internal/durable"
)

// A Memo is a small file of ours that a layout keeps for a verb. Losing it loses
// no image.
type Memo string

// The memos.
const (
	LastBackup Memo = "backup" // of a store: what its last backup to a file had
	MirrorOf   Memo = "mirror" // of a layout that a store is backed up to: the path of the store
)

const maxMemo = 256 << 20

func (m Memo) file() string { return ownDir + "/" + string(m) }

// Memo returns what was kept last, which is [content.ErrNotFound] where nothing was.
func (l *Layout) Memo(m Memo) ([]byte, error) { return l.disk.read(m.file(), maxMemo) }

// Keep keeps raw in place of what was kept before, in one step and safe on disk.
func (l *Layout) Keep(ctx context.Context, m Memo, raw []byte) (err error) {
	if err := l.disk.prepare(ctx, noBlob); err != nil {
		return err
	}
	lock, err := l.disk.lockIndex(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := durable.MakeDir(l.disk.root, ownDir); err != nil {
		return l.disk.fail("create", ownDir, err)
	}
	return l.disk.replace(m.file(), raw)
}
