package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/wherry-dev/wherry/content"
)

// A TLS has what connections to a host are secured with. The zero TLS leaves it
// to the system.
type TLS struct {
	// Roots returns who is trusted, always the same; nil is whom the system
	// trusts. The certificates, those of the system too, are parsed when it is
	// first called: there are some hundred of them, and plain http needs none.
	Roots func() (*x509.CertPool, error)

	Certificates []tls.Certificate // shown to a host that wants to know who we are
}

// TLS reads the files of certificates and returns what connections to the host
// are secured with. A file that is not there, or is not what it should be, is a
// [*SettingError].
func (h Host) TLS() (TLS, error) {
	roots, err := h.readRoots()
	if err != nil {
		return TLS{}, err
	}
	certificates, err := h.readClient()
	if err != nil {
		return TLS{}, err
	}
	return TLS{roots, certificates}, nil
}

// TrustFiles returns the names of the PEM files of those who are trusted beside
// whom the system trusts.
func (h Host) TrustFiles() []string {
	files := slices.Clone(h.CA.Value)
	for _, root := range h.Roots {
		files = append(files, root.Value)
	}
	return files
}

// readRoots returns what parses the files of those who are trusted, nil where
// there are none. What they have is kept until then, so that it is what was
// looked at.
func (h Host) readRoots() (func() (*x509.CertPool, error), error) {
	files := h.TrustFiles()
	if len(files) == 0 {
		return nil, nil //nolint:nilnil // what TLS.Roots is then
	}
	var all [][]byte
	for i, file := range files {
		from := h.CA.From
		if common := i - len(h.CA.Value); common >= 0 {
			from = h.Roots[common].From
		}
		raw, err := readPEM(file, from)
		if err != nil {
			return nil, err
		}
		if !HasCertificate(raw) {
			return nil, &SettingError{from, fmt.Errorf("%s (%s): no certificate in it", file, from)}
		}
		all = append(all, raw)
	}
	return sync.OnceValues(func() (*x509.CertPool, error) { return besideSystem(all) }), nil
}

// besideSystem returns the certificates of the system, and those in PEM.
func besideSystem(all [][]byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("certificates of the system: %w", err)
	}
	for _, raw := range all {
		pool.AppendCertsFromPEM(raw)
	}
	return pool, nil
}

// HasCertificate reports whether there is a certificate in what a PEM file has,
// which is when [x509.CertPool.AppendCertsFromPEM] reports that it took one. No
// more is parsed than to the first.
func HasCertificate(raw []byte) bool {
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			return true
		}
	}
	return false
}

// readClient reads the certificates that the host is shown, and their keys.
func (h Host) readClient() ([]tls.Certificate, error) {
	var all []tls.Certificate
	for _, pair := range h.Client.Value {
		certificate, err := readPEM(pair.Certificate, h.Client.From)
		if err != nil {
			return nil, err
		}
		key, err := readPEM(pair.Key, h.Client.From)
		if err != nil {
			return nil, err
		}
		both, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, &SettingError{h.Client.From, fmt.Errorf("%s and %s (%s): %s", pair.Certificate, pair.Key, h.Client.From,
				oneLine(err.Error(), "tls: "))}
		}
		all = append(all, both)
	}
	return all, nil
}

// readPEM reads a file of certificates or a key, which a setting names.
func readPEM(path string, from Origin) ([]byte, error) {
	raw, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &SettingError{from, fmt.Errorf("%s (%s): %w", path, from, content.ErrNotFound)}
	case err != nil && from.File != path:
		return nil, &SettingError{from, fmt.Errorf("%s: %w", from, err)}
	case err != nil:
		return nil, &SettingError{from, err}
	}
	return raw, nil
}
