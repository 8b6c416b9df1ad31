//go:build cloud && unix

package cloud

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// endTogether makes what ends cmd end all that it has started too: shell scripts
// leave their children behind.
func endTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}
