package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
)

// An Origin is where a setting was found. The zero Origin is nowhere: what
// holds when nobody said anything.
type Origin struct {
	File     string // path as it was opened
	Line     int    // from 1; 0 for a file that is itself the setting, such as a certificate
	Variable string // name of an environment variable or a flag, in place of a file
}

// String returns "file:line", the name of a variable or flag, or "default".
func (o Origin) String() string {
	switch {
	case o.Variable != "":
		return o.Variable
	case o.File == "":
		return "default"
	case o.Line == 0:
		return o.File
	}
	return o.File + ":" + strconv.Itoa(o.Line)
}

// A Value is a setting and where it comes from.
type Value[T any] struct {
	Value T
	From  Origin
}

// Set reports whether somebody said something: a Value that is not set has its
// zero value.
func (v Value[T]) Set() bool { return v.From != Origin{} }

// or returns v where it is set, else other.
func (v Value[T]) or(other Value[T]) Value[T] {
	if v.Set() {
		return v
	}
	return other
}

// A Secret is a word that is never printed: every way of formatting it gives
// three stars. The zero Secret is empty.
type Secret struct{ text string }

// masked is what is shown of a secret.
const masked = "***"

// Reveal returns the word itself.
func (s Secret) Reveal() string { return s.text }

// String returns three stars.
func (s Secret) String() string { return masked }

// Format writes three stars, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// MarshalText returns three stars, so that no encoder has the word.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// LogValue returns three stars.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// A Proxy is what requests to a host go through. The zero Proxy is none: the
// host is contacted itself.
type Proxy struct{ url *url.URL }

// URL returns the proxy's address, user and password included, or nil for none.
// What it returns must not be changed.
func (p Proxy) URL() *url.URL { return p.url }

// String returns the proxy's address without user and password, or "direct".
func (p Proxy) String() string {
	if p.url == nil {
		return "direct"
	}
	user := ""
	if p.url.User != nil {
		user = masked + "@"
	}
	return p.url.Scheme + "://" + user + p.url.Host
}

// Format writes what String returns, whatever the verb.
func (p Proxy) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.String())) }

// MarshalText returns what String returns.
func (p Proxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// LogValue returns what String returns.
func (p Proxy) LogValue() slog.Value { return slog.StringValue(p.String()) }
