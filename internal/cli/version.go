package cli

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/internal/render"
)

// linked is the version that the linker was given.
var linked string

// version returns the one that the linker was given, else that of the module, which
// `go install` knows, else "development".
func version() string {
	info, ok := debug.ReadBuildInfo()
	switch {
	case linked != "":
		return linked
	case ok && info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	}
	return "development"
}

// VersionResult is what `wherry version` says.
type VersionResult struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Cloud   bool   `json:"cloud"` // it can log in to the registries of clouds by itself
}

func newVersion(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version",
		Example: "  wherry version\n  wherry version --format '{{.Version}}'",
		Args:    noArgs,
	}
	return f.Run(cmd, func(context.Context, []string) (render.Result, error) {
		v := VersionResult{Version: version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cloud: cloud.Included}
		line := "wherry " + v.Version + " " + v.OS + "/" + v.Arch + " " + v.Go
		if v.Cloud {
			line += " with logins to clouds"
		}
		return render.Result{
			Value: v,
			Lines: []string{line},
			Quiet: []string{v.Version},
		}, nil
	})
}
