package content

import (
	"os"
	"runtime"
	"strings"
	"sync"
)

// HostPlatform returns the platform of images that run on this machine: linux,
// except on Windows, as docker has it. On arm it has the variant of the CPU, where
// the system tells.
func HostPlatform() Platform {
	p := Platform{OS: "linux", Architecture: runtime.GOARCH}
	if runtime.GOOS == "windows" {
		p.OS = "windows"
	}
	if runtime.GOARCH == "arm" {
		p.Variant = hostVariant()
	}
	return p
}

// hostVariant returns the variant of arm that this machine has; none where nothing
// says so. What this program was built for (GOARM) may be less.
var hostVariant = sync.OnceValue(func() string {
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	return armVariant(string(cpus))
})

// armVariant returns the variant of arm that Linux describes in /proc/cpuinfo; none
// where it does not.
func armVariant(cpuinfo string) string {
	var variant string
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.ToLower(strings.TrimSpace(value))
		switch {
		// Linux takes the ARM1176 of the first Raspberry Pi for a 7, for its memory is managed like one.
		case strings.HasPrefix(value, "armv6-compatible"):
			return "v6"
		case variant == "" && strings.EqualFold(strings.TrimSpace(key), "CPU architecture"):
			variant = variantOf(value)
		}
	}
	return variant
}

// variantOf returns the variant for what Linux calls an architecture of arm, such as
// 7, 5tej, aarch64, or ?(15) for one that has no name.
func variantOf(architecture string) string {
	switch {
	case architecture == "aarch64":
		return "v8"
	case strings.HasPrefix(architecture, "?("):
		return "v7"
	case architecture != "" && strings.Contains("345678", architecture[:1]):
		return "v" + architecture[:1]
	}
	return ""
}
