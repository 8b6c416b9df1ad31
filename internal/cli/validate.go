package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// ValidateResult is what `wherry validate` says.
type ValidateResult struct {
	Name      string          `json:"name"`
	Valid     bool            `json:"valid"`
	Fast      bool            `json:"fast,omitempty"` // blobs were asked for and not read
	Images    int             `json:"images"`         // that the walk started from
	Manifests int             `json:"manifests"`      // all that were read
	Referrers int             `json:"referrers"`      // of those, the ones that refer to others
	Blobs     int             `json:"blobs"`
	Bytes     int64           `json:"bytes"`   // of those blobs
	Foreign   int             `json:"foreign"` // layers that need not be there, and are not
	Problems  []ProblemResult `json:"problems"`

	errs []error
}

// A ProblemResult is something that is missing or wrong.
type ProblemResult struct {
	Digest  digest.Digest `json:"digest,omitempty"`
	Role    string        `json:"role"`             // manifest, blob, referrers or place
	Parent  digest.Digest `json:"parent,omitempty"` // the manifest that names it
	Message string        `json:"message"`
}

type validateOptions struct {
	Fast        bool
	NoReferrers bool
	Jobs        int
}

func newValidate(f *Factory) *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate IMAGE|LAYOUT|ARCHIVE",
		Short: "Check that all of an image, layout or archive is there and right",
		Long: "Read every manifest and every blob of an image, of what refers to it, or of everything in a layout or archive,\n" +
			"and compare size and digest. Each problem is reported; the exit code is 4 where something is missing and 6 where\nsomething is wrong.",
		Example: "  wherry validate nginx:1.27\n  wherry validate oci:/mnt/usb/images\n  wherry validate --fast ./images.tar",
		Args:    exactArgs(1),
	}
	cmd.Flags().BoolVar(&o.Fast, "fast", false, "ask whether blobs are there, and do not read them")
	cmd.Flags().BoolVar(&o.NoReferrers, "no-referrers", false, "leave out what refers to the image")
	cmd.Flags().IntVarP(&o.Jobs, "jobs", "j", 0, "`N` blobs at once")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		jobs, err := f.jobs(o.Jobs)
		if err != nil {
			return render.Result{}, err
		}
		o.Jobs = jobs
		result, err := p.validate(ctx, o)
		if err != nil {
			return render.Result{}, err
		}
		return result.render(), result.err()
	})
}

// err returns the problems as one error that has all their classes.
func (r ValidateResult) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return &invalidError{place: r.Name, errs: r.errs}
}

// An invalidError says that a place is not as it should be. What is wrong stands
// in the result.
type invalidError struct {
	place string
	errs  []error
}

func (e *invalidError) Error() string {
	if len(e.errs) == 1 {
		return "1 problem in " + e.place
	}
	return fmt.Sprintf("%d problems in %s", len(e.errs), e.place)
}

func (e *invalidError) Unwrap() []error { return e.errs }

// render lays the result out for people.
func (r ValidateResult) render() render.Result {
	facts := factRows{}
	facts.add("Name", r.Name)
	facts.add("Images", strconv.Itoa(r.Images))
	facts.add("Manifests", strconv.Itoa(r.Manifests))
	if r.Referrers > 0 {
		facts.add("Referrers", strconv.Itoa(r.Referrers))
	}
	how := "read and compared"
	if r.Fast {
		how = "asked for, not read"
	}
	facts.add("Blobs", fmt.Sprintf("%d (%s), %s", r.Blobs, term.Size(r.Bytes), how))
	if r.Foreign > 0 {
		facts.add("Left out", fmt.Sprintf("%d foreign layers that need not be there", r.Foreign))
	}
	if r.Valid {
		facts.add("Problems", "none")
	} else {
		facts.add("Problems", strconv.Itoa(len(r.Problems)))
	}
	tables := []render.Table{{Rows: facts.all()}}
	if len(r.Problems) > 0 {
		tables = append(tables, render.Table{Header: []string{"WHAT", "DIGEST", "PROBLEM"}, Rows: rowsOf(r.Problems, func(p ProblemResult) []string {
			return []string{p.Role, p.Digest.String(), p.Message}
		})})
	}
	return render.Result{Value: r, Tables: tables, Quiet: []string{}}
}
