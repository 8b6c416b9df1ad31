//go:build !cloud

package cloud

import "context"

// Included says whether this program was built with logins to clouds.
const Included = false

func (*Keychain) logIn(context.Context, place) (login, error) { return login{}, nil }
