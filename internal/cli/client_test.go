package cli

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

func TestACertificateThatIsNamedIsTrusted(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{TLS: true})
	testimage.Single(1).PutTo(r, "app", "v1")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // to see the certificate at all
	conn, err := d.DialContext(t.Context(), "tcp", r.Host())
	if err != nil {
		t.Fatal(err)
	}
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "digest", "--retries", "1", r.Host()+"/app:v1"); got.code != 9 || !strings.Contains(got.errors, "https://"+r.Host()) {
		t.Errorf("without --ca: %+v, want exit code 9 and the https address", got)
	}
	if got := run(t, "digest", "--ca", ca, r.Host()+"/app:v1"); got.code != 0 || strings.TrimSpace(got.out) != r.Digest("app", "v1").String() {
		t.Errorf("with --ca: %+v", got)
	}
}

func TestFlagsReachTheClient(t *testing.T) {
	f := testFactory(t, map[string]string{"XDG_STATE_HOME": t.TempDir()})
	root := newRoot(f)
	args := []string{"version", "--retries", "7", "--max-wait", "0s", "--stall-timeout", "3s", "--limit-rate", "5MB/s", "--plain-http", "a.test", "--plain-http", "https://index.docker.io/v1/"}
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := f.Client()
	if err != nil {
		t.Fatal(err)
	}
	if c.Retries != 7 || c.MaxWait != time.Nanosecond || c.StallTimeout != 3*time.Second || c.LimitRate != 5e6 {
		t.Errorf("got retries %d, max wait %s, stall timeout %s, rate %d", c.Retries, c.MaxWait, c.StallTimeout, c.LimitRate)
	}
	for host, plain := range map[string]bool{"a.test": true, "docker.io": true, "b.test": false} {
		settings, err := c.Hosts(host)
		if err != nil || (settings != nil && settings.PlainHTTP) != plain {
			t.Errorf("%s: %+v, %v; want plain http %t", host, settings, err, plain)
		}
	}
	if c.Facts == nil {
		t.Error("nothing is remembered")
	}
}

func TestRates(t *testing.T) {
	tests := []struct {
		in   string
		want Rate
	}{
		{"5MB/s", 5e6}, {"5MB", 5e6}, {"512KiB", 512 << 10}, {"512kib/s", 512 << 10}, {"1.5GB/s", 1.5e9}, {"2000", 2000}, {"0", 0},
	}
	for _, tt := range tests {
		var r Rate
		if err := r.Set(tt.in); err != nil || r != tt.want {
			t.Errorf("%q: %d, %v, want %d", tt.in, r, err, tt.want)
		}
	}
	for _, in := range []string{"", "fast", "100", "5", "8mbps", "-1", "1XB", "5 M B", "99999999999999999999TB"} {
		var r Rate
		if err := r.Set(in); err == nil {
			t.Errorf("%q: %d, want an error", in, r)
		}
	}
}
