package layout_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
)

// An image of nothing but an empty config is stored in a new layout and read
// again.
func Example() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder) //nolint:errcheck // an example's own folder
	if err := store(context.Background(), filepath.Join(folder, "images")); err != nil {
		fmt.Println(err)
		return
	}
	l, err := layout.Open(filepath.Join(folder, "images"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close() //nolint:errcheck // only read from
	for name, err := range l.Tags(context.Background()) {
		fmt.Println(name, err)
	}
	m, err := l.Manifest(context.Background(), "team/app:1.0")
	fmt.Println(m.Digest(), err)
	// Output:
	// docker.io/team/app:1.0 <nil>
	// sha256:1ccb399e44f3e0ec86bb1a95031c6b9f81ac77860556a81a90acb79bab8005d9 <nil>
}

func store(ctx context.Context, path string) (err error) {
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`
	l, err := layout.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	m, err := content.ParseManifest("", []byte(manifest), content.Limits{})
	if err != nil {
		return err
	}
	config, _ := m.Config()
	in, err := l.Ingest(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if _, err := in.WriteAt([]byte("{}"), 0); err != nil {
		return err
	}
	if err := in.Commit(ctx); err != nil {
		return err
	}
	return l.PutManifest(ctx, m, "docker.io/team/app:1.0")
}

// An image that has lost its name is done away with, and what only it needed is
// removed.
func ExampleLayout_Collect() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder) //nolint:errcheck // an example's own folder
	if err := store(context.Background(), filepath.Join(folder, "images")); err != nil {
		fmt.Println(err)
		return
	}
	got, err := lose(context.Background(), filepath.Join(folder, "images"))
	fmt.Println(len(got.Removed), "blobs removed", err)
	// Output:
	// 2 blobs removed <nil>
}

func lose(ctx context.Context, path string) (_ layout.Collected, err error) {
	l, err := layout.Open(path)
	if err != nil {
		return layout.Collected{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	d, err := l.Resolve(ctx, "team/app:1.0")
	if err != nil {
		return layout.Collected{}, err
	}
	if err := l.Untag(ctx, "team/app:1.0"); err != nil {
		return layout.Collected{}, err
	}
	return l.Collect(ctx, layout.CollectOptions{Forget: []digest.Digest{d.Digest}})
}
