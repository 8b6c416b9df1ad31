package cli

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/wherry-dev/wherry/internal/render"
)

// version is set by the linker.
var version = "development"

// VersionResult is what `wherry version` says.
type VersionResult struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func newVersion(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version",
		Example: "  wherry version\n  wherry version --format '{{.Version}}'",
		Args:    noArgs,
	}
	return f.Run(cmd, func(context.Context, []string) (render.Result, error) {
		v := VersionResult{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
		return render.Result{
			Value: v,
			Lines: []string{"wherry " + v.Version + " " + v.OS + "/" + v.Arch + " " + v.Go},
			Quiet: []string{v.Version},
		}, nil
	})
}
