package profiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

// suites run in this order: each finds what those before it left.
var suites = []struct {
	name string
	run  func(context.Context, *scene) error
}{
	{"login", login},
	{"push", push},
	{"inspect", inspect},
	{"tags", tags},
	{"pull", pull},
	{"mount", mount},
	{"copy again", again},
	{"untag", untag},
}

// login shows credentials to the registry, right and wrong ones, and writes with an identity token.
func login(ctx context.Context, s *scene) error {
	if err := s.login(ctx, registry.Credential{Username: s.user, Password: password}); err != nil {
		return err
	}
	err := s.login(ctx, registry.Credential{Username: s.user, Password: "wrong"})
	if !errors.Is(err, content.ErrUnauthorized) && !errors.Is(err, content.ErrDenied) {
		return fmt.Errorf("a wrong password: %w", err)
	}
	if !s.takesIdentity() {
		return nil
	}
	identity := registry.Credential{IdentityToken: idToken}
	if err := s.login(ctx, identity); err != nil {
		return fmt.Errorf("identity token: %w", err)
	}
	r, err := s.client(identity).Repository(s.server.Host(), repo)
	if err != nil {
		return err
	}
	if _, err = r.PutBlob(ctx, small("written with an identity token")); err != nil {
		return fmt.Errorf("identity token: %w", err)
	}
	if s.server.Count(testregistry.Is(http.MethodPost, testregistry.KindToken)) == 0 {
		return errors.New("the identity token was not shown with POST")
	}
	return nil
}

func (s *scene) takesIdentity() bool {
	return slices.ContainsFunc(s.profile.Setup, func(word string) bool { return len(word) > 9 && word[:9] == "identity=" })
}

// small is a blob of few bytes.
type small string

func (b small) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString(string(b)), Size: int64(len(b))}
}

func (b small) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte(b)[r.Off:])), nil
}

// refused reports whether the registry takes no such image.
func (s *scene) refused(img sample) bool {
	return img.tag == docker.tag && s.has("oci-only") || img.tag == signed.tag && s.has("unknown-class")
}

// held are the samples that the registry has.
func (s *scene) held() []sample {
	return slices.DeleteFunc(slices.Clone(samples), s.refused)
}

// push copies the samples from a layout.
func push(ctx context.Context, s *scene) error {
	r, err := s.repository(repo)
	if err != nil {
		return err
	}
	if s.has("must-exist") {
		_, err := copyImage(ctx, &transfer.Copier{}, transfer.Job{Src: s.from, Ref: docker.name(), Dst: to(docker.tag, r)})
		if !errors.Is(err, content.ErrNotFound) {
			return fmt.Errorf("a repository that does not exist: %w", err)
		}
	}
	for _, name := range []string{repo, other} {
		s.server.PutBlob(name, []byte("there from the beginning"))
	}
	for _, img := range samples {
		_, err := copyImage(ctx, &transfer.Copier{}, transfer.Job{Src: s.from, Ref: img.name(), Dst: to(img.tag, r)})
		var answer *registry.Error
		switch {
		case s.refused(img):
			if !errors.As(err, &answer) || answer.Status != http.StatusUnsupportedMediaType && answer.Status != http.StatusForbidden {
				return fmt.Errorf("%s should have been refused: %w", img.tag, err)
			}
		case err != nil:
			return fmt.Errorf("%s: %w", img.tag, err)
		default:
			if err := s.complete(repo, img); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete reports what of an image is not in the registry.
func (s *scene) complete(repo string, img sample) error {
	if d := s.server.Digest(repo, img.tag); d != img.Root.Digest {
		return fmt.Errorf("tag %s of %s is %q, want %s", img.tag, repo, d, img.Root.Digest)
	}
	for d, raw := range img.Blobs {
		if got, there := s.server.Blob(repo, d); !there || !bytes.Equal(got, raw) {
			return fmt.Errorf("blob %s of %s is missing or wrong in %s", d, img.tag, repo)
		}
	}
	for d, m := range img.Manifests {
		if got, there := s.server.Manifest(repo, d.String()); !there || !bytes.Equal(got.Bytes, m.Bytes) {
			return fmt.Errorf("manifest %s of %s is missing or wrong in %s", d, img.tag, repo)
		}
	}
	return nil
}

// inspect looks at an image as the command of that name does.
func inspect(ctx context.Context, s *scene) error {
	r, err := s.repository(repo)
	if err != nil {
		return err
	}
	for _, img := range s.held() {
		if err := inspectOne(ctx, r, img); err != nil {
			return fmt.Errorf("%s: %w", img.tag, err)
		}
	}
	absent := content.ErrNotFound
	if s.has("absent-403") {
		absent = content.ErrHidden
	}
	if _, err := r.Resolve(ctx, "absent"); !errors.Is(err, absent) {
		return fmt.Errorf("a tag that is not there: %w", err)
	}
	if s.refused(signed) {
		return nil
	}
	for kind, want := range map[string]int{"": 2, sbomType: 1} {
		n := 0
		for _, err := range r.Referrers(ctx, signed.Root.Digest, kind) {
			if err != nil {
				return err
			}
			n++
		}
		if n != want {
			return fmt.Errorf("%d referrers of type %q, want %d", n, kind, want)
		}
	}
	return nil
}

func inspectOne(ctx context.Context, r *registry.Repository, img sample) error {
	d, err := r.Resolve(ctx, img.tag)
	if err != nil {
		return err
	}
	if d.Digest != img.Root.Digest || d.Size != img.Root.Size || d.MediaType != img.Root.MediaType {
		return fmt.Errorf("resolved to %s of %d bytes, %s", d.Digest, d.Size, d.MediaType)
	}
	for _, ref := range []string{img.tag, img.Root.Digest.String()} {
		m, err := r.Manifest(ctx, ref)
		if err != nil {
			return err
		}
		if m.Digest() != img.Root.Digest {
			return fmt.Errorf("%s is %s", ref, m.Digest())
		}
	}
	return nil
}

// tags lists them.
func tags(ctx context.Context, s *scene) error {
	r, err := s.repository(repo)
	if err != nil {
		return err
	}
	var got []string
	for tag, err := range r.Tags(ctx) {
		if err != nil {
			return err
		}
		got = append(got, tag)
	}
	if want := s.server.Tags(repo); !slices.Equal(got, want) {
		return fmt.Errorf("tags %q, want %q", got, want)
	}
	return nil
}

// pull copies the samples into a new layout.
func pull(ctx context.Context, s *scene) error {
	r, err := s.repository(repo)
	if err != nil {
		return err
	}
	l := newLayout(s.t)
	for _, img := range s.held() {
		if _, err := copyImage(ctx, &transfer.Copier{}, transfer.Job{Src: r, Ref: img.tag, Dst: to(img.name(), l)}); err != nil {
			return fmt.Errorf("%s: %w", img.tag, err)
		}
		for d := range img.Manifests {
			if _, err := l.Manifest(ctx, d.String()); err != nil {
				return fmt.Errorf("%s: %w", img.tag, err)
			}
		}
	}
	return nil
}

// mount copies the samples to another repository of the registry: no byte is
// read where it mounts.
func mount(ctx context.Context, s *scene) error {
	client := s.client(registry.Credential{Username: s.user, Password: password})
	from, err := client.Repository(s.server.Host(), repo)
	if err != nil {
		return err
	}
	into, err := client.Repository(s.server.Host(), other)
	if err != nil {
		return err
	}
	for _, img := range s.held() {
		result, err := copyImage(ctx, &transfer.Copier{}, transfer.Job{Src: from, Ref: img.tag, Dst: to(img.tag, into)})
		if err != nil {
			return fmt.Errorf("%s: %w", img.tag, err)
		}
		if mounts := !s.has("no-mount") && !s.has("mount-403"); mounts != (result.Stored == 0) {
			return fmt.Errorf("%s: %d blobs were sent, %d mounted", img.tag, result.Stored, result.Mounted)
		}
		if err := s.complete(other, img); err != nil {
			return err
		}
	}
	return nil
}

// again copies once more what is there, and looks at every blob. That takes no
// pull of those that are counted.
func again(ctx context.Context, s *scene) error {
	r, err := s.repository(repo)
	if err != nil {
		return err
	}
	before := s.server.Pulls()
	for _, img := range s.held() {
		for _, copier := range []*transfer.Copier{{}, {Deep: true}} {
			result, err := copyImage(ctx, copier, transfer.Job{Src: s.from, Ref: img.name(), Dst: to(img.tag, r)})
			if err != nil {
				return fmt.Errorf("%s: %w", img.tag, err)
			}
			if result.Stored > 0 || result.Mounted > 0 {
				return fmt.Errorf("%s: %d blobs were sent, %d mounted", img.tag, result.Stored, result.Mounted)
			}
		}
	}
	if pulls := s.server.Pulls() - before; pulls > 0 {
		return fmt.Errorf("%d pulls were counted", pulls)
	}
	return nil
}

// untag takes one tag away, and no other.
func untag(ctx context.Context, s *scene) error {
	r, err := s.repository(other)
	if err != nil {
		return err
	}
	before := s.server.Tags(other)
	err = r.Untag(ctx, big.tag)
	if s.has("no-delete") {
		if !errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf("where deletion is off: %w", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	want := slices.DeleteFunc(before, func(tag string) bool { return tag == big.tag })
	if got := s.server.Tags(other); !slices.Equal(got, want) {
		return fmt.Errorf("tags %q are left, want %q", got, want)
	}
	return nil
}
