package cli

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// Flags are those that mean the same for every verb.
type Flags struct {
	Format  render.Format
	JSON    bool
	Quiet   bool
	Verbose bool
	Debug   bool

	PlainHTTP     []string // hosts
	TLSSkipVerify []string // hosts
	CA            []string // files
	Insecure      bool     // what the arguments name may speak http, or have any certificate; docker's flag of some verbs

	LimitRate    Rate
	Retries      int
	StallTimeout time.Duration
	MaxWait      time.Duration

	AuthFile         string
	Username         string
	PasswordStdin    bool
	DstUsername      string
	DstPasswordStdin bool

	Progress   term.Mode // empty where none was given
	ConfigFile string
	Store      string // folder
}

const formatUsage = "result as `table|json|TEMPLATE`, such as '{{.Name}}'; the fields are those of --json with a capital letter"

// bind adds the flags to set.
func (o *Flags) bind(set *pflag.FlagSet) {
	set.Var(&o.Format, "format", formatUsage)
	set.BoolVar(&o.JSON, "json", false, "the same as --format json")
	set.BoolVarP(&o.Quiet, "quiet", "q", false, "only the essential: names, digests")
	set.BoolVarP(&o.Verbose, "verbose", "v", false, "say what is being done")
	set.BoolVar(&o.Debug, "debug", false, "show every HTTP exchange, secrets left out")
	set.Var(&o.Progress, "progress", "progress on standard error as `auto|tty|plain|json|none`")
	set.StringVar(&o.ConfigFile, "config", "", "read settings from `FILE`")
	set.StringVar(&o.Store, "store", "", "keep images in `DIR`, in place of WHERRY_STORE or ~/.local/share/wherry/store")

	set.StringArrayVar(&o.PlainHTTP, "plain-http", nil, "talk http to `HOST` (repeatable)")
	set.StringArrayVar(&o.TLSSkipVerify, "tls-skip-verify", nil, "accept any certificate from `HOST` (repeatable)")
	set.StringArrayVar(&o.CA, "ca", nil, "trust the certificates in `FILE` too (repeatable)")
	set.Var(&o.LimitRate, "limit-rate", "move no more than `RATE` over the network, such as 5MB/s")
	set.IntVar(&o.Retries, "retries", 5, "give up after `N` tries in a row that brought nothing")
	set.DurationVar(&o.StallTimeout, "stall-timeout", 30*time.Second, "count a connection as broken after `DURATION` of silence")
	set.DurationVar(&o.MaxWait, "max-wait", 5*time.Minute, "wait no longer than `DURATION` each time a registry asks to; --retries bounds how often")

	set.StringVar(&o.AuthFile, "authfile", "", "take credentials from `FILE`")
	set.StringVar(&o.Username, "username", "", "log in to the (source) registry as `USER`")
	set.BoolVar(&o.PasswordStdin, "password-stdin", false, "read the password of --username from standard input")
	set.StringVar(&o.DstUsername, "dst-username", "", "log in to the destination's registry as `USER`")
	set.BoolVar(&o.DstPasswordStdin, "dst-password-stdin", false, "read the password of --dst-username from standard input")
}

// check finds flags that contradict each other.
func (o *Flags) check() error {
	switch {
	case o.JSON && o.Format.String() != "" && o.Format.String() != "json":
		return usagef("--json and --format %s contradict each other", o.Format.String())
	case o.PasswordStdin != (o.Username != ""):
		return usagef("--username and --password-stdin go together")
	case o.DstPasswordStdin != (o.DstUsername != ""):
		return usagef("--dst-username and --dst-password-stdin go together")
	case o.Retries < 1:
		return usagef("--retries %d is less than one", o.Retries)
	case o.StallTimeout <= 0:
		return usagef("--stall-timeout %s is no time at all", o.StallTimeout)
	case o.MaxWait < 0:
		return usagef("--max-wait %s is less than nothing", o.MaxWait)
	}
	return nil
}

// format returns how results are written.
func (o *Flags) format() render.Format {
	if o.JSON {
		return render.JSON()
	}
	return o.Format
}

// asked reports whether the result is wanted in a form of its own.
func (o *Flags) asked() bool { return o.JSON || o.Format.String() != "" }

// A Rate is a flag: bytes in a second, "5MB/s" or "512KiB"; 0 is no limit.
type Rate int64

// leastRate is what a connection has to bring so as not to count as broken. Who
// asks for less has left out the unit.
const leastRate = 1024

// Set reads s.
func (r *Rate) Set(s string) error {
	number := strings.TrimSuffix(strings.TrimSpace(s), "/s")
	parse := units.FromHumanSize
	if strings.Contains(strings.ToLower(number), "ib") {
		parse = units.RAMInBytes
	}
	n, err := parse(number)
	if err != nil || n < 0 || n == math.MaxInt64 {
		return fmt.Errorf("%q is no rate such as 5MB/s", s)
	}
	if 0 < n && n < leastRate {
		return fmt.Errorf("%q is less than 1KiB/s; a rate has a unit, such as 5MB/s", s)
	}
	*r = Rate(n)
	return nil
}

// String returns the rate in bytes a second; the zero Rate is empty.
func (r *Rate) String() string {
	if *r == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*r), 10)
}

// Type is how help texts call the value.
func (r *Rate) Type() string { return "RATE" }

// A choice is a flag: one of several words, each of which means a value.
type choice[T any] struct {
	words []string // in the order of the help
	means []T      // by each word
	value T
	word  string // that was given, or is given by default
}

func (c *choice[T]) given() bool { return c.word != "" }

// Set takes one of the words.
func (c *choice[T]) Set(s string) error {
	i := slices.Index(c.words, s)
	if i < 0 {
		return fmt.Errorf("%q is none of %s", s, strings.Join(c.words, ", "))
	}
	c.value, c.word = c.means[i], s
	return nil
}

// choices returns the words, for completion.
func (c *choice[T]) choices() []string { return c.words }

// String returns the word.
func (c *choice[T]) String() string { return c.word }

// Type is how help texts call the value.
func (c *choice[T]) Type() string { return strings.Join(c.words, "|") }

// Platforms is the flag --platform: a list of os/arch[/variant]. "all" in it is
// every platform, whatever stands beside it, and no list.
type Platforms struct {
	want []content.Platform
	all  bool
}

// Set reads s, and adds to what was given before.
func (p *Platforms) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "all" {
			p.all = true
			continue
		}
		platform, err := content.ParsePlatform(part)
		if err != nil {
			return err
		}
		p.want = append(p.want, platform)
	}
	return nil
}

// list returns the platforms that are wanted; none is all.
func (p *Platforms) list() []content.Platform {
	if p.all {
		return nil
	}
	return p.want
}

// String returns the platforms with commas between them.
func (p *Platforms) String() string {
	var names []string
	for _, platform := range p.list() {
		names = append(names, platform.String())
	}
	return strings.Join(names, ",")
}

// Type is how help texts call the value.
func (p *Platforms) Type() string { return "PLATFORMS" }

// noArgs, exactArgs and minArgs say in the words of the usage line what is wrong
// with the number of arguments.
func noArgs(cmd *cobra.Command, args []string) error { return exactArgs(0)(cmd, args) }

func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%q takes %s, not %d: %s", cmd.CommandPath(), arguments(n), len(args), cmd.UseLine())
		}
		return nil
	}
}

func minArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return fmt.Errorf("%q takes at least %s, not %d: %s", cmd.CommandPath(), arguments(n), len(args), cmd.UseLine())
		}
		return nil
	}
}

func rangeArgs(least, most int) cobra.PositionalArgs {
	return cobra.MatchAll(minArgs(least), upToArgs(most))
}

func upToArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return fmt.Errorf("%q takes at most %s, not %d: %s", cmd.CommandPath(), arguments(n), len(args), cmd.UseLine())
		}
		return nil
	}
}

func arguments(n int) string {
	switch n {
	case 0:
		return "no argument"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}
