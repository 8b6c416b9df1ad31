package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// Names with a meaning in layers, and what is left of those of AUFS.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts
const (
	whiteout = ".wh."
	aufsMeta = ".wh..wh."
	opaque   = ".wh..wh..opq"
	aufsLink = ".wh..wh.plnk" // hard links lead there, and it is in no file system
)

// remove applies a whiteout: what it names is taken away as far as it is of lower
// layers, wherever in its own layer the whiteout stands.
func (t *tree) remove(folders []string, base string) error {
	name := strings.TrimPrefix(base, whiteout)
	switch {
	case base == opaque:
		at, err := t.walk(folders, t.imply)
		if err == nil {
			t.prune(at)
		}
		return err
	case strings.HasPrefix(base, aufsMeta):
		return nil
	case name == "", name == ".", name == "..":
		return fmt.Errorf("a whiteout of no name: %w", content.ErrInvalid)
	}
	at, err := t.walk(folders, t.none)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := at.children[name]; n != nil && !t.survives(n) {
		t.log.lose(n, t.layer)
		delete(at.children, name)
	}
	return nil
}

// prune takes away what lower layers have below folder n. Each folder is gone
// through once in a layer, however often it is asked for.
func (t *tree) prune(n *node) {
	if n.pruned == t.layer {
		return
	}
	n.pruned = t.layer
	for name, child := range n.children {
		if !t.survives(child) {
			t.log.lose(child, t.layer)
			delete(n.children, name)
		}
	}
}

// survives takes away what is of lower layers at n and below it, and reports
// whether anything is left. A folder that is left for what is below it only is
// as if no entry had ever told of it.
func (t *tree) survives(n *node) bool {
	if n.children != nil {
		t.prune(n)
	}
	if n.layer == t.layer {
		return true
	}
	if len(n.children) == 0 {
		return false
	}
	t.log.lose(n, t.layer)
	n.file, n.layer = &inode{kind: tar.TypeDir, origin: n}, t.layer
	return true
}

// belowWhiteout passes over what AUFS left, and refuses what else is below a name
// that only whiteouts have.
func belowWhiteout(name string) error {
	if strings.HasPrefix(name, aufsMeta) {
		return nil
	}
	return fmt.Errorf("it is below a whiteout: %w", content.ErrInvalid)
}
