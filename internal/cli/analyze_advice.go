package cli

import (
	"fmt"
	"strings"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/term"
)

// A leftover is what builds leave behind, and what keeps it out of an image.
type leftover struct{ what, cure string }

// leftovers are those of every kind of cache, by the ID of the advice.
var leftovers = map[string]leftover{
	"cache-apt":       {"packages that apt has downloaded", "apt-get clean in the same RUN, or a cache mount there"},
	"cache-apt-lists": {"apt's lists of packages", "rm -rf /var/lib/apt/lists/* in the same RUN"},
	"cache-apk":       {"what apk has downloaded", "apk add --no-cache"},
	"cache-dnf":       {"what dnf or yum has downloaded", "dnf clean all in the same RUN"},
	"cache-zypper":    {"what zypper has downloaded", "zypper clean --all in the same RUN"},
	"cache-pip":       {"what pip has downloaded", "pip install --no-cache-dir"},
	"cache-npm":       {"what npm has downloaded", "a cache mount there, or npm cache clean --force in the same RUN"},
	"cache-yarn":      {"what yarn has downloaded", "a cache mount there, or yarn cache clean in the same RUN"},
	"cache-go":        {"what go has downloaded and built", "a stage of its own for the build, or cache mounts there"},
	"cache-cargo":     {"what cargo has downloaded", "a stage of its own for the build, or a cache mount there"},
	"cache-maven":     {"what Maven has downloaded", "a stage of its own for the build, or a cache mount there"},
	"cache-gradle":    {"what Gradle has downloaded", "a stage of its own for the build, or a cache mount there"},
	"cache-composer":  {"what composer has downloaded", "composer clear-cache in the same RUN"},
	"cache-home":      {"other caches in home folders", "rm -rf of them in the same RUN"},
	"cache-bytecode":  {"bytecode that Python makes again where it is missing", "PYTHONDONTWRITEBYTECODE=1, or pip install --no-compile"},
	"temporary-files": {"temporary files", "rm -rf of them in the same RUN"},
	"logs":            {"logs of the build", "rm -rf of them in the same RUN"},
}

// buildParts are what the parts of a build environment are called.
var buildParts = map[string]string{
	"compilers":        "compilers",
	"build-programs":   "programs for building",
	"headers":          "headers",
	"static-libraries": "static libraries",
	"jdk-parts":        "parts of a JDK that a JRE has not",
}

// adviceText says what d is about and what to do, in a sentence or two. There may be
// a path of the image in it.
func adviceText(d image.Advice) string {
	size := term.Size(d.Bytes)
	switch d.ID {
	case "copy-with-owner":
		return fmt.Sprintf("Layer %d has %s once more that layer %d has already, with another owner, mode or time at most: "+
			"set those where the files are added, as COPY --chown and --chmod do.", d.Layers[1]+1, size, d.Layers[0]+1)
	case "merge-layers":
		return fmt.Sprintf("Layer %d removes or overwrites %s that layer %d adds: as one RUN the two would leave them out.", d.Layers[1]+1, size, d.Layers[0]+1)
	case "newer-base":
		return fmt.Sprintf("Layer %d removes or overwrites %s of the lowest layer: a base image that is newer, or has less in it, would leave them out.", d.Layers[1]+1, size)
	case "multi-stage":
		parts := make([]string, len(d.Parts))
		for i, p := range d.Parts {
			parts[i] = term.Size(p.Bytes) + " of " + buildParts[p.ID]
		}
		return fmt.Sprintf("A multi-stage build would drop %s that programs are built with and run without: %s.", size, strings.Join(parts, ", "))
	case "duplicate-files":
		return fmt.Sprintf("%s are in %d files that are copies of others, byte for byte: links would do.", size, d.Files)
	case "distroless":
		return fmt.Sprintf("All that runs is /%s, on %s of a distribution with a shell and a package manager: where it is linked statically, "+
			"scratch or a distroless base (some 2MB) would do.", d.Path, size)
	}
	left := leftovers[d.ID]
	where := ""
	if d.Path != "" {
		where = " (/" + d.Path + ")"
	}
	return fmt.Sprintf("%s are %s%s: %s.", size, left.what, where, left.cure)
}
