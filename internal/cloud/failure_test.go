//go:build cloud

package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/registry"
)

// An identity that is configured and does not work is an error that says whose it
// is and what did not work, and nothing of what was told and answered.
func TestAnIdentityThatFailsIsAnErrorWithoutSecrets(t *testing.T) {
	principal := map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": canary}
	t.Setenv("HOME", t.TempDir()) // Amazon's library looks for sessions there, whatever Env says
	adc := map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": file(t, "adc.json", googleUser)}
	missing := file(t, "x", "") + "y"
	sso := file(t, "config", "[profile sso]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n[sso-session s]\nsso_start_url = https://sso.example/"+canary+"\nsso_region = us-east-1\n")
	echo := func(status int, format string) http.HandlerFunc {
		return says(status, strings.ReplaceAll(format, "%", canary))
	}
	exchange := "POST " + acrHost + "/oauth2/exchange"
	entraSays := func(status int, text string) map[string]http.HandlerFunc {
		return with(entraAnswers("login.microsoftonline.com"), map[string]http.HandlerFunc{"POST " + entra + "/oauth2/v2.0/token": echo(status, text)})
	}
	entraFine := entraAnswers("login.microsoftonline.com")
	for _, tt := range []struct {
		name    string
		host    string
		env     map[string]string
		answers map[string]http.HandlerFunc
		want    string
	}{
		{"ECR denies", ecrHost, keys, map[string]http.HandlerFunc{askECR: echo(400, `{"__type": "AccessDeniedException", "message": "User % may not"}`)}, "keys in the environment: ask for a token: 400 bad request (AccessDeniedException)"},
		{"keys that ended", ecrHost, keys, map[string]http.HandlerFunc{askECR: echo(400, `{"__type": "ExpiredTokenException", "message": "%"}`)}, "keys in the environment: ask for a token: 400 bad request (ExpiredTokenException)"},
		{"a code that is no code", ecrHost, keys, map[string]http.HandlerFunc{askECR: echo(400, `{"__type": "%", "message": "%"}`)}, "keys in the environment: ask for a token: 400 bad request"},
		{"ECR is broken", ecrHost, keys, map[string]http.HandlerFunc{askECR: echo(500, `<html>%</html>`)}, "ask for a token: 500 internal server error"},
		{"ECR says nothing", ecrHost, keys, map[string]http.HandlerFunc{askECR: says(200, `{}`)}, "ask for a token: its answer cannot be understood"},
		{"ECR says what is no token", ecrHost, keys, map[string]http.HandlerFunc{askECR: says(200, `{"authorizationData": [{"authorizationToken": "YzRuYXJ5"}]}`)}, "ask for a token: its answer cannot be understood"},
		{"a profile that is not there", ecrHost, map[string]string{"AWS_PROFILE": "dev", "HOME": t.TempDir()}, nil, "profile dev: read the profile: there is no such profile"},
		{"a session that is not there", ecrHost, map[string]string{"AWS_PROFILE": "sso", "AWS_CONFIG_FILE": sso, "HOME": t.TempDir()}, nil, "profile sso: get its keys: there is no session"},
		{"a web identity that is not there", ecrHost, map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": missing, "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"}, nil, "read its token: open " + missing},
		{"STS denies", ecrHost, map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": file(t, "token", canary), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"}, map[string]http.HandlerFunc{"POST sts.eu-central-1.amazonaws.com/": echo(403, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>%</Message></Error></ErrorResponse>`)}, "get its keys: 403 forbidden (AccessDenied)"},
		{"a container elsewhere in the clear", ecrHost, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://attacker.example/" + canary, "AWS_CONTAINER_AUTHORIZATION_TOKEN": canary}, nil, "find its keys: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor"},
		{"a container that looks like the machine", ecrHost, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1@attacker.example/", "AWS_CONTAINER_AUTHORIZATION_TOKEN": canary}, nil, "find its keys: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor"},
		{"Google denies", garHost, adc, map[string]http.HandlerFunc{askGoogle: echo(400, `{"error": "invalid_grant", "error_description": "Token % has been revoked", "error_uri": "%"}`)}, "ask for a token: 400 bad request (invalid_grant)"},
		{"Google is broken", garHost, adc, map[string]http.HandlerFunc{askGoogle: echo(503, `%`)}, "ask for a token: 503 service unavailable"},
		{"Google says nothing", garHost, adc, map[string]http.HandlerFunc{askGoogle: says(200, `{}`)}, "ask for a token: no credential came of it"},
		{"a file that is not there", garHost, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": missing}, nil, "read the file: open " + missing},
		{"a file that is something else", garHost, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": file(t, "x.json", `{"type": "`+canary+`"}`)}, nil, "read the file: it is no file of Google credentials that wherry knows"},
		{"Entra ID denies", acrHost, principal, entraSays(401, `{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided: %", "error_codes": [7000215]}`), "service principal client: ask for a token: 401 unauthorized (AADSTS7000215)"},
		{"Entra ID is broken", acrHost, principal, entraSays(500, `%`), "ask for a token: 500 internal server error"},
		{"the registry denies", acrHost, principal, with(entraFine, map[string]http.HandlerFunc{exchange: echo(401, `{"errors": [{"code": "UNAUTHORIZED", "message": "%"}]}`)}), "exchange its token at the registry: 401 unauthorized"},
		{"the registry says nothing", acrHost, principal, with(entraFine, map[string]http.HandlerFunc{exchange: says(200, `[]`)}), "exchange its token at the registry: its answer cannot be understood"},
		{"the registry leads elsewhere", acrHost, principal, with(entraFine, map[string]http.HandlerFunc{exchange: func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, "https://keys.example/oauth2/exchange?"+canary, http.StatusTemporaryRedirect)
		}}), "exchange its token at the registry: 307 temporary redirect"},
		{"a certificate that is not there", acrHost, map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_CERTIFICATE_PATH": missing}, nil, "service principal client: read the environment: open " + missing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.answers)
			k := w.keychain(tt.env)
			_, _, err := find(t, k, tt.host)
			failed, ok := errors.AsType[*cloud.Error](err)
			if !ok || failed.Host != tt.host || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), string(cloud.RegistryOf(tt.host))) {
				t.Fatalf("error %v, want %q; asked %q", err, tt.want, w.requests())
			}
			if errors.Is(err, registry.ErrOptional) != (tt.host != ecrHost) {
				t.Errorf("%v: whether the host may do without is wrong", err)
			}
			n := len(w.requests())
			if _, _, again := find(t, k, tt.host); again == nil || len(w.requests()) != n {
				t.Errorf("asked again at once: %q", w.requests()[n:])
			}
			if slices.ContainsFunc(w.requests(), func(r string) bool { return strings.Contains(r, "example/") }) {
				t.Errorf("asked %q", w.requests())
			}
		})
	}
}

func TestACloudThatCannotBeReachedIsNamed(t *testing.T) {
	for host, env := range map[string]map[string]string{
		ecrHost: keys,
		garHost: {"GOOGLE_APPLICATION_CREDENTIALS": file(t, "adc.json", googleUser)},
		acrHost: {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": canary, "AZURE_AUTHORITY_HOST": "https://login.corp.example/"},
	} {
		k := newWorld(t, nil).keychain(env)
		k.Connect = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		if _, _, err := find(t, k, host); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: error %v", host, err)
		}
	}
}

// A cloud that does not answer is waited for no longer than the caller likes, and
// has not been heard.
func TestWaitingForACloudIsTheCallersToEnd(t *testing.T) {
	w := newWorld(t, map[string]http.HandlerFunc{askECR: stalls})
	k := w.keychain(keys)
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
	defer cancel()
	if _, _, err := k.Find(ctx, ecrHost); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
	w.mu.Lock()
	w.answers = map[string]http.HandlerFunc{askECR: says(200, ecrToken("p", time.Now().Add(time.Hour)))}
	w.mu.Unlock()
	if c, _, err := find(t, k, ecrHost); err != nil || c.Password != "p" {
		t.Errorf("afterwards: %q, %v", c.Password, err)
	}
}

// Where there may be no cloud at all its silence costs a second, once.
func TestAMachineThatDoesNotSayWhoseItIsIsAskedForASecond(t *testing.T) {
	for _, host := range []string{ecrHost, garHost, acrHost} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, map[string]http.HandlerFunc{
				"PUT " + metadata + "/latest/api/token": stalls,
				askMachine:                              stalls,
				"GET " + metadata + "/metadata/identity/oauth2/token": stalls,
			})
			k := w.keychain(nil)
			k.System = os.DirFS(t.TempDir())
			for range 2 {
				began := time.Now()
				if c, _, err := find(t, k, host); err != nil || c != (registry.Credential{}) {
					t.Errorf("got %q, %v", c.Username, err)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("it took %s", took)
				}
			}
			if n := len(w.requests()); n == 0 || n > 2 {
				t.Errorf("asked %q", w.requests())
			}
		})
	}
}

func TestWhatACloudGivesIsKeptUntilShortlyBeforeItsEnd(t *testing.T) {
	now := time.Now()
	n := 0
	w := newWorld(t, map[string]http.HandlerFunc{askECR: func(rw http.ResponseWriter, req *http.Request) {
		n++
		says(200, ecrToken(fmt.Sprintf("p%d", n), now.Add(12*time.Hour)))(rw, req)
	}})
	k := w.keychain(keys)
	k.Now = func() time.Time { return now }
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "p1"}, {11 * time.Hour, "p1"}, {44 * time.Minute, "p1"}, {2 * time.Minute, "p2"}, {0, "p2"}} {
		now = now.Add(step.after)
		if c, _, err := find(t, k, ecrHost); err != nil || c.Password != step.want {
			t.Errorf("after %s more: %q, %v, want %q", step.after, c.Password, err, step.want)
		}
	}
}

func TestACloudThatFailedIsAskedAgainAfterAMinute(t *testing.T) {
	w := newWorld(t, map[string]http.HandlerFunc{askECR: says(400, `{"__type": "AccessDeniedException"}`)})
	k := w.keychain(keys)
	now := time.Now()
	k.Now = func() time.Time { return now }
	for _, step := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {59 * time.Second, 1}, {2 * time.Second, 2}} {
		now = now.Add(step.after)
		if _, _, err := find(t, k, ecrHost); err == nil || len(w.requests()) != step.asked {
			t.Errorf("after %s more: %v, asked %d times, want %d", step.after, err, len(w.requests()), step.asked)
		}
	}
}

func TestOneExchangeIsUnderWayForEachHost(t *testing.T) {
	other := strings.Replace(ecrHost, "1234", "4321", 1)
	w := newWorld(t, map[string]http.HandlerFunc{askECR: says(200, ecrToken("p", time.Now().Add(time.Hour)))})
	k := w.keychain(maps.Clone(keys))
	var g errgroup.Group
	for i := range 32 {
		g.Go(func() error {
			c, _, err := k.Find(t.Context(), [...]string{ecrHost, other}[i%2])
			if err == nil && c.Password != "p" {
				err = errors.New("another password")
			}
			return err
		})
	}
	if err := g.Wait(); err != nil || len(w.requests()) != 2 {
		t.Errorf("%v; asked %q", err, w.requests())
	}
}

// Files are read only: what a cloud gave is in none.
func TestNothingIsWrittenToDisk(t *testing.T) {
	home := t.TempDir()
	env := maps.Clone(keys)
	env["HOME"] = home
	w := newWorld(t, map[string]http.HandlerFunc{askECR: says(200, ecrToken("p", time.Now().Add(time.Hour)))})
	t.Setenv("HOME", home) // where the libraries of clouds would
	if _, _, err := find(t, w.keychain(env), ecrHost); err != nil {
		t.Fatal(err)
	}
	err := fs.WalkDir(os.DirFS(home), ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && name != "." {
			t.Errorf("there is %s", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
