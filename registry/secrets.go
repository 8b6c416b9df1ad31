package registry

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
)

// secrets are what a host and its token servers were shown. Some say it again in
// what they answer: they are never quoted with it.
type secrets struct {
	mu    sync.Mutex
	words []string // the newest last
}

// mostSecrets are remembered; tokens are many, and the old ones have ended.
const mostSecrets = 256

// add remembers words. Those it has are new again.
func (s *secrets) add(words ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = slices.DeleteFunc(s.words, func(w string) bool { return slices.Contains(words, w) })
	for _, w := range words {
		if w != "" {
			s.words = append(s.words, w)
		}
	}
	s.words = slices.Delete(s.words, 0, max(0, len(s.words)-mostSecrets))
}

// addCredential remembers a credential in every form in which it is sent.
func (s *secrets) addCredential(c authn.AuthConfig) {
	s.add(c.Password, c.Auth, c.IdentityToken, c.RegistryToken)
	if c.Password != "" {
		s.add(base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password)))
	}
}

// mask returns text without the secrets, however they are spelt in it.
func (s *secrets) mask(text string) string {
	if text == "" {
		return ""
	}
	s.mu.Lock()
	words := slices.Clone(s.words)
	s.mu.Unlock()
	var spelt []string
	for _, w := range words {
		quoted, _ := json.Marshal(w) // a string always has a JSON
		spelt = append(spelt, w, url.QueryEscape(w), url.PathEscape(w), html.EscapeString(w), string(quoted[1:len(quoted)-1]))
	}
	slices.SortFunc(spelt, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // a part of another comes after it
	for _, w := range spelt {
		text = strings.ReplaceAll(text, w, "***")
	}
	return text
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
