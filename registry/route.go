package registry

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// A Host has the settings of one host. The zero Host is what most have. It must
// not be changed once a [Client] has it: which one it is tells hosts apart.
type Host struct {
	PlainHTTP  bool // http, never https
	AllowHTTP  bool // http where the host does not speak https
	SkipVerify bool // do not check the host's certificate

	// Roots returns who is trusted, nil for whom the system trusts; it must always
	// return the same pool. It is called when a request is to go over TLS, to the
	// host or to its proxy, and may take the time to parse certificates. nil is
	// whom the system trusts.
	Roots func() (*x509.CertPool, error)

	Certificates []tls.Certificate // shown to a host that wants to know who we are
	Header       http.Header       // sent with every request to the host's own origin, and nowhere else

	// Address is where connections to the host go, host[:port], whatever its name
	// stands for; the name in requests and certificates stays. "" is the host
	// itself. A proxy is told the name.
	Address string

	Path        string        // of the API; "" is "/v2"
	DialTimeout time.Duration // 0 means 15 s

	Concurrency       int     // answers waited for at once, and blobs read at once; 0 is found out
	RequestsPerSecond float64 // on average; 0 is no limit
}

// A Route says where a repository is to be found: what it is called by the user
// is one thing, which host serves it another.
type Route struct {
	Blocked string // who forbids to use the repository; "" is nobody

	Read    Endpoint // decides what a tag stands for
	Write   Endpoint // the only one that is written to
	Mirrors []Mirror // asked in this order, before Read
}

// An Endpoint is a repository as one host has it.
type Endpoint struct {
	Host       string // as in [Client.Repository]
	Repository string // what the repository is called there
	Namespace  string // the registry it stands for, told to hosts of several as ns=; "" is not told
	Settings   *Host  // instead of those that [Client.Hosts] knows; nil is those
}

// A Mirror is a host that has what a repository of another host has. What it
// gives by digest is proved by that; what a tag stands for it is asked only
// where it may tell.
type Mirror struct {
	Endpoint

	// ResolvesTags lets the mirror say what a tag stands for when the
	// repository's own host does not answer: for closed networks.
	ResolvesTags bool

	// TagsOnly keeps images that the user names by digest from the mirror.
	TagsOnly bool

	// Wrong is why the mirror's settings cannot be used: it is passed over, with
	// a warning. nil is that they can.
	Wrong error
}

// A BlockedError is a repository that the user's configuration forbids. Its class
// is [content.ErrDenied].
type BlockedError struct {
	Repository string // with its host
	By         string // the setting
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("%s is blocked by %s", e.Repository, e.By)
}

// Unwrap returns ErrDenied.
func (e *BlockedError) Unwrap() error { return content.ErrDenied }

// route returns where the repository of that name is, without settings what the
// name says.
func (c *Client) route(host, name string) (Route, error) {
	host, err := canonicalHost(host)
	if err != nil {
		return Route{}, err
	}
	if name, err = checkName(host, name); err != nil {
		return Route{}, err
	}
	here := Endpoint{Host: host, Repository: name}
	if c.Routes == nil {
		return Route{Read: here, Write: here}, nil
	}
	route, err := c.Routes(host, name)
	if err == nil && route.Blocked != "" {
		err = &BlockedError{Repository: host + "/" + name, By: route.Blocked}
	}
	return route, err
}
