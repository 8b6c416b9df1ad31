package testregistry

import (
	"fmt"
	"slices"
	"strings"
)

// A Profile is how one registry was seen to behave, in the words that ParseConfig reads.
type Profile struct {
	Name  string
	Setup []string // who is let in, and how, and what rules build on; the password is always "secret"
	Rules []Rule   // what it does in its own way
}

// A Rule is one thing that a registry does in its own way, and where that was seen. Numbers are made small, so that
// small images meet them.
type Rule struct {
	Word   string
	Source string
}

// Key is what Registry.Hits calls the rule.
func (r Rule) Key() string {
	key, _, _ := strings.Cut(r.Word, ",")
	key, _, _ = strings.Cut(key, "=")
	return key
}

// Config is the registry of p. More words may follow those of p.
func (p Profile) Config(more ...string) (Config, error) {
	words := slices.Clone(p.Setup)
	for _, rule := range p.Rules {
		words = append(words, rule.Word)
	}
	return ParseConfig(append(words, more...)...)
}

// ProfileNamed returns the profile of that name, and whether there is one.
func ProfileNamed(name string) (Profile, bool) {
	at := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == name })
	if at < 0 {
		return Profile{}, false
	}
	return profiles[at], true
}

// Profiles returns all profiles.
func Profiles() []Profile { return slices.Clone(profiles) }

// useProfile puts the words of profiles in place of "profile=NAME".
func useProfile(words []string) ([]string, error) {
	var all []string
	for _, w := range words {
		name, is := strings.CutPrefix(w, "profile=")
		if !is {
			all = append(all, w)
			continue
		}
		p, known := ProfileNamed(name)
		if !known {
			return nil, fmt.Errorf("registry option %q: there is no such profile", w)
		}
		all = append(all, p.Setup...)
		for _, rule := range p.Rules {
			all = append(all, rule.Word)
		}
	}
	return all, nil
}

var (
	basic  = []string{"basic=user:secret"}
	bearer = []string{"bearer=user:secret", "identity=user:idtoken", "anonymous-pull"}
)

var profiles = []Profile{
	{"docker-hub", []string{"tls", "own-token-host", "bearer=user:secret", "anonymous-pull"}, []Rule{
		{"pulls=40", "https://docs.docker.com/docker-hub/usage/pulls/"},
		{"page-size=2", "https://github.com/docker/docs/pull/22916"},
	}},
	{"gar", bearer, []Rule{
		{"bare-401", "https://github.com/containers/image/blob/main/docker/docker_client.go"},
		{"no-token-post=404", "https://github.com/containerd/containerd/blob/main/core/remotes/docker/authorizer.go"},
		{"no-chunks", "https://github.com/dotnet/sdk-container-builds/pull/287"},
		{"upload-elsewhere", "https://github.com/containers/skopeo/issues/1101"},
		{"summed-referrers", "https://github.com/oras-project/oras/issues/1626"},
		{"tag-extras", "https://github.com/google/go-containerregistry/blob/main/pkg/v1/google/list.go"},
		{"page-size=2", "https://github.com/google/go-containerregistry/issues/1643"},
	}},
	{"ecr", []string{"basic=AWS:secret"}, []Rule{
		{"must-exist", "https://docs.aws.amazon.com/AmazonECR/latest/userguide/docker-push-ecr-image.html"},
		{"no-mount", "https://docs.aws.amazon.com/AmazonECR/latest/userguide/blob-mounting.html"},
		{"created-chunks", "https://github.com/google/go-containerregistry/issues/1091"},
		{"stuck-range", "https://github.com/aws/containers-roadmap/issues/2831"},
		{"no-digest", "https://github.com/distribution/distribution/issues/3792"},
		{"max-n=1000", "https://github.com/google/go-containerregistry/issues/681"},
	}},
	{"ecr-public", []string{"bearer=AWS:secret", "anonymous-pull"}, []Rule{
		{"named-scope=aws", "https://docs.aws.amazon.com/AmazonECR/latest/public/public-registry-auth.html"},
		{"slow-down=15", "https://docs.aws.amazon.com/AmazonECR/latest/public/public-service-quotas.html"},
	}},
	{"acr", []string{"bearer=user:secret", "identity=user:idtoken", "token-path=/oauth2/token"}, []Rule{
		{"access-token", "https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md"},
		{"early-416=256KiB", "https://github.com/Azure/acr/issues/866"},
		{"max-body=400KiB", "https://github.com/goharbor/harbor/issues/23015"},
		{"need-length", "https://github.com/goharbor/harbor/pull/23016"},
	}},
	{"ghcr", bearer, []Rule{
		{"moved-referrers", "https://github.com/artifacthub/hub/issues/4785"},
		{"hide-expiry", "https://github.com/oras-project/oras-go/issues/621"},
		{"max-chunk=400KiB", "https://github.com/ocx-sh/ocx/pull/237"},
	}},
	{"quay", append(slices.Clone(bearer), "page-size=2"), []Rule{
		{"no-delete-scope", "https://github.com/containers/image/blob/main/docker/docker_image_src.go"},
		{"next-page", "https://github.com/deitch/docker_registry2/issues/56"},
		{"max-n=100", "https://github.com/google/go-containerregistry/issues/1963"},
	}},
	{"harbor", []string{"bearer=robot$ci:secret", "identity=robot$ci:idtoken", "anonymous-pull"}, []Rule{
		{"cookies", "https://github.com/dotnet/sdk/pull/37221"},
		{"unknown-code", "https://github.com/containers/image/blob/main/docker/docker_client.go"},
		{"head-length", "https://github.com/oras-project/oras/issues/2054"},
		{"gzip,kind=manifest", "https://github.com/oras-project/oras-go/issues/1176"},
		{"status=502,kind=upload,method=PUT,times=1", "https://github.com/goharbor/harbor/issues/11687"},
		{"ignore-range", "https://github.com/goharbor/harbor/issues/23875"},
		{"no-referrers-filter", "https://github.com/goharbor/harbor/pull/18430"},
		{"summed-referrers", "https://github.com/goharbor/harbor/issues/20187"},
		{"mount-403", "https://github.com/oras-project/oras/pull/1924"},
	}},
	{"nexus", bearer, []Rule{
		{"no-scope", "https://github.com/sonatype/nexus-public/issues/659"},
		{"blind-head", "https://github.com/crazy-max/diun/issues/1614"},
		{"null-tags", "https://github.com/containers/skopeo/issues/2409"},
	}},
	{"artifactory", bearer, []Rule{
		{"no-token-post=401", "https://github.com/containerd/containerd/blob/main/core/remotes/docker/authorizer.go"},
		{"absent-403", "https://github.com/google/go-containerregistry/pull/1691"},
		{"digest-tags", "https://github.com/containers/skopeo/issues/2346"},
	}},
	{"gitlab", bearer, []Rule{
		{"token-uses=25", "https://gitlab.com/gitlab-org/gitlab/-/issues/19867"},
		{"untag-path", "https://github.com/werf/werf/pull/2603"},
	}},
	{"zot", basic, []Rule{
		{"oci-only", "https://github.com/project-zot/zot/issues/622"},
	}},
	{"distribution-2", basic, []Rule{
		{"no-referrers", "https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#unavailable-referrers-api"},
		{"no-head", "https://github.com/distribution/distribution/issues/1485"},
		{"half-written", "https://github.com/distribution/distribution/blob/v2.8.3/registry/storage/linkedblobstore.go"},
		{"no-delete", "https://distribution.github.io/distribution/about/configuration/#delete"},
	}},
	{"distribution-3", basic, []Rule{
		{"no-referrers", "https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#unavailable-referrers-api"},
		{"moving-session", "https://github.com/distribution/distribution/blob/v3.0.0/registry/handlers/blobupload.go"},
		{"storage", "https://distribution.github.io/distribution/about/configuration/#redirect"},
		{"url-end", "https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html"},
	}},
	{"alibaba", bearer, []Rule{
		{"unknown-class", "https://github.com/liangliangyy/DjangoBlog/pull/1010"},
	}},
}
