package image

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// maxFew is how many children are in a list: adding one moves those after it.
const maxFew = 64

// A named is what has a name in a folder.
type named interface{ called() string }

// children are what is in a folder, each under its name. Most folders have a few,
// which take a third of the room in a list. The zero children are none.
type children[N named] struct {
	few  []N          // in the order of names
	many map[string]N // instead, once there were more than maxFew
}

func (c *children[N]) len() int { return len(c.few) + len(c.many) }

// find returns where in the list name is, or would be.
func (c *children[N]) find(name string) (int, bool) {
	return slices.BinarySearchFunc(c.few, name, func(n N, name string) int { return strings.Compare(n.called(), name) })
}

// get returns the child of that name; nothing where there is none.
func (c *children[N]) get(name string) (n N) {
	if c.many != nil {
		return c.many[name]
	}
	if i, ok := c.find(name); ok {
		n = c.few[i]
	}
	return n
}

// put adds n, in place of what has its name.
func (c *children[N]) put(n N) {
	if c.many == nil && len(c.few) == maxFew {
		c.many = make(map[string]N, 2*maxFew)
		for _, few := range c.few {
			c.many[few.called()] = few
		}
		c.few = nil
	}
	if c.many != nil {
		delete(c.many, n.called()) // the key that is left would be a part of what had the name
		c.many[n.called()] = n
		return
	}
	i, ok := c.find(n.called())
	if ok {
		c.few[i] = n
		return
	}
	c.few = slices.Insert(c.few, i, n)
}

func (c *children[N]) remove(name string) {
	if i, ok := c.find(name); ok {
		c.few = slices.Delete(c.few, i, i+1)
	}
	delete(c.many, name)
}

// removeFunc removes those that are to go.
func (c *children[N]) removeFunc(goes func(N) bool) {
	c.few = slices.DeleteFunc(c.few, goes)
	maps.DeleteFunc(c.many, func(_ string, n N) bool { return goes(n) })
}

// sorted yields all in the order of names.
func (c *children[N]) sorted() iter.Seq[N] {
	if c.many == nil {
		return slices.Values(c.few)
	}
	all := slices.SortedFunc(maps.Values(c.many), func(a, b N) int { return strings.Compare(a.called(), b.called()) })
	return slices.Values(all)
}
