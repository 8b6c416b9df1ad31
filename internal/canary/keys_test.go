package canary

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// giveKeys makes a client's certificate with its key, and a key that is not, and lets their contents be looked for.
func giveKeys(folder string) error {
	var keys []*ecdsa.PrivateKey
	for _, name := range []string{"client.key", "other.key"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		keys = append(keys, key)
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		anything.needles = append(anything.needles, newFinder(lines[2]).needles...) // the first is alike in all
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &keys[0].PublicKey, keys[0])
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "client.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600)
}
