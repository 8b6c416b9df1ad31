package cli

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/registry"
)

// refusedBy is about what some registries refuse and others take. What they are
// is in docs/registries.md.
func (f *Factory) refusedBy(err error, host string) string {
	e, ok := errors.AsType[*registry.Error](err)
	if !ok || host == "" {
		return ""
	}
	if hint := f.uncatalogued(e, host); hint != "" {
		return hint
	}
	switch {
	case e.Status == http.StatusNotFound && e.Method != http.MethodGet && e.Method != http.MethodHead && slices.Contains(e.Codes, "NAME_UNKNOWN"):
		return makeRepository(host, repositoryIn(e.URL))
	case e.Status == http.StatusMethodNotAllowed && e.Method == http.MethodDelete:
		return "deletion is switched off at " + host + "; distribution has it with storage.delete.enabled, REGISTRY_STORAGE_DELETE_ENABLED=true"
	case e.Status == http.StatusUnsupportedMediaType && e.Method == http.MethodPut:
		return host + ` takes no docker media types; zot does with "compat": ["docker2s2"] in its http settings`
	case e.Method == http.MethodPut && strings.Contains(e.Message, "unknown manifest class"):
		return host + " takes no attestations and no other artifacts; " + f.withoutArtifacts()
	}
	return ""
}

// uncatalogued is about a registry that does not list its repositories: not to
// anybody, where it is one of those that are known for that.
func (f *Factory) uncatalogued(e *registry.Error, host string) string {
	if !f.runs("repos") && !f.runs("search") || e.Method != http.MethodGet {
		return ""
	}
	refused := e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	if missing := e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed; !refused && !missing {
		return ""
	}
	switch {
	case host == registry.DockerHub && f.runs("repos"):
		return "Docker Hub lists its repositories to nobody; to find images: wherry search TERM"
	case host == "quay.io" && f.runs("repos"):
		return "quay.io does not list its repositories; to find images: wherry search quay.io/TERM"
	case host == "ghcr.io":
		return "ghcr.io lists its repositories to nobody; whose they are has them at https://github.com/orgs/NAME/packages"
	case !refused && host != registry.HubHost:
		return host + " has no catalog of its repositories"
	}
	return ""
}

func (f *Factory) withoutArtifacts() string {
	if flag := f.flag("no-referrers"); flag == "" || flag == "true" {
		return "those in the index itself are left out where the image is built without them"
	}
	return "--no-referrers leaves those behind that refer to the image"
}

// flag returns the value of a flag of the verb, "" where it has no such flag.
func (f *Factory) flag(name string) string {
	if f.verb == nil || f.verb.Flags().Lookup(name) == nil {
		return ""
	}
	return f.verb.Flags().Lookup(name).Value.String()
}

// makeRepository says how to make a repository that pushing does not make.
func makeRepository(host, repository string) string {
	if repository == "" {
		return "make the repository first: " + host + " does not do it by itself"
	}
	switch cloud.RegistryOf(host) {
	case cloud.ECR:
		return "make the repository first: aws ecr create-repository --region " + cloud.RegionOf(host) + " --repository-name " + repository
	case cloud.ECRPublic:
		_, name, _ := strings.Cut(repository, "/") // behind the registry's alias
		return "make the repository first: aws ecr-public create-repository --region us-east-1 --repository-name " + name
	case cloud.Google, cloud.Azure:
	}
	return "make the repository " + repository + " first: " + host + " does not do it by itself"
}

// repositoryIn returns the repository whose uploads or manifests are at a URL,
// "" if it is neither.
func repositoryIn(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	path := strings.TrimPrefix(u.Path, "/v2/")
	for _, part := range []string{"/blobs/uploads/", "/manifests/"} {
		if repository, _, found := strings.Cut(path, part); found {
			return repository
		}
	}
	return ""
}
