// Package endpoint reads the arguments that name an image, a repository or a
// file, and opens what they name.
//
// [Parse] is the one parser of all verbs. It follows the grammar of
// https://github.com/distribution/reference/blob/v0.6.0/reference.go for images
// in a registry, and knows the transports in front of it (oci:, docker-archive:
// and others). An argument it refuses is an [*Error] that points at a byte.
package endpoint

import (
	"github.com/opencontainers/go-digest"
)

// A Transport is the kind of place an endpoint is in.
type Transport uint8

// The transports.
const (
	Registry      Transport = iota + 1 // an image or a repository in a registry
	Layout                             // oci: an OCI layout directory
	Dir                                // dir: skopeo's plain directory
	OCIArchive                         // oci-archive: a tar of an OCI layout
	DockerArchive                      // docker-archive: what `docker save` writes
	Archive                            // archive: or a bare path: any of the tars, or a layout directory
	Stream                             // - : standard input or output
	Store                              // store: the user's own layout
)

// An Endpoint is a parsed argument.
type Endpoint struct {
	Transport Transport

	// Of an image in a registry. Host is as users write it: docker.io, not the
	// address that serves it. Without a tag and a digest Tag is empty.
	Host, Repository, Tag string

	// Short is the name that was written where no host was, "nginx": Host is
	// Docker Hub for that, unless somebody has an alias for it.
	Short string

	// Digest is what the image must be: of a registry's or a layout's.
	Digest digest.Digest

	// Path is a file or folder as it was given, ~ and all. Name is what the
	// image is called in there; empty where none was given. In the store it is
	// what was written, which may also be an image ID, or how one begins; where it
	// is a reference Host, Repository, Tag and Digest have its parts.
	Path, Name string
}

const (
	defaultTag = "latest"
	hubLibrary = "library/"
)

// Ref returns what to ask the place for: the digest if there is one, else the
// tag, which in a registry is "latest" when none was given, or the name.
func (e Endpoint) Ref() string {
	switch {
	case e.Transport == Store:
		return e.Name
	case e.Digest != "":
		return e.Digest.String()
	case e.Transport != Registry:
		return e.Name
	}
	return e.tagOrLatest()
}

func (e Endpoint) tagOrLatest() string {
	if e.Tag == "" {
		return defaultTag
	}
	return e.Tag
}

// FullName returns the image's full reference, docker.io/library/nginx:1.27 for
// nginx:1.27; of what has a digest and no tag host/repository@digest. In other
// places than a registry and the store it is the name that was given.
func (e Endpoint) FullName() string {
	if e.Transport != Registry && e.Transport != Store || e.Repository == "" {
		return e.Name
	}
	if e.Tag == "" && e.Digest != "" {
		return e.Host + "/" + e.Repository + "@" + e.Digest.String()
	}
	return e.Host + "/" + e.Repository + ":" + e.tagOrLatest()
}

// String returns the endpoint in the form that Parse reads back.
func (e Endpoint) String() string {
	if e.Transport == Store {
		return storePrefix + e.Name
	}
	suffix := ""
	if e.Digest != "" {
		suffix = "@" + e.Digest.String()
	}
	if e.Transport == Registry {
		if e.Tag != "" {
			suffix = ":" + e.Tag + suffix
		}
		return e.Host + "/" + e.Repository + suffix
	}
	if e.Name != "" {
		suffix = ":" + e.Name + suffix
	}
	for _, s := range schemes {
		if s.transport == e.Transport {
			return s.prefix + e.Path + suffix
		}
	}
	return "-"
}

// Tagged returns e with that tag or name, and no digest.
func (e Endpoint) Tagged(name string) Endpoint {
	if e.Transport == Store {
		return InStore(name)
	}
	e.Digest = ""
	if e.Transport == Registry {
		e.Tag = name
	} else {
		e.Name = name
	}
	return e
}
