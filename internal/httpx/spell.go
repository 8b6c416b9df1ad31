package httpx

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Hide returns text without the words.
func Hide(text string, words []string) string {
	for _, w := range words {
		text = strings.ReplaceAll(text, w, "***")
	}
	return text
}

// Spellings returns secret in every way in which programs write what they were
// sent, the longest first.
func Spellings(secret string) []string {
	quoted, _ := json.Marshal(secret) // a string always has a JSON
	inJSON := string(quoted[1 : len(quoted)-1])
	inHex := hex.EncodeToString([]byte(secret))
	all := []string{
		secret, html.EscapeString(secret), namedEntities.Replace(html.EscapeString(secret)), hexEntities.Replace(html.EscapeString(secret)), inJSON, strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(inJSON),
		strings.Trim(strconv.QuoteToASCII(secret), `"`), inHex, strings.ToUpper(inHex),
	}
	for _, s := range []string{
		url.QueryEscape(secret), url.PathEscape(secret), strings.TrimPrefix((&url.URL{Path: "/" + secret}).EscapedPath(), "/"), escapeBut(secret, ""),
		escapeBut(secret, "_.-~/"), escapeBut(secret, "-_.!~*'()"),
	} {
		all = append(all, s, lowerEscapes(s), url.QueryEscape(s))
	}
	if i := strings.IndexAny(secret, "?#"); i >= leastHidden { // as a URL, it ends there
		all = append(all, secret[:i], strings.TrimPrefix((&url.URL{Path: "/" + secret[:i]}).EscapedPath(), "/"))
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			if s := middle(encoding, secret, before); len(s) >= leastHidden {
				all = append(all, s)
			}
		}
	}
	for _, s := range slices.Clone(all) { // as error messages quote it
		all = append(all, strings.Trim(strconv.Quote(s), `"`))
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(all)
}

// leastHidden is how many characters no text has by chance.
const leastHidden = 8

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(s[i+1:i+3]))
		}
	}
	return string(b)
}

// escapeBut is url.PathEscape of all that is neither letter nor digit, nor in but:
// Python leaves other characters as they are than browsers do.
func escapeBut(s, but string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte(but, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// Quotes have several names in HTML.
var (
	namedEntities = strings.NewReplacer("&#34;", "&quot;", "&#39;", "&apos;")
	hexEntities   = strings.NewReplacer("&#34;", "&quot;", "&#39;", "&#x27;")
)

// middle returns the characters that s has in base64 behind so many bytes,
// whatever those are and whatever follows.
func middle(encoding *base64.Encoding, s string, before int) string {
	text := encoding.EncodeToString(append(make([]byte, before), s...))
	return text[(8*before+5)/6 : 8*(before+len(s))/6]
}

// HiddenIn returns what [Redact] hides of the URLs of req and of what led to it,
// in all spellings: storage that was asked with a signed URL may repeat it.
func HiddenIn(req *http.Request) (words []string) {
	for ; req != nil; req = before(req) {
		for part := range strings.FieldsFuncSeq(req.URL.RawQuery, isSeparator) {
			key, value, _ := strings.Cut(part, "=")
			if slices.Contains(openQuery, key) {
				continue
			}
			if strings.Trim(value, "=") == "" {
				value = part
			}
			for _, v := range []string{value, unescaped(value)} {
				if len(v) >= leastHidden {
					words = append(words, Spellings(v)...)
				}
			}
		}
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(words)
}

func unescaped(s string) string {
	plain, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return plain
}

// before returns the request whose answer led to req, nil where none did.
func before(req *http.Request) *http.Request {
	if req.Response == nil {
		return nil
	}
	return req.Response.Request
}
