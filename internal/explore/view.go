package explore

import (
	"archive/tar"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/term"
)

// The least that there is room for everything in.
const (
	leastWidth  = 50
	leastHeight = 10
)

// looks are the styles of what is shown. The marks + ~ - ! say the same without.
type looks struct {
	title, dim, chosen, beside lipgloss.Style
	kinds                      map[image.ChangeKind]lipgloss.Style
}

func newLooks() looks {
	plain := lipgloss.NewStyle()
	return looks{
		title: plain.Bold(true), dim: plain.Faint(true), chosen: plain.Reverse(true), beside: plain.Bold(true),
		kinds: map[image.ChangeKind]lipgloss.Style{
			0: plain, image.Added: plain.Foreground(lipgloss.Green), image.Changed: plain.Foreground(lipgloss.Yellow), image.Removed: plain.Foreground(lipgloss.Red),
		},
	}
}

// marks stand before what a layer adds, changes and removes.
var marks = map[image.ChangeKind]string{0: " ", image.Added: "+", image.Changed: "~", image.Removed: "-"}

// View implements [tea.Model].
func (m *Model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true
	return v
}

// screen returns all lines: a title, two lists side by side under their headers, a
// line about what is chosen, and one about the keys.
func (m *Model) screen() string {
	if m.width < leastWidth || m.height < leastHeight {
		return fit(fmt.Sprintf("It takes %d columns and %d lines.", leastWidth, leastHeight), max(m.width, 1))
	}
	s := newLooks()
	left := min(max(m.width*2/5, 24), 60)
	right := m.width - left - 3
	lines := []string{
		s.title.Render(fit(term.Safe(m.img.Name)+"  "+term.Safe(m.img.Facts), m.width)),
		s.dim.Render(fit("  #      SIZE COMMAND", left)) + " │ " + s.dim.Render(fit(m.header(), right)),
	}
	for i := range m.seen() {
		lines = append(lines, m.layerLine(s, m.layer.first+i, left)+" │ "+m.fileLine(s, m.top.first+i, right))
	}
	lines = append(lines, s.dim.Render(strings.Repeat("─", m.width)), fit(m.about(), m.width), s.dim.Render(fit(m.keys(), m.width)))
	return strings.Join(lines, "\n")
}

// header says what the files are of.
func (m *Model) header() string {
	what := "all layers"
	switch {
	case m.layer.at > 0 && m.whole:
		what = fmt.Sprintf("layers up to %d", m.layer.at)
	case m.layer.at > 0:
		what = fmt.Sprintf("changes of layer %d", m.layer.at)
	}
	head := fmt.Sprintf("     SIZE    %s, by %s", strings.ToUpper(what), m.order)
	if m.filter != "" {
		head += ", with " + term.Safe(m.filter)
	}
	return head
}

func (m *Model) layerLine(s looks, i, width int) string {
	if i > len(m.img.Layers) {
		return strings.Repeat(" ", width)
	}
	text := fmt.Sprintf("all %9s", term.Size(m.total()))
	if i > 0 {
		l := m.img.Layers[i-1]
		text = fmt.Sprintf("%3d %9s %s", i, term.Size(l.Size), term.Safe(l.Command))
	}
	if i == m.layer.at {
		return m.chosen(s, layers).Render(fit(text, width))
	}
	return fit(text, width)
}

func (m *Model) total() (n int64) {
	for _, l := range m.img.Layers {
		n += l.Size
	}
	return n
}

func (m *Model) fileLine(s looks, i, width int) string {
	if i >= len(m.rows) {
		if i == 0 {
			return fit("  nothing", width)
		}
		return strings.Repeat(" ", width)
	}
	r := m.rows[i]
	text := fmt.Sprintf("%9s %s%s %s%s %s", term.Size(r.size), marks[r.kind], r.waste(), strings.Repeat("  ", r.indent()), r.handle(m.filter), term.Safe(r.name))
	switch {
	case r.isFolder():
		text += "/"
	case r.entry != nil && r.entry.Link != "":
		text += " → " + term.Safe(r.entry.Link)
	}
	if i == m.top.at {
		return m.chosen(s, files).Render(fit(text, width))
	}
	return s.kinds[r.kind].Render(fit(text, width))
}

// chosen returns the style of the line of a list that the cursor is on.
func (m *Model) chosen(s looks, of side) lipgloss.Style {
	if m.focus == of {
		return s.chosen
	}
	return s.beside
}

// indent returns how deep a row is shown: very deep ones are all alike.
func (r row) indent() int { return min(r.depth, 12) }

// waste marks what several layers have.
func (r row) waste() string {
	if r.wasted {
		return "!"
	}
	return " "
}

// handle shows whether a folder is open; with a filter all are.
func (r row) handle(filter string) string {
	switch {
	case len(r.children) == 0:
		return " "
	case r.open || filter != "":
		return "▾"
	}
	return "▸"
}

// about is a line about what is chosen, or what is typed.
func (m *Model) about() string {
	switch {
	case m.typing:
		return "filter: " + term.Safe(m.filter) + "▏"
	case m.trouble != "":
		return term.Safe(m.trouble)
	case m.focus == layers && m.layer.at > 0:
		return term.Safe(m.img.Layers[m.layer.at-1].Command)
	case m.focus == layers || len(m.rows) == 0:
		return ""
	}
	return m.rows[m.top.at].about()
}

// about is a line about a file.
func (r row) about() string {
	parts := []string{"/" + term.Safe(r.path), term.Size(r.size)}
	if e := r.entry; e != nil {
		h := tar.Header{Typeflag: e.Type, Name: "x", Mode: e.Mode}
		parts = append(parts, h.FileInfo().Mode().String(), fmt.Sprintf("%d:%d", e.UID, e.GID), fmt.Sprintf("layer %d", r.layer+1))
	}
	if r.kind != 0 {
		parts = append(parts, r.kind.String())
	}
	if r.wasted {
		parts = append(parts, "in several layers")
	}
	return strings.Join(parts, "  ")
}

func (m *Model) keys() string {
	if m.typing {
		return "enter keep · esc clear"
	}
	return "tab switch · ↑↓ move · ←→ fold · a " + map[bool]string{true: "changes", false: "all files"}[m.whole] + " · s sort · / filter · q quit"
}

// fit returns s in exactly that many columns.
func fit(s string, width int) string {
	if runes := []rune(s); len(runes) > 4*width { // commands may be very long
		s = string(runes[:4*width])
	}
	n := lipgloss.Width(s)
	if n <= width {
		return s + strings.Repeat(" ", width-n)
	}
	cut := lipgloss.NewStyle().Inline(true).MaxWidth(width - 1).Render(s)
	return cut + strings.Repeat(" ", max(0, width-1-lipgloss.Width(cut))) + "…"
}
