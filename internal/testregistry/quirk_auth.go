package testregistry

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// authHabits are quirks of challenges and token servers.
var authHabits = map[string]habit{
	"bare-401":        {after: bare401},                                        // 401 without a challenge, but for /v2/
	"no-scope":        {after: noScope},                                        // challenges name no scope
	"named-scope":     {reads: text, before: wantNamedScope, after: nameScope}, // challenges name scope Value, which tokens are asked for with
	"access-token":    {after: accessToken},                                    // tokens come as access_token alone
	"no-token-post":   {reads: number, before: noTokenPost},                    // POST for a token is status N
	"no-delete-scope": {before: noDeleteScope},                                 // a token for "delete" is refused
	"cookies":         {before: refuseCookie, after: cookie},                   // a session is begun with who comes without one, and not gone on with
}

func bare401(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if a.status != http.StatusUnauthorized || q.kind == KindPing || q.kind == KindToken {
		return a, false
	}
	a.header.Del("WWW-Authenticate")
	return a, true
}

var scopeParameter = regexp.MustCompile(`,scope="[^"]*"`)

func noScope(_ *Registry, _ *exchange, _ Quirk, a reply) (reply, bool) {
	was := a.header.Get("WWW-Authenticate")
	now := scopeParameter.ReplaceAllString(was, "")
	if now == was {
		return a, false
	}
	return a.with("WWW-Authenticate", now), true
}

func nameScope(_ *Registry, _ *exchange, quirk Quirk, a reply) (reply, bool) {
	was := a.header.Get("WWW-Authenticate")
	if a.status != http.StatusUnauthorized || !strings.HasPrefix(was, "Bearer") {
		return a, false
	}
	return a.with("WWW-Authenticate", scopeParameter.ReplaceAllString(was, "")+`,scope="`+quirk.Value+`"`), true
}

// wantNamedScope gives a token that is good for nothing to who does not ask for the scope that was named.
func wantNamedScope(_ *Registry, q *exchange, quirk Quirk) (reply, bool) {
	if q.kind == KindToken && q.ParseForm() == nil && !slices.Contains(strings.Fields(strings.Join(q.Form["scope"], " ")), quirk.Value) {
		q.Form.Del("scope")
	}
	return reply{}, false
}

func accessToken(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if q.kind != KindToken || a.status != http.StatusOK {
		return a, false
	}
	return editJSON(a, func(body map[string]any) { delete(body, "token") }), true
}

func noTokenPost(_ *Registry, q *exchange, quirk Quirk) (reply, bool) {
	if !q.is(http.MethodPost, KindToken) {
		return reply{}, false
	}
	return apiError(int(quirk.N), "UNSUPPORTED", "tokens are got with GET"), true
}

func noDeleteScope(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	if q.kind != KindToken || q.ParseForm() != nil || !strings.Contains(strings.Join(q.Form["scope"], " "), "delete") {
		return reply{}, false
	}
	return apiError(http.StatusBadRequest, "UNSUPPORTED", "Unable to decode repository and actions"), true
}

func cookie(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if q.Header.Get("Cookie") != "" {
		return a, false
	}
	return a.with("Set-Cookie", "sid=0123456789abcdef; Path=/; HttpOnly"), true
}

func refuseCookie(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	if q.Header.Get("Cookie") == "" || q.reads() {
		return reply{}, false
	}
	return apiError(http.StatusForbidden, "FORBIDDEN", "CSRF token not found in request"), true
}
