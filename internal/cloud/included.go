//go:build cloud

package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/wherry-dev/wherry/internal/httpx"
)

// Included says whether this program was built with logins to clouds.
const Included = true

const (
	// metadataTimeout bounds what a machine is asked about itself.
	metadataTimeout = 5 * time.Second
	// guessTimeout does where nothing says that there is anybody to answer.
	guessTimeout = time.Second
	// maxAnswer bounds what is read of files and answers.
	maxAnswer = 64 << 10
	// maxFile bounds what somebody keeps in a file: many certificates, many profiles.
	maxFile = 4 << 20
)

// logIn asks the cloud that p is a registry of.
func (k *Keychain) logIn(ctx context.Context, p place) (login, error) {
	s := session{Keychain: k, place: p, broke: &trip{}}
	t, err := s.transport(nil)
	if err != nil {
		return login{}, err
	}
	defer t.CloseIdleConnections()
	s.client = &http.Client{Transport: &noting{next: t, trip: s.broke}, CheckRedirect: stay}
	switch p.registry {
	case ECR, ECRPublic:
		return s.amazon(ctx)
	case Google:
		return s.google(ctx)
	case Azure:
		return s.azure(ctx)
	}
	return login{}, nil
}

// withRoots returns roots, or those of the system, with those in pem.
func withRoots(roots *x509.CertPool, pem []byte) *x509.CertPool {
	var all *x509.CertPool
	if roots != nil {
		all = roots.Clone()
	} else if all, _ = x509.SystemCertPool(); all == nil {
		all = x509.NewCertPool()
	}
	all.AppendCertsFromPEM(pem)
	return all
}

// stay keeps secrets from whoever a redirect names: none of the clouds redirects.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// A session is one login.
type session struct {
	*Keychain
	place  place
	client *http.Client
	broke  *trip
}

// A trip is the last request of client that got no answer, for libraries that
// do not tell.
type trip struct {
	mu  sync.Mutex
	err error
}

func (t *trip) get() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// noting notes which requests got no answer.
type noting struct {
	next http.RoundTripper
	trip *trip
}

// RoundTrip implements [http.RoundTripper].
func (n *noting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.next.RoundTrip(req)
	n.trip.mu.Lock()
	defer n.trip.mu.Unlock()
	n.trip.err = nil
	if err != nil {
		n.trip.err = &url.Error{Op: req.Method, URL: httpx.Redact(req.URL), Err: err}
	}
	return resp, err
}

// transport trusts those that pem has, too.
func (s session) transport(pem []byte) (*http.Transport, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.Roots != nil {
		var err error
		if c.RootCAs, err = s.Roots(); err != nil {
			return nil, err
		}
	}
	if pem != nil {
		c.RootCAs = withRoots(c.RootCAs, pem)
	}
	return httpx.NewTransport(httpx.Dial{TLS: c, Proxy: s.proxy, Timeout: metadataTimeout, Connect: s.Connect}), nil
}

// proxy returns what leads to a cloud. What a machine has to say about itself is
// on a link-local address, and for no proxy's ears.
func (s session) proxy(req *http.Request) (*url.URL, error) {
	addr, err := netip.ParseAddr(req.URL.Hostname())
	if s.Proxy == nil || err == nil && (addr.IsLinkLocalUnicast() || addr.IsLoopback() || addr.IsPrivate()) {
		return nil, nil //nolint:nilnil // what http.Transport wants for none
	}
	return s.Proxy(req)
}

func (s session) env(name string) string {
	if s.Env == nil {
		return ""
	}
	return s.Env(name)
}

// first returns the first variable that is set.
func (s session) first(names ...string) string {
	for _, name := range names {
		if v := s.env(name); v != "" {
			return v
		}
	}
	return ""
}

// fail says which step of an identity failed, and what of err may be told.
func (s session) fail(identity, step string, err error) error {
	why := reason(err)
	if broke := s.broke.get(); errors.Is(why, errNoCredential) && broke != nil {
		why = reason(broke)
	}
	return &Error{Registry: s.place.registry, Host: s.place.host, Identity: identity, Step: step, Err: why}
}

// found is what from gave.
func (s session) found(from string, l login) login {
	l.from = string(s.place.registry) + ", " + from
	return l
}

// get reads one answer. One that is not 200 is a *statusError.
func (s session) get(req *http.Request) ([]byte, http.Header, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, nil, &statusError{resp.StatusCode, ""}
	case err != nil:
		return nil, nil, err
	}
	return body, resp.Header, nil
}

// metadata bounds a question to the machine, and says whether to ask it at all.
func (s session) metadata(ctx context.Context, of machine) (context.Context, context.CancelFunc, bool) {
	limit := metadataTimeout
	switch m := s.machine(); {
	case m == unknown:
		limit = guessTimeout
	case m != of:
		return nil, nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, cancel, true
}

// isNobody reports whether a machine that was asked for its identity has none, as
// far as can be known: where it may not be one of a cloud at all, silence is an
// answer too.
func (s session) isNobody(err error) bool {
	var (
		amazon *smithyhttp.ResponseError
		azure  *azidentity.AuthenticationFailedError
		status int
	)
	switch {
	case s.machine() == unknown:
		return true
	case errors.As(err, &amazon):
		status = amazon.HTTPStatusCode()
	case errors.As(err, &azure) && azure.RawResponse != nil:
		status = azure.RawResponse.StatusCode
	case s.place.registry == Azure && azure == nil:
		return true // its library says so without a status, and only this
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		status = e.status
	}
	return status == http.StatusNotFound || status == http.StatusBadRequest
}

// readFile reads a small file.
func readFile(path string) ([]byte, error) { return readUpTo(maxAnswer, path) }

// readUpTo reads a file that has no more than so many bytes. Pipes, which nobody may
// write to, and folders are refused; an empty device is an empty file.
func readUpTo(most int64, path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && info.Mode()&fs.ModeCharDevice == 0 {
		return nil, &os.PathError{Op: "read", Path: path, Err: errNoFile}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read only
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(raw)) > most {
		err = &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("more than %d bytes", most)}
	}
	return raw, err
}

var errNoFile = errors.New("not a file")

// told is a reason in our own words.
type told string

func (t told) Error() string { return string(t) }

const (
	errNotUnderstood = told("its answer cannot be understood")
	errNoCredential  = told("no credential came of it")
)
