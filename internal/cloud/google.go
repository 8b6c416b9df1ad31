//go:build cloud

package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/wherry-dev/wherry/registry"
)

// googleScope is what a token allows: all that its owner may. There is no
// narrower one to push with.
const googleScope = "https://www.googleapis.com/auth/cloud-platform"

// googleTypes are the kinds of credentials that application default credentials
// can be.
var googleTypes = []google.CredentialsType{
	google.ServiceAccount, google.AuthorizedUser, google.ExternalAccount, google.ExternalAccountAuthorizedUser, google.ImpersonatedServiceAccount,
}

// google logs in with an access token as the password.
// https://cloud.google.com/artifact-registry/docs/docker/authentication#token
func (s session) google(ctx context.Context) (login, error) {
	path := s.env("GOOGLE_APPLICATION_CREDENTIALS")
	asked := path != ""
	if !asked {
		path = s.googleFile()
	}
	if path == "" {
		return s.googleMachine(ctx)
	}
	raw, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return s.googleMachine(ctx)
	}
	from := "application default credentials in " + path
	if err != nil {
		return login{}, s.fail(from, "read the file", err)
	}
	var file struct{ Type google.CredentialsType }
	if json.Unmarshal(raw, &file) != nil || !slices.Contains(googleTypes, file.Type) {
		return login{}, s.fail(from, "read the file", errNoGoogleFile)
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, s.client)
	c, err := google.CredentialsFromJSONWithType(ctx, raw, file.Type, googleScope)
	if err != nil {
		return login{}, s.fail(from, "read the file", errNoGoogleFile)
	}
	t, err := c.TokenSource.Token()
	if err != nil {
		return login{}, s.fail(from, "ask for a token", err)
	}
	return s.googleLogin(from, t), nil
}

const errNoGoogleFile = told("it is no file of Google credentials that wherry knows")

// googleFile returns where gcloud keeps what `gcloud auth application-default
// login` makes, "" for nowhere.
func (s session) googleFile() string {
	const name = "application_default_credentials.json"
	switch {
	case s.env("CLOUDSDK_CONFIG") != "":
		return filepath.Join(s.env("CLOUDSDK_CONFIG"), name)
	case s.env("APPDATA") != "":
		return filepath.Join(s.env("APPDATA"), "gcloud", name)
	case s.Home != "":
		return filepath.Join(s.Home, ".config", "gcloud", name)
	}
	return ""
}

func (s session) googleLogin(from string, t *oauth2.Token) login {
	end := t.Expiry
	if end.IsZero() {
		end = s.now().Add(failureLife)
	}
	return s.found(from, login{credential: registry.Credential{Username: "oauth2accesstoken", Password: t.AccessToken}, until: end})
}

// googleMachine asks the machine for a token of its service account.
// https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
func (s session) googleMachine(ctx context.Context) (login, error) {
	const from = "service account of the machine"
	host, of := "169.254.169.254", googleMachine
	if named := s.env("GCE_METADATA_HOST"); named != "" {
		host, of = named, s.machine()
	}
	limited, cancel, asks := s.metadata(ctx, of)
	if !asks {
		return login{}, nil
	}
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, "http://"+host+"/computeMetadata/v1/instance/service-accounts/default/token", nil)
	if err != nil {
		return login{}, s.fail(from, "ask for a token", err)
	}
	req.Header.Set("Metadata-Flavor", "Google")
	body, header, err := s.get(req)
	switch {
	case err != nil && s.isNobody(err):
		return login{}, context.Cause(ctx)
	case err != nil:
		return login{}, s.fail(from, "ask for a token", err)
	case header.Get("Metadata-Flavor") != "Google":
		return login{}, nil // whoever has that address in another network
	}
	var said struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if json.Unmarshal(body, &said) != nil || said.AccessToken == "" {
		return login{}, s.fail(from, "ask for a token", errNotUnderstood)
	}
	t := &oauth2.Token{AccessToken: said.AccessToken, Expiry: s.now().Add(time.Duration(said.ExpiresIn) * time.Second)}
	return s.googleLogin(from, t), nil
}
