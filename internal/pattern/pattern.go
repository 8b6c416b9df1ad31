// Package pattern has regular expressions that cost a program nothing until it
// needs them. Compiling one takes up to a millisecond of a start that takes ten.
package pattern

import (
	"regexp"
	"sync"
)

// Lazy returns expr, compiled when it is first called for. It panics then if
// expr is no regular expression.
func Lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
