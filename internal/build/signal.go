package build

import (
	"slices"
	"strconv"
	"strings"
)

// signals are those of Linux by name, without the real-time ones. Which there are is
// not a matter of the machine on which an image is made.
var signals = []string{
	"ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF",
	"PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM",
	"WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
}

// lastSignal is the number of RTMAX.
const lastSignal = 64

// isSignal reports whether docker takes s for a signal: a number, or a name with or
// without SIG in front, in any case. Real-time signals count from RTMIN to RTMIN+15, and
// back from RTMAX to RTMAX-14.
func isSignal(s string) bool {
	if n, err := strconv.Atoi(s); err == nil {
		return n >= 1 && n <= lastSignal
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if slices.Contains(signals, name) {
		return true
	}
	above, fromMin := strings.CutPrefix(name, "RTMIN+")
	below, fromMax := strings.CutPrefix(name, "RTMAX-")
	return fromMin && isOffset(above, 15) || fromMax && isOffset(below, 14)
}

// isOffset reports whether s is a number from 1 to most, as one writes it.
func isOffset(s string, most int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= most && strconv.Itoa(n) == s
}
