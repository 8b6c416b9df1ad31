package durable

import (
	"fmt"
	"os"
	"syscall"
)

func inodeStamp(fi os.FileInfo) (stamp string, lasting bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	return fmt.Sprintf(" %d.%09d %d", st.Ctimespec.Sec, st.Ctimespec.Nsec, st.Ino), true
}
