package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
)

// sayWhich turns err into a wrong command line where it comes from not saying
// which of the images at e is meant. It lists what could have been written.
func sayWhich(src *endpoint.Source, e endpoint.Endpoint, err error) error {
	several, ok := errors.AsType[*content.SeveralError](err)
	if !ok {
		return err
	}
	if e.Transport == endpoint.Stream {
		return usagef("standard input has %w; that takes a file", several)
	}
	const most = 10
	var forms []string
	for _, image := range several.Images[:min(most, len(several.Images))] {
		forms = append(forms, imageIn(src, e, image))
	}
	if more := len(several.Images) - most; more > 0 {
		forms = append(forms, fmt.Sprintf("and %d more", more))
	}
	return usagef("%s has %d images, say which: %s", e.Path, len(several.Images), strings.Join(forms, ", "))
}

// imageIn returns what is written for an image at e, with the transport that
// was found there.
func imageIn(src *endpoint.Source, e endpoint.Endpoint, image string) string {
	e.Transport = src.Found
	switch {
	case image == "":
		return "one without a name"
	case strings.HasPrefix(image, "sha256:"), strings.HasPrefix(image, "sha512:"):
		return e.String() + "@" + image
	}
	return e.Tagged(image).String()
}

// checkOnly refuses a place with several images none of which is named, before
// anything is opened for writing. Other failures are told by the plan.
func checkOnly(ctx context.Context, src *endpoint.Source, e endpoint.Endpoint) error {
	if src.Ref != "" || e.Transport == endpoint.Registry {
		return nil
	}
	_, err := src.Manifest(ctx, "")
	if _, ok := errors.AsType[*content.SeveralError](err); !ok {
		return nil
	}
	return sayWhich(src, e, err)
}

// withOnlyName returns e with the name that its only image has there, if it has
// exactly one: in a file elsewhere the image is called so again.
func withOnlyName(ctx context.Context, src content.Source, e endpoint.Endpoint) endpoint.Endpoint {
	names, ok := content.As[content.TagLister](src)
	if !ok || e.Transport == endpoint.Registry || e.Name != "" || e.Digest != "" {
		return e
	}
	var only string
	for name, err := range names.Tags(ctx) {
		switch {
		case err != nil, only != "" && !content.IsDigestTag(name):
			return e
		case !content.IsDigestTag(name) && content.CheckName(name) == nil:
			only = name
		}
	}
	if only == "" {
		return e
	}
	// The name may be that of something else than the image: of a referrer.
	image, err := src.Manifest(ctx, "")
	called, calledErr := src.Manifest(ctx, only)
	if err != nil || calledErr != nil || image.Digest() != called.Digest() {
		return e
	}
	return e.Tagged(only)
}
