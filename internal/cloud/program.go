//go:build cloud

package cloud

import (
	"context"
	"os/exec"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// A program is the credential_process of a profile, which prints keys. Amazon's
// library would keep all it prints, lend it our standard error, and leave behind
// what it has started.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
type program string

const errSaysTooMuch = told("its program says more than 64 KiB")

// Retrieve implements [aws.CredentialsProvider]. The program is ended, with all it
// has started, when ctx is or it says too much. What it complains about is dropped:
// there may be keys in it.
func (p program) Retrieve(ctx context.Context) (aws.Credentials, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	build := func(ctx context.Context) (*exec.Cmd, error) {
		shell := []string{"sh", "-c"}
		if runtime.GOOS == "windows" {
			shell = []string{"cmd.exe", "/C"}
		}
		cmd := exec.CommandContext(ctx, shell[0], shell[1], string(p)) //nolint:gosec // the user's own file says what to run, and that a shell does
		cmd.Stdout = &meter{left: maxAnswer, over: func() { cancel(errSaysTooMuch) }}
		cmd.WaitDelay = time.Second
		endTogether(cmd)
		return cmd, nil
	}
	keys, err := processcreds.NewProviderCommand(processcreds.NewCommandBuilderFunc(build)).Retrieve(ctx)
	if ended := context.Cause(ctx); ended != nil {
		return aws.Credentials{}, ended
	}
	return keys, err
}

// A meter ends what writes too much.
type meter struct {
	left int
	over func()
}

// Write implements [io.Writer]. The library copies here first, and keeps nothing of
// what is refused.
func (m *meter) Write(p []byte) (int, error) {
	if len(p) > m.left {
		m.over()
		return 0, errSaysTooMuch
	}
	m.left -= len(p)
	return len(p), nil
}

// programOf returns who a profile is where a program says so, be it for a profile
// whose keys this one takes its role with, and else nobody. It chooses as Amazon's
// library does.
func programOf(cfg aws.Config, c *config.SharedConfig) (aws.CredentialsProvider, error) {
	keys, err := aws.CredentialsProvider(program(c.CredentialProcess)), error(nil)
	switch {
	case c.Source != nil:
		keys, err = programOf(cfg, c.Source)
	case !isProgram(c):
		keys = nil
	}
	switch {
	case keys == nil || err != nil || c.RoleARN == "":
		return keys, err
	case c.MFASerial != "":
		return nil, config.AssumeRoleTokenProviderNotSetError{} // nobody is asked for a code
	}
	cfg.Credentials = keys
	return stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), c.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = c.RoleSessionName
		if c.ExternalID != "" {
			o.ExternalID = aws.String(c.ExternalID)
		}
		if c.RoleDurationSeconds != nil {
			o.Duration = max(*c.RoleDurationSeconds, stscreds.DefaultDuration)
		}
	}), nil
}

// isProgram reports whether the keys of a profile come from a program, and from
// nothing that counts before one.
func isProgram(c *config.SharedConfig) bool {
	session := c.SSOSessionName + c.SSORegion + c.SSOAccountID + c.SSOStartURL + c.SSORoleName + c.LoginSession
	return c.CredentialProcess != "" && !c.Credentials.HasKeys() && c.CredentialSource+c.WebIdentityTokenFile+session == ""
}
