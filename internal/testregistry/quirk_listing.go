package testregistry

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// listingHabits are APIs that registries have beside the distribution spec, open to everybody: they see no
// Authorization. Value of "listing" says whose they are. In all of them an image was pushed a day after it was made.
var listingHabits = map[string]habit{
	"listing": {reads: text, before: list, after: hintListing}, // hub, quay, harbor or google
	"search":  {reads: text, before: search},                   // hub, old-hub (it knows no badges) or quay
}

// parseListing takes a path of those APIs apart, as parseRoute does with others.
func parseListing(path string) (route, bool) {
	switch path {
	case "/api/search/v4", "/v2/search/repositories/", "/api/v1/find/repositories":
		return route{kind: KindSearch}, true
	}
	s := strings.Split(path, "/")
	n := len(s)
	switch {
	case n == 7 && strings.HasPrefix(path, "/v2/namespaces/") && s[4] == "repositories" && s[6] == "tags":
		return route{KindListing, s[3] + "/" + s[5], "hub"}, true
	case n > 6 && strings.HasPrefix(path, "/api/v1/repository/") && s[n-2] == "tag" && s[n-1] == "":
		return route{KindListing, strings.Join(s[4:n-2], "/"), "quay"}, true
	case n == 8 && strings.HasPrefix(path, "/api/v2.0/projects/") && s[5] == "repositories" && s[7] == "artifacts":
		return route{KindListing, s[4] + "/" + strings.ReplaceAll(s[6], "%2F", "/"), "harbor"}, true
	}
	return route{}, false
}

// hintListing shows in other answers whose registry it is, or all that is known.
func hintListing(r *Registry, q *exchange, quirk Quirk, a reply) (reply, bool) {
	challenge := a.header.Get("WWW-Authenticate")
	switch {
	case quirk.Value == "harbor" && challenge != "":
		return a.with("WWW-Authenticate", strings.ReplaceAll(challenge, `service="testregistry"`, `service="harbor-registry"`)), true
	case quirk.Value == "google" && isTagList(q, a):
		return editJSON(a, func(list map[string]any) { list["manifest"] = r.googleListing(q.repo) }), true
	}
	return a, false
}

func list(r *Registry, q *exchange, quirk Quirk) (reply, bool) {
	if q.kind != KindListing || q.ref != quirk.Value {
		return reply{}, false
	}
	query := q.URL.Query()
	size, _ := strconv.Atoi(query.Get("page_size") + query.Get("limit"))
	page, _ := strconv.Atoi(query.Get("page"))
	tags := r.Tags(q.repo)
	from, to := min((page-1)*size, len(tags)), min(page*size, len(tags))
	if from < 0 || size < 1 || from == to {
		return notFoundPage(), true
	}
	more := to < len(tags)
	rows := []any{}
	for _, tag := range tags[from:to] {
		rows = append(rows, listed(q.ref, tag, r.image(q.repo, tag)))
	}
	switch q.ref {
	case "quay":
		return jsonReply(http.StatusOK, map[string]any{"page": page, "has_additional": more, "tags": rows}), true
	case "harbor":
		return jsonReply(http.StatusOK, rows), true
	}
	var next any
	if more {
		next = "https://hub.docker.com/" + q.repo
	}
	return jsonReply(http.StatusOK, map[string]any{"count": len(tags), "next": next, "results": rows}), true
}

// listed is what an API says of a tag.
func listed(api, tag string, i listedImage) any {
	pushed := i.created.Add(24 * time.Hour)
	platforms := []map[string]any{}
	for _, p := range i.platforms {
		platforms = append(platforms, map[string]any{"os": p.OS, "architecture": p.Architecture, "variant": p.Variant, "size": i.size / int64(len(i.platforms))})
	}
	switch api {
	case "quay":
		row := map[string]any{"name": tag, "manifest_digest": i.digest, "last_modified": pushed.Format(time.RFC1123Z), "is_manifest_list": i.index, "size": i.size}
		if i.index {
			row["size"] = nil
		}
		return row
	case "harbor":
		row := map[string]any{"digest": i.digest, "size": i.size, "push_time": pushed, "tags": []map[string]any{{"name": tag}}}
		if i.index {
			references := []map[string]any{}
			for _, p := range platforms {
				references = append(references, map[string]any{"platform": p})
			}
			row["references"] = references
		} else {
			row["extra_attrs"] = map[string]any{"created": i.created, "os": i.platforms[0].OS, "architecture": i.platforms[0].Architecture}
		}
		return row
	}
	return map[string]any{"name": tag, "digest": i.digest, "last_updated": pushed, "full_size": i.size, "images": platforms}
}

func (r *Registry) googleListing(repo string) map[string]any {
	all := map[string]any{}
	for _, tag := range r.Tags(repo) {
		i := r.image(repo, tag)
		row, seen := all[i.digest.String()].(map[string]any)
		if !seen {
			row = map[string]any{
				"imageSizeBytes": strconv.FormatInt(i.size, 10), "mediaType": i.mediaType, "tag": []string{},
				"timeCreatedMs": strconv.FormatInt(i.created.UnixMilli(), 10), "timeUploadedMs": strconv.FormatInt(i.created.Add(24*time.Hour).UnixMilli(), 10),
			}
		}
		row["tag"] = append(row["tag"].([]string), tag) //nolint:forcetypeassert // as it was made above
		all[i.digest.String()] = row
	}
	return all
}

// A listedImage is what listings tell of an image or index.
type listedImage struct {
	digest    digest.Digest
	mediaType string
	index     bool
	size      int64 // of blobs
	created   time.Time
	platforms []ocispec.Platform
}

// image reads what a tag or digest stands for.
func (r *Registry) image(repo, ref string) listedImage {
	stored, _ := r.Manifest(repo, ref)
	i := listedImage{digest: digest.FromBytes(stored.Bytes), mediaType: stored.MediaType}
	var m parts
	if json.Unmarshal(stored.Bytes, &m) != nil {
		return i
	}
	for _, child := range m.Manifests {
		below := r.image(repo, child.Digest.String())
		i.index, i.size, i.created = true, i.size+below.size, below.created
		if child.Platform != nil {
			i.platforms = append(i.platforms, *child.Platform)
		}
	}
	if m.Config == nil {
		return i
	}
	for _, d := range append(m.Layers, *m.Config) {
		i.size += d.Size
	}
	raw, _ := r.Blob(repo, m.Config.Digest)
	var config ocispec.Image
	_ = json.Unmarshal(raw, &config) // what is none says nothing
	i.platforms = append(i.platforms, config.Platform)
	if config.Created != nil {
		i.created = *config.Created
	}
	return i
}

// search finds the repositories whose names have the query in them. Those of library are official, those of bitnami a
// verified publisher's.
func search(r *Registry, q *exchange, quirk Quirk) (reply, bool) {
	paths := map[string]string{"hub": "/api/search/v4", "old-hub": "/v2/search/repositories/", "quay": "/api/v1/find/repositories"}
	if q.kind != KindSearch || q.URL.Path != paths[quirk.Value] {
		return reply{}, false
	}
	query := q.URL.Query()
	names := slices.DeleteFunc(r.Repositories(), func(name string) bool { return !strings.Contains(name, query.Get("query")) })
	size, err := strconv.Atoi(query.Get("size") + query.Get("page_size"))
	if err != nil {
		size = 10
	}
	page, err := strconv.Atoi(query.Get("page"))
	if err != nil {
		page = 1
	}
	from, to := min((page-1)*size, len(names)), min(page*size, len(names))
	results := []map[string]any{}
	for n, name := range names[from:to] {
		results = append(results, found(quirk.Value, name, 1000-n))
	}
	return jsonReply(http.StatusOK, map[string]any{"total": len(names), "results": results, "has_additional": to < len(names)}), true
}

func found(api, name string, stars int) map[string]any {
	namespace, base, _ := strings.Cut(name, "/")
	description := "What " + base + " is for,\nin so many words that a table has no room for them"
	badge := map[string]string{"library": "official", "bitnami": "verified_publisher", "apache": "open_source"}[namespace]
	if badge == "" {
		badge = "none"
	}
	short := strings.TrimPrefix(name, "library/")
	switch api {
	case "quay":
		return map[string]any{"kind": "repository", "namespace": map[string]any{"name": namespace}, "name": base, "description": description, "stars": float64(stars)}
	case "old-hub":
		return map[string]any{"repo_name": short, "short_description": description, "star_count": stars, "is_official": badge == "official"}
	}
	return map[string]any{"name": short, "short_description": description, "star_count": stars, "badge": badge}
}
