package durable

import (
	"os"
	"strings"
	"sync"
)

// Boot returns what differs after the system was started anew: what the kernel
// was given before, and was not made durable, may be gone then. It is empty where
// that is not known.
var Boot = sync.OnceValue(func() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
})
