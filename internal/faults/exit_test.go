package faults_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/cli"
	"github.com/wherry-dev/wherry/internal/faults"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

// TestExitCodes runs the command line against every fault that a copy does not survive, over real connections, and
// looks at the exit code and what is said.
func TestExitCodes(t *testing.T) {
	for _, f := range faults.Table() {
		all := f.Cases()
		if len(all) == 0 || f.Want.Class == nil && f.Thrice == nil || f.Name == "busy-long" { // which waits at the gate of every test: see exit-codes.txtar
			continue
		}
		c := all[len(all)-1]
		if c.Of(c.Times).Class == nil {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			exitOf(t, c)
		})
	}
}

func exitOf(t *testing.T, c faults.Case) {
	t.Helper()
	img := faults.MadeUp(250_000)
	target, err := faults.TargetAt(img, c.At)
	if err != nil {
		t.Fatal(err)
	}
	config, err := c.Arm(target)
	if err != nil {
		t.Fatal(err)
	}
	r, home := testregistry.Start(t, config), t.TempDir()
	retries := "2"
	if c.Name == "session-lost-always" {
		retries = "5" // it is about how many sessions get lost
	}
	at, args := r.Host()+"/team/app:v1", []string{"copy", "--quiet", "--retries", retries, "--stall-timeout", "300ms"}
	if c.AtSource() {
		img.PutTo(r, repo, tag)
		args = append(args, at, "oci:"+filepath.Join(home, "there")+":v1")
	} else {
		if err := faults.Write(img, filepath.Join(home, "here"), tag); err != nil {
			t.Fatal(err)
		}
		args = append(args, "oci:"+filepath.Join(home, "here")+":v1", at)
	}
	files := map[string]string{"config.json": `{"auths":{"` + r.Host() + `":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("ann:secret")) + `"}}}`}
	if config.TLS && !c.Untrusted {
		files["ca.pem"] = string(r.CertificatePEM())
		args = append(args, "--ca", filepath.Join(home, "ca.pem"))
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"HOME": home, "DOCKER_CONFIG": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": home}
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := cli.Main(ctx, args, cli.Stdio{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, func(name string) string { return env[name] })
	if want := c.Of(c.Times).Exit; code != want {
		t.Errorf("exit code %d, want %d: %s", code, want, stderr.String())
	}
	if stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), "wherry: ") {
		t.Errorf("it says %q and %q", stdout.String(), stderr.String())
	}
}
