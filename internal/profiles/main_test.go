package profiles

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

// sourceFolder is the layout that has the samples. All read it, nobody writes it.
var sourceFolder string

func TestMain(m *testing.M) {
	flag.Parse()
	err := flag.Set("test.parallel", "8") // registries are waited for more than worked for
	folder, ferr := os.MkdirTemp("", "profiles")
	if err = errors.Join(err, ferr); err == nil {
		sourceFolder = filepath.Join(folder, "images")
		server := testregistry.New(testregistry.Config{})
		if err = server.Listen("127.0.0.1:0"); err == nil {
			err = makeSource(context.Background(), server)
			server.Close()
		}
	}
	code := 1
	if err == nil {
		code = m.Run()
	}
	if err := errors.Join(err, os.RemoveAll(folder)); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err) // there is nothing else to be done
		code = 1
	}
	os.Exit(code)
}

func makeSource(ctx context.Context, server *testregistry.Registry) (err error) {
	l, err := layout.Create(sourceFolder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	var client registry.Client
	defer client.Close()
	r, err := client.Repository(server.Host(), repo)
	if err != nil {
		return err
	}
	for _, img := range samples {
		img.PutTo(server, repo, img.tag)
		if _, err := copyImage(ctx, &transfer.Copier{}, transfer.Job{Src: r, Ref: img.tag, Dst: to(img.name(), l)}); err != nil {
			return err
		}
	}
	return nil
}

func openSource(t *testing.T) *layout.Layout {
	t.Helper()
	l, err := layout.Open(sourceFolder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
