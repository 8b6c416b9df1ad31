package testregistry

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// listHabits are quirks of lists, and of taking what is in them away.
var listHabits = map[string]habit{
	"null-tags":        {after: nullTags},                             // a list of tags has a null
	"digest-tags":      {after: digestTags},                           // a list of tags has the digests too
	"tag-extras":       {after: tagExtras},                            // a list of tags says more about each
	"next-page":        {before: takeCursor, after: giveCursor},       // the next page has a name that says nothing
	"max-n":            {reads: number, before: maxN},                 // more than N on a page are not asked for
	"moved-referrers":  {before: moveReferrers, after: hideSubject},   // the referrers API is 303, to a web page of another host
	"summed-referrers": {after: sumReferrers},                         // sizes of referrers are those of all that belongs to them
	"untag-path":       {before: untagAtPath},                         // tags are deleted below tags/reference/, and nowhere else
	"slow-down":        {reads: number, before: (*Registry).slowDown}, // one request behind each N is 429
}

func isTagList(q *exchange, a reply) bool {
	return q.is(http.MethodGet, KindTags) && a.status == http.StatusOK
}

func nullTags(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if !isTagList(q, a) {
		return a, false
	}
	return editJSON(a, func(list map[string]any) {
		tags, _ := list["tags"].([]any)
		list["tags"] = append(tags, nil)
	}), true
}

func digestTags(r *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if !isTagList(q, a) {
		return a, false
	}
	return editJSON(a, func(list map[string]any) {
		tags, _ := list["tags"].([]any)
		for _, d := range r.Manifests(q.repo) {
			tags = append(tags, d.String())
		}
		list["tags"] = tags
	}), true
}

func tagExtras(r *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if !isTagList(q, a) {
		return a, false
	}
	return editJSON(a, func(list map[string]any) {
		list["child"] = []string{"below"}
		all := map[string]any{}
		for _, d := range r.Manifests(q.repo) {
			all[d.String()] = map[string]any{"imageSizeBytes": "1", "timeCreatedMs": "0", "timeUploadedMs": "1700000000000", "tag": []string{}}
		}
		list["manifest"] = all
	}), true
}

// giveCursor hides where the next page begins.
func giveCursor(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	link := a.header.Get("Link")
	target, rest, found := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	u, err := url.Parse(target)
	if !found || err != nil || q.kind != KindTags {
		return a, false
	}
	query := u.Query()
	query.Set("next_page", base64.URLEncoding.EncodeToString([]byte(query.Get("last"))))
	query.Del("last")
	u.RawQuery = query.Encode()
	return a.with("Link", "<"+u.String()+">"+rest), true
}

func takeCursor(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	query := q.URL.Query()
	if last, err := base64.URLEncoding.DecodeString(query.Get("next_page")); err == nil && len(last) > 0 {
		query.Set("last", string(last))
		query.Del("next_page")
		q.URL.RawQuery = query.Encode()
	}
	return reply{}, false
}

func maxN(_ *Registry, q *exchange, quirk Quirk) (reply, bool) {
	n, err := strconv.ParseInt(q.URL.Query().Get("n"), 10, 64)
	if err != nil || n <= quirk.N {
		return reply{}, false
	}
	return apiError(http.StatusRequestEntityTooLarge, "PAGINATION_NUMBER_INVALID", "n is more than %d", quirk.N), true
}

func untagAtPath(r *Registry, q *exchange, _ Quirk) (reply, bool) {
	switch {
	case q.is(http.MethodDelete, KindManifest) && isTag(q.ref):
		return methodNotAllowed(), true
	case q.is(http.MethodDelete, KindTags) && q.ref != "":
		r.Untag(q.repo, q.ref)
		return newReply(http.StatusAccepted), true
	}
	return reply{}, false
}

func moveReferrers(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	if q.kind != KindReferrers {
		return reply{}, false
	}
	return newReply(http.StatusSeeOther).with("Location", "https://web.invalid/-"+q.URL.Path), true
}

func hideSubject(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if !q.is(http.MethodPut, KindManifest) || a.header.Get("OCI-Subject") == "" {
		return a, false
	}
	a.header.Del("OCI-Subject")
	return a, true
}

// sumReferrers makes every referrer as large as an SBOM with all that it describes may be.
func sumReferrers(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if q.kind != KindReferrers || a.status != http.StatusOK {
		return a, false
	}
	return editJSON(a, func(index map[string]any) {
		all, _ := index["manifests"].([]any)
		for _, d := range all {
			if d, is := d.(map[string]any); is {
				d["size"] = 64 << 20
			}
		}
	}), true
}

// slowDown refuses one request behind each N. Real registries count those of a second; a test that did would depend on
// how fast the machine is.
func (r *Registry) slowDown(q *exchange, quirk Quirk) (reply, bool) {
	if q.kind == KindToken {
		return reply{}, false
	}
	if r.paced.Add(1)%(quirk.N+1) != 0 {
		return reply{}, false
	}
	return apiError(http.StatusTooManyRequests, "TOOMANYREQUESTS", "Rate exceeded"), true
}
