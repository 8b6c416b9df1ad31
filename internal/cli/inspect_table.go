package cli

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// render lays the result out for people.
func (r InspectResult) render() render.Result {
	facts := factRows{}
	facts.add("Name", r.Name)
	facts.add("Digest", r.Digest.String())
	facts.add("Type", r.MediaType)
	facts.add("Artifact type", r.ArtifactType)
	facts.add("Refers to", r.Subject.String())
	if r.Image != nil {
		r.Image.describe(&facts)
	}
	facts.add("Size", term.Size(r.Total))
	tables := []render.Table{{Rows: facts.all()}}
	if len(r.Children) > 0 {
		tables = append(tables, r.childTable())
	}
	if len(r.Layers) > 0 {
		tables = append(tables, r.layerTable())
	}
	tables = append(tables, mapTable("ANNOTATION", r.Annotations)...)
	if r.Image != nil {
		tables = append(tables, mapTable("LABEL", r.Image.Labels)...)
	}
	return render.Result{Value: r, Tables: tables, Quiet: []string{r.Digest.String()}}
}

func (i *ImageResult) describe(facts *factRows) {
	facts.add("Platform", i.Platform)
	if i.Created != nil {
		facts.add("Created", i.Created.UTC().Format(time.RFC3339))
	}
	facts.add("Author", i.Author)
	facts.add("User", i.User)
	facts.add("Entrypoint", words(i.Entrypoint))
	facts.add("Cmd", words(i.Cmd))
	facts.add("Working dir", i.WorkingDir)
	for _, env := range i.Env {
		facts.add("Env", env)
	}
	facts.add("Ports", strings.Join(i.ExposedPorts, ", "))
	facts.add("Volumes", strings.Join(i.Volumes, ", "))
	facts.add("Stop signal", i.StopSignal)
	facts.add("Config", i.ConfigDigest.String())
}

func (r InspectResult) childTable() render.Table {
	return render.Table{Header: []string{"PLATFORM", "DIGEST", "SIZE"}, Rows: rowsOf(r.Children, func(c ChildResult) []string {
		what := c.Platform
		switch {
		case c.Attestation:
			what = "(attestation)"
		case what == "":
			what = "(none)"
		}
		if c.Missing {
			return []string{what, c.Digest.String(), "not there"}
		}
		return []string{what, c.Digest.String(), term.Size(c.Total)}
	})}
}

func (r InspectResult) layerTable() render.Table {
	return render.Table{Header: []string{"LAYER", "SIZE", "TYPE"}, Rows: rowsOf(r.Layers, func(l LayerResult) []string {
		return []string{l.Digest.String(), term.Size(l.Size), l.MediaType}
	})}
}

// rowsOf yields a row for each of all.
func rowsOf[T any](all []T, row func(T) []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for _, one := range all {
			if !yield(row(one)) {
				return
			}
		}
	}
}

// factRows are rows of a name and a value; what has no value is left out.
type factRows [][]string

func (p *factRows) add(name, value string) {
	if value != "" {
		*p = append(*p, []string{name + ":", value})
	}
}

func (p *factRows) all() iter.Seq[[]string] { return slices.Values(*p) }

// mapTable returns a table of m, or none where m is empty.
func mapTable(header string, m map[string]string) []render.Table {
	if len(m) == 0 {
		return nil
	}
	keys := slices.Sorted(maps.Keys(m))
	return []render.Table{{Header: []string{header, "VALUE"}, Rows: rowsOf(keys, func(key string) []string { return []string{key, m[key]} })}}
}

// words shows a command line so that its words can be told apart.
func words(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return fmt.Sprintf("%q", args)
}

func keysOf(m map[string]struct{}) []string { return slices.Sorted(maps.Keys(m)) }
