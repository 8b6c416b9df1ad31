package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The canaries: one for each kind of secret that a run has to do with. Most have characters that every way of writing
// spells differently.
const (
	user = "ann"

	password   = `c4-Pa55+w/rd"&<é?` // kept by docker's file
	typed      = `c4-Typ3d\p4ss\w0rd%;`
	identity   = "c4-1dentity/t0ken+=="
	registered = "c4-reg1stry~t0ken.x"
	helped     = `c4-h3lper's"s3cret` // kept by a credential helper
	foreign    = "c4-d0cker-4uth-c0nfig"

	bearer    = "c4-b34rer/t0ken+handed-0ut"
	refresh   = "c4-r3fresh_t0ken-handed-0ut"
	signature = "c4-s1gned/query+x" // of a URL of storage
	state     = "c4-upl0ad/st4te+x" // of an upload session

	proxied = "c4-pr0xy:p4ss@w/rd"
	header  = `c4-h34der "s3cret"`
	agent   = "c4-us3r-4gent-s3cret"                // a header that is shown of others
	key     = "c4KeyF1leC0ntents/c4KeyF1leC0ntents" // of a client certificate
)

// canaries are all of them.
var canaries = []string{
	password, typed, identity, registered, helped, foreign, bearer, refresh, signature, state, proxied, header, agent, key,
}

// spellings returns s in every way in which it may be written, by the name of the way. Of base64 it is what does not
// depend on what stands before and behind.
func spellings(s string) map[string]string {
	quoted, _ := json.Marshal(s) // a string always has a JSON
	var loose strings.Builder
	encoder := json.NewEncoder(&loose)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // as above
	all := map[string]string{
		"plain": s, "URL query": url.QueryEscape(s), "URL path": url.PathEscape(s), "URL path with all of it": slashed(s),
		"lower-case URL": lowerEscapes(url.QueryEscape(s)), "HTML": html.EscapeString(s),
		"JSON": string(quoted[1 : len(quoted)-1]), "JSON without HTML": strings.Trim(loose.String(), "\"\n"),
		"Go": strings.Trim(strconv.Quote(s), `"`), "ASCII": strings.Trim(strconv.QuoteToASCII(s), `"`),
		"hex": hex.EncodeToString([]byte(s)), "upper-case hex": strings.ToUpper(hex.EncodeToString([]byte(s))),
		"base64 behind the user": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(user+":"+s)), "="),
		"head":                   s[:len(s)*3/5], "tail": s[len(s)*2/5:],
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for URLs": base64.RawURLEncoding} {
		for before := range 3 {
			all[fmt.Sprintf("%s at %d", name, before)] = middle(encoding, s, before)
		}
	}
	return all
}

// slashed is url.PathEscape of all that is no letter or digit.
func slashed(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	parts := strings.Split(s, "%")
	for i := range parts[1:] {
		parts[i+1] = strings.ToLower(parts[i+1][:2]) + parts[i+1][2:]
	}
	return strings.Join(parts, "%")
}

// middle returns the characters that s has in base64 behind some bytes, whatever they are and whatever follows.
func middle(encoding *base64.Encoding, s string, before int) string {
	text := encoding.EncodeToString(append(make([]byte, before), s...))
	return text[(8*before+5)/6 : (8*(before+len(s)))/6]
}

// A finder looks for canaries in what a run left.
type finder struct{ needles []needle }

type needle struct{ secret, way, text string }

// newFinder returns a finder of secrets, in every spelling.
func newFinder(secrets ...string) *finder {
	f := &finder{}
	seen := map[string]bool{}
	for _, s := range secrets {
		all := spellings(s)
		for _, way := range slices.Sorted(maps.Keys(all)) {
			if text := all[way]; !seen[text] {
				seen[text] = true
				f.needles = append(f.needles, needle{s, way, text})
			}
		}
	}
	return f
}

// find returns what of the secrets is in text, in words.
func (f *finder) find(text string) (found []string) {
	for _, n := range f.needles {
		if i := strings.Index(text, n.text); i >= 0 {
			found = append(found, fmt.Sprintf("%q (%s): …%q…", n.secret, n.way, text[max(0, i-120):min(len(text), i+len(n.text)+40)]))
		}
	}
	return found
}

func TestTheFinderFindsWhatIsPlanted(t *testing.T) {
	f := newFinder(canaries...)
	for _, secret := range canaries {
		planted := map[string]string{
			"for Basic": base64.StdEncoding.EncodeToString([]byte(user + ":" + secret)),
			"a JSON":    fmt.Sprintf("%+q", map[string]string{"x": secret}),
			"a part":    "…" + secret[:len(secret)-2],
		}
		for way, text := range spellings(secret) {
			planted[way] = "at https://r.example/?x=" + text + "&y=z"
		}
		for _, before := range []string{"", "x", "xy", "xyz"} {
			whole := []byte(before + secret + " and more")
			planted["base64 behind "+before] = base64.StdEncoding.EncodeToString(whole)
			planted["base64 for URLs behind "+before] = base64.RawURLEncoding.EncodeToString(whole)
			planted["hex behind "+before] = hex.EncodeToString(whole)
		}
		for way, text := range planted {
			if found := f.find(text); len(found) == 0 {
				t.Errorf("%q is not found %s, in %s", secret, way, text)
			}
		}
	}
	if found := f.find("wherry: GET https://r.example/v2/app/manifests/v1: 403 forbidden: Basic ***, sig=REDACTED"); len(found) > 0 {
		t.Errorf("found in what has none: %v", found)
	}
}
