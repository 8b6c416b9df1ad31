package transfer

import (
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Result is what a run did, image by image, in the order of the plan.
type Result struct {
	Images  []*ImageResult
	Served  map[string]int64 // bytes of blobs by the host of a registry that gave them, those read twice counted twice
	Retries int              // times something was asked or sent once more
}

// An ImageResult is what became of one image.
type ImageResult struct {
	Name      string
	Source    ocispec.Descriptor // what the job's ref stood for
	Root      ocispec.Descriptor // what was written
	Referrers int                // manifests that came along because they refer to it
	LeftOut   int                // foreign layers that were not copied
	Orphaned  int                // referrers of the original index that have nothing to refer to after a rewrite
	Unmatched []content.Platform // asked for, while the image has others only
	Targets   []*TargetResult
	Err       error // why it could not be copied at all
}

// A TargetResult is what became of one image at one destination.
type TargetResult struct {
	Name     string
	Names    []string // names that now stand for the image
	Kept     []string // names that existed and were left alone
	UpToDate bool     // it was all there: nothing was read, nothing was written
	Stored   int      // blobs whose bytes were moved
	Existed  int      // blobs that were there
	Mounted  int      // blobs the registry linked from another repository
	Bytes    int64    // bytes of the stored blobs
	Written  int      // manifests that were put there or got a name, those of referrers included
	Err      error    // why the names do not stand for the image
}

// Err joins the failures of all images, each under its name; nil when there
// are none.
func (r *Result) Err() error {
	var errs []error
	for _, image := range r.Images {
		if image.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", image.Name, image.Err))
		}
		for _, t := range image.Targets {
			if t.Err != nil {
				errs = append(errs, fmt.Errorf("%s to %s: %w", image.Name, t.Name, t.Err))
			}
		}
	}
	return errors.Join(errs...)
}

// Failed counts the pairs of image and destination that failed, and all of them.
func (r *Result) Failed() (failed, all int) {
	for _, image := range r.Images {
		for _, t := range image.Targets {
			all++
			if image.Err != nil || t.Err != nil {
				failed++
			}
		}
	}
	return failed, all
}
