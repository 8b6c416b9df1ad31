package durable

import (
	"fmt"
	"os"
)

// Stamp returns a line that differs after any change of the file that fi is
// about: size, time of change, and where the system has them the time of the
// inode's change and its number. lasting reports whether it has them: only
// then nobody can bring about the same stamp for other bytes.
func Stamp(fi os.FileInfo) (stamp string, lasting bool) {
	stamp = fmt.Sprintf("%d %d", fi.Size(), fi.ModTime().UnixNano())
	inode, lasting := inodeStamp(fi)
	return stamp + inode, lasting
}
