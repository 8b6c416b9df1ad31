package e2e

import "syscall"

// orphanless makes a server end with the test binary, even where that is killed.
func orphanless() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
