//go:build cloud

package cloud_test

import (
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/registry"
)

const (
	metadata   = "169.254.169.254"
	entra      = "login.microsoftonline.com/tenant"
	roleKeys   = `{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "` + canary + `", "Token": "` + canary + `", "Expiration": "2099-01-01T00:00:00Z"}`
	entraToken = `{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "` + canary + `-aad"}`
)

// stsKeys is what STS says to who may take a role.
func stsKeys(action string) string {
	return `<` + action + `Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><` + action + `Result><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>` + canary +
		`</SecretAccessKey><SessionToken>` + canary + `</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></` + action + `Result></` + action + `Response>`
}

// entraAnswers are what Entra ID is asked at host, and what it says.
func entraAnswers(host string) map[string]http.HandlerFunc {
	base := "https://" + host + "/tenant"
	return map[string]http.HandlerFunc{
		"GET login.microsoftonline.com/common/discovery/instance":       says(200, `{"tenant_discovery_endpoint": "`+base+`/v2.0/.well-known/openid-configuration", "metadata": [{"preferred_network": "`+host+`", "preferred_cache": "`+host+`", "aliases": ["`+host+`"]}]}`),
		"GET " + host + "/tenant/v2.0/.well-known/openid-configuration": says(200, `{"authorization_endpoint": "`+base+`/oauth2/v2.0/authorize", "token_endpoint": "`+base+`/oauth2/v2.0/token", "issuer": "https://`+host+`/tenant/v2.0"}`),
		"POST " + host + "/tenant/oauth2/v2.0/token":                    says(200, entraToken),
	}
}

// exchanges answers a registry's exchange, and holds it to what Azure asks for.
func exchanges(t *testing.T, host, refresh string) http.HandlerFunc {
	t.Helper()
	return func(rw http.ResponseWriter, req *http.Request) {
		if got := [...]string{req.PostFormValue("grant_type"), req.PostFormValue("service"), req.PostFormValue("access_token")}; got != [...]string{"access_token", host, canary + "-aad"} {
			t.Errorf("the exchange was asked with %q", got)
		}
		says(200, `{"refresh_token": "`+refresh+`"}`)(rw, req)
	}
}

func with(all ...map[string]http.HandlerFunc) map[string]http.HandlerFunc {
	sum := map[string]http.HandlerFunc{}
	for _, one := range all {
		maps.Copy(sum, one)
	}
	return sum
}

// An identityTest is one way in which a cloud knows who asks.
type identityTest struct {
	name    string
	host    string
	env     map[string]string
	system  fs.FS
	answers map[string]http.HandlerFunc
	want    registry.Credential
	from    string
	asked   []string // in this order; nil is not looked at
}

func (tt identityTest) run(t *testing.T) {
	t.Helper()
	w := newWorld(t, tt.answers)
	k := w.keychain(tt.env)
	if tt.system != nil {
		k.System = tt.system
	}
	c, from, err := find(t, k, tt.host)
	if err != nil {
		t.Fatalf("%v; asked %q", err, w.requests())
	}
	if c != tt.want || from != tt.from {
		t.Errorf("got %q %q %q from %q, want %q %q %q from %q", c.Username, c.Password, c.IdentityToken, from, tt.want.Username, tt.want.Password, tt.want.IdentityToken, tt.from)
	}
	if tt.asked != nil {
		if d := cmp.Diff(tt.asked, w.requests()); d != "" {
			t.Errorf("requests (-want +got):\n%s", d)
		}
	}
	again, _, err := find(t, k, tt.host)
	if n := len(w.requests()); err != nil || again != c || tt.asked != nil && n != len(tt.asked) {
		t.Errorf("the second time: %v, %d requests in all", err, n)
	}
}

func TestAmazonKnowsWhoAsks(t *testing.T) {
	day := time.Now().Add(12 * time.Hour)
	aws := func(password string) registry.Credential {
		return registry.Credential{Username: "AWS", Password: password}
	}
	token := map[string]http.HandlerFunc{askECR: says(200, ecrToken(canary+"p", day))}
	config := file(t, "config", "[default]\nregion = us-west-2\n[profile dev]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n[profile base]\nregion = us-east-1\n")
	secrets := file(t, "credentials", "[base]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = "+canary+"\n")
	home := filepath.Dir(filepath.Dir(file(t, ".aws/credentials", "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = "+canary+"\n")))
	identity := file(t, "token", canary)
	for _, tt := range []identityTest{
		{
			"keys in the environment", ecrHost, keys, nil, token,
			aws(canary + "p"), "Amazon ECR, keys in the environment",
			[]string{askECR},
		},
		{
			"keys of a profile", ecrHost,
			map[string]string{"AWS_PROFILE": "base", "AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": secrets},
			nil, token,
			aws(canary + "p"), "Amazon ECR, profile base",
			[]string{askECR},
		},
		{
			"the default profile", ecrHost,
			map[string]string{"HOME": home},
			nil, token,
			aws(canary + "p"), "Amazon ECR, profile default",
			[]string{askECR},
		},
		{
			"a role of a profile", ecrHost,
			map[string]string{"AWS_PROFILE": "dev", "AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": secrets},
			nil,
			with(token, map[string]http.HandlerFunc{"POST sts.eu-central-1.amazonaws.com/": says(200, stsKeys("AssumeRole"))}),
			aws(canary + "p"), "Amazon ECR, profile dev",
			[]string{"POST sts.eu-central-1.amazonaws.com/", askECR},
		},
		{
			"a web identity", ecrHost,
			map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": identity, "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"},
			nil,
			with(token, map[string]http.HandlerFunc{"POST sts.eu-central-1.amazonaws.com/": says(200, stsKeys("AssumeRoleWithWebIdentity"))}),
			aws(canary + "p"), "Amazon ECR, web identity " + identity,
			[]string{"POST sts.eu-central-1.amazonaws.com/", askECR},
		},
		{
			"the role of a container", ecrHost,
			map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/role"},
			nil,
			with(token, map[string]http.HandlerFunc{"GET 169.254.170.2/v2/role": says(200, roleKeys)}),
			aws(canary + "p"), "Amazon ECR, role of the container",
			[]string{"GET 169.254.170.2/v2/role", askECR},
		},
		{
			"the role of a container elsewhere", ecrHost,
			map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://keys.example/role", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": identity},
			nil,
			with(token, map[string]http.HandlerFunc{"GET keys.example/role": says(200, roleKeys)}),
			aws(canary + "p"), "Amazon ECR, role of the container",
			[]string{"GET keys.example/role", askECR},
		},
		{
			"the role of a machine, with a profile that names nobody", ecrHost,
			map[string]string{"AWS_CONFIG_FILE": config},
			vendor("Amazon EC2", "m7g.large"),
			with(token, map[string]http.HandlerFunc{
				"PUT " + metadata + "/latest/api/token": func(rw http.ResponseWriter, req *http.Request) {
					rw.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
					says(200, canary)(rw, req)
				},
				"GET " + metadata + "/latest/meta-data/iam/security-credentials/":     says(200, "role"),
				"GET " + metadata + "/latest/meta-data/iam/security-credentials/role": says(200, roleKeys),
			}),
			aws(canary + "p"), "Amazon ECR, role of the machine", nil,
		},
		{
			"FIPS over both stacks", "123456789012.dkr-ecr-fips.us-east-2.on.aws", keys, nil,
			map[string]http.HandlerFunc{"POST ecr-fips.us-east-2.api.aws/": says(200, ecrToken("f", day))},
			aws("f"), "Amazon ECR, keys in the environment",
			[]string{"POST ecr-fips.us-east-2.api.aws/"},
		},
		{
			"China", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", keys, nil,
			map[string]http.HandlerFunc{"POST api.ecr.cn-north-1.amazonaws.com.cn/": says(200, ecrToken("c", day))},
			aws("c"), "Amazon ECR, keys in the environment",
			[]string{"POST api.ecr.cn-north-1.amazonaws.com.cn/"},
		},
		{
			"ECR Public", publicHost, keys, nil,
			map[string]http.HandlerFunc{"POST api.ecr-public.us-east-1.amazonaws.com/": says(200, `{"authorizationData": {"authorizationToken": "QVdTOnB1Yg==", "expiresAt": 4070908800}}`)},
			aws("pub"), "Amazon ECR Public, keys in the environment",
			[]string{"POST api.ecr-public.us-east-1.amazonaws.com/"},
		},
	} {
		t.Run(tt.name, tt.run)
	}
}

const (
	askGoogle  = "POST oauth2.googleapis.com/token"
	askMachine = "GET " + metadata + "/computeMetadata/v1/instance/service-accounts/default/token"
	googleUser = `{"type": "authorized_user", "client_id": "id", "client_secret": "` + canary + `", "refresh_token": "` + canary + `"}`
	googleSays = `{"access_token": "` + canary + `-ya29", "expires_in": 3599, "token_type": "Bearer"}`
)

func TestGoogleKnowsWhoAsks(t *testing.T) {
	named := file(t, "adc.json", googleUser)
	home := file(t, ".config/gcloud/application_default_credentials.json", googleUser)
	want := registry.Credential{Username: "oauth2accesstoken", Password: canary + "-ya29"}
	token := map[string]http.HandlerFunc{askGoogle: says(200, googleSays)}
	machine := map[string]http.HandlerFunc{askMachine: says(200, googleSays)}
	for _, tt := range []identityTest{
		{
			"a file that is named", garHost,
			map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": named, "HOME": filepath.Dir(home)},
			nil, token,
			want, "Google Artifact Registry, application default credentials in " + named,
			[]string{askGoogle},
		},
		{
			"gcloud's file", "gcr.io",
			map[string]string{"CLOUDSDK_CONFIG": filepath.Dir(home)},
			nil, token,
			want, "Google Artifact Registry, application default credentials in " + home,
			[]string{askGoogle},
		},
		{
			"gcloud's file at home", "gcr.io",
			map[string]string{"HOME": filepath.Dir(filepath.Dir(filepath.Dir(home)))},
			nil, token,
			want, "Google Artifact Registry, application default credentials in " + home,
			[]string{askGoogle},
		},
		{
			"a machine", garHost,
			map[string]string{"HOME": t.TempDir()},
			vendor("Google", "Google Compute Engine"), machine,
			want, "Google Artifact Registry, service account of the machine",
			[]string{askMachine},
		},
		{
			"a sandbox that does not say where it runs", garHost, nil, os.DirFS(t.TempDir()), machine,
			want, "Google Artifact Registry, service account of the machine",
			[]string{askMachine},
		},
		{
			"an emulated machine", garHost,
			map[string]string{"GCE_METADATA_HOST": "127.0.0.1"},
			nil,
			map[string]http.HandlerFunc{"GET 127.0.0.1/computeMetadata/v1/instance/service-accounts/default/token": says(200, googleSays)},
			want, "Google Artifact Registry, service account of the machine", nil,
		},
	} {
		t.Run(tt.name, tt.run)
	}
}

func TestAzureKnowsWhoAsks(t *testing.T) {
	refresh := jwt(time.Now().Add(3 * time.Hour))
	want := registry.Credential{IdentityToken: refresh}
	federated := file(t, "token", canary)
	exchange := map[string]http.HandlerFunc{"POST " + acrHost + "/oauth2/exchange": exchanges(t, acrHost, refresh)}
	us := map[string]http.HandlerFunc{"POST contoso.azurecr.us/oauth2/exchange": exchanges(t, "contoso.azurecr.us", refresh)}
	principal := map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": canary}
	private := maps.Clone(principal)
	private["AZURE_AUTHORITY_HOST"] = "https://login.corp.example/"
	workload := map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_FEDERATED_TOKEN_FILE": federated}
	// Azure's library keeps the tokens of machines for all the process, but none that ends so soon.
	managed := with(exchange, map[string]http.HandlerFunc{"GET " + metadata + "/metadata/identity/oauth2/token": says(200, `{"access_token": "`+canary+`-aad", "expires_in": "60", "resource": "x", "token_type": "Bearer"}`)})
	for _, tt := range []identityTest{
		{
			"a service principal", acrHost, principal, nil, with(exchange, entraAnswers("login.microsoftonline.com")),
			want, "Azure Container Registry, service principal client", nil,
		},
		{
			"a service principal in the cloud of a government", "contoso.azurecr.us", principal, nil, with(us, entraAnswers("login.microsoftonline.us")),
			want, "Azure Container Registry, service principal client", nil,
		},
		{
			"a service principal in a cloud of its own", acrHost, private, nil, with(exchange, entraAnswers("login.corp.example")),
			want, "Azure Container Registry, service principal client",
			[]string{
				"GET login.corp.example/tenant/v2.0/.well-known/openid-configuration", "POST login.corp.example/tenant/oauth2/v2.0/token", "POST " + acrHost + "/oauth2/exchange",
			},
		},
		{
			"a workload identity", acrHost, workload, nil, with(exchange, entraAnswers("login.microsoftonline.com")),
			want, "Azure Container Registry, workload identity client", nil,
		},
		{
			"a machine", acrHost, nil, azureVM(), managed,
			want, "Azure Container Registry, managed identity",
			[]string{"GET " + metadata + "/metadata/identity/oauth2/token", "POST " + acrHost + "/oauth2/exchange"},
		},
		{
			"one of several identities of a machine", acrHost,
			map[string]string{"AZURE_CLIENT_ID": "client"},
			azureVM(), managed,
			want, "Azure Container Registry, managed identity client", nil,
		},
	} {
		t.Run(tt.name, tt.run)
	}
}

// az prints a token as Azure's own program does.
func TestAzureKnowsWhoHasLoggedInWithItsProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program of this test is a shell script")
	}
	az := file(t, "az", "#!/bin/sh\necho '{\"accessToken\": \""+canary+"-aad\", \"expiresOn\": \"2099-01-01 00:00:00.000000\", \"expires_on\": 4070908800, \"tokenType\": \"Bearer\"}'\n")
	if err := os.Chmod(az, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(az)+":"+os.Getenv("PATH")) // programs are found there, whatever Env says
	home := filepath.Dir(filepath.Dir(file(t, ".azure/azureProfile.json", "{}")))
	refresh := jwt(time.Now().Add(3 * time.Hour))
	exchange := map[string]http.HandlerFunc{"POST " + acrHost + "/oauth2/exchange": exchanges(t, acrHost, refresh)}
	want, from := registry.Credential{IdentityToken: refresh}, "Azure Container Registry, az login"
	identityTest{"", acrHost, map[string]string{"HOME": home}, nil, exchange, want, from, []string{"POST " + acrHost + "/oauth2/exchange"}}.run(t)
	nobody := with(exchange, map[string]http.HandlerFunc{"GET " + metadata + "/metadata/identity/oauth2/token": says(400, `{"error": "invalid_request", "error_description": "Identity not found"}`)})
	identityTest{"", acrHost, map[string]string{"HOME": home}, azureVM(), nobody, want, from, nil}.run(t)
}

func TestNobodyIsNoError(t *testing.T) {
	missing := map[string]http.HandlerFunc{"GET " + metadata + "/metadata/identity/oauth2/token": says(400, `{"error": "invalid_request", "error_description": "Identity not found"}`)}
	for _, host := range []string{ecrHost, publicHost, garHost, "gcr.io", acrHost} {
		for name, system := range map[string]fs.FS{
			"a machine of nobody's": vendor("QEMU", "x"), "a machine of Amazon's": vendor("Amazon EC2", "x"), "a machine of Google's": vendor("Google", "Google Compute Engine"),
			"a machine of Azure's": azureVM(), "a machine that does not say": os.DirFS(t.TempDir()),
		} {
			t.Run(host+" at "+name, func(t *testing.T) {
				w := newWorld(t, missing)
				k := w.keychain(map[string]string{"HOME": t.TempDir()})
				k.System = system
				if c, from, err := find(t, k, host); c != (registry.Credential{}) || from != "" || err != nil {
					t.Errorf("got %q from %q, %v", c.Username, from, err)
				}
				n := len(w.requests())
				if name == "a machine of nobody's" && n > 0 {
					t.Errorf("asked %q", w.requests())
				}
				if _, _, err := find(t, k, host); err != nil || len(w.requests()) != n {
					t.Errorf("asked again: %q, %v", w.requests()[n:], err)
				}
			})
		}
	}
}

// Whatever identity there is, a host that only looks like a registry of its cloud
// is none.
func TestNobodyIsAskedAboutAHostThatIsNoRegistryOfACloud(t *testing.T) {
	w := newWorld(t, nil)
	env := maps.Clone(keys)
	maps.Copy(env, map[string]string{
		"GOOGLE_APPLICATION_CREDENTIALS": file(t, "adc.json", googleUser),
		"AZURE_TENANT_ID":                "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": canary,
	})
	k := w.keychain(env)
	for _, system := range []fs.FS{vendor("Amazon EC2", "x"), vendor("Google", "x"), azureVM()} {
		k.System = system
		for _, host := range disguises() {
			if c, from, err := find(t, k, host); c != (registry.Credential{}) || from != "" || err != nil {
				t.Errorf("%q: got %q from %q, %v", host, c.Username, from, err)
			}
		}
	}
	if asked := slices.Compact(w.requests()); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
	if !cloud.Included {
		t.Error("these tests are about a program with logins to clouds")
	}
}
