//go:build !linux

package cli

import "testing"

// unprivileged is for Linux: elsewhere who runs tests is not root, mostly.
func unprivileged(*testing.T, string) {}
