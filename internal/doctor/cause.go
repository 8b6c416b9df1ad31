package doctor

import (
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// A Cause is why something does not work.
type Cause string

// The causes.
const (
	Blocked    Cause = "blocked-by-config"
	BadSetting Cause = "bad-setting"
	LookAlike  Cause = "look-alike-host"

	UnknownHost       Cause = "unknown-host"
	DNSFailure        Cause = "dns-failure"
	ConnectionRefused Cause = "connection-refused"
	NoAnswer          Cause = "no-answer"
	NoRoute           Cause = "no-route"
	ConnectionBroken  Cause = "connection-broken"
	DeadAddress       Cause = "dead-address" // one of several

	ProxyDown    Cause = "proxy-down"
	ProxyLogin   Cause = "proxy-login"
	ProxyRefuses Cause = "proxy-refuses"

	CertificateExpired   Cause = "certificate-expired"
	CertificateNotYet    Cause = "certificate-not-yet-valid"
	UnknownAuthority     Cause = "unknown-authority"
	WrongName            Cause = "wrong-name"
	Intercepted          Cause = "tls-intercepted"
	ClientCertificate    Cause = "client-certificate"
	TLSFailure           Cause = "tls-failure"
	SpeaksPlainHTTP      Cause = "speaks-plain-http"
	WantsTLS             Cause = "wants-tls"
	ClockSkew            Cause = "clock-skew"
	ClockBreaksTLS       Cause = "clock-breaks-tls" // so far off that a good certificate looks bad
	LoginPage            Cause = "login-page"
	NotARegistry         Cause = "not-a-registry"
	ServerError          Cause = "server-error"
	RateLimited          Cause = "rate-limited"
	TokenServer          Cause = "token-server-unreachable" //nolint:gosec // the name of a cause
	LoginNeeded          Cause = "login-needed"
	CredentialRefused    Cause = "credential-refused"    //nolint:gosec // the name of a cause
	CredentialUnreadable Cause = "credential-unreadable" //nolint:gosec // the name of a cause
	CredentialSlow       Cause = "credential-slow"       //nolint:gosec // the name of a cause
	Denied               Cause = "access-denied"
	MissingOrDenied      Cause = "missing-or-denied" // the registry does not say which
	MissingRepository    Cause = "missing-repository"
	MissingTag           Cause = "missing-tag"
	MissingManifest      Cause = "missing-manifest"
	MissingPlatform      Cause = "missing-platform"
	MissingBlob          Cause = "missing-blob"
	WrongBytes           Cause = "wrong-bytes"
	RefusedURL           Cause = "refused-url"
	InvalidContent       Cause = "invalid-content"
	BlobHost             Cause = "blob-host-unreachable"
	NoRange              Cause = "no-range"

	MirrorDead    Cause = "mirror-dead"
	MirrorRefuses Cause = "mirror-refuses"
	MirrorStale   Cause = "mirror-stale"
	MirrorSlow    Cause = "mirror-slow"
	MirrorLies    Cause = "mirror-lies"
)

// A weight says how bad a cause is.
type weight int

const (
	warns weight = iota + 1 // pulls work all the same
	fails
)

// causes says of each cause how bad it is and, where it fails, of what class.
var causes = map[Cause]struct {
	weight weight
	class  error // nil has none
}{
	Blocked:    {fails, content.ErrDenied},
	BadSetting: {fails, nil},
	LookAlike:  {warns, nil},

	UnknownHost:       {fails, content.ErrUnavailable},
	DNSFailure:        {fails, content.ErrUnavailable},
	ConnectionRefused: {fails, content.ErrUnavailable},
	NoAnswer:          {fails, content.ErrUnavailable},
	NoRoute:           {fails, content.ErrUnavailable},
	ConnectionBroken:  {fails, content.ErrUnavailable},
	DeadAddress:       {warns, nil},

	ProxyDown:    {fails, content.ErrUnavailable},
	ProxyLogin:   {fails, content.ErrUnauthorized},
	ProxyRefuses: {fails, content.ErrUnavailable},

	CertificateExpired:   {fails, content.ErrUnavailable},
	CertificateNotYet:    {fails, content.ErrUnavailable},
	UnknownAuthority:     {fails, content.ErrUnavailable},
	WrongName:            {fails, content.ErrUnavailable},
	Intercepted:          {fails, content.ErrUnavailable},
	ClientCertificate:    {fails, content.ErrUnauthorized},
	TLSFailure:           {fails, content.ErrUnavailable},
	SpeaksPlainHTTP:      {fails, content.ErrUnavailable},
	WantsTLS:             {fails, content.ErrUnavailable},
	ClockSkew:            {warns, nil},
	ClockBreaksTLS:       {fails, content.ErrUnavailable},
	LoginPage:            {fails, content.ErrUnavailable},
	NotARegistry:         {fails, content.ErrUnavailable},
	ServerError:          {fails, content.ErrUnavailable},
	RateLimited:          {fails, content.ErrRateLimited},
	TokenServer:          {fails, content.ErrUnavailable},
	LoginNeeded:          {fails, content.ErrUnauthorized},
	CredentialRefused:    {fails, content.ErrUnauthorized},
	CredentialUnreadable: {fails, content.ErrUnauthorized},
	CredentialSlow:       {warns, nil},
	Denied:               {fails, content.ErrDenied},
	MissingOrDenied:      {fails, content.ErrUnauthorized},
	MissingRepository:    {fails, content.ErrNotFound},
	MissingTag:           {fails, content.ErrNotFound},
	MissingManifest:      {fails, content.ErrNotFound},
	MissingPlatform:      {warns, content.ErrNotFound}, // fails for who names a platform
	MissingBlob:          {fails, content.ErrNotFound},
	WrongBytes:           {fails, content.ErrCorrupt},
	RefusedURL:           {fails, content.ErrInvalid},
	InvalidContent:       {fails, content.ErrInvalid},
	BlobHost:             {fails, content.ErrUnavailable},
	NoRange:              {warns, nil},

	MirrorDead:    {warns, nil},
	MirrorRefuses: {warns, nil},
	MirrorStale:   {warns, nil},
	MirrorSlow:    {warns, nil},
	MirrorLies:    {fails, content.ErrCorrupt},
}

// fails reports whether pulls fail for that cause, as a rule.
func (c Cause) fails() bool { return causes[c].weight == fails }

// words is the cause as it stands in a sentence.
func (c Cause) words() string { return strings.ReplaceAll(string(c), "-", " ") }

// A role is what a host is on the way to an image.
type role uint8

const (
	registryHost role = iota
	mirrorHost
	proxyHost
	tokenHost
	blobHost
)

// cause returns what c is called at a host of that role: that it cannot be
// reached means something else at each.
func (r role) cause(c Cause) Cause {
	switch c {
	case UnknownHost, DNSFailure, ConnectionRefused, NoAnswer, NoRoute, ConnectionBroken, ProxyRefuses:
	default:
		return c
	}
	switch r {
	case proxyHost:
		return ProxyDown
	case tokenHost:
		return TokenServer
	case blobHost:
		return BlobHost
	case registryHost, mirrorHost:
	}
	return c
}
