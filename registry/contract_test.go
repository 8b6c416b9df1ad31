package registry_test

import (
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

func TestRepositoryKeepsTheContract(t *testing.T) {
	kinds := []struct {
		name   string
		config testregistry.Config
	}{
		{"of a registry with every part of the spec", testregistry.Config{}},
		{"of a registry without referrers and mounts", testregistry.Config{NoReferrers: true, NoMount: true, NoSinglePost: true}},
		{"of a registry that wants tokens", testregistry.Config{Auth: testregistry.Auth{
			Scheme: testregistry.Bearer, Users: map[string]string{"ann": "secret"}, OwnHost: true,
		}}},
		{"of a registry with small chunks", testregistry.Config{ChunkMax: 1 << 20, PageSize: 2}},
	}
	for _, tt := range kinds {
		t.Run(tt.name, func(t *testing.T) {
			contenttest.Run(t, place(tt.config))
		})
	}
}

func place(config testregistry.Config) contenttest.Place {
	return contenttest.Place{New: func(t *testing.T) contenttest.Instance {
		t.Helper()
		server := testregistry.Start(t, config)
		again := func(t *testing.T) *registry.Repository {
			t.Helper()
			return repository(t, client(t), server, "contract/test")
		}
		return contenttest.Instance{
			Sink:   again(t),
			Reopen: func(t *testing.T) content.Source { t.Helper(); return again(t) },
			Again:  func(t *testing.T) content.Sink { t.Helper(); return again(t) },
		}
	}}
}
