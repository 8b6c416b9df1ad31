package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// googleListing is that of Google's registries, whose lists of tags say more than
// the spec wants: created is what the image says or, where that has no time, when
// it was pushed; an index has no size, and platforms are not told.
// https://github.com/google/go-containerregistry/blob/main/pkg/v1/google/list.go
type googleListing struct{}

// isGoogle reports whether host is one of Google's registries.
func isGoogle(host string) bool {
	return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, "-docker.pkg.dev")
}

func (googleListing) by() string       { return "Google" }
func (googleListing) requests(int) int { return 0 }

// list returns what the list of tags said, if somebody asked for it.
func (googleListing) list(_ context.Context, r *Repository, _ int) ([]ListedTag, error) {
	r.said.mu.Lock()
	defer r.said.mu.Unlock()
	if r.said.tags == nil {
		return nil, fmt.Errorf("the tags were not listed, or without more than their names: %w", errors.ErrUnsupported)
	}
	return r.said.tags, nil
}

// A saidTags is what lists of tags said beyond names.
type saidTags struct {
	mu   sync.Mutex
	tags []ListedTag
}

// note reads a page of a list of tags. One that cannot be read says no more than
// names.
func (s *saidTags) note(raw []byte) {
	var wire struct {
		Manifest map[string]struct {
			Size         string   `json:"imageSizeBytes"`
			MediaType    string   `json:"mediaType"`
			TimeCreated  string   `json:"timeCreatedMs"`
			TimeUploaded string   `json:"timeUploadedMs"`
			Tag          []string `json:"tag"`
		} `json:"manifest"`
	}
	if json.Unmarshal(raw, &wire) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, m := range wire.Manifest {
		tag := ListedTag{Digest: listedDigest(d), Created: millis(m.TimeCreated)}
		if tag.Created.IsZero() {
			tag.Created = millis(m.TimeUploaded)
		}
		if size, err := strconv.ParseInt(m.Size, 10, 64); err == nil && !content.IsIndex(m.MediaType) {
			tag.Size = max(size, 0)
		}
		for _, name := range m.Tag {
			tag.Name = name
			if len(s.tags) < maxNames {
				s.tags = append(s.tags, tag)
			}
		}
	}
}

// millis reads milliseconds since 1970; what is not after that is no time.
func millis(s string) time.Time {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
