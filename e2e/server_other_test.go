//go:build !linux

package e2e

import "syscall"

// orphanless is nil where the system cannot tie one process to another.
func orphanless() *syscall.SysProcAttr { return nil }
