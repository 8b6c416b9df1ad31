package canary

import (
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
)

// dump returns all of a request that may hold a secret, credentials in plain too.
func dump(req *http.Request) string {
	const form = 4 << 10 // bytes; what is longer is a blob
	text, _ := httputil.DumpRequest(req, false)
	body, _ := io.ReadAll(io.LimitReader(req.Body, form)) // as far as it came
	_, _ = io.Copy(io.Discard, req.Body)
	name, password, _ := req.BasicAuth()
	return string(text) + string(body) + "\n" + name + ":" + password
}

// A parrot is a registry, with its token server, that repeats all secrets it is shown in every field and spelling there
// is, and tells them with every status.
type parrot struct{ scheme string }

var statuses = []int{
	http.StatusForbidden, http.StatusOK, http.StatusBadRequest, http.StatusNotFound, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusAccepted, http.StatusTemporaryRedirect, http.StatusUnauthorized, http.StatusPartialContent, http.StatusCreated,
}

func (p parrot) serve(w *world, rw http.ResponseWriter, req *http.Request) {
	text := dump(req)
	said, plain := p.repeat(w, text), p.plain(text)
	switch {
	case req.URL.Path == "/token" && w.turn(3) != 0:
		_, _ = io.WriteString(rw, `{"token": `+quote(bearer)+`, "refresh_token": `+quote(refresh)+`}`)
		return
	case req.Header.Get("Authorization") == "" && req.URL.Path != "/token":
		challenge := p.scheme + ` realm="http://` + w.host + `/token",service="s ` + url.QueryEscape(plain) + `",scope="x"`
		rw.Header().Set("WWW-Authenticate", challenge)
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	p.answer(w, rw, req, said, plain)
}

// shown returns the secrets that are in text.
func (parrot) shown(text string) []string {
	return slices.DeleteFunc(slices.Clone(canaries), func(secret string) bool {
		all := slices.Collect(maps.Values(spellings(secret)))
		return !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(text, s) })
	})
}

// repeat returns the secrets that are in text, each in the spelling of this run.
func (p parrot) repeat(w *world, text string) string {
	said := p.shown(text)
	for i, secret := range said {
		all := spellings(secret)
		delete(all, "head") // what is not all of it cannot be known
		delete(all, "tail")
		ways := slices.Sorted(maps.Keys(all))
		said[i] = all[ways[w.turn(len(ways))]]
	}
	return strings.Join(said, " ")
}

// plain returns the secrets that are in text as they are.
func (p parrot) plain(text string) string { return strings.Join(p.shown(text), " ") }

func (p parrot) answer(w *world, rw http.ResponseWriter, req *http.Request, said, plain string) {
	status := statuses[w.turn(len(statuses))]
	for _, name := range []string{
		"Warning", "Server", "Docker-Content-Digest", "Content-Range", "Range", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining",
		"Docker-RateLimit-Source", "OCI-Subject", "OCI-Filters-Applied", "OCI-Chunk-Min-Length", "Docker-Upload-UUID", "Etag", "X-Request-Id",
		"Docker-Distribution-Api-Version", "Content-Encoding", "Date", "Content-Type",
	} {
		rw.Header().Set(name, said)
	}
	where := "/" + url.PathEscape(plain) + "?x=" + url.QueryEscape(plain)
	relative := plain
	if !strings.HasPrefix(req.URL.Path, "/v2/") {
		relative = "/" + plain // else the path so far is cut at a slash within a secret, and what is not all of it cannot be known
	}
	hosts := []string{"http://10.0.0.1", "http://127.0.0.1:9", "/v2/app/blobs/uploads", relative}
	rw.Header().Set("Location", hosts[w.turn(4)]+where)
	rw.Header().Set("Link", "<"+hosts[w.turn(3)]+where+`>; rel="next"`)
	rw.Header().Set("WWW-Authenticate", p.scheme+` realm="`+hosts[w.turn(3)]+where+`",scope=`+quote(said))
	bodies := []string{
		`{"errors": [{"code": ` + quote(said) + `, "message": ` + quote("not for "+said) + `, "detail": ` + quote(said) + `}]}`,
		"Authorization: " + said, "<html><title>" + said + "</title>", `{"message": ` + quote(said) + `}`, `{"details": "` + said,
	}
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, bodies[w.turn(len(bodies))])
}

// storages are what becomes of a URL that was signed.
var storages = map[string]func(w *world, rw http.ResponseWriter, req *http.Request){
	"refuses it": nil,
	"does not know it": func(_ *world, rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Warning", "299 - "+req.URL.RawQuery)
		rw.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(rw, `{"errors": [{"code": "NO_SUCH", "message": `+quote(req.URL.RawQuery)+`}]}`)
	},
	"wants credentials": func(_ *world, rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Basic realm="`+req.URL.RawQuery+`"`)
		rw.WriteHeader(http.StatusUnauthorized)
	},
	"breaks off": func(*world, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"stalls": func(w *world, rw http.ResponseWriter, req *http.Request) {
		rw.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(rw).Flush()
		select {
		case <-req.Context().Done():
		case <-w.Context().Done(): // who has an answer to HEAD is not waited for
		}
	},
	"leads on": func(_ *world, rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Location", req.URL.RequestURI()+"x")
		rw.WriteHeader(http.StatusFound)
	},
	"leads to what cannot be": func(_ *world, rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Location", "http://169.254.169.254"+req.URL.RequestURI())
		rw.WriteHeader(http.StatusFound)
	},
	"has a page": func(_ *world, rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(rw, "<html><title>"+req.URL.RawQuery+"</title>")
	},
}
