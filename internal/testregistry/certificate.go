package testregistry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// A Certificate says what is wrong with the TLS of a registry. The zero Certificate is fine for 127.0.0.1, localhost
// and example.com, for whoever trusts CertificatePEM.
type Certificate string

// What may be wrong.
const (
	CertificateExpired Certificate = "expired"      // it ended a day ago
	CertificateOther   Certificate = "other-name"   // it is for other.example
	OldTLS             Certificate = "old-tls"      // nothing newer than TLS 1.1 is spoken
	WantsClient        Certificate = "wants-client" // who shows no certificate is refused
)

func parseCertificate(value string) (Certificate, error) {
	switch c := Certificate(value); c {
	case CertificateExpired, CertificateOther, OldTLS, WantsClient:
		return c, nil
	}
	return "", fmt.Errorf("there is no certificate %q", value)
}

// config is what a server speaks; httptest gives it a certificate where it has none.
func (c Certificate) config() *tls.Config {
	switch c {
	case CertificateExpired:
		return signed(func(t *x509.Certificate) { t.NotAfter = time.Now().Add(-24 * time.Hour) })
	case CertificateOther:
		return signed(func(t *x509.Certificate) { t.IPAddresses, t.DNSNames = nil, []string{"other.example"} })
	case OldTLS:
		return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	case WantsClient:
		return &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	}
	return nil
}

// signed is a configuration with a certificate for loopback that signs itself, after change has had its way with it.
func signed(change func(*x509.Certificate)) *tls.Config {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test registry"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	change(template)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the machine has no randomness
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err) // the template is one of this file
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12,
	}
}
