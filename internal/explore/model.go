package explore

import (
	"slices"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// A side is one of the two lists.
type side int

const (
	layers side = iota
	files
)

func (s side) other() side {
	switch s {
	case layers:
		return files
	default:
		return layers
	}
}

// A Model is what is shown and what is chosen in it. Its layer 0 is all of them.
type Model struct {
	img    Image
	forest *forest
	grown  []*grown // what was shown last, the latest at the end, with what is open in it

	width, height int
	focus         side
	layer, top    cursor // which layer is chosen, and which file
	whole         bool   // the files of all layers up to the one that is chosen, and not its changes only
	order         order
	filter        string
	typing        bool // what is typed is the filter
	rows          []row
	trouble       string
}

// A view is a tree that can be shown.
type view struct {
	layer int
	whole bool
}

// A grown tree knows what it is of and how it is sorted.
type grown struct {
	view

	root    *node
	order   order
	trouble string // why it could not be made
}

// mostGrown is how many trees are kept: each may have all files of an image.
const mostGrown = 4

// A cursor is a place in a list, and the first line of it that is seen.
type cursor struct{ at, first int }

// move goes to a line of a list with n, of which so many are seen.
func (c *cursor) move(to, n, seen int) {
	c.at = max(0, min(to, n-1))
	c.first = max(0, min(c.first, c.at, n-seen))
	if c.at >= c.first+seen {
		c.first = c.at - seen + 1
	}
}

// New returns a model of img.
func New(img Image) *Model {
	m := &Model{img: img, forest: newForest(img), width: 80, height: 24}
	m.show()
	return m
}

// Init implements [tea.Model].
func (m *Model) Init() tea.Cmd { return nil }

// Update implements [tea.Model].
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.layer.move(m.layer.at, len(m.img.Layers)+1, m.seen())
		m.top.move(m.top.at, len(m.rows), m.seen())
	case tea.KeyPressMsg:
		if msg.String() == "ctrl+c" {
			return m, tea.Quit
		}
		if m.typing {
			m.typed(msg)
			return m, nil
		}
		return m, m.pressed(msg.String())
	case tea.PasteMsg:
		if m.typing {
			m.setFilter(m.filter + msg.Content)
		}
	}
	return m, nil
}

// typed takes a key for the filter.
func (m *Model) typed(key tea.KeyPressMsg) {
	switch key.String() {
	case "enter":
		m.typing = false
	case "esc":
		m.typing = false
		m.setFilter("")
	case "backspace":
		_, n := utf8.DecodeLastRuneInString(m.filter)
		m.setFilter(m.filter[:len(m.filter)-n])
	default:
		m.setFilter(m.filter + key.Text)
	}
}

func (m *Model) setFilter(s string) {
	const most = 200
	if len(s) > most {
		return
	}
	m.filter = s
	m.top = cursor{}
	m.rerow()
}

// pressed does what a key is for.
func (m *Model) pressed(key string) tea.Cmd {
	switch key {
	case "q":
		return tea.Quit
	case "tab", "shift+tab":
		m.focus = m.focus.other()
	case "/":
		m.typing, m.focus = true, files
	case "esc":
		m.setFilter("")
	case "a":
		m.whole = !m.whole
		m.show()
	case "s":
		m.order = m.order.other()
		m.show()
	case "enter", "space", "right", "l", "left", "h":
		m.fold(key)
	default:
		m.scroll(key)
	}
	return nil
}

// scroll moves within the list that has the focus.
func (m *Model) scroll(key string) {
	at, n := &m.top, len(m.rows)
	if m.focus == layers {
		at, n = &m.layer, len(m.img.Layers)+1
	}
	to := at.at
	switch key {
	case "up", "k":
		to--
	case "down", "j":
		to++
	case "pgup":
		to -= m.seen()
	case "pgdown":
		to += m.seen()
	case "home", "g":
		to = 0
	case "end", "G":
		to = n - 1
	default:
		return
	}
	before := m.layer.at
	at.move(to, n, m.seen())
	if m.layer.at != before {
		m.show()
	}
}

// fold opens or closes a folder; from the layers it leads to the files.
func (m *Model) fold(key string) {
	if m.focus == layers {
		if key != "left" && key != "h" {
			m.focus = files
		}
		return
	}
	if len(m.rows) == 0 {
		return
	}
	r := m.rows[m.top.at]
	switch key {
	case "left", "h":
		if !r.open || !r.isFolder() {
			m.toFolder(r)
			return
		}
		r.open = false
	case "right", "l":
		r.open = true
	default:
		r.open = !r.open
	}
	m.rerow()
}

// toFolder goes to the folder that r is in, or else to the layers.
func (m *Model) toFolder(r row) {
	for i := m.top.at - 1; i >= 0; i-- {
		if m.rows[i].depth < r.depth {
			m.top.move(i, len(m.rows), m.seen())
			return
		}
	}
	m.focus = layers
}

// show shows the files of the layer that is chosen.
func (m *Model) show() {
	m.top = cursor{}
	m.rerow()
}

// rerow finds the rows that are to be shown.
func (m *Model) rerow() {
	v := view{m.layer.at, m.whole || m.layer.at == 0}
	g := m.tree(v)
	if g.order != m.order {
		g.order = m.order
		g.root.sort(g.order)
	}
	m.trouble = g.trouble
	m.rows = g.root.rows(strings.ToLower(m.filter))
	m.top.move(m.top.at, len(m.rows), m.seen())
}

// tree returns the tree of a view, which is kept until a few others were shown.
func (m *Model) tree(v view) *grown {
	i := slices.IndexFunc(m.grown, func(g *grown) bool { return g.view == v })
	if i >= 0 {
		g := m.grown[i]
		m.grown = append(slices.Delete(m.grown, i, i+1), g)
		return g
	}
	if len(m.grown) == mostGrown {
		m.grown = slices.Delete(m.grown, 0, 1)
	}
	g := m.grow(v)
	m.grown = append(m.grown, g)
	return g
}

// grow makes a tree. What cannot be made is told, and empty.
func (m *Model) grow(v view) *grown {
	g := &grown{view: v, order: m.order}
	if v.whole {
		var err error
		if g.root, err = m.forest.whole(v.layer); err != nil {
			g.root, g.trouble = &node{}, err.Error()
		}
	} else {
		g.root = m.forest.changes(v.layer)
	}
	g.root.sort(g.order)
	return g
}

// seen returns how many lines of a list there is room for.
func (m *Model) seen() int { return max(1, m.height-5) }
