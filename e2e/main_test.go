// Package e2e drives the built wherry from outside, against real registries and with real clients as its judges.
//
// Everything runs on loopback, each server in a folder of its own. What a test needs and a machine lacks skips that
// test, and the end of the run says how many were skipped and for want of what; with CI set that is a failure.
// WHERRY_BIN names the binary to try; without it the one of this checkout is built once.
package e2e

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run returns the exit code; it is apart from TestMain so that what it defers happens.
func run(m *testing.M) int {
	defer removeBuild()
	code := m.Run()
	fmt.Println(missing.summary())
	return code
}
