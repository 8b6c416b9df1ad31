package matrix

import (
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

// repository opens a repository of r, with a client of its own.
func repository(t *testing.T, r *testregistry.Registry, name string) *registry.Repository {
	t.Helper()
	client := &registry.Client{}
	t.Cleanup(client.Close)
	opened, err := client.Repository(r.Host(), name)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func fromRegistry(t *testing.T, img testimage.Image) origin {
	t.Helper()
	r := testregistry.Start(t, testregistry.Config{PageSize: 2})
	img.PutTo(r, repo, tag)
	return origin{
		registry: r, ref: tag,
		open: func(t *testing.T) content.Source { t.Helper(); return repository(t, r, repo) },
		want: func(*testing.T) store { return whole(img) },
	}
}

func toRegistry(t *testing.T) *goal {
	t.Helper()
	r := testregistry.Start(t, testregistry.Config{})
	open := func(t *testing.T) *registry.Repository { t.Helper(); return repository(t, r, repo) }
	return &goal{
		registry: r, name: sameName,
		open:   func(t *testing.T) content.Sink { t.Helper(); return open(t) },
		source: func(t *testing.T) content.Source { t.Helper(); return open(t) },
		read:   func(t *testing.T) store { t.Helper(); return inRegistry(t, r, repo) },
	}
}

// remembering opens the repository with a client that has the memory of others
// before it.
func remembering(t *testing.T, r *testregistry.Registry, remembered content.Facts) *registry.Repository {
	t.Helper()
	client := &registry.Client{Facts: remembered}
	t.Cleanup(client.Close)
	opened, err := client.Repository(r.Host(), repo)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}
