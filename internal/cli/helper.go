package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/wherry-dev/wherry/registry"
)

// A helper is a program docker-credential-NAME that keeps credentials.
// https://github.com/docker/docker-credential-helpers/blob/v0.9.12/README.md#development
type helper string

const (
	// helperTimeout is how long a helper may take. Some ask the user, others begin
	// by starting half a cloud's tools: five seconds, which would do for those that
	// only look something up, are too few for them.
	helperTimeout  = 30 * time.Second
	helperPatience = 3 * time.Second // after which it is said who is waited for
	maxHelperSays  = 64 << 10
)

// errNoCredentials is what a helper has for a host it does not know.
var errNoCredentials = errors.New("credentials not found")

// get returns what the helper has for host. A host it does not know is
// errNoCredentials; everything else that goes wrong names the helper. What docker
// calls Docker Hub there, podman calls by its name.
func (h helper) get(ctx context.Context, host string) (registry.Credential, error) {
	c, err := h.getAs(ctx, hostKey(host))
	if errors.Is(err, errNoCredentials) && host != hostKey(host) {
		c, err = h.getAs(ctx, host)
	}
	return c, err
}

func (h helper) getAs(ctx context.Context, key string) (registry.Credential, error) {
	out, err := h.run(ctx, "get", []byte(key))
	if err != nil {
		return registry.Credential{}, err
	}
	var said struct{ Username, Secret string }
	if json.Unmarshal(out, &said) != nil {
		return registry.Credential{}, h.fail("get", errors.New("its answer is not JSON"))
	}
	switch {
	case said.Secret == "":
		return registry.Credential{}, errNoCredentials
	case said.Username == "<token>":
		return registry.Credential{IdentityToken: said.Secret}, nil
	}
	return registry.Credential{Username: said.Username, Password: said.Secret}, nil
}

// store hands c over to the helper, which keeps it under key.
func (h helper) store(ctx context.Context, key string, c registry.Credential) error {
	user, secret := c.Username, c.Password
	if c.IdentityToken != "" {
		user, secret = "<token>", c.IdentityToken
	}
	told, err := json.Marshal(struct{ ServerURL, Username, Secret string }{key, user, secret}) //nolint:gosec // telling it is the point
	if err != nil {
		return err
	}
	_, err = h.run(ctx, "store", told, secret)
	return err
}

// erase makes the helper forget host.
func (h helper) erase(ctx context.Context, host string) error {
	_, err := h.run(ctx, "erase", []byte(hostKey(host)))
	if host != hostKey(host) {
		_, also := h.run(ctx, "erase", []byte(host))
		if also == nil {
			err = nil // it has one of the two
		}
	}
	return err
}

// valid reports whether there can be a helper of that name.
func (h helper) valid() bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return h != "" && strings.Trim(string(h), letters) == ""
}

func (h helper) program() string { return "docker-credential-" + string(h) }

// mend says what to do about a helper that does not work, which from names.
func (h helper) mend(from string) string {
	if !h.valid() {
		return "mend what " + from + " calls a credential helper"
	}
	return "install or mend " + h.program() + ", or take it out of " + from
}

func (h helper) fail(op string, err error) error {
	return fmt.Errorf("credential helper %s %s: %w", h.program(), op, err)
}

// run starts the helper, no shell between, and returns what it says. What it
// was told and what it answers stand in no message, and of what it complains about
// there are the plain words. A helper that takes too long is ended, with all it
// has started.
func (h helper) run(ctx context.Context, op string, in []byte, secrets ...string) ([]byte, error) {
	if !h.valid() {
		return nil, errors.New("a credential helper is named that cannot be: names have letters, digits and . _ - only")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, helperTimeout, fmt.Errorf("no answer within %s", helperTimeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, h.program(), op) //nolint:gosec // the name was checked, and the user's own file says it
	cmd.Stdin = bytes.NewReader(in)
	var out, complaint bounded
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "DOCKER_AUTH_CONFIG=") }) // others' passwords
	cmd.WaitDelay = time.Second
	endTogether(cmd)
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		err = nil // it has ended well, and what it left running holds its output open
	}
	switch {
	case ctx.Err() != nil:
		return nil, h.fail(op, context.Cause(ctx))
	case out.over, complaint.over:
		return nil, h.fail(op, errTooMuch)
	case err == nil:
		return out.kept.Bytes(), nil
	}
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		return nil, h.fail(op, err)
	}
	// Helpers complain on standard output (the protocol has it so), some on standard error.
	reason := strings.TrimSpace(out.kept.String() + " " + complaint.kept.String())
	if strings.Contains(reason, errNoCredentials.Error()) {
		return nil, errNoCredentials
	}
	if reason = presentable(reason, secrets); reason == "" {
		return nil, h.fail(op, err)
	}
	return nil, h.fail(op, fmt.Errorf("%w: %q", err, reason))
}

// presentable returns what can be told of a complaint: without what the helper was
// told, and nothing from where it may be the JSON of an answer.
func presentable(complaint string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			complaint = strings.ReplaceAll(complaint, secret, "***")
		}
	}
	complaint, _, _ = strings.Cut(complaint, "{")
	return plainWords(complaint)
}

// plainWords returns of what a helper says what no secret is in: words of letters
// and small numbers.
func plainWords(text string) string {
	const longestWord, longestNumber, most = 20, 6, 200
	var b strings.Builder
	for word := range strings.FieldsSeq(text) {
		bare := strings.Trim(word, ".,:;!?()'\"`-")
		isWord := len(bare) <= longestWord && strings.IndexFunc(bare, func(c rune) bool { return !unicode.IsLetter(c) }) < 0
		isNumber := len(bare) <= longestNumber && strings.Trim(bare, "0123456789") == ""
		if !isWord && !isNumber {
			word = "***"
		}
		if b.Len()+len(word) > most {
			b.WriteString(" …")
			break
		}
		b.WriteString(" " + word)
	}
	return strings.TrimSpace(b.String())
}

// bounded keeps what is written to it up to maxHelperSays.
type bounded struct {
	kept bytes.Buffer // not embedded: its ReadFrom would read without end
	over bool
}

// Write implements [io.Writer]. What is too much ends the reading, and with it
// whoever goes on writing.
func (b *bounded) Write(p []byte) (int, error) {
	room := min(len(p), maxHelperSays-b.kept.Len())
	b.kept.Write(p[:room])
	if b.over = room < len(p); b.over {
		return room, errTooMuch
	}
	return room, nil
}

var errTooMuch = fmt.Errorf("it says more than %d bytes", maxHelperSays)
