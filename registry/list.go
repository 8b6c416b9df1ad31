package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// The limits of a list. Whoever lists keeps all names, and they are seen to be
// new: together that stays below 128 MiB in every command.
const (
	maxPage      = 4 << 20 // bytes of one page
	maxPages     = 100_000
	maxNames     = 1 << 20
	maxNameBytes = 16 << 20 // of all names together
)

// A listing is a list of names in pages.
type listing struct {
	path   string
	field  string // of the JSON that has the names
	scopes []string
	among  func(name string) bool // picks the names that are yielded; nil picks all
	page   func(raw []byte)       // is told each page; may be nil
}

// Tags implements [content.TagLister], page by page.
func (r *Repository) Tags(ctx context.Context) iter.Seq2[string, error] {
	list := listing{path: r.name + "/tags/list", field: "tags", scopes: r.pull()}
	if r.host.answers(SkipDigests) {
		list.among = func(name string) bool { return content.CheckDigest(digest.Digest(name)) != nil }
	}
	if isGoogle(r.host.name) {
		list.page = r.said.note
	}
	return r.host.names(ctx, list)
}

// names lists until there is no next page, or one that repeats others.
func (h *host) names(ctx context.Context, l listing) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := nameSet{seed: maphash.MakeSeed(), known: map[uint64]struct{}{}}
		var end listEnd
		pages := h.pages(ctx, call{method: http.MethodGet, path: l.path, scopes: l.scopes}, maxPage)
		for raw, err := range pages {
			if err != nil {
				yield("", err)
				return
			}
			names, err := h.pageOf(raw, l)
			listed := len(names)
			if err == nil {
				names, err = seen.add(names)
			}
			if err == nil && !l.yield(names, yield) {
				return
			}
			reached, ends := end.reached(listed, len(names))
			if err = cmp.Or(err, ends); err != nil {
				yield("", fmt.Errorf("%s of %s: %w", l.path, h.name, err))
				return
			}
			if reached {
				return
			}
		}
	}
}

// pageOf returns the names of one page.
func (h *host) pageOf(raw []byte, l listing) ([]string, error) {
	if l.page != nil {
		l.page(raw)
	}
	names, err := parseNames(raw, l.field)
	if h.answers(SkipNulls) {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	}
	return names, err
}

// A listEnd finds out that a list is at its end though there is a next page.
// Some hosts repeat themselves for ever; others give pages with nothing in them,
// where what was on them may not be seen, and go on.
type listEnd struct{ empty int }

const maxEmptyPages = 100 // in a row

// reached is told how many entries a page has, and how many of them are new.
func (e *listEnd) reached(listed, fresh int) (bool, error) {
	if listed > 0 {
		e.empty = 0
		return fresh == 0, nil
	}
	if e.empty++; e.empty > maxEmptyPages {
		return false, fmt.Errorf("more than %d pages in a row are empty: %w", maxEmptyPages, content.ErrInvalid)
	}
	return false, nil
}

// A nameSet knows the names of a list so far by their hashes: a million names
// would take several times the room. That two of a million have the same, and
// one is left out, is a matter of once in thirty million lists.
type nameSet struct {
	seed  maphash.Seed
	known map[uint64]struct{}
	bytes int
}

// add adds the names of a page and returns those that are new, in order, each
// once. It takes page over.
func (s *nameSet) add(page []string) ([]string, error) {
	fresh := slices.DeleteFunc(page, func(name string) bool {
		hash := maphash.String(s.seed, name)
		if _, known := s.known[hash]; known {
			return true
		}
		s.known[hash] = struct{}{}
		s.bytes += len(name)
		return false
	})
	switch {
	case len(s.known) > maxNames:
		return nil, fmt.Errorf("more than %d names: %w", maxNames, content.ErrInvalid)
	case s.bytes > maxNameBytes:
		return nil, fmt.Errorf("names of more than %d bytes: %w", maxNameBytes, content.ErrInvalid)
	}
	return fresh, nil
}

// yield yields those of names that are meant.
func (l listing) yield(names []string, yield func(string, error) bool) bool {
	for _, name := range names {
		if l.among != nil && !l.among(name) {
			continue
		}
		if !yield(name, nil) {
			return false
		}
	}
	return true
}

// parseNames reads one field of a page. The list may be null, and so may names in it, which are empty then.
func parseNames(raw []byte, field string) ([]string, error) {
	var page map[string]json.RawMessage
	if err := json.Unmarshal(raw, &page); err != nil {
		return nil, fmt.Errorf("not the JSON of a list: %w: %w", err, content.ErrInvalid)
	}
	if page[field] == nil {
		return nil, nil
	}
	var names []string
	if err := json.Unmarshal(page[field], &names); err != nil {
		return nil, fmt.Errorf("field %q is no list of names: %w: %w", field, err, content.ErrInvalid)
	}
	return names, nil
}

// pages gets a list page by page, following Link within the host's origin, each
// page once.
func (h *host) pages(ctx context.Context, c call, most int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		asked := map[string]bool{}
		for len(asked) < maxPages {
			raw, next, err := h.page(ctx, c, most)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(raw, nil) || next == nil || asked[next.String()] {
				return
			}
			asked[next.String()] = true
			c.url = next
		}
	}
}

func (h *host) page(ctx context.Context, c call, most int64) ([]byte, *url.URL, error) {
	resp, err := h.do(httpx.Whole(ctx, most), c)
	if err != nil {
		return nil, nil, err
	}
	if err := h.check(resp, http.StatusOK); err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := h.readSmall(resp, most)
	if err != nil {
		return nil, nil, fmt.Errorf("%s of %s: %w", c.path, h.name, err)
	}
	link := nextLink(resp.Header.Values("Link"))
	if link == "" || !h.answers(TurnPages) {
		return raw, nil, nil
	}
	policy := httpx.Policy{Kind: httpx.NextPage, From: resp.Request.URL, Reach: h.reachable()}
	next, err := policy.Decide(link)
	if err == nil && !h.owns(next.URL) {
		err = &httpx.RefusedError{Target: httpx.Redact(next.URL), Reason: "a list goes on at another host"}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("next page of %s: %w", h.locate(resp.Request), h.secrets.maskError(err))
	}
	return raw, next.URL, nil
}

// nextLink finds the target of rel="next" among Link headers, "" if there is none.
// https://www.rfc-editor.org/rfc/rfc8288#section-3
func nextLink(headers []string) string {
	for _, header := range headers {
		for header != "" {
			var target, params string
			target, params, header = cutLink(header)
			if target != "" && isNext(params) {
				return target
			}
		}
	}
	return ""
}

// cutLink takes the first link off a header: <target>; params, rest.
func cutLink(header string) (target, params, rest string) {
	_, header, found := strings.Cut(header, "<")
	if !found {
		return "", "", ""
	}
	target, header, found = strings.Cut(header, ">")
	if !found {
		return "", "", ""
	}
	params, rest = cutOutsideQuotes(header, ',')
	return strings.TrimSpace(target), params, rest
}

// cutOutsideQuotes cuts s at the first sep that is not in quotes.
func cutOutsideQuotes(s string, sep byte) (before, after string) {
	quoted := false
	for i, c := range []byte(s) {
		switch {
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func isNext(params string) bool {
	for params != "" {
		var param string
		param, params = cutOutsideQuotes(params, ';')
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(strings.TrimSpace(key), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return false
}
