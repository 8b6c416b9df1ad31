package testregistry

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseConfig reads what scripts write behind the word "registry": switches, and faults as ParseFault reads them.
//
//	no-referrers page-size=2 bearer=ann:secret anonymous-pull reset-after=100000,times=1
//
// Switches are tls, no-http2, certificate=expired|other-name|old-tls|wants-client (tls with a fault), no-referrers, no-referrers-filter, no-mount, no-single-post, no-delete, allow-missing,
// hide-expiry, page-size=N, max-manifest=N, chunk-min=N, chunk-max=N, basic=USER:PASSWORD and bearer=USER:PASSWORD (repeatable),
// anonymous-pull, own-token-host, token-life=DURATION, token-uses=N, token-path=PATH, identity=USER:TOKEN, realm=URL,
// pulls=N. Quirks have the names of habits. profile=NAME is all that a profile has.
func ParseConfig(words ...string) (Config, error) {
	var c Config
	words, err := useProfile(words)
	if err != nil {
		return Config{}, err
	}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if on := c.toggle(key); on != nil {
			*on = true
			continue
		}
		known, err := c.set(key, value)
		if err != nil {
			return Config{}, fmt.Errorf("registry option %q: %w", w, err)
		}
		if known {
			continue
		}
		quirk, known, err := parseQuirk(key, value)
		if err != nil {
			return Config{}, fmt.Errorf("registry option %q: %w", w, err)
		}
		if known {
			c.Quirks = append(c.Quirks, quirk)
			continue
		}
		f, err := ParseFault(w)
		if err != nil {
			return Config{}, err
		}
		c.Faults = append(c.Faults, f)
	}
	return c, nil
}

func (c *Config) toggle(key string) *bool {
	return map[string]*bool{
		"tls": &c.TLS, "no-http2": &c.NoHTTP2, "no-referrers": &c.NoReferrers, "no-referrers-filter": &c.NoReferrersFilter,
		"no-mount": &c.NoMount, "no-single-post": &c.NoSinglePost, "no-delete": &c.NoDelete,
		"allow-missing": &c.AllowMissing, "anonymous-pull": &c.Auth.AnonymousPull, "own-token-host": &c.Auth.OwnHost,
		"offline": &c.Auth.Offline, "hide-expiry": &c.Auth.HideExpiry,
	}[key]
}

// set reports whether key is an option with a value.
func (c *Config) set(key, value string) (known bool, err error) {
	switch key {
	case "certificate":
		c.TLS = true
		c.Certificate, err = parseCertificate(value)
	case "page-size":
		c.PageSize, err = strconv.Atoi(value)
	case "max-manifest":
		c.MaxManifest, err = parseNumber(value)
	case "chunk-min":
		c.ChunkMin, err = parseNumber(value)
	case "chunk-max":
		c.ChunkMax, err = parseNumber(value)
	case "token-life":
		c.Auth.TokenLife, err = time.ParseDuration(value)
	case "token-uses":
		c.Auth.TokenUses, err = strconv.Atoi(value)
	case "pulls":
		c.Budget.Pulls, err = strconv.Atoi(value)
	case "token-path":
		c.Auth.TokenPath = value
	case "identity":
		name, token, both := strings.Cut(value, ":")
		if !both {
			return true, fmt.Errorf("want USER:TOKEN, got %q", value)
		}
		c.Auth.RefreshTokens = map[string]string{token: name}
	case "realm":
		c.Auth.Realm = value
	case "basic", "bearer":
		name, password, both := strings.Cut(value, ":")
		if !both {
			return true, fmt.Errorf("want USER:PASSWORD, got %q", value)
		}
		if c.Auth.Users == nil {
			c.Auth.Users = map[string]string{}
		}
		c.Auth.Users[name] = password
		c.Auth.Scheme = map[string]Scheme{"basic": Basic, "bearer": Bearer}[key]
	default:
		return false, nil
	}
	return true, err
}
