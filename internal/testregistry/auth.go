package testregistry

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Scheme is how clients prove who they are.
type Scheme string

// The schemes. With Bearer the registry takes only tokens, and its token endpoint takes names and passwords.
const (
	Open   Scheme = ""
	Basic  Scheme = "Basic"
	Bearer Scheme = "Bearer"
)

// Auth says who may do what. The zero Auth is Open.
type Auth struct {
	Scheme        Scheme
	Users         map[string]string // name to password
	RefreshTokens map[string]string // identity token to name, for grant_type=refresh_token
	Offline       bool              // the token endpoint gives an identity token to who asks for one
	AnonymousPull bool              // everybody may pull

	// Allow says whether user ("" is anonymous) may do action (pull, push, delete, or * for the catalog) in repo.
	// Nil lets every user do everything. AnonymousPull goes before it.
	Allow func(user, repo, action string) bool

	TokenLife  time.Duration // 0 means 5 minutes
	TokenUses  int           // a token ends after so many requests; 0 means never
	HideExpiry bool          // leave expires_in out of the token reply
	TokenPath  string        // "" means /token
	OwnHost    bool          // the token endpoint listens on a port of its own, see TokenHost
	Realm      string        // replaces the realm in challenges: to name another host, or nonsense
}

func (a Auth) tokenPath() string { return cmp.Or(a.TokenPath, "/token") }

func (a Auth) allows(user, repo, action string) bool {
	if a.AnonymousPull && action == "pull" {
		return true
	}
	if a.Allow != nil {
		return a.Allow(user, repo, action)
	}
	return user != ""
}

// login returns the user behind name and password.
func (a Auth) login(name, password string) (string, bool) {
	want, known := a.Users[name]
	return name, known && want == password
}

// An access is one scope: what to do with one thing.
type access struct {
	kind, name string
	actions    []string
}

func (a access) String() string {
	return a.kind + ":" + a.name + ":" + strings.Join(a.actions, ",")
}

// needs returns the scopes a request takes, as distribution asks for them.
func (q *exchange) needs() []access {
	if q.kind == KindCatalog {
		return []access{{"registry", "catalog", []string{"*"}}}
	}
	if q.repo == "" {
		return nil
	}
	actions := []string{"pull", "push"}
	switch {
	case q.Method == http.MethodGet && q.kind != KindUpload, q.Method == http.MethodHead:
		actions = []string{"pull"}
	case q.Method == http.MethodDelete && q.kind != KindUpload:
		actions = []string{"delete"}
	}
	all := []access{{"repository", q.repo, actions}}
	if from := q.URL.Query().Get("from"); from != "" && from != q.repo && q.kind == KindUpload {
		all = append(all, access{"repository", from, []string{"pull"}})
	}
	return all
}

// A grant is what one token is good for.
type grant struct {
	user    string
	actions map[string][]string // by "kind:name"
	ends    time.Time
	uses    int // left; below 0 means no limit
}

type tokenSet struct {
	mu       sync.Mutex
	live     map[string]*grant
	identity map[string]string // identity tokens that were given out, to the name
}

// RevokeTokens makes every token so far invalid.
func (r *Registry) RevokeTokens() {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	clear(r.tokens.live)
}

// identify makes an identity token for user.
func (s *tokenSet) identify(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identity == nil {
		s.identity = map[string]string{}
	}
	token := rand.Text()
	s.identity[token] = user
	return token
}

func (s *tokenSet) identified(token string) (user string, given bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, given = s.identity[token]
	return user, given
}

// use returns the grant behind token if it is still good, and counts the use.
func (s *tokenSet) use(token string) *grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.live[token]
	if g == nil || time.Now().After(g.ends) || g.uses == 0 {
		return nil
	}
	g.uses--
	return g
}

// refuse returns the answer to a request without the rights it takes.
func (r *Registry) refuse(q *exchange) (reply, bool) {
	switch q.kind {
	case KindToken, KindStorage, KindListing, KindSearch:
		return reply{}, false
	default:
	}
	switch r.config.Auth.Scheme {
	case Basic:
		return r.refuseBasic(q)
	case Bearer:
		return r.refuseBearer(q)
	case Open:
	}
	return reply{}, false
}

func (r *Registry) refuseBasic(q *exchange) (reply, bool) {
	auth, user := r.config.Auth, ""
	name, password, given := q.BasicAuth()
	if given {
		if _, known := auth.login(name, password); !known {
			return r.challenge(q, ""), true
		}
		user = name
	}
	if user == "" && (len(q.needs()) == 0 || !auth.AnonymousPull) {
		return r.challenge(q, ""), true
	}
	for _, need := range q.needs() {
		for _, action := range need.actions {
			if auth.allows(user, need.name, action) {
				continue
			}
			if user == "" {
				return r.challenge(q, ""), true
			}
			return apiError(http.StatusForbidden, "DENIED", "requested access to the resource is denied"), true
		}
	}
	return reply{}, false
}

func (r *Registry) refuseBearer(q *exchange) (reply, bool) {
	token, given := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if !given {
		return r.challenge(q, ""), true
	}
	g := r.tokens.use(token)
	if g == nil {
		r.hit("token-uses")
		return r.challenge(q, "invalid_token"), true
	}
	for _, need := range q.needs() {
		for _, action := range need.actions {
			if may := g.actions[need.kind+":"+need.name]; !slices.Contains(may, action) && !slices.Contains(may, "*") {
				return r.challenge(q, "insufficient_scope"), true
			}
		}
	}
	return reply{}, false
}

// challenge is the 401 that says how to come back. problem is an error of RFC 6750, or "".
func (r *Registry) challenge(q *exchange, problem string) reply {
	a := apiError(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	if r.config.Auth.Scheme != Bearer {
		return a.with("WWW-Authenticate", `Basic realm="test registry"`)
	}
	header := fmt.Sprintf(`Bearer realm="%s",service="testregistry"`, r.realm(q))
	var scopes []string
	for _, need := range q.needs() {
		scopes = append(scopes, need.String())
	}
	if len(scopes) > 0 {
		header += fmt.Sprintf(",scope=%q", strings.Join(scopes, " "))
	}
	if problem != "" {
		header += fmt.Sprintf(",error=%q", problem)
	}
	return a.with("WWW-Authenticate", header)
}

func (r *Registry) realm(q *exchange) string {
	if r.config.Auth.Realm != "" {
		return r.config.Auth.Realm
	}
	host := q.Host
	if r.token != nil {
		host = r.TokenHost()
	}
	return r.scheme() + "://" + host + r.config.Auth.tokenPath()
}

func (r *Registry) scheme() string {
	if r.config.TLS {
		return "https"
	}
	return "http"
}

// issueToken is the token endpoint: GET with Basic, or POST with a form (OAuth2).
func (r *Registry) issueToken(q *exchange) reply {
	if r.config.Auth.Scheme != Bearer {
		return notFoundPage()
	}
	q.Body = http.MaxBytesReader(nil, q.Body, 1<<20)
	if err := q.ParseForm(); err != nil {
		return apiError(http.StatusBadRequest, "UNKNOWN", "%v", err)
	}
	user, known := r.tokenUser(q)
	if !known {
		return apiError(http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password").
			with("WWW-Authenticate", `Basic realm="test registry"`)
	}
	life := cmp.Or(r.config.Auth.TokenLife, 5*time.Minute)
	g := &grant{user: user, actions: map[string][]string{}, ends: time.Now().Add(life), uses: -1}
	if r.config.Auth.TokenUses > 0 {
		g.uses = r.config.Auth.TokenUses
	}
	for scope := range strings.FieldsSeq(strings.Join(q.Form["scope"], " ")) {
		r.grantScope(g, scope)
	}
	token := rand.Text()
	r.tokens.mu.Lock()
	r.tokens.live[token] = g
	r.tokens.mu.Unlock()
	body := map[string]any{
		"token": token, "access_token": token, "issued_at": time.Now().UTC().Format(time.RFC3339),
		"expires_in": int(life.Seconds()),
	}
	if r.config.Auth.HideExpiry {
		r.hit("hide-expiry")
		delete(body, "expires_in")
	}
	if r.config.Auth.Offline && user != "" && q.Form.Get("offline_token") == "true" {
		body["refresh_token"] = r.tokens.identify(user)
	}
	return jsonReply(http.StatusOK, body)
}

func (r *Registry) tokenUser(q *exchange) (string, bool) {
	auth := r.config.Auth
	if q.Method == http.MethodPost {
		switch q.Form.Get("grant_type") {
		case "password":
			return auth.login(q.Form.Get("username"), q.Form.Get("password"))
		case "refresh_token":
			token := q.Form.Get("refresh_token")
			if name, given := r.tokens.identified(token); given {
				return name, true
			}
			name, known := auth.RefreshTokens[token]
			return name, known
		}
		return "", false
	}
	if name, password, given := q.BasicAuth(); given {
		if owner, known := auth.RefreshTokens[password]; known {
			return owner, true // https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
		}
		return auth.login(name, password)
	}
	return "", true
}

// grantScope adds what the user may do of "repository:name:pull,push".
func (r *Registry) grantScope(g *grant, scope string) {
	kind, rest, _ := strings.Cut(scope, ":")
	at := strings.LastIndex(rest, ":")
	if at < 0 {
		return
	}
	name := rest[:at]
	for action := range strings.SplitSeq(rest[at+1:], ",") {
		if r.config.Auth.allows(g.user, name, action) {
			g.actions[kind+":"+name] = append(g.actions[kind+":"+name], action)
		}
	}
}
