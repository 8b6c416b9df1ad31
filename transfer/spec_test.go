package transfer_test

import "github.com/opencontainers/image-spec/specs-go"

var versioned = specs.Versioned{SchemaVersion: 2}
