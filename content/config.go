package content

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImageConfig returns the descriptor of m's config where m is an image's: its
// config is of the OCI's type or of docker's. An artifact has none.
func (m Manifest) ImageConfig() (ocispec.Descriptor, bool) {
	d, ok := m.Config()
	if !ok || d.MediaType != ocispec.MediaTypeImageConfig && d.MediaType != DockerConfig {
		return ocispec.Descriptor{}, false
	}
	return d, true
}

// ReadConfig returns the config of m, verified. A manifest without a config is
// [ErrNotFound], a config over the limit [ErrInvalid].
func ReadConfig(ctx context.Context, src Source, m Manifest, l Limits) ([]byte, error) {
	d, ok := m.Config()
	if !ok {
		return nil, fmt.Errorf("%s has no config: %w", m.Digest(), ErrNotFound)
	}
	if most := l.Effective().ConfigSize; d.Size > most {
		return nil, fmt.Errorf("config %s of %d bytes is over the limit of %d: %w", d.Digest, d.Size, most, ErrInvalid)
	}
	return ReadBlob(ctx, src, d)
}

// ReadBlob returns the bytes of a blob, verified. They are as many as d says, and
// that it is not too many for memory is the caller's to see to.
func ReadBlob(ctx context.Context, src Source, d ocispec.Descriptor) (_ []byte, err error) {
	rc, err := NewBlob(src, d).Open(ctx, Range{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	r, err := VerifyReader(rc, d)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// CheckPlatform reports whether the single image m is for one of platforms, or runs
// there: its config says what it is for. Where it is not, the error is [ErrNotFound]. What
// is no image, and an image that states no platform, is for all.
func CheckPlatform(ctx context.Context, src Source, m Manifest, platforms []Platform, l Limits) error {
	d, ok := m.ImageConfig()
	if !ok {
		return nil
	}
	raw, err := ReadConfig(ctx, src, m, l)
	if err != nil {
		return err
	}
	var stated ocispec.Platform
	if err := json.Unmarshal(raw, &stated); err != nil {
		return fmt.Errorf("config %s: %w: %w", d.Digest, err, ErrInvalid)
	}
	got := PlatformOf(stated)
	if stated.OS == "" || slices.ContainsFunc(platforms, func(p Platform) bool { return p.Matches(got) || p.Runs(got) }) {
		return nil
	}
	return fmt.Errorf("the image is for %s only: %w", got, ErrNotFound)
}

// ImageFor returns the image for p that index m leads to, through nested indexes
// where need be, as [PickPlatform] picks. What is no index is returned as it is,
// whatever it is for: [CheckPlatform] tells.
func ImageFor(ctx context.Context, src Source, m Manifest, p Platform, l Limits) (Manifest, error) {
	root, most := m.Digest(), l.Effective().Depth
	for depth := 0; m.IsIndex(); depth++ {
		if depth == most {
			return m, fmt.Errorf("index %s: indexes are nested more than %d deep: %w", root, most, ErrInvalid)
		}
		d, err := PickPlatform(m, p)
		if err != nil {
			return m, err
		}
		if m, err = (Loader{}).child(ctx, src, d); err != nil {
			return m, err
		}
	}
	return m, nil
}
