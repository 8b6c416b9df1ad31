package badinput

import "os"

// makePipe makes what comes next to a pipe: no file.
func makePipe(path string) error { return os.Mkdir(path, 0o755) }
