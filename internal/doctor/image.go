package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/registry"
)

// registry walks all hops to the host that decides what the target is.
func (x *exam) registry(ctx context.Context, t target) {
	if !x.reach(ctx, x.own()) {
		return
	}
	if !x.api(ctx) {
		return
	}
	if t.repository == "" {
		x.authorized(ctx)
		return
	}
	repo, err := x.client.Repository(x.at.Host, x.at.Repository)
	if err != nil {
		x.add(wrong(HopTag, Problem{BadSetting, x.at.Host, "has a setting that does not work: " + err.Error(), "mend or remove that setting"}), 0)
		return
	}
	if !x.resolved(ctx, t, repo) {
		return
	}
	x.pulled(ctx, repo)
}

// asked is what came of a question to the registry by its client.
type asked struct {
	host      string
	what      string // what was asked for: an image, or the registry itself
	err       error
	exchanges []exchange
	wants     registry.Challenge
	login     string // how to log in to the host, where a cloud has it
	source    source
	over      bool // the time was over
}

// last returns the last exchange with the registry itself, or where a redirect
// led; token servers apart. It is zero where there was none.
func (a asked) last() exchange {
	for _, e := range slices.Backward(a.exchanges) {
		if !e.asksToken {
			return e
		}
	}
	return exchange{}
}

// token returns the last exchange with the token server.
func (a asked) token() (exchange, bool) {
	for _, e := range slices.Backward(a.exchanges) {
		if e.asksToken {
			return e, true
		}
	}
	return exchange{}, false
}

// ask calls do, which asks something of the registry, within the time of a request.
func (x *exam) ask(ctx context.Context, what string, do func(context.Context) error) asked {
	ctx, cancel := context.WithTimeout(ctx, x.limits.Request)
	defer cancel()
	before := x.exchanged()
	a := asked{host: x.at.Host, what: what, login: x.doctor.cloudLogin(x.at.Host), err: do(ctx)}
	a.exchanges, a.over = x.since(before), isOver(ctx)
	x.mu.Lock()
	a.wants, a.source = x.wants, x.source
	x.mu.Unlock()
	a.source.has = a.source.has || slices.ContainsFunc(a.exchanges, func(e exchange) bool { return e.proven })
	return a
}

// authorized finds out whether the registry lets us in, where no image is named.
func (x *exam) authorized(ctx context.Context) {
	began := time.Now()
	before := x.stopped()
	a := x.ask(ctx, x.at.Host, func(ctx context.Context) error {
		_, _, err := x.client.AskRateLimit(ctx, x.at.Host)
		return err
	})
	if x.stopped() > before || !x.token(a) {
		return
	}
	if a.err != nil {
		x.add(judgeRefusal(HopAPI, a), time.Since(began))
		return
	}
	x.rateLimit()
}

// resolved finds out what the target stands for.
func (x *exam) resolved(ctx context.Context, t target, repo *registry.Repository) bool {
	began := time.Now()
	before := x.stopped()
	a := x.ask(ctx, t.String(), func(ctx context.Context) (err error) {
		x.image.root, err = repo.Resolve(ctx, t.ref)
		return err
	})
	took := time.Since(began)
	if x.stopped() > before || !x.token(a) {
		return false
	}
	switch {
	case a.err == nil:
		x.add(fine(HopTag, t.String(), "is "+x.image.root.Digest.String()), took)
	case errors.Is(a.err, content.ErrNotFound):
		x.add(x.missing(ctx, t, repo), took)
		return false
	default:
		x.add(judgeRefusal(HopTag, a), took)
		return false
	}
	return x.rateLimit()
}

// token says what the token server gave.
func (x *exam) token(a asked) bool { return x.add(judgeToken(a)) && a.source.waited == 0 }

// judgeToken is about the token that was needed to ask.
func judgeToken(a asked) (finding, time.Duration) {
	if a.source.waited > 0 {
		return judgeWait(a.host, a.source), a.source.waited
	}
	goesOn := errors.Is(a.source.err, registry.ErrOptional) && !errors.Is(a.err, content.ErrUnauthorized)
	if a.source.err != nil && !goesOn {
		return wrong(HopToken, Problem{
			CredentialUnreadable, a.host, "has a credential that cannot be read (" + a.source.err.Error() + ")", "mend what is named there, or log in again: wherry login " + a.host,
		}), 0
	}
	who := "anonymous"
	switch {
	case a.source.has && a.source.from != "":
		who = "credential from " + a.source.from
	case a.source.has:
		who = "with a credential"
	case a.wants.Scheme == "":
		return finding{}, 0
	}
	e, was := a.token()
	switch {
	case !was && a.wants.Scheme == "basic":
		if who == "anonymous" {
			who = "no credential"
		}
		return fine(HopToken, a.host, "no token server; basic; "+who), 0
	case !was || e.status == http.StatusUnauthorized || e.status == http.StatusForbidden:
		return finding{}, 0 // said where the refusal is
	case e.status == http.StatusTooManyRequests:
		return wrong(HopToken, tooMany(e.url.Host, "")), e.took
	case e.status == 0, e.status >= http.StatusInternalServerError:
		return wrong(HopToken, Problem{
			TokenServer, e.url.Host, "gives no token: " + statusOrSilence(e.status), "try again later; " + a.host + " lets nobody in without its tokens",
		}), e.took
	case e.token == nil:
		return wrong(HopToken, Problem{
			TokenServer, e.url.Host, "gives no token: what it answers is none (" + statusText(e.status) + ")", "a proxy may answer in its place: have " + e.url.Host + " exempted, or log in to the proxy",
		}), e.took
	}
	detail := who + "; for " + e.token.life.String()
	if e.token.granted != nil {
		detail += "; allows " + cmp.Or(strings.Join(e.token.granted, " "), "nothing")
	}
	return fine(HopToken, e.url.Host, detail), e.took
}

func statusOrSilence(status int) string {
	if status == 0 {
		return "it does not answer"
	}
	return statusText(status)
}

// judgeRefusal is about a question that was not answered, apart from what is not found.
func judgeRefusal(hop Hop, a asked) finding {
	e := a.last()
	failure, _ := errors.AsType[*registry.Error](a.err)
	_, refused := errors.AsType[*httpx.RefusedError](a.err)
	problem := func(c Cause, evidence, remedy string) finding {
		return wrong(hop, Problem{c, a.host, evidence, remedy})
	}
	switch {
	case errors.Is(a.err, content.ErrUnauthorized), errors.Is(a.err, content.ErrDenied):
		return judgeAccess(hop, a)
	case errors.Is(a.err, content.ErrRateLimited):
		wait := ""
		if failure != nil && failure.RetryAfter > 0 {
			wait = failure.RetryAfter.Round(time.Second).String()
		}
		return wrong(hop, tooMany(a.host, wait))
	case errors.Is(a.err, content.ErrCorrupt):
		return problem(WrongBytes, "gives other bytes for "+a.what+" than their digest says ("+a.err.Error()+")", "a proxy may rewrite answers: ask past it; else what the registry has is damaged")
	case e.html && e.status/100 == 2:
		return problem(LoginPage, "answers with a web page where a registry answers with JSON", loginPageRemedy)
	case e.status >= http.StatusInternalServerError:
		return problem(ServerError, "is broken or overloaded: "+statusText(e.status), "try again later; if it is yours, look at its log and at what stands in front of it")
	case refused:
		return problem(RefusedURL, "leads where wherry does not follow ("+a.err.Error()+")", "what the registry names must be at least as far away and as well secured as itself: have its settings mended")
	case a.over || e.status == 0 && !errors.Is(a.err, content.ErrInvalid):
		return problem(NoAnswer, "takes the request for "+a.what+" and does not answer in time", "try again; a registry that is so slow is overloaded, or a proxy holds it up")
	case e.status != 0 && e.status/100 == 4:
		return problem(NotARegistry, "does not understand the request for "+a.what+": "+statusText(e.status), "check that this is a registry of the OCI or docker kind")
	}
	if errors.Is(a.err, content.ErrUnavailable) {
		return problem(ConnectionBroken, "breaks off its answer for "+a.what+" ("+a.err.Error()+")", "try again; if it stays so, a proxy or firewall between here and "+a.host+" breaks connections off")
	}
	return problem(InvalidContent, "answers for "+a.what+" with what is none ("+a.err.Error()+")", "a proxy may rewrite answers: ask past it; else what the registry has is damaged: have it pushed again")
}

// judgeAccess is about a refusal, which may hide that something is missing.
func judgeAccess(hop Hop, a asked) finding {
	e, exchanged := a.token()
	tokenRefused := exchanged && (e.status == http.StatusUnauthorized || e.status == http.StatusForbidden)
	from := a.source.from
	if from != "" {
		from = " from " + from
	}
	login := "wherry login " + a.host
	problem := func(c Cause, evidence, remedy string) finding {
		return wrong(hop, Problem{c, a.host, evidence, remedy})
	}
	unauthorized := errors.Is(a.err, content.ErrUnauthorized)
	switch {
	case a.source.has && (tokenRefused || unauthorized && !exchanged):
		return problem(CredentialRefused, "does not accept the credential"+from, "log in again: "+login+"; where passwords are not accepted it takes an access token in place of one")
	case a.source.has:
		return problem(Denied, "accepts the credential"+from+" and does not let it read "+a.what, "ask for the right to pull, or log in as somebody who has it: "+login+"; it may also be that the repository does not exist")
	case tokenRefused, unauthorized && !exchanged:
		return problem(LoginNeeded, "wants a login, and there is no credential for it", cmp.Or(a.login, login))
	case exchanged:
		return problem(MissingOrDenied, "does not let everybody read "+a.what+": it is private, or does not exist; the registry does not say which", "check the name; if it is private: "+cmp.Or(a.login, login))
	}
	return problem(Denied, "refuses "+a.what+" to us, whoever we are", "a firewall of the registry may let in known addresses only; or the repository is blocked there")
}

// missing finds out what of the target is not there: the tag, or all of the repository.
func (x *exam) missing(ctx context.Context, t target, repo *registry.Repository) finding {
	const most = 5000
	var tags []string
	a := x.ask(ctx, t.String(), func(ctx context.Context) error {
		for tag, err := range repo.Tags(ctx) {
			if err != nil {
				return err
			}
			if tags = append(tags, tag); len(tags) == most {
				break
			}
		}
		return nil
	})
	if a.err != nil && !errors.Is(a.err, content.ErrNotFound) {
		// Those who do not list tags may still say what a manifest lacks.
		a = x.ask(ctx, t.String(), func(ctx context.Context) error {
			_, err := repo.Manifest(ctx, t.ref)
			return err
		})
	}
	return judgeMissing(t, a, tags)
}

// judgeMissing is about what was not found: a.err is what asking for more gave.
func judgeMissing(t target, a asked, tags []string) finding {
	failure, _ := errors.AsType[*registry.Error](a.err)
	repository := t.host + "/" + t.repository
	// For a tag that is missing the code would be MANIFEST_UNKNOWN.
	unknown := failure != nil && slices.Contains(failure.Codes, "NAME_UNKNOWN")
	listed := failure != nil && failure.Ref == "" && errors.Is(a.err, content.ErrNotFound)
	switch {
	case unknown, listed:
		return wrong(HopTag, Problem{
			MissingRepository, repository, "does not exist there", "check the spelling of " + t.repository + "; what there is tells, where the registry lets it be listed: wherry repos " + t.host,
		})
	case t.isDigest():
		return wrong(HopTag, Problem{MissingManifest, t.String(), "is not there, though the repository is", "it may have been deleted: ask for a tag, wherry tags " + repository})
	}
	remedy := "what there is tells: wherry tags " + repository
	if near := nearest(t.ref, tags); len(near) > 0 {
		remedy = "did you mean " + strings.Join(near, ", ") + "? All tags: wherry tags " + repository
	}
	evidence := "is not there, though the repository is"
	if a.err == nil && len(tags) == 0 {
		evidence = "is not there: the repository has no tags"
	}
	return wrong(HopTag, Problem{MissingTag, t.String(), evidence, remedy})
}

// rateLimit says what the registry told of its limit, which is not asked for.
func (x *exam) rateLimit() bool {
	l, named := x.client.RateLimit(x.at.Host)
	return x.add(judgeRateLimit(x.at.Host, l, named), 0)
}

func judgeRateLimit(host string, l registry.RateLimit, named bool) finding {
	switch {
	case !named:
		return fine(HopRateLimit, host, "names none")
	case l.Remaining == 0:
		p := tooMany(host, "")
		p.Evidence = "lets us pull no more for now: " + l.String()
		return wrong(HopRateLimit, p)
	}
	return fine(HopRateLimit, host, l.String())
}

// biggest returns the blob that most likely lies with a host of its own: the
// largest layer that is the registry's, else the config.
func biggest(m content.Manifest) (d ocispec.Descriptor, found bool) {
	for _, b := range m.Blobs() {
		if !content.IsForeign(b.MediaType) && b.Size > d.Size {
			d, found = b, true
		}
	}
	return d, found
}

// drained reads what a blob gives and closes it.
func drained(rc io.ReadCloser, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, rc)
	if cerr := rc.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return n, fmt.Errorf("after %d bytes: %w", n, err)
	}
	return n, nil
}
