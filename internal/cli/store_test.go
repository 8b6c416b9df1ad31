package cli

import (
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/layout"
)

// To open a store of thousands of images takes long: who finds out that an image is
// in it, who reads the image and who says that it was used share one.
func TestARunOpensTheStoreOnce(t *testing.T) {
	folder := storeOf(t, contenttest.Kinds(t)[0])
	f := testFactory(t, map[string]string{"WHERRY_STORE": folder})
	e, err := f.stored(t.Context(), "r.example/app:0", pullNever)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.lookAt(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	f.noteUsed(t.Context(), e)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	store, err := f.Store()
	if got, ok := content.As[*layout.Store](p.Source); !ok || got != store || err != nil {
		t.Errorf("the image was read from %p, the store is %p, %v", got, store, err)
	}
	if len(store.Uses()) != 1 {
		t.Error("the use was not written down")
	}
	if err := f.closeStore(); err != nil {
		t.Error(err)
	}
}
