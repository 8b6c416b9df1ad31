package image

import (
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
	if errors.Is(err, errAbsent) || errors.Is(err, errNoFolder) {
		return nil // below a file there is nothing to remove either
	}
	if err != nil {
		return err
	}
	if n := at.child(name); n != nil && !t.survives(n) {
		t.log.lose(n, t.layer)
		at.folder.remove(name)
	}
	return nil
}

// prune takes away what lower layers have below folder n. Each folder is gone
// through once in a layer, however often it is asked for.
func (t *tree) prune(n *node) {
	if n.folder.pruned == t.layer {
		return
	}
	n.folder.pruned = t.layer
	n.folder.removeFunc(func(child *node) bool {
		if t.survives(child) {
			return false
		}
		t.log.lose(child, t.layer)
		return true
	})
}

// survives takes away what is of lower layers at n and below it, and reports
// whether anything is left. A folder that is left for what is below it only is
// as if no entry had ever told of it.
func (t *tree) survives(n *node) bool {
	if n.folder != nil {
		t.prune(n)
	}
	if n.layer == t.layer {
		return true
	}
	if n.folder == nil || n.folder.len() == 0 {
		return false
	}
	t.log.lose(n, t.layer)
	n.source, n.layer, n.folder.header = source{}, t.layer, nil
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
