package cloud

import (
	"github.com/wherry-dev/wherry/registry"
)

// An Error is an identity that is configured and does not work. It has nothing
// of what the cloud was told, and of what it answered only codes. Its text leaves
// the host to who asked about one.
type Error struct {
	Registry Registry
	Host     string
	Identity string // whose it is, as Find returns it, without the registry
	Step     string // what did not work
	Err      error
}

func (e *Error) Error() string {
	return string(e.Registry) + ", " + e.Identity + ": " + e.Step + ": " + e.Err.Error()
}

// Unwrap returns the reason, and [registry.ErrOptional] where the host shows
// some of what it has to everybody.
func (e *Error) Unwrap() []error {
	if e.Registry == ECR {
		return []error{e.Err}
	}
	return []error{e.Err, registry.ErrOptional}
}
