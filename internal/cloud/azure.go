//go:build cloud

package cloud

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/wherry-dev/wherry/registry"
)

// azureScope is what the token of Entra ID is for: container registries, and
// nothing else in the subscription.
const azureScope = "https://containerregistry.azure.net/.default"

// An azureIdentity is who asks Azure.
type azureIdentity struct {
	name       string
	credential azcore.TokenCredential
	machine    bool // the machine's own, which may have none
}

// azure logs in to ACR: the registry gives a refresh token for the token of an
// identity. https://azure.github.io/acr/AAD-OAuth.html
func (s session) azure(ctx context.Context) (login, error) {
	identities, err := s.azureIdentities()
	if err != nil {
		return login{}, err
	}
	for _, id := range identities {
		token, err := s.azureToken(ctx, id)
		if err != nil {
			return login{}, err
		}
		if token == "" {
			continue
		}
		refresh, err := s.azureExchange(ctx, token)
		if err != nil {
			return login{}, s.fail(id.name, "exchange its token at the registry", err)
		}
		return s.found(id.name, login{credential: registry.Credential{IdentityToken: refresh}, until: s.endOf(refresh)}), nil
	}
	return login{}, nil
}

// azureOptions is how Entra ID is asked.
func (s session) azureOptions() azcore.ClientOptions {
	authority := azcloud.AzurePublic
	switch s.place.suffix {
	case ".azurecr.cn":
		authority = azcloud.AzureChina
	case ".azurecr.us":
		authority = azcloud.AzureGovernment
	}
	if named := s.env("AZURE_AUTHORITY_HOST"); named != "" {
		authority = azcloud.Configuration{ActiveDirectoryAuthorityHost: named, Services: map[azcloud.ServiceName]azcloud.ServiceConfiguration{}}
	}
	const soon = 200 * time.Millisecond
	return azcore.ClientOptions{
		Cloud: authority, Transport: s.client,
		Retry:     policy.RetryOptions{MaxRetries: 1, RetryDelay: soon, MaxRetryDelay: soon},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}
}

// azureIdentities returns who is configured, in the order of Azure's own tools: a
// service principal in the environment, a workload identity, the machine's, who is
// logged in with az. Who is not the machine's is the only one.
func (s session) azureIdentities() ([]azureIdentity, error) {
	id, err := s.azurePrincipal()
	if err != nil {
		return nil, s.fail(id.name, "read the environment", err)
	}
	if id.credential != nil {
		return []azureIdentity{id}, nil
	}
	machine, err := s.azureMachine()
	if err != nil {
		return nil, s.fail(machine.name, "read the environment", err)
	}
	if machine.credential != nil && !machine.machine {
		return []azureIdentity{machine}, nil
	}
	identities := []azureIdentity{machine}
	cli, err := s.azureCLI()
	if err != nil {
		return nil, s.fail(cli.name, "find it", err)
	}
	switch {
	case cli.credential == nil:
	case s.machine() == azureMachine:
		identities = append(identities, cli)
	default:
		return []azureIdentity{cli}, nil // nobody waits for a machine that may be none of Azure's
	}
	return identities, nil
}

// azurePrincipal returns who the environment names.
func (s session) azurePrincipal() (azureIdentity, error) {
	tenant, client, options := s.env("AZURE_TENANT_ID"), s.env("AZURE_CLIENT_ID"), s.azureOptions()
	if tenant == "" || client == "" {
		return azureIdentity{}, nil
	}
	private := s.env("AZURE_AUTHORITY_HOST") != "" // no authority but that is asked
	if secret := s.env("AZURE_CLIENT_SECRET"); secret != "" {
		c, err := azidentity.NewClientSecretCredential(tenant, client, secret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: private,
		})
		return azureIdentity{name: "service principal " + client, credential: c}, err
	}
	if path := s.env("AZURE_CLIENT_CERTIFICATE_PATH"); path != "" {
		id := azureIdentity{name: "service principal " + client}
		raw, err := readFile(path)
		if err != nil {
			return id, err
		}
		certificates, key, err := azidentity.ParseCertificates(raw, []byte(s.env("AZURE_CLIENT_CERTIFICATE_PASSWORD")))
		if err != nil {
			return id, told(path + " has no certificate with a key that its password opens")
		}
		id.credential, err = azidentity.NewClientCertificateCredential(tenant, client, certificates, key, &azidentity.ClientCertificateCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: private,
		})
		return id, err
	}
	if path := s.env("AZURE_FEDERATED_TOKEN_FILE"); path != "" {
		if _, err := readFile(path); err != nil {
			return azureIdentity{name: "workload identity " + client}, err
		}
		c, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, TenantID: tenant, ClientID: client, TokenFilePath: path, DisableInstanceDiscovery: private,
		})
		return azureIdentity{name: "workload identity " + client, credential: c}, err
	}
	return azureIdentity{}, nil
}

// azureMachine returns the managed identity: that of the service this runs in,
// which says so in the environment, or of the machine.
func (s session) azureMachine() (azureIdentity, error) {
	id := azureIdentity{name: "managed identity", machine: s.first("IDENTITY_ENDPOINT", "MSI_ENDPOINT") == ""}
	o := azidentity.ManagedIdentityCredentialOptions{ClientOptions: s.azureOptions()}
	if client := s.env("AZURE_CLIENT_ID"); client != "" {
		o.ID = azidentity.ClientID(client)
		id.name += " " + client
	}
	c, err := azidentity.NewManagedIdentityCredential(&o)
	if err == nil {
		id.credential = c
	}
	return id, err
}

// azureCLI returns who has logged in with az, nobody where it was never used.
func (s session) azureCLI() (azureIdentity, error) {
	id := azureIdentity{name: "az login"}
	dir := s.env("AZURE_CONFIG_DIR")
	if dir == "" && s.Home != "" {
		dir = filepath.Join(s.Home, ".azure")
	}
	if _, err := os.Stat(filepath.Join(dir, "azureProfile.json")); dir == "" || err != nil {
		return azureIdentity{}, nil //nolint:nilerr // it was never used here
	}
	if _, err := exec.LookPath("az"); err != nil {
		return azureIdentity{}, nil //nolint:nilerr // nor can it be
	}
	c, err := azidentity.NewAzureCLICredential(nil)
	if err == nil {
		id.credential = c
	}
	return id, err
}

// azureToken asks Entra ID for a token, "" where the machine has no identity.
func (s session) azureToken(ctx context.Context, id azureIdentity) (string, error) {
	limited, cancel := context.WithCancel(ctx)
	if id.machine {
		var asks bool
		cancel()
		if limited, cancel, asks = s.metadata(ctx, azureMachine); !asks {
			return "", nil
		}
	}
	defer cancel()
	token, err := id.credential.GetToken(limited, policy.TokenRequestOptions{Scopes: []string{azureScope}})
	switch {
	case err == nil:
		return token.Token, nil
	case id.machine && s.isNobody(err):
		return "", context.Cause(ctx)
	}
	return "", s.fail(id.name, "ask for a token", err)
}

// azureExchange gives the token of Entra ID to the registry, and to nobody else.
func (s session) azureExchange(ctx context.Context, token string) (string, error) {
	form := url.Values{"grant_type": {"access_token"}, "service": {s.place.host}, "access_token": {token}}
	if tenant := s.env("AZURE_TENANT_ID"); tenant != "" {
		form.Set("tenant", tenant)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.place.host+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	body, _, err := s.get(req)
	if err != nil {
		return "", err
	}
	var said struct {
		RefreshToken string `json:"refresh_token"`
	}
	if json.Unmarshal(body, &said) != nil || said.RefreshToken == "" {
		return "", errNotUnderstood
	}
	return said.RefreshToken, nil
}

// endOf reads when a refresh token ends, which is a JWT; they last three hours.
func (s session) endOf(token string) time.Time {
	var claims struct{ Exp int64 }
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if raw, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(raw, &claims) == nil && claims.Exp > 0 {
			return time.Unix(claims.Exp, 0)
		}
	}
	return s.now().Add(time.Hour)
}
