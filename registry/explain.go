package registry

import "net/http"

// A Challenge is what a host wants of who it does not let in.
type Challenge struct {
	Scheme  string // "basic" or "bearer"
	Realm   string // with bearer the URL of the token server, as the host named it
	Service string // what the token server calls the host; "" where the host does not say
}

// ReadChallenge returns the first challenge of an answer that a [Client] can
// meet, and whether there is one.
func ReadChallenge(h http.Header) (Challenge, bool) {
	c, ok := pickChallenge(h)
	return Challenge{Scheme: c.scheme, Realm: c.params["realm"], Service: c.params["service"]}, ok
}
