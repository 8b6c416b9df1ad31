// Package endpoint reads the arguments that name an image, a repository or a
// file, and opens what they name.
//
// [Parse] is the one parser of all verbs. It follows the grammar of
// https://github.com/distribution/reference/blob/v0.6.0/reference.go for images
// in a registry, and knows the transports in front of it (oci:, docker-archive:
// and others). An argument it refuses is an [*Error] that points at a byte.
package endpoint
