package cli

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// render lays the result out for people. Quiet is the digest of what was asked for.
func (r *InspectResult) render(platform Platform) render.Result {
	facts := factRows{}
	facts.add("Name", r.Name)
	facts.add("Digest", r.Digest.String())
	facts.add("Type", r.MediaType)
	facts.add("Artifact type", r.ArtifactType)
	facts.add("Refers to", r.Subject.String())
	quiet := r.Digest.String()
	if len(r.Children) > 0 {
		facts.add("Size of all", sizeOrNothing(r.Total))
	}
	switch {
	case r.Image != nil:
		if r.Image.Digest != r.Digest {
			facts.add("Image digest", r.Image.Digest.String())
		}
		r.Image.describe(&facts)
		facts.add("Size", term.Size(r.Image.Total)+" compressed, in "+count(len(r.Layers), "layer"))
		if platform.given {
			quiet = r.Image.Digest.String()
		}
	case r.without != "":
		facts.add("Platform", "none of "+r.without)
	case len(r.Children) == 0:
		facts.add("Size", term.Size(r.Total))
	}
	if r.Base != nil {
		facts.add("Base", r.Base.Name)
		facts.add("Base digest", r.Base.Digest.String())
	}
	facts.add("Attached", r.attached())
	return render.Result{Value: *r, Tables: append([]render.Table{{Rows: facts.all()}}, r.tables()...), Quiet: []string{quiet}}
}

func sizeOrNothing(n int64) string {
	if n == 0 {
		return ""
	}
	return term.Size(n)
}

// tables are those below the facts.
func (r *InspectResult) tables() []render.Table {
	var tables []render.Table
	if len(r.Children) > 0 {
		tables = append(tables, r.childTable())
	}
	if len(r.Layers) > 0 {
		tables = append(tables, r.layerTable())
	}
	if len(r.Attached) > 0 {
		tables = append(tables, r.attachedTable())
	}
	tables = append(tables, mapTable("ANNOTATION", r.Annotations)...)
	if r.Image != nil {
		tables = append(tables, mapTable("IMAGE ANNOTATION", r.Image.Annotations)...)
		tables = append(tables, mapTable("LABEL", r.Image.Labels)...)
	}
	return tables
}

// attached says how much of which kind refers to the image, and what was not
// looked for.
func (r *InspectResult) attached() string {
	if r.unknown && len(r.Attached) == 0 {
		return "not known"
	}
	var all []string
	for _, kind := range []image.Kind{image.KindSignature, image.KindSBOM, image.KindAttestation, image.KindArtifact} {
		n := 0
		for _, a := range r.Attached {
			if a.Kind == kind {
				n++
			}
		}
		if n > 0 {
			all = append(all, count(n, nameOfKind(kind)))
		}
	}
	said := cmp.Or(strings.Join(all, ", "), "nothing")
	if r.unknown {
		return said + ", and what is not known"
	}
	if len(r.Unasked) == 0 {
		return said
	}
	endings := make([]string, len(r.Unasked))
	for i, tag := range r.Unasked {
		endings[i] = tag[strings.LastIndexByte(tag, '.'):]
	}
	return said + "; not looked for: " + strings.Join(endings, " and ") + ", as wherry tree does"
}

// nameOfKind returns a kind as people read it.
func nameOfKind(k image.Kind) string {
	if k == image.KindSBOM {
		return "SBOM"
	}
	return string(k)
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

// childTable has the platforms. Attestations stand with what they are about, or in
// the tree.
func (r *InspectResult) childTable() render.Table {
	images := slices.DeleteFunc(slices.Clone(r.Children), func(c ChildResult) bool { return c.Attestation })
	return render.Table{Header: []string{"PLATFORM", "DIGEST", "SIZE"}, Rows: rowsOf(images, func(c ChildResult) []string {
		platform := c.Platform
		if platform == "" {
			platform = "(none)"
		}
		size := term.Size(c.Total)
		switch {
		case c.Missing:
			size = "not there"
		case !c.known:
			size = "with --sizes"
		}
		return []string{platform, c.Digest.String(), size}
	})}
}

// mostAttached is how much of what refers to an image stands on its screen.
const mostAttached = 20

func (r *InspectResult) attachedTable() render.Table {
	shown := r.Attached[:min(mostAttached, len(r.Attached))]
	return render.Table{Header: []string{"ATTACHED", "DIGEST", "TYPE"}, Rows: func(yield func([]string) bool) {
		for _, a := range shown {
			if !yield([]string{nameOfKind(a.Kind), a.Digest.String(), a.Type}) {
				return
			}
		}
		if more := len(r.Attached) - len(shown); more > 0 {
			yield([]string{"and more", count(more, "manifest") + ", with wherry tree"})
		}
	}}
}

func (r *InspectResult) layerTable() render.Table {
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
