package registry

import (
	"cmp"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/wherry-dev/wherry/internal/httpx"
)

// secrets are what a host and its token servers were shown. Some say it again in
// what they answer: they are never quoted with it.
type secrets struct {
	shared *secrets // of all hosts, which nobody may repeat either; may be nil

	mu    sync.Mutex
	words []string // the newest last
	spelt []string // the words in all their spellings, the longest first
}

// mostSecrets are remembered; tokens are many, and the old ones have ended.
const mostSecrets = 256

// leastSecret is how many bytes a word has that is hidden wherever it stands.
// Shorter ones are in every other word: hiding them would spoil messages, and
// the gaps would tell them.
const leastSecret = 4

// add remembers words. Those it has are new again.
func (s *secrets) add(words ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = slices.DeleteFunc(s.words, func(w string) bool { return slices.Contains(words, w) })
	for _, w := range words {
		if len(w) >= leastSecret {
			s.words = append(s.words, w)
		}
	}
	s.words = slices.Delete(s.words, 0, max(0, len(s.words)-mostSecrets))
	s.spelt = nil
}

// spellings returns the words in all their spellings. One that is a part of
// another comes after it.
func (s *secrets) spellings() []string {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spelt == nil && len(s.words) > 0 {
		for _, w := range s.words {
			s.spelt = append(s.spelt, httpx.Spellings(w)...)
		}
		s.spelt = longestFirst(s.spelt)
	}
	return s.spelt
}

// longestFirst returns the words of all lists, each once. One that is a part of
// another comes after it, or the rest of the other would be left.
func longestFirst(lists ...[]string) []string {
	words := slices.Concat(lists...)
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(words)
}

// leastHeader is how many bytes the value of a configured header has that is
// taken for a secret. Many are none.
const leastHeader = 8

// addHeader remembers what is secret of the headers that the user configured.
func (s *secrets) addHeader(h http.Header) {
	for name, values := range h {
		proves := slices.Contains([]string{"Authorization", "Proxy-Authorization", "Cookie"}, http.CanonicalHeaderKey(name))
		for _, v := range values {
			if proves || len(v) >= leastHeader {
				s.add(v)
			}
			if _, proof, ok := strings.Cut(v, " "); ok && proves {
				s.add(proof)
			}
		}
	}
}

// addCredential remembers a credential in every form in which it is sent.
func (s *secrets) addCredential(c authn.AuthConfig) {
	s.add(c.Password, c.Auth, c.IdentityToken, c.RegistryToken)
	if c.Password != "" {
		s.add(base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password)))
	}
}

// choosing lets s know the passwords of the proxies that choose returns, which
// go to the proxy with each request.
func (s *secrets) choosing(choose func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	if choose == nil {
		return nil
	}
	return func(req *http.Request) (*url.URL, error) {
		proxy, err := choose(req)
		if err != nil || proxy == nil || proxy.User == nil {
			return proxy, err
		}
		password, _ := proxy.User.Password()
		sent := proxy.User.Username() + ":" + password
		if inBase64 := base64.StdEncoding.EncodeToString([]byte(sent)); !s.knows(inBase64) {
			s.add(password, sent, inBase64)
		}
		return proxy, nil
	}
}

func (s *secrets) knows(word string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.words, word)
}

// Mask returns text without what hosts were shown so far, for those who quote
// answers that they saw by [Client.Watch].
func (c *Client) Mask(text string) string {
	c.init()
	c.mu.Lock()
	hosts := slices.Collect(maps.Values(c.hosts))
	c.mu.Unlock()
	spelt := [][]string{c.secrets.spellings()}
	for _, h := range hosts {
		spelt = append(spelt, h.secrets.spellings())
	}
	return httpx.Hide(text, longestFirst(spelt...))
}

// maskAnswer is mask for what an answer says, which may repeat what the URLs that
// led to it hide.
func (s *secrets) maskAnswer(text string, req *http.Request) string {
	return httpx.Hide(s.mask(text), httpx.HiddenIn(req))
}

// mask returns text without the secrets, however they are spelt in it.
func (s *secrets) mask(text string) string {
	if text == "" {
		return ""
	}
	return httpx.Hide(text, longestFirst(s.spellings(), s.shared.spellings()))
}

// maskError returns err as it may be told where it quotes a server.
func (s *secrets) maskError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if masked := s.mask(text); masked != text {
		return &maskedError{err, masked}
	}
	return err
}

// A maskedError is an error in words without secrets.
type maskedError struct {
	err  error
	text string
}

func (e *maskedError) Error() string { return e.text }

// Unwrap returns the error with them.
func (e *maskedError) Unwrap() error { return e.err }
