package badinput

import "os"

func peakRSS(*os.ProcessState) int64 { return 0 }

// makePipe makes what comes next to a pipe: no file.
func makePipe(path string) error { return os.Mkdir(path, 0o755) }
