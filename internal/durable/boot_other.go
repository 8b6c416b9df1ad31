//go:build !linux && !darwin

package durable

// Boot returns what differs after the system was started anew: what the kernel
// was given before, and was not made durable, may be gone then. It is empty where
// that is not known.
func Boot() string { return "" }
