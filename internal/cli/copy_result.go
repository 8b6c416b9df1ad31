package cli

import (
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/transfer"
)

// MoveResult is what copy, save and load did, or would do
// (docs/schemas/copy.json).
type MoveResult struct {
	DryRun bool         `json:"dryRun"`
	Images []MovedImage `json:"images"`
	Bytes  int64        `json:"bytes"` // of blobs that were moved, or would be

	Served map[string]int64 `json:"served,omitempty"` // bytes of blobs by the host of a registry that gave them

	Retries int `json:"retries,omitempty"` // times something was asked or sent once more

	LeftBehind []LeftBehind `json:"leftBehind,omitempty"` // by copy --all-tags and load

	mirrored bool   // mirrors may have given some
	whole    string // how an index is kept whole where nobody asked for a part of it
}

// A MovedImage is one image of a MoveResult.
type MovedImage struct {
	Name         string        `json:"name"`
	SourceDigest digest.Digest `json:"sourceDigest,omitempty"` // what the name stands for at the source
	Digest       digest.Digest `json:"digest,omitempty"`       // what was written: another one where the index was rewritten or layers compressed
	Compressed   bool          `json:"compressed,omitempty"`   // raw layers were compressed on the way
	MediaType    string        `json:"mediaType,omitempty"`
	Referrers    int           `json:"referrers"`           // manifests that came along because they refer to the image
	LeftOut      int           `json:"leftOut"`             // foreign layers that stayed behind
	Orphaned     int           `json:"orphaned"`            // referrers of the original index, which the rewritten one has not
	Unmatched    []string      `json:"unmatched,omitempty"` // platforms that were asked for, while the image has others only
	Destinations []MovedTo     `json:"destinations"`
	Error        string        `json:"error,omitempty"`

	size int64 // of the manifest or index that was written
}

// A MovedTo is one destination of an image.
type MovedTo struct {
	Name      string   `json:"name"`
	Reference string   `json:"reference,omitempty"` // the destination with the digest
	Names     []string `json:"names"`               // what the image is called there now
	Kept      []string `json:"kept,omitempty"`      // names that existed and were left alone
	Replaced  bool     `json:"replaced,omitempty"`  // a file that was there made room for this one
	UpToDate  bool     `json:"upToDate"`            // all was there
	Stored    int      `json:"stored"`              // blobs that were moved; in a plan, all that are missing
	Existed   int      `json:"existed"`             // blobs that were there
	Mounted   int      `json:"mounted"`             // blobs the registry linked from another repository
	Bytes     int64    `json:"bytes"`
	Manifests int      `json:"manifests"` // manifests that were written or named, those of referrers included
	Error     string   `json:"error,omitempty"`
}

// planned says what p would do.
func (m *mover) planned(p *transfer.Plan) MoveResult {
	result := m.moved(p.Forecast())
	result.DryRun, result.Bytes = true, p.Bytes()
	return result
}

// moved says what was done.
func (m *mover) moved(r *transfer.Result) MoveResult {
	result := MoveResult{Images: []MovedImage{}, whole: m.o.KeepWhole}
	for i, image := range r.Images {
		moved := MovedImage{
			Name: image.Name, Referrers: image.Referrers, LeftOut: image.LeftOut, Orphaned: image.Orphaned,
			SourceDigest: image.Source.Digest, Digest: image.Root.Digest, MediaType: image.Root.MediaType, size: image.Root.Size,
			Unmatched: platformNames(image.Unmatched), Error: text(image.Err), Destinations: []MovedTo{},
		}
		for j, t := range image.Targets {
			end := m.ends[i][j]
			to := MovedTo{
				Name: t.Name, Names: orEmpty(t.Names), Kept: t.Kept, UpToDate: t.UpToDate,
				Stored: t.Stored, Existed: t.Existed, Mounted: t.Mounted, Bytes: t.Bytes, Manifests: t.Written, Error: text(t.Err),
			}
			if image.Err == nil && t.Err == nil && !to.leftAlone() {
				to.Replaced = m.sinks[placeOf(end)].replaced
				to.Reference = m.reference(end, t.Names, image.Root)
			}
			result.Bytes += t.Bytes
			moved.Destinations = append(moved.Destinations, to)
		}
		result.Images = append(result.Images, m.withSource(i, moved.honest()))
	}
	return result
}

// leftAlone reports whether all names exist at the destination and stand for
// what they stood for before.
func (to MovedTo) leftAlone() bool { return len(to.Names) == 0 && len(to.Kept) > 0 }

// written reports whether the image is at a destination under its digest.
func (i MovedImage) written() bool {
	return slices.ContainsFunc(i.arrived(), func(to MovedTo) bool { return !to.leftAlone() })
}

// honest returns i without a digest where all names were left alone: nothing
// was written under it.
func (i MovedImage) honest() MovedImage {
	if len(i.arrived()) > 0 && !i.written() {
		i.Digest = ""
	}
	return i
}

// withSource returns image i with the digest that its source has. Where raw
// layers of a docker archive were compressed on reading, what was read is not it.
func (m *mover) withSource(i int, image MovedImage) MovedImage {
	src, ok := content.As[*archive.Archive](m.jobs[i].Src)
	if !ok {
		return image
	}
	if was, ok := src.Uncompressed(image.SourceDigest); ok {
		image.SourceDigest, image.Compressed = was, true
	}
	return image
}

// reference returns e with the digest of what is there, and with its first name
// where several images go to one place.
func (m *mover) reference(e endpoint.Endpoint, names []string, root ocispec.Descriptor) string {
	at := referenceAt(e, root)
	if !m.allTags || len(names) == 0 || at == "" || e.Transport == endpoint.Store {
		return at
	}
	e = e.Tagged(names[0])
	e.Digest = root.Digest
	return e.String()
}

func platformNames(platforms []content.Platform) []string {
	var names []string
	for _, p := range platforms {
		names = append(names, p.String())
	}
	return names
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func orEmpty(names []string) []string { return append([]string{}, names...) }

// referenceAt returns e with the digest of what is there, and nothing for a
// stream: repository@sha256:… in a registry, store:sha256:… in the store, else the endpoint
// as it was given.
func referenceAt(e endpoint.Endpoint, root ocispec.Descriptor) string {
	if root.Digest == "" || e.Transport == endpoint.Stream {
		return ""
	}
	if e.Transport == endpoint.Store {
		return endpoint.InStore(root.Digest.String()).String()
	}
	e.Digest, e.Tag = root.Digest, ""
	return e.String()
}

// failures returns what went wrong: a PartlyError where something went well.
func failures(r *transfer.Result) error {
	err := r.Err()
	if failed, all := r.Failed(); err == nil || failed == all {
		return err
	}
	return &PartlyError{Err: err}
}

// render shows a result: each destination with its digest, one a line.
func (r MoveResult) render() render.Result {
	if r.Images == nil {
		return render.Result{}
	}
	out := render.Result{Value: r, Quiet: []string{}}
	for _, image := range r.Images {
		for _, to := range image.arrived() {
			if to.Reference != "" && !slices.Contains(out.Lines, to.Reference) {
				out.Lines = append(out.Lines, to.Reference)
			}
			if d := image.Digest.String(); to.Reference != "" && !slices.Contains(out.Quiet, d) {
				out.Quiet = append(out.Quiet, d)
			}
		}
	}
	if r.DryRun {
		out.Lines, out.Tables = nil, []render.Table{r.table()}
	}
	return out
}

// table shows a plan.
func (r MoveResult) table() render.Table {
	var rows [][]string
	for _, image := range r.Images {
		for _, to := range image.arrived() {
			written := image.Digest.String()
			if to.leftAlone() {
				written = "left alone"
			}
			rows = append(rows, []string{
				image.Name, to.Name, written, strconv.Itoa(to.Stored), term.Size(to.Bytes),
				strconv.Itoa(to.Existed), strconv.Itoa(image.Referrers),
			})
		}
	}
	header := []string{"IMAGE", "DESTINATION", "DIGEST", "MOVE", "SIZE", "THERE", "REFERRERS"}
	return render.Table{Header: header, Rows: slices.Values(rows)}
}
