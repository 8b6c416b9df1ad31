//go:build unix

package badinput

import (
	"os"
	"runtime"
	"syscall"
)

// peakRSS is the process's peak resident set in bytes; getrusage counts in KiB, on macOS in bytes.
func peakRSS(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss) //nolint:unconvert // int32 on some platforms
	}
	return int64(usage.Maxrss) * 1024 //nolint:unconvert // as above
}

func makePipe(path string) error { return syscall.Mkfifo(path, 0o644) }
