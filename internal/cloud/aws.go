//go:build cloud

package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/wherry-dev/wherry/registry"
)

// An awsIdentity is who asks Amazon.
type awsIdentity struct {
	name     string
	provider aws.CredentialsProvider
	machine  bool // the machine's own, which may have none
}

// amazon logs in to ECR: with whatever the identity's keys are it asks for a
// token, which is user name and password in one.
func (s session) amazon(ctx context.Context) (login, error) {
	cfg, err := s.awsConfig()
	if err != nil {
		return login{}, s.fail("AWS_CA_BUNDLE", "read certificates", err)
	}
	id, err := s.awsIdentity(ctx, cfg)
	if err != nil || id.provider == nil {
		return login{}, err
	}
	keys, err := s.awsKeys(ctx, id)
	if err != nil || keys == (aws.Credentials{}) {
		return login{}, err
	}
	cfg.Credentials = credentials.StaticCredentialsProvider{Value: keys}
	token, end, err := s.ecrToken(ctx, cfg)
	if err != nil {
		return login{}, s.fail(id.name, "ask for a token", err)
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	user, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok || password == "" {
		return login{}, s.fail(id.name, "ask for a token", errNotUnderstood)
	}
	return s.found(id.name, login{credential: registry.Credential{Username: user, Password: password}, until: end}), nil
}

// awsConfig is how Amazon is asked. Its own client is used, which can take
// certificates that a profile names.
func (s session) awsConfig() (aws.Config, error) {
	var pem []byte
	if path := s.env("AWS_CA_BUNDLE"); path != "" {
		var err error
		if pem, err = readUpTo(maxFile, path); err != nil {
			return aws.Config{}, err
		}
	}
	t, err := s.transport(pem)
	if err != nil {
		return aws.Config{}, err
	}
	client := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.Proxy, tr.DialContext, tr.TLSClientConfig = t.Proxy, t.DialContext, t.TLSClientConfig
		tr.DisableKeepAlives = true // nobody closes them
	})
	region := s.place.region
	if s.place.registry == ECRPublic {
		region = "us-east-1" // the only one that gives tokens
	}
	return aws.Config{Region: region, HTTPClient: client, Retryer: retrier}, nil
}

// retrier asks once more, soon.
func retrier() aws.Retryer {
	const tries, soon = 2, 200 * time.Millisecond
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = tries, soon })
}

// awsIdentity returns who is configured, in the order of Amazon's own tools: keys
// in the environment, a web identity there, a profile, the container, the
// machine. Nobody is no error.
func (s session) awsIdentity(ctx context.Context, cfg aws.Config) (awsIdentity, error) {
	if id, secret := s.first("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"), s.first("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"); id != "" && secret != "" {
		return awsIdentity{name: "keys in the environment", provider: credentials.NewStaticCredentialsProvider(id, secret, s.env("AWS_SESSION_TOKEN"))}, nil
	}
	if path := s.env("AWS_WEB_IDENTITY_TOKEN_FILE"); path != "" {
		id := awsIdentity{name: "web identity " + path}
		if _, err := readFile(path); err != nil {
			return id, s.fail(id.name, "read its token", err)
		}
		id.provider = stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(cfg), s.env("AWS_ROLE_ARN"), stscreds.IdentityTokenFile(path), func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName = s.env("AWS_ROLE_SESSION_NAME")
		})
		return id, nil
	}
	if id, err := s.awsProfile(ctx, cfg); err != nil || id.provider != nil {
		return id, err
	}
	if id, err := s.awsContainer(cfg); err != nil || id.provider != nil {
		return id, err
	}
	if strings.EqualFold(s.env("AWS_EC2_METADATA_DISABLED"), "true") {
		return awsIdentity{}, nil
	}
	client := imds.New(imds.Options{ // it would give Amazon's own client another dialer
		HTTPClient: s.client, Retryer: retrier(), ClientEnableState: imds.ClientEnabled, Endpoint: s.env("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
	})
	return awsIdentity{name: "role of the machine", provider: ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client }), machine: true}, nil
}

// awsProfile returns who the profile in use is, if it says so.
func (s session) awsProfile(ctx context.Context, cfg aws.Config) (awsIdentity, error) {
	name := s.first("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
	asked := name != ""
	if !asked {
		name = "default"
	}
	id := awsIdentity{name: "profile " + name}
	settings, err := s.awsFile("AWS_CONFIG_FILE", "config")
	if err != nil {
		return id, s.fail(id.name, "read the profile", err)
	}
	secrets, err := s.awsFile("AWS_SHARED_CREDENTIALS_FILE", "credentials")
	if err != nil {
		return id, s.fail(id.name, "read the profile", err)
	}
	found, err := config.LoadSharedConfigProfile(ctx, name, func(o *config.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles, o.Logger = settings, secrets, logging.Nop{}
	})
	if _, missing := errors.AsType[config.SharedConfigProfileNotExistError](err); missing && !asked {
		return awsIdentity{}, nil
	}
	if err != nil {
		return id, s.fail(id.name, "read the profile", err)
	}
	if !namesSomebody(found) {
		return awsIdentity{}, nil
	}
	whole, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(name), config.WithSharedConfigFiles(settings),
		config.WithSharedCredentialsFiles(secrets), config.WithRegion(cfg.Region), config.WithHTTPClient(cfg.HTTPClient), config.WithRetryer(retrier), config.WithLogger(logging.Nop{}))
	if err != nil {
		return id, s.fail(id.name, "read the profile", err)
	}
	if id.provider, err = programOf(whole, &found); err != nil {
		return id, s.fail(id.name, "read the profile", err)
	}
	if id.provider == nil {
		id.provider = whole.Credentials
	}
	return id, nil
}

// namesSomebody reports whether a profile is about credentials, and not only
// about a region, say.
func namesSomebody(c config.SharedConfig) bool {
	return c.Credentials.HasKeys() || c.CredentialSource != "" || c.CredentialProcess != "" || c.WebIdentityTokenFile != "" ||
		c.SSOSessionName != "" || c.SSOStartURL != "" || c.LoginSession != "" || c.RoleARN != ""
}

// awsFile returns a file of Amazon's tools in a list, which is empty but not nil
// where there is none. It is one that their library can read to its end.
func (s session) awsFile(variable, name string) ([]string, error) {
	path := s.env(variable)
	if path == "" && s.Home != "" {
		path = filepath.Join(s.Home, ".aws", name)
	}
	if path == "" {
		return []string{}, nil
	}
	_, err := readUpTo(maxFile, path)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{}, nil
	}
	return []string{path}, err
}

// errNotAllowed is about an address that is not where a container's keys are.
const errNotAllowed = told("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of the machine or its container service")

// awsContainer returns the role of the container this is in.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
func (s session) awsContainer(cfg aws.Config) (awsIdentity, error) {
	id := awsIdentity{name: "role of the container"}
	uri := s.env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if path := s.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		uri = "http://169.254.170.2" + path
	}
	if uri == "" {
		return awsIdentity{}, nil
	}
	if !isContainerService(uri) {
		return id, s.fail(id.name, "find its keys", errNotAllowed)
	}
	token := s.env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if path := s.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); path != "" {
		raw, err := readFile(path)
		if err != nil {
			return id, s.fail(id.name, "read its token", err)
		}
		token = strings.TrimSpace(string(raw))
	}
	id.provider = endpointcreds.New(uri, func(o *endpointcreds.Options) {
		o.HTTPClient, o.Retryer, o.AuthorizationToken = cfg.HTTPClient, retrier(), token
	})
	return id, nil
}

// isContainerService reports whether the token of a container may be shown there.
func isContainerService(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.User != nil {
		return false
	}
	switch addr, err := netip.ParseAddr(u.Hostname()); {
	case u.Scheme == "https":
		return u.Host != ""
	case u.Scheme != "http":
		return false
	case err != nil:
		return u.Hostname() == "localhost"
	default:
		return addr.IsLoopback() || addr == netip.AddrFrom4([4]byte{169, 254, 170, 2}) ||
			addr == netip.AddrFrom4([4]byte{169, 254, 170, 23}) || addr == netip.MustParseAddr("fd00:ec2::23")
	}
}

// awsKeys returns the keys of an identity. A machine that has no role is nobody.
func (s session) awsKeys(ctx context.Context, id awsIdentity) (aws.Credentials, error) {
	if !id.machine {
		keys, err := id.provider.Retrieve(ctx)
		if err != nil {
			return aws.Credentials{}, s.fail(id.name, "get its keys", err)
		}
		return keys, nil
	}
	limited, cancel, asks := s.metadata(ctx, amazonMachine)
	if !asks {
		return aws.Credentials{}, nil
	}
	defer cancel()
	keys, err := id.provider.Retrieve(limited)
	switch {
	case err == nil:
		return keys, nil
	case s.isNobody(err):
		return aws.Credentials{}, context.Cause(ctx)
	}
	return aws.Credentials{}, s.fail(id.name, "get its keys", err)
}

// ecrToken asks Amazon for the token, and until when it is good.
func (s session) ecrToken(ctx context.Context, cfg aws.Config) (string, time.Time, error) {
	if s.place.registry == ECRPublic {
		out, err := ecrpublic.NewFromConfig(cfg).GetAuthorizationToken(ctx, nil)
		if err != nil || out.AuthorizationData == nil {
			return "", time.Time{}, orNotUnderstood(err)
		}
		return aws.ToString(out.AuthorizationData.AuthorizationToken), aws.ToTime(out.AuthorizationData.ExpiresAt), nil
	}
	out, err := ecr.NewFromConfig(cfg, func(o *ecr.Options) {
		if s.place.fips {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
		if s.place.dualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	}).GetAuthorizationToken(ctx, nil)
	if err != nil || len(out.AuthorizationData) == 0 {
		return "", time.Time{}, orNotUnderstood(err)
	}
	return aws.ToString(out.AuthorizationData[0].AuthorizationToken), aws.ToTime(out.AuthorizationData[0].ExpiresAt), nil
}

func orNotUnderstood(err error) error {
	if err == nil {
		return errNotUnderstood
	}
	return err
}
