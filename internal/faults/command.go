package faults

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// options are those of the command line.
type options struct {
	list       bool
	fault      string
	at         string
	times      int
	tls, http1 bool
	addr       string
	image, ref string
	repo, tag  string
	layout     string
	ca         string
}

func (o *options) flags(stderr io.Writer) *flag.FlagSet {
	set := flag.NewFlagSet("wherry-faultreg", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.BoolVar(&o.list, "list", false, "print the table of faults")
	set.StringVar(&o.fault, "fault", "", "have the fault of this `NAME`; without one the registry is as it should be")
	set.StringVar(&o.at, "blob", "", "strike this `PART` of the image: first, middle, last, config or manifest; the middle one, or what the fault strikes")
	set.IntVar(&o.times, "times", 1, "strike `N` times; 0 is always")
	set.BoolVar(&o.tls, "tls", false, "serve https, with HTTP/2 and a certificate of its own: see -ca")
	set.BoolVar(&o.http1, "http1", false, "with -tls, do without HTTP/2")
	set.StringVar(&o.addr, "addr", "127.0.0.1:5005", "listen at this loopback `ADDRESS`; port 0 is a free one")
	set.StringVar(&o.image, "image", "", "serve the image at `PATH`, an OCI layout or an archive, in place of one that is made up")
	set.StringVar(&o.ref, "ref", "", "the `NAME` of the image there, where it has several")
	set.StringVar(&o.repo, "repo", "team/app", "the `REPOSITORY` that the image is in")
	set.StringVar(&o.tag, "tag", "v1", "the `TAG` that it has")
	set.StringVar(&o.layout, "layout", "", "write the image as an OCI layout to `FOLDER`, to push from there")
	set.StringVar(&o.ca, "ca", "", "write the certificate of -tls to `FILE`")
	return set
}

// Command runs wherry-faultreg with args, without the program's name, until ctx
// ends, and returns the exit code.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	set := o.flags(stderr)
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if set.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "wherry-faultreg: what is %q? A fault is named with -fault\n", set.Arg(0)) // nobody is left to tell
		return 2
	}
	run := o.serve
	if o.list {
		run = list
	}
	if err := run(ctx, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "wherry-faultreg:", err) // nobody is left to tell
		return 1
	}
	return 0
}

// list prints the faults that can be served.
func list(_ context.Context, stdout io.Writer) error {
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	for _, f := range Table() {
		if f.Served() {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, f.Part, f.Does) // Flush tells
		}
	}
	return w.Flush()
}

// serve serves the image until ctx ends, and tells what was asked for.
func (o *options) serve(ctx context.Context, stdout io.Writer) error {
	if err := onLoopback(o.addr); err != nil {
		return err
	}
	img, err := o.open(ctx)
	if err != nil {
		return err
	}
	c, config, err := o.arm(img)
	if err != nil {
		return err
	}
	r := testregistry.New(config)
	if c.AtSource() {
		img.PutTo(r, o.repo, o.tag)
	}
	if err := r.Listen(o.addr); err != nil {
		return err
	}
	defer r.Close()
	if err := o.write(img, r); err != nil {
		return err
	}
	if err := o.greet(stdout, c, r); err != nil {
		return err
	}
	<-ctx.Done()
	return report(stdout, r, c)
}

func onLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if at, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !at.IsLoopback()) {
		return fmt.Errorf("address %s: a registry that goes wrong listens on loopback only", addr)
	}
	return nil
}

func (o *options) open(ctx context.Context) (testimage.Image, error) {
	if o.image == "" {
		return MadeUp(1_200_000), nil
	}
	return Read(ctx, o.image, o.ref)
}

// arm returns the case that is asked for, and the registry that has it.
func (o *options) arm(img testimage.Image) (Case, testregistry.Config, error) {
	protocol := HTTP
	switch {
	case o.tls && o.http1:
		protocol = HTTPS
	case o.tls:
		protocol = HTTP2
	}
	c := Case{At: Position(o.at), Times: o.times, Protocol: protocol}
	if o.times < 0 {
		return Case{}, testregistry.Config{}, fmt.Errorf("-times %d: a fault strikes once or more often, or with 0 always", o.times)
	}
	if o.fault != "" {
		f, there := Named(o.fault)
		if !there || !f.Served() {
			return Case{}, testregistry.Config{}, fmt.Errorf("there is no fault %q that a registry can have: see -list", o.fault)
		}
		if c.Fault = f; f.Lasts {
			c.Times = 0
		}
	}
	if c.At == "" {
		c.At = c.usual()
	}
	if !slices.Contains(Positions(), c.At) {
		return Case{}, testregistry.Config{}, fmt.Errorf("there is no part %q of an image: see -help", o.at)
	}
	if !c.makesSense() {
		return Case{}, testregistry.Config{}, fmt.Errorf("fault %s does not strike the %s over %s: see docs/reliability.md", c.Name, c.At, c.Protocol)
	}
	target, err := TargetAt(img, c.At)
	if err != nil {
		return Case{}, testregistry.Config{}, err
	}
	config, err := c.Arm(target)
	return c, config, err
}

// write writes what was asked for beside the registry.
func (o *options) write(img testimage.Image, r *testregistry.Registry) error {
	if o.layout != "" {
		if err := Write(img, o.layout, o.tag); err != nil {
			return err
		}
	}
	if o.ca == "" {
		return nil
	}
	if !o.tls {
		return fmt.Errorf("-ca without -tls: there is no certificate: %w", content.ErrInvalid)
	}
	return os.WriteFile(o.ca, r.CertificatePEM(), 0o644)
}

func (o *options) greet(stdout io.Writer, c Case, r *testregistry.Registry) error {
	what := "serving %[1]s/%[2]s:%[3]s"
	if !c.AtSource() {
		what = "waiting for a push to %[1]s/%[2]s:%[3]s"
	}
	what += ", fault: %[4]s\n"
	_, err := fmt.Fprintf(stdout, what, r.Host(), o.repo, o.tag, cmp.Or(c.Name, "none"))
	return err
}

// report prints what was asked for, and how often the fault struck.
func report(stdout io.Writer, r *testregistry.Registry, c Case) error {
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	struck := 0
	for _, q := range r.Requests() {
		mark := ""
		if len(q.Faults) > 0 {
			mark = "struck"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.19s\t%s\t%d\tout %d\tin %d\t%s\n", q.Method, q.Kind, q.Ref, q.Range, q.Status, q.Sent, q.Received, mark) // Flush tells
	}
	if len(c.Strikes) > 0 {
		struck = r.Struck(0)
	}
	times := strconv.Itoa(struck) + " times"
	if struck == 1 {
		times = "once"
	}
	_, _ = fmt.Fprintf(w, "%d requests, %d bytes of blobs out, %d in; the fault struck %s\n",
		len(r.Requests()), r.BlobBytesSent(), r.BlobBytesReceived(), times)
	return w.Flush()
}
