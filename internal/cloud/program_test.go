//go:build cloud && unix

package cloud_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/registry"
)

// profile is an environment whose profile runs a program.
func profile(t *testing.T, program string) map[string]string {
	t.Helper()
	return map[string]string{"AWS_PROFILE": "p", "AWS_CONFIG_FILE": file(t, "config", "[profile p]\ncredential_process = "+program+
		"\n[profile role]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = p\n")}
}

// pipe is a named pipe.
func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAProgramGivesKeysAndSaysNothingElse(t *testing.T) {
	w := newWorld(t, map[string]http.HandlerFunc{
		askECR: says(200, ecrToken(canary, time.Now().Add(12*time.Hour))),
		"POST sts.eu-central-1.amazonaws.com/": func(rw http.ResponseWriter, req *http.Request) {
			if !strings.Contains(req.Header.Get("Authorization"), "AKIAPROGRAM") {
				t.Error("the role is not taken with the program's keys")
			}
			says(200, stsKeys("AssumeRole"))(rw, req)
		},
	})
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = theirs
	defer func() { os.Stderr = stderr }()
	for _, name := range []string{"p", "role"} {
		script := `echo ` + canary + ` >&2; echo '{"Version": 1, "AccessKeyId": "AKIAPROGRAM", "SecretAccessKey": "` + canary + `"}'`
		env := profile(t, "sh "+file(t, "keys.sh", script))
		env["AWS_PROFILE"] = name
		if c, from, err := find(t, w.keychain(env), ecrHost); err != nil || c != (registry.Credential{Username: "AWS", Password: canary}) || from != "Amazon ECR, profile "+name {
			t.Errorf("%s: got %q from %q, %v; asked %q", name, c.Username, from, err, w.requests())
		}
	}
	os.Stderr = stderr
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(ours); err != nil || len(said) > 0 {
		t.Errorf("on our standard error: %q, %v", said, err)
	}
}

func TestAProgramThatSaysTooMuchIsEnded(t *testing.T) {
	_, _, err := find(t, newWorld(t, nil).keychain(profile(t, "trap '' PIPE; yes "+canary)), ecrHost)
	if err == nil || !strings.HasSuffix(err.Error(), "profile p: get its keys: its program says more than 64 KiB") {
		t.Errorf("got %v", err)
	}
}

// The pipe ends when all have gone that hold it: the shell, and what it started.
func TestAProgramThatTakesTooLongIsEndedWithAllItStarted(t *testing.T) {
	path := pipe(t)
	k := newWorld(t, nil).keychain(profile(t, "exec 3>"+path+"; sleep 88; sleep 88"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	found := make(chan error, 1)
	go func() {
		_, _, err := k.Find(ctx, ecrHost)
		found <- err
	}()
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() //nolint:errcheck // it was only read
	cancel()
	if _, err := io.ReadAll(held); err != nil {
		t.Error(err)
	}
	if err := <-found; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPipesAreNoFilesOfIdentities(t *testing.T) {
	path := pipe(t)
	for variable, host := range map[string]string{
		"AWS_CONFIG_FILE": ecrHost, "AWS_SHARED_CREDENTIALS_FILE": ecrHost, "AWS_WEB_IDENTITY_TOKEN_FILE": ecrHost, "AWS_CA_BUNDLE": ecrHost,
		"GOOGLE_APPLICATION_CREDENTIALS": garHost, "AZURE_FEDERATED_TOKEN_FILE": acrHost,
	} {
		env := map[string]string{variable: path, "AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client"}
		if _, _, err := find(t, newWorld(t, nil).keychain(env), host); err == nil || !strings.HasSuffix(err.Error(), "read "+path+": not a file") {
			t.Errorf("%s: got %v", variable, err)
		}
	}
}
