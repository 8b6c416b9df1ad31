package contenttest

import (
	"errors"
	"slices"

	"github.com/wherry-dev/wherry/content"
)

func keepsNames(s *stage) {
	t := s.T
	keeper, ok := content.As[content.NameKeeper](s.Sink)
	if !ok {
		return
	}
	imgs := anchors(t, 2)
	held, free := s.name("held"), s.name("free")
	s.put(t, imgs[0], held)
	s.put(t, imgs[1])
	if d, err := keeper.Holder(t.Context(), held); err != nil || d.Digest != imgs[0].Root.Digest() {
		t.Errorf("Holder(%q) = %s, %v; want %s", held, d.Digest, err, imgs[0].Root.Digest())
	}
	if d, err := keeper.Holder(t.Context(), free); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("Holder(%q) = %s, %v; want not found", free, d.Digest, err)
	}
	own := imgs[1].Root.Digest().String()
	for _, step := range []struct{ names, kept []string }{
		{[]string{held}, []string{held}},
		{[]string{held, free, own}, []string{held}},
		{[]string{free}, []string{free}},
		{nil, nil},
	} {
		kept, err := keeper.PutNewNames(t.Context(), imgs[1].Root, step.names...)
		if err != nil || !slices.Equal(kept, step.kept) {
			t.Errorf("PutNewNames(%q) keeps %q, %v; want %q", step.names, kept, err, step.kept)
		}
	}
	src := s.source(t)
	CheckImage(t, src, imgs[0], held)
	CheckImage(t, src, imgs[1], free)
}
