package cli

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

// hint returns what can be done about err, or nothing. It is the only place
// that turns a class of failure into advice. Where several apply, it is about
// the one that the exit code is about.
func (f *Factory) hint(err error) string {
	var usage *usageError
	if errors.As(err, &usage) && usage.command != "" {
		return "see: " + usage.command + " --help"
	}
	if _, ok := errors.AsType[InterruptedError](err); !ok {
		err = foremost(err)
	}
	if hint := f.mistaken(err); hint != "" {
		return hint
	}
	if unnamed, ok := errors.AsType[*nameError](err); ok {
		return "give it a name of its own: wherry copy " + unnamed.src + " " + unnamed.dst
	}
	if _, ok := errors.AsType[*noBaseError](err); ok {
		return "name the base image: wherry check-base --base REF " + strings.Join(f.arguments(), " ")
	}
	if _, ok := errors.AsType[InterruptedError](err); ok {
		return f.afterInterrupt()
	}
	if hint := outdated(err); hint != "" {
		return hint
	}
	if hint := f.insideImage(err); hint != "" {
		return hint
	}
	if hint := f.forbidden(err); hint != "" {
		return hint
	}
	if hint := cloudHint(err); hint != "" {
		return hint
	}
	host := f.hostOf(err)
	if hint := f.refusedBy(err, host); hint != "" {
		return hint
	}
	var invalid *invalidError
	switch {
	case isUsage(err), errors.As(err, &invalid) && !isNetwork(err):
		return ""
	case errors.Is(err, content.ErrNoSpace):
		again := "make room on the disk and run the same command again"
		if e, ok := errors.AsType[*transfer.Error](err); ok && e.Op == transfer.OpRoom {
			return again // nothing was written yet
		}
		return again + f.goesOn()
	case errors.Is(err, content.ErrUnauthorized):
		return f.unauthorized(host)
	case errors.Is(err, content.ErrDenied) && f.runs("login"):
		return wrongPassword
	case errors.Is(err, content.ErrDenied):
		return f.denied(host)
	case errors.Is(err, content.ErrRateLimited):
		return f.rateLimited(err, host)
	case errors.Is(err, content.ErrCorrupt) && isAtDestination(err):
		return "what is at the destination is damaged; wherry validate tells all that is"
	case errors.Is(err, content.ErrCorrupt) && f.tables:
		return "the table of contents that a layer carries may be wrong, or the layer damaged; --whole reads layers without such tables"
	case errors.Is(err, content.ErrCorrupt):
		return "nothing of it was kept; if it happens again, what " + cmp.Or(host, "the source") + " has is damaged"
	case errors.Is(err, content.ErrNotFound):
		return f.missing(err, host)
	case errors.Is(err, content.ErrConflict):
		return f.conflict(err, host)
	}
	return f.network(err, host)
}

// rateLimited tells a limit that is spent from a time to wait, and one that is too
// long from those that were waited for in vain.
func (f *Factory) rateLimited(err error, host string) string {
	later := "run the same command again later" + f.goesOn()
	if host == "" {
		return later
	}
	client, broken := f.Client()
	if broken != nil {
		return later
	}
	if l, named := client.RateLimit(host); named && l.Limit > 0 && l.Remaining == 0 {
		return later + "; what is left tells: wherry ratelimit " + host
	}
	if e, ok := errors.AsType[*registry.Error](err); ok && e.Status != 0 && e.RetryAfter <= f.Flags.MaxWait {
		return later + "; --retries lets it wait more often by itself"
	}
	return later + "; --max-wait lets it wait longer by itself"
}

// outdated is about what wherry does not read and others turn into what it does.
func outdated(err error) string {
	reference, _ := errors.AsType[*endpoint.Error](err)
	switch {
	case errors.Is(err, content.ErrSchema1):
		return "push the image again with a current tool"
	case errors.Is(err, archive.ErrTooOld):
		return "save it again with docker 1.10 or newer"
	case reference != nil && reference.Closed == "docker-daemon:":
		return "use: docker save IMAGE | wherry load"
	case reference != nil && reference.Closed == "containers-storage:":
		return "use: podman save IMAGE | wherry load"
	}
	return ""
}

// insideImage is about paths in an image.
func (f *Factory) insideImage(err error) string {
	args := f.arguments()
	if len(args) != 2 {
		return ""
	}
	switch {
	case errors.Is(err, image.ErrNotFile):
		return "what is there tells: wherry files -l " + args[0] + " " + args[1]
	case errors.Is(err, image.ErrNoSuchFile):
		return "the files there are: wherry files " + args[0]
	}
	return ""
}

// goesOn says that a second run does not begin again, as one that only looks
// does. An archive is always written anew.
func (f *Factory) goesOn() string {
	if f.resumes == nil || !f.resumes() {
		return ""
	}
	return ": it goes on from what is there"
}

func (f *Factory) afterInterrupt() string {
	if f.resumes == nil || !f.resumes() {
		return ""
	}
	return "run it again" + f.goesOn()
}

const wrongPassword = "the user name or password is wrong; where a registry gives out tokens, the password is one of those"

// runs reports whether the verb is that one.
func (f *Factory) runs(verb string) bool { return f.verb != nil && f.verb.Name() == verb }

// isAtDestination reports whether a copy failed over what it found where it
// wanted to write, before it wrote.
func isAtDestination(err error) bool {
	var e *transfer.Error
	return errors.As(err, &e) && e.Side == transfer.Dst && e.Op == transfer.OpResolve
}

func (f *Factory) unauthorized(host string) string {
	switch {
	case f.runs("login") && f.flag("get-login") == "true":
		return "log in with: wherry login " + cmp.Or(f.SrcHost, host, "HOST")
	case f.runs("login"):
		return wrongPassword
	case host == "":
		return "log in with: wherry login HOST"
	case host == f.SrcHost && f.Flags.Username != "":
		return host + " does not take the user name or password that --username is about"
	case host == f.DstHost && f.Flags.DstUsername != "":
		return host + " does not take the user name or password that --dst-username is about"
	case host == f.SrcHost && f.Flags.DstUsername != "":
		return host + " wants a credential too: add --username USER --password-stdin, or log in with: wherry login " + host
	case host == f.DstHost && f.Flags.Username != "":
		return host + " wants a credential too: add --dst-username USER --dst-password-stdin, or log in with: wherry login " + host
	}
	const orMissing = " (some registries say so, too, where a repository does not exist)"
	if from, _ := f.shown.of(host); from != "" {
		return host + " does not accept the credential from " + from + "; log in again with: wherry login " + host + orMissing
	}
	if hint := f.cloudLogin(host); hint != "" {
		return hint + orMissing
	}
	return "log in with: wherry login " + host + orMissing
}

// denied says which credential it was that does not allow something.
func (f *Factory) denied(host string) string {
	const orMissing = " does not allow this; it may also mean that the repository does not exist"
	from, asked := f.shown.of(host)
	switch {
	case from != "":
		return "the credential for " + host + ", from " + from + "," + orMissing
	case asked:
		return host + " does not let everybody do this, and there is no credential for it; log in with: wherry login " + host
	}
	return "the credential for " + cmp.Or(host, "the registry") + orMissing
}

// missing says where the names are of what is there.
func (f *Factory) missing(err error, host string) string {
	var e *registry.Error
	if host == "" || f.runs("exists") || f.runs("tags") || !errors.As(err, &e) || e.Method == http.MethodPut {
		return ""
	}
	if e.Ref == "" || strings.Contains(e.Ref, ":") || slices.Contains(e.Codes, "NAME_UNKNOWN") {
		return ""
	}
	list := "wherry tags " + host + "/" + e.Repository
	if e.Ref == "latest" && !slices.ContainsFunc(f.blamed(err), func(arg string) bool { return strings.HasSuffix(arg, ":latest") }) {
		return "no tag was given, which means latest; the tags there are: " + list
	}
	return "the tags there are: " + list
}

// conflict is about a registry that misses what a manifest names.
func (f *Factory) conflict(err error, host string) string {
	var e *registry.Error
	if errors.As(err, &e) && slices.Contains(e.Codes, "MANIFEST_BLOB_UNKNOWN") && f.verb != nil && f.verb.Flags().Changed("sparse") {
		return host + " takes no index some of whose images are missing; run the same command without --sparse"
	}
	return ""
}

func (f *Factory) arguments() []string {
	if f.verb == nil {
		return nil
	}
	return f.verb.Flags().Args()
}

// mistaken is about arguments that were taken for something else than was meant.
func (f *Factory) mistaken(err error) string {
	var reference *endpoint.Error
	if !isOneOf(content.ErrNotFound, content.ErrUnauthorized, content.ErrDenied, content.ErrUnavailable)(err) && !isUsage(err) {
		return ""
	}
	for _, arg := range f.blamed(err) {
		if file, name := fileBefore(arg); file != "" {
			return file + " is a file; an image in it is docker-archive:" + file + ":" + name + " or oci-archive:" + file + ":" + name
		}
		if isUsage(err) && !errors.As(err, &reference) && f.runs("tags") && looksLikeHost(arg) {
			return "the repositories of a registry: wherry repos " + arg
		}
		if _, wrong := endpoint.ParseHost(arg); isUsage(err) && wrong == nil && f.runs("search") && f.isHostAlone(arg) {
			return searchHint(arg)
		}
	}
	return ""
}

// searchHint says how a registry is searched. What has no port may be a term after all.
func searchHint(host string) string {
	hint := "to search a registry: wherry search " + host + "/TERM; all its repositories: wherry repos " + host
	if !strings.Contains(host, ":") {
		hint = "for images of that name at Docker Hub: wherry search docker.io/" + host + "; " + hint
	}
	return hint
}

// fileBefore takes FILE:NAME apart where there is such a file, and no file of the
// whole name.
func fileBefore(arg string) (file, name string) {
	if _, err := os.Stat(arg); err == nil {
		return "", ""
	}
	for i := range arg {
		if arg[i] != ':' {
			continue
		}
		if fi, err := os.Stat(arg[:i]); err == nil && fi.Mode().IsRegular() {
			return arg[:i], arg[i+1:]
		}
	}
	return "", ""
}

// looksLikeHost reports whether arg, which names an image, is rather HOST:PORT.
func looksLikeHost(arg string) bool {
	const longest = 3 // of numbers that are often tags
	host, port, _ := strings.Cut(arg, ":")
	if _, err := endpoint.ParseHost(arg); err != nil || port == "" || strings.Trim(port, "0123456789") != "" {
		return false
	}
	return host == "localhost" || strings.Contains(host, ".") || len(port) > longest
}

// hostOf returns the registry that err is about, as it is given to login. What a
// token server says is about the only registry of the command line, or the one on
// the side that failed.
func (f *Factory) hostOf(err error) string {
	host := addressOf(err)
	if host == "" || host == f.DstHost || !isOneOf(content.ErrUnauthorized, content.ErrDenied)(err) {
		return host
	}
	side, _ := errors.AsType[*transfer.Error](err)
	switch {
	case f.SrcHost != "" && (f.DstHost == "" || side != nil && side.Side == transfer.Src):
		return f.SrcHost
	case f.DstHost != "" && host != f.SrcHost && side != nil && side.Side == transfer.Dst:
		return f.DstHost
	}
	return host
}

func addressOf(err error) string {
	var e *registry.Error
	if !errors.As(err, &e) {
		return ""
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	return registry.HostName(u.Host)
}
