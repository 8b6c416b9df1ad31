package registry

// DockerHub is the name of Docker Hub as a host. It has others, which
// [HostName] knows, an address that is one of those, and credentials that files
// have under the URL https://index.docker.io/v1/.
const DockerHub = "docker.io"

const (
	hubAddress = "registry-1.docker.io"
	hubKey     = "index.docker.io"
)

// HostName returns the one name that a host has in this package: [DockerHub]
// for each of Docker Hub's names, and what it was given for any other.
func HostName(name string) string {
	switch name {
	case hubAddress, hubKey, "registry.hub.docker.com":
		return DockerHub
	}
	return name
}
