package main

import "syscall"

// orphanless makes a child end with this process, even where that is killed.
func orphanless() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
