package content

import "runtime"

// HostPlatform returns the platform of images that run on this machine: linux,
// except on Windows, as docker has it.
func HostPlatform() Platform {
	p := Platform{OS: "linux", Architecture: runtime.GOARCH}
	if runtime.GOOS == "windows" {
		p.OS = "windows"
	}
	return p
}
