package cli

import (
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/internal/render"
)

// whichRows are the lines of a table: what they are about, what is said of it,
// and who says so.
type whichRows [][]string

func (r *whichRows) add(about, name, value, from string) {
	*r = append(*r, []string{about, name, value, from})
}

// result shows w. Programs get what a line is about in each of them, people once.
func (w *WhichResult) result() render.Result {
	if w == nil {
		return render.Result{}
	}
	var rows whichRows
	w.reading(&rows)
	urls := []string{}
	for _, h := range w.Hosts {
		h.rows(&rows)
		if h.Skipped == "" && h.Role != "destination" {
			urls = append(urls, h.URL)
		}
	}
	w.files(&rows)
	return render.Result{
		Value: *w,
		Tables: []render.Table{{
			Header:  []string{"", "SETTING", "VALUE", "FROM"},
			Rows:    slices.Values(once(rows)),
			Records: slices.Values(rows),
		}},
		Quiet: urls,
	}
}

// once leaves out what the line above is about too.
func once(rows whichRows) [][]string {
	shown := make([][]string, len(rows))
	for i, row := range rows {
		shown[i] = slices.Clone(row)
		if i > 0 && rows[i-1][0] == row[0] {
			shown[i][0] = ""
		}
	}
	return shown
}

// reading says how the name was read.
func (w *WhichResult) reading(rows *whichRows) {
	if s := w.ShortName; s != nil {
		rows.add(w.Target, "stands for", s.StandsFor, s.From)
		for _, candidate := range s.Podman {
			rows.add(w.Target, "podman's", candidate.Value, candidate.From)
		}
	}
	rows.add(w.Target, "name", w.Name, "-")
	if w.Blocked != "" {
		rows.add(w.Target, "blocked", "nobody is asked for it", w.Blocked)
	}
	for _, h := range w.Hosts {
		if w.Moved != "" && h.Role == "registry" {
			rows.add(w.Target, "read from", h.Host+"/"+h.Repository, w.Moved)
		}
	}
}

func (h WhichHost) rows(rows *whichRows) {
	about := strings.TrimSuffix(h.Role+" "+h.Host+"/"+h.Repository, "/")
	rows.add(about, "url", h.URL, h.From)
	if h.Skipped != "" {
		rows.add(about, "skipped", h.Skipped, "-")
	}
	rows.add(about, "schemes", strings.Join(h.Schemes, ", else "), "-")
	rows.add(about, "capabilities", strings.Join(h.Capabilities, ","), h.CapabilitiesFrom)
	for _, s := range h.Settings {
		rows.add(about, s.Name, s.Value, s.From)
	}
	rows.add(about, h.Proxy.Name, h.Proxy.Value, h.Proxy.From)
	for i, c := range h.Credentials {
		kind := c.Kind
		if i > 0 {
			kind = "else " + kind
		}
		rows.add(about, "credential", kind, c.From)
	}
	if len(h.Credentials) == 0 {
		rows.add(about, "credential", "none", "-")
	}
	if h.Problem != "" {
		rows.add(about, "problem", h.Problem, "-")
	}
}

func (w *WhichResult) files(rows *whichRows) {
	for _, file := range w.Files {
		if file.Unread == "" {
			rows.add("files", "read", file.Path, "-")
		} else {
			rows.add("files", "not read", file.Path+": "+file.Unread, "-")
		}
	}
	if w.OwnOnly != "" {
		rows.add("files", "left alone", "those of podman, containerd and docker", w.OwnOnly)
	}
}
