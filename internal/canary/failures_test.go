package canary

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

type fault = testregistry.Fault

// A failure is what goes wrong in a world.
type failure struct {
	name string

	// How the registry goes wrong: as a testregistry with faults, or as something else altogether.
	registry testregistry.Config
	faults   func(w *world) []fault
	serve    func(w *world, rw http.ResponseWriter, req *http.Request)

	// What answers where the registry leads; nil is 403.
	storage func(w *world, rw http.ResponseWriter, req *http.Request)

	tokens bool // and may see what is exchanged for a token

	entry string            // the credential for the registry as docker's file has it; "" is a password
	home  map[string]string // files of the home folder, besides or in place of the usual ones
	env   map[string]string // as files
	stall time.Duration     // after which silence is a failure; 0 is a second
	local bool              // it happens before a registry is asked

	// The failures that runs meet in turn, of what is in files and environment.
	variants []failure
}

// The credentials, as docker's file has them.
var (
	withPassword   = `{"auth": ` + quote(basic(password)) + `}`
	withIdentity   = `{"identitytoken": ` + quote(identity) + `}`
	withRegistered = `{"registrytoken": ` + quote(registered) + `}`
)

// basic is what Basic makes of a password.
func basic(password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// quote returns s as JSON, which YAML reads too.
func quote(s string) string {
	raw, _ := json.Marshal(s) // a string always has a JSON
	return string(raw)
}

var (
	users      = map[string]string{user: password, "tim": typed}
	bearerAuth = testregistry.Auth{Scheme: testregistry.Bearer, Users: users, RefreshTokens: map[string]string{identity: user}}
	basicAuth  = testregistry.Auth{Scheme: testregistry.Basic, Users: users}
	withBearer = testregistry.Config{Auth: bearerAuth}
	withBasic  = testregistry.Config{Auth: basicAuth}
)

// each returns faults that do not depend on the world.
func each(all ...fault) func(*world) []fault {
	return func(*world) []fault { return slices.Clone(all) }
}

// silence is long enough for a server that answers at all.
const silence = 20 * time.Millisecond

func failures() []failure {
	return slices.Concat(answers(), echoes(), leads(), tokenServers(), proxies(), []failure{
		{name: "broken file", registry: withBasic, local: true, variants: brokenFiles()},
		{name: "credential helper", registry: withBasic, local: true, variants: failingHelpers()},
	})
}

// answers are failures of the registry itself.
func answers() []failure {
	all := []failure{
		{name: "none", registry: withBearer},
		{name: "none, with an identity token", registry: withBearer, entry: withIdentity},
		{name: "none, with Basic", registry: withBasic},
		{name: "wrong password", local: true, registry: testregistry.Config{Auth: testregistry.Auth{Scheme: testregistry.Basic, Users: map[string]string{user: "another"}}}},
		{name: "wrong token", registry: withBearer, entry: withRegistered, local: true},
		{name: "wrong password at the token server", registry: testregistry.Config{Auth: testregistry.Auth{Scheme: testregistry.Bearer, Users: map[string]string{user: "another"}}}, local: true},
		{name: "HTML page", registry: withBearer, faults: each(fault{Kind: testregistry.AnyKind, Effect: testregistry.HTML})},
		{name: "broken JSON", registry: withBearer, faults: each(fault{Effect: testregistry.Answer, N: 200, Body: `{"tags": [` + quote(password) + `, "`})},
		{name: "reset", registry: withBearer, faults: each(fault{Kind: testregistry.AnyKind, Effect: testregistry.ResetAfter, N: -1})},
		{name: "cut", registry: withBearer, faults: each(fault{Effect: testregistry.CutAfter, N: 10}, fault{Kind: testregistry.KindManifest, Effect: testregistry.CutAfter, N: 10})},
		{name: "stall", stall: silence, registry: withBearer, faults: each(fault{Effect: testregistry.Hold})},
		{name: "wrong bytes", registry: withBearer, faults: each(fault{Effect: testregistry.Flip, N: 3}, fault{Kind: testregistry.KindManifest, Effect: testregistry.Flip, N: 30})},
		{name: "session lost", registry: withBearer, faults: each(fault{Effect: testregistry.SessionLost}, fault{Kind: testregistry.KindManifest})},
		{name: "next page with a state", registry: withBasic, faults: each(
			fault{Header: http.Header{"Link": {`</v2/app/tags/list?n=1&last=x&token=` + url.QueryEscape(state) + `>; rel="next"`}}},
			fault{Query: "token=", Effect: testregistry.Answer, N: 500, Body: state})},
		{name: "TLS of an unknown authority, with a client's key", registry: testregistry.Config{TLS: true}, local: true, home: map[string]string{
			"xdg/wherry/config.yaml": "registries:\n  \"FROM\":\n    clientCertificate: GIVEN/client.pem\n    clientKey: GIVEN/client.key\n",
		}},
		{name: "TLS with a key of another certificate", registry: testregistry.Config{TLS: true}, local: true, home: map[string]string{
			"xdg/wherry/config.yaml": "registries:\n  \"FROM\":\n    skipVerify: true\n    clientCertificate: GIVEN/client.pem\n    clientKey: GIVEN/other.key\n",
		}},
		{name: "Ctrl-C", registry: withBearer, faults: func(w *world) []fault {
			return []fault{{Effect: testregistry.Hold, Hit: w.interrupt}}
		}},
		{name: "Ctrl-C while a token is fetched", registry: withBearer, faults: func(w *world) []fault {
			return []fault{{Kind: testregistry.KindToken, Effect: testregistry.Hold, Hit: w.interrupt}}
		}},
	}
	for _, status := range []int64{401, 403, 404, 429, 500, 503} {
		all = append(all, failure{
			name: http.StatusText(int(status)), registry: withBearer,
			faults: each(fault{Effect: testregistry.Answer, N: status, RetryAfter: "3600", Header: http.Header{"Set-Cookie": {"sid=" + state}}}),
		})
	}
	return all
}

// echoes are registries that repeat what they were shown.
func echoes() []failure {
	all := []failure{
		{name: "echo of a password", registry: withBasic, faults: each(fault{Effect: testregistry.Echo, N: 403})},
		{name: "echo of a token", registry: withBearer, faults: each(fault{Effect: testregistry.Echo, N: 400})},
		{name: "echo of a token for an identity token", registry: withBearer, entry: withIdentity, faults: each(fault{Effect: testregistry.Echo, N: 500})},
	}
	for name, scheme := range map[string]string{"Basic": "Basic", "Bearer": "Bearer"} {
		for cred, entry := range map[string]string{"a password": withPassword, "an identity token": withIdentity, "a registry token": withRegistered} {
			all = append(all, failure{name: "parrot with " + name + " and " + cred, entry: entry, serve: parrot{scheme: scheme}.serve})
		}
	}
	return all
}

// leads are registries that lead elsewhere.
func leads() []failure {
	query := "/x?X-Amz-Signature=" + url.QueryEscape(signature) + "&y="
	redirected := func(w *world) []fault {
		return []fault{{Effect: testregistry.Redirect, Value: w.storage.URL + query}}
	}
	session := "/x?_state=" + url.QueryEscape(state) + "&y="
	all := []failure{
		{name: "upload session elsewhere", registry: withBearer, faults: func(w *world) []fault {
			return []fault{{Effect: testregistry.Location, Value: w.storage.URL + session}}
		}},
		{name: "upload session with a state", registry: withBearer, faults: func(w *world) []fault {
			return []fault{{Effect: testregistry.Location, Value: "http://" + w.host + session}}
		}},
		{name: "upload session that cannot be", registry: withBearer, faults: each(fault{Effect: testregistry.Location, Value: "http://169.254.169.254" + session})},
		{name: "redirect to what cannot be", registry: withBearer, faults: each(fault{Effect: testregistry.Redirect, Value: "http://ann:pw@169.254.169.254" + query})},
		{name: "redirect to nobody", registry: withBearer, faults: each(fault{Effect: testregistry.Redirect, Value: "http://127.0.0.1:9" + query})},
		{name: "redirect in a circle", registry: withBasic, faults: each(fault{Effect: testregistry.Redirect, Value: query})},
		{name: "redirect of uploads", registry: withBasic, faults: func(w *world) []fault {
			return []fault{{Kind: testregistry.KindUpload, Effect: testregistry.Redirect, Value: w.storage.URL + query}, {Kind: testregistry.KindManifest}}
		}},
		{name: "next page elsewhere", registry: withBearer, faults: func(w *world) []fault {
			return []fault{{Header: http.Header{"Link": {"<" + w.storage.URL + query + `>; rel="next"`}}}}
		}},
	}
	for name, answer := range storages {
		all = append(all, failure{name: "redirect to storage that " + name, registry: withBearer, faults: redirected, storage: answer, stall: silence})
	}
	return all
}

// tokenServers are failures of those.
func tokenServers() []failure {
	strike := func(name string, faults ...fault) failure {
		for i := range faults {
			faults[i].Kind = testregistry.KindToken
		}
		return failure{name: "token server " + name, registry: withBearer, faults: each(faults...)}
	}
	with := func(f failure, entry string) failure {
		f.name, f.entry = f.name+", with an identity token", entry
		return f
	}
	silent := func(f failure) failure {
		f.stall = silence
		return f
	}
	answer := func(status int64, body string) fault {
		return fault{Effect: testregistry.Answer, N: status, Body: body}
	}
	elsewhere := func(realm func(*world) string) failure {
		return failure{name: "realm elsewhere", tokens: true, serve: func(w *world, rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="`+realm(w)+`",service="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
		}}
	}
	named := func(realm string) failure {
		f := elsewhere(func(*world) string { return realm })
		f.name = "realm at " + realm[:min(len(realm), 24)]
		return f
	}
	query := "?state=" + url.QueryEscape(state)
	return []failure{
		strike("that answers 401", answer(401, "")),
		strike("that answers 403 and repeats", fault{Effect: testregistry.Echo, N: 403}),
		strike("that answers 500 and repeats", fault{Effect: testregistry.Echo, N: 500}),
		with(strike("that answers 400 and repeats", fault{Effect: testregistry.Echo, N: 400}), withIdentity),
		strike("that answers 429", fault{Effect: testregistry.Answer, N: 429, RetryAfter: "3600"}),
		strike("with a page", fault{Effect: testregistry.HTML}),
		strike("with broken JSON", answer(200, `{"token": `+quote(bearer)+`, "refresh_token": `+quote(refresh))),
		strike("with another kind of JSON", answer(200, `{"token": [`+quote(bearer)+`], "refresh_token": `+quote(refresh)+`}`)),
		strike("without a token", answer(200, `{"refresh_token": `+quote(refresh)+`, "tokens": `+quote(bearer)+`}`)),
		strike("with a wrong token", answer(200, `{"access_token": `+quote(bearer)+`, "refresh_token": `+quote(refresh)+`}`)),
		strike("that repeats a password as JSON", answer(200, quote(password))),
		strike("that breaks off", fault{Effect: testregistry.ResetAfter, N: -1}),
		silent(strike("that is silent", fault{Effect: testregistry.Hold})),
		strike("that leads to nobody", fault{Effect: testregistry.Redirect, Value: "http://127.0.0.1:9/x" + query + "&y="}),
		strike("that leads to what cannot be", fault{Effect: testregistry.Redirect, Value: "http://10.0.0.1/x" + query}),
		with(strike("that leads on", fault{Effect: testregistry.Redirect, Value: "http://127.0.0.1:9/x" + query + "&y="}), withIdentity),
		elsewhere(func(w *world) string { return w.storage.URL + "/token" + query }),
		named("file:///etc/passwd" + query),
		named("http://169.254.169.254/" + query),
		named("http://ann:" + url.PathEscape(bearer) + "@127.0.0.1/"),
		named("/token" + query),
	}
}
