package durable

import (
	"sync"

	"golang.org/x/sys/unix"
)

// Boot returns what differs after the system was started anew: what the kernel
// was given before, and was not made durable, may be gone then. It is empty where
// that is not known.
var Boot = sync.OnceValue(func() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
})
