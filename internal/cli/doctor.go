package cli

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/registry"
)

// DoctorResult is what `wherry doctor` says.
type DoctorResult struct {
	Target   string          `json:"target"`
	Verdict  string          `json:"verdict"`
	Healthy  bool            `json:"healthy"` // there is no problem, not even one that pulls can live with
	Problems []DoctorProblem `json:"problems"`
	Steps    []DoctorStep    `json:"steps"`
	Pulls    int             `json:"pulls"` // what a registry that counts pulls may have counted
}

// A DoctorProblem is one thing that is wrong, the worst first.
type DoctorProblem struct {
	Cause    string `json:"cause"`
	Fails    bool   `json:"fails"` // pulls fail for it
	Subject  string `json:"subject"`
	Evidence string `json:"evidence"`
	Remedy   string `json:"remedy"`
}

// A DoctorStep is one hop.
type DoctorStep struct {
	Hop     string  `json:"hop"`
	Subject string  `json:"subject"`
	Status  string  `json:"status"` // ok, warn, fail or skipped
	Detail  string  `json:"detail"`
	TookMs  float64 `json:"tookMs,omitempty"`
}

func newDoctor(f *Factory) *cobra.Command {
	var platform Platform
	cmd := &cobra.Command{
		Use:   "doctor REF|HOST",
		Short: "Find out why an image cannot be pulled, or why slowly",
		Long: "Find out why an image cannot be pulled, or why slowly: walk the way there hop by hop, from the name to the first\n" +
			"byte of a blob, and name what fails and what to do about it. Mirrors are examined too: which are dead, stale, slow, or lie.\n\n" +
			"What has no slash and a dot in it, or is localhost, is a registry: write docker://NAME for an image that is called so.\n" +
			"Nothing is written anywhere, no secret is printed, and it takes ten seconds at most. A registry that counts pulls may\n" +
			"count two for it; where it has few left, it is not asked for what counts. What pulls can live with exits with 0, as a registry does\n" +
			"that is down while a mirror that speaks for it has the image.",
		Example: "  wherry doctor nginx:1.27\n  wherry doctor ghcr.io\n  wherry doctor --json registry.corp:5000/app:2",
		Args:    exactArgs(1),
	}
	cmd.Flags().Var(&platform, "platform", "look for the image for `PLATFORM`, os/arch[/variant]; it fails where there is none")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return f.examine(ctx, args[0], platform)
	})
}

// examine lets a doctor look at the way to target. That the files of settings are
// broken is an answer as well.
func (f *Factory) examine(ctx context.Context, target string, platform Platform) (render.Result, error) {
	d, err := f.newDoctor(target)
	if unread, ok := errors.AsType[*settingsError](err); ok {
		report, bad := doctor.Misconfigured(target, unread, f.hint(err))
		if bad != nil {
			return render.Result{}, bad
		}
		return doctorResult(report), &silentError{err}
	}
	if err != nil {
		return render.Result{}, err
	}
	if platform.given {
		d.Platform = platform.Platform
	}
	report, err := d.Examine(ctx, target)
	if err != nil {
		return render.Result{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return render.Result{}, err
	}
	if err = report.Err(); err != nil {
		err = &silentError{err}
	}
	return doctorResult(report), err
}

// newDoctor returns a doctor that sees what the other verbs see.
func (f *Factory) newDoctor(target string) (*doctor.Doctor, error) {
	if doctor.IsHost(target) {
		host, err := parseHost(target)
		if err != nil {
			return nil, err
		}
		f.SrcHost = host
	}
	own, err := f.Config()
	if err != nil {
		return nil, err
	}
	view, err := f.View()
	if err != nil {
		return nil, err
	}
	client, err := f.Client()
	if err != nil {
		return nil, err
	}
	d := &doctor.Doctor{
		View:  view,
		Own:   cmp.Or(own.path, filepath.Join(f.configFolder(), "wherry", "config.yaml")),
		Now:   f.Now,
		Login: f.cloudLogin,
		Client: func() (*registry.Client, error) {
			return &registry.Client{
				Keychain: client.Keychain, Hosts: client.Hosts, Routes: client.Routes, Proxy: client.Proxy,
				UserAgent: client.UserAgent, Limits: client.Limits, Facts: client.Facts, Log: client.Log,
			}, nil
		},
	}
	if f.Flags.Username == "" { // else it is known where the credential comes from
		d.Credential = func(ctx context.Context, host, repository string) (registry.Credential, string, error) {
			found, err := (&credentials{f: f}).find(ctx, host, repository)
			return found.Credential, found.from, err
		}
	}
	return d, nil
}

// marks are what stands before a step.
var marks = map[doctor.Status]string{doctor.OK: "✓", doctor.Warn: "!", doctor.Fail: "✗", doctor.Skipped: "-"}

func doctorResult(r *doctor.Report) render.Result {
	value := DoctorResult{
		Target: r.Target, Verdict: r.Verdict, Healthy: len(r.Problems) == 0, Pulls: r.Pulls,
		Problems: []DoctorProblem{}, Steps: []DoctorStep{},
	}
	var rows, records [][]string
	for _, s := range r.Steps {
		value.Steps = append(value.Steps, DoctorStep{
			Hop: string(s.Hop), Subject: s.Subject, Status: string(s.Status), Detail: s.Detail,
			TookMs: float64(s.Took.Microseconds()) / 1000,
		})
		rows = append(rows, []string{marks[s.Status], string(s.Hop), s.Subject, s.Detail})
		records = append(records, []string{string(s.Status), string(s.Hop), s.Subject, s.Detail})
	}
	lines := []string{"", "Verdict: " + r.Verdict}
	for _, p := range r.Problems {
		value.Problems = append(value.Problems, DoctorProblem{
			Cause: string(p.Cause), Fails: r.Fails(p), Subject: p.Subject, Evidence: p.Evidence, Remedy: p.Remedy,
		})
		lines = append(lines, "Remedy ("+strings.ReplaceAll(string(p.Cause), "-", " ")+", "+p.Subject+"): "+p.Remedy)
	}
	return render.Result{
		Value:  value,
		Tables: []render.Table{{Rows: slices.Values(rows), Records: slices.Values(records)}},
		Lines:  lines,
		Quiet:  []string{r.Verdict},
	}
}
