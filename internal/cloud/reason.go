//go:build cloud

package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/oauth2"

	"github.com/wherry-dev/wherry/internal/pattern"
)

// A statusError is an answer that is none, with the code it gave.
type statusError struct {
	status int
	code   string
}

func (e *statusError) Error() string {
	text := strconv.Itoa(e.status) + " " + strings.ToLower(http.StatusText(e.status))
	if isCode(e.code) {
		text += " (" + e.code + ")"
	}
	return text
}

// isCode reports whether s is a word of an API and not what somebody wrote. What
// is long may be a secret that came back.
func isCode(s string) bool {
	const longest = 48
	return s != "" && len(s) <= longest && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// aadCode is how Entra ID numbers what is wrong.
var aadCode = pattern.Lazy(`AADSTS[0-9]{4,8}`)

// reason returns what of err may be told: libraries quote the answers of servers,
// and those quote what they were asked with.
func reason(err error) error {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e
	}
	if e, ok := errors.AsType[told](err); ok {
		return e
	}
	if e := answered(err); e != nil {
		return e
	}
	if e := unread(err); e != nil {
		return e
	}
	var (
		ended *ssocreds.InvalidTokenError
		trip  *url.Error
		op    *net.OpError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &ended):
		return told("the session has ended")
	case errors.As(err, &trip):
		return fmt.Errorf("%s: %w", hostOf(trip.URL), trip.Err)
	case errors.As(err, &op):
		return op
	}
	return errNoCredential
}

// answered is about a server that refused.
func answered(err error) error {
	var (
		api      smithy.APIError
		smithys  *smithyhttp.ResponseError
		oauth    *oauth2.RetrieveError
		identity *azidentity.AuthenticationFailedError
	)
	switch {
	case errors.As(err, &smithys) && smithys.HTTPStatusCode() != 0: // that is no answer
		e := &statusError{status: smithys.HTTPStatusCode()}
		if errors.As(err, &api) {
			e.code = api.ErrorCode()
		}
		return e
	case errors.As(err, &oauth) && oauth.Response != nil:
		return &statusError{oauth.Response.StatusCode, oauth.ErrorCode}
	case errors.As(err, &identity) && identity.RawResponse != nil:
		e := &statusError{status: identity.RawResponse.StatusCode}
		if code := aadCode().FindString(identity.Error()); code != "" {
			return fmt.Errorf("%w (%s)", e, code)
		}
		return e
	}
	return nil
}

// unread is about files.
func unread(err error) error {
	var (
		path    *fs.PathError
		profile config.SharedConfigProfileNotExistError
	)
	switch {
	case errors.As(err, &path) && errors.Is(path, fs.ErrNotExist) && strings.Contains(filepath.ToSlash(path.Path), "/sso/cache/"):
		return told("there is no session")
	case errors.As(err, &path):
		return path
	case errors.As(err, &profile):
		return told("there is no such profile")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errNotUnderstood
	}
	return nil
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "the server"
	}
	return u.Host
}
