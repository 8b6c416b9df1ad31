package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A foreignVerb is a command of docker that is about something wherry does not have,
// or does not do yet.
type foreignVerb struct {
	words string // "ps", "container prune"
	lacks string // what it is about
	use   string // what does it; "" where there is nothing to be done
}

const (
	lacksContainers = "wherry has no containers"
	lacksNetworks   = "wherry has no networks"
	lacksVolumes    = "wherry has no volumes"
	lacksSwarm      = "wherry has no swarm"
	lacksCache      = "wherry has no build cache"
	lacksDaemon     = "wherry has no daemon"
	lacksBuild      = "wherry builds no images yet"
	lacksTrust      = "wherry neither signs nor verifies signatures yet"
	lacksScan       = "wherry does not scan images yet"
)

// foreignVerbs are all of them. Of the words of a command line the longest row that
// they begin with counts.
var foreignVerbs = []foreignVerb{
	{"attach", lacksContainers, "podman attach, nerdctl attach or docker attach"},
	{"commit", lacksContainers, "podman commit, nerdctl commit or docker commit; nothing here makes an image of a container"},
	{"container", lacksContainers, "podman container, nerdctl container or docker container"},
	{"container prune", lacksContainers + ", so there is nothing to prune", ""},
	{"create", lacksContainers, "podman create, nerdctl create or docker create"},
	{"events", lacksContainers, "podman events, nerdctl events or docker events"},
	{"exec", lacksContainers, "podman exec, nerdctl exec or docker exec"},
	{"kill", lacksContainers, "podman kill, nerdctl kill or docker kill"},
	{"logs", lacksContainers, "podman logs, nerdctl logs or docker logs"},
	{"pause", lacksContainers, "podman pause, nerdctl pause or docker pause"},
	{"port", lacksContainers, "podman port, nerdctl port or docker port"},
	{"ps", lacksContainers, "podman ps, nerdctl ps or docker ps"},
	{"rename", lacksContainers, "podman rename, nerdctl rename or docker rename; for images wherry copy"},
	{"restart", lacksContainers, "podman restart, nerdctl restart or docker restart"},
	{"run", lacksContainers, "podman run, nerdctl run or docker run"},
	{"start", lacksContainers, "podman start, nerdctl start or docker start"},
	{"stats", lacksContainers, "podman stats, nerdctl stats or docker stats"},
	{"stop", lacksContainers, "podman stop, nerdctl stop or docker stop"},
	{"top", lacksContainers, "podman top, nerdctl top or docker top"},
	{"unpause", lacksContainers, "podman unpause, nerdctl unpause or docker unpause"},
	{"update", lacksContainers, "podman update, nerdctl update or docker update"},
	{"wait", lacksContainers, "podman wait, nerdctl wait or docker wait"},
	{"compose", lacksContainers, "podman compose, nerdctl compose or docker compose"},

	{"network", lacksNetworks, "podman network, nerdctl network or docker network"},
	{"network prune", lacksNetworks + ", so there is nothing to prune", ""},
	{"volume", lacksVolumes, "podman volume, nerdctl volume or docker volume"},
	{"volume prune", lacksVolumes + ", so there is nothing to prune", ""},

	{"node", lacksSwarm, "docker node"},
	{"secret", lacksSwarm, "podman secret or docker secret"},
	{"service", lacksSwarm, "docker service"},
	{"stack", lacksSwarm, "docker stack"},
	{"swarm", lacksSwarm, "docker swarm"},

	{"build", lacksBuild, "buildah build, podman build or docker build, and wherry load for what they save"},
	{"builder", "wherry has no builder", "buildah, nerdctl builder or docker builder"},
	{"builder build", lacksBuild, "buildah build, podman build or docker builder build"},
	{"builder prune", lacksCache + ", so there is nothing to prune", ""},
	{"buildx", "wherry has no builder", "buildah, nerdctl build or docker buildx"},
	{"buildx build", lacksBuild, "buildah build, nerdctl build or docker buildx build"},
	{"buildx imagetools", "wherry needs no builder for that", "wherry inspect, wherry manifest create or wherry copy"},
	{"buildx imagetools create", "wherry needs no builder for that", "wherry manifest create and wherry manifest push"},
	{"buildx imagetools inspect", "wherry needs no builder for that", "wherry inspect --compat buildx"},
	{"buildx prune", lacksCache + ", so there is nothing to prune", ""},

	{"scan", lacksScan, "trivy image, grype or docker scout cves"},
	{"scout", lacksScan, "trivy image, grype or docker scout"},
	{"trust", lacksTrust, "cosign or docker trust"},
	{"trust inspect", lacksTrust, "cosign verify or docker trust inspect; wherry tree lists the signatures there are"},
	{"trust sign", lacksTrust, "cosign sign or docker trust sign"},

	{"context", lacksDaemon + " to be told where it is", "docker context"},
	{"plugin", lacksDaemon + " that could have plugins", "docker plugin"},
}

// line says what a foreign verb is answered with.
func (v foreignVerb) line() string {
	line := v.words + ": " + v.lacks
	if v.use != "" {
		line += "; use " + v.use
	}
	return line
}

// foreign returns the row for the words of a command line.
func foreign(words []string) (foreignVerb, bool) {
	var best foreignVerb
	for _, v := range foreignVerbs {
		row := strings.Fields(v.words)
		if len(words) >= len(row) && slices.Equal(words[:len(row)], row) && len(v.words) > len(best.words) {
			best = v
		}
	}
	return best, best.words != ""
}

// newForeignVerbs returns a hidden command for each, which answers whatever stands
// behind it: flags are not read.
func newForeignVerbs() []*cobra.Command {
	var cmds []*cobra.Command
	for _, v := range foreignVerbs {
		if strings.Contains(v.words, " ") {
			continue
		}
		cmds = append(cmds, newForeignVerb(v.words))
	}
	return cmds
}

// newForeignVerb is one of [newForeignVerbs], which may stand behind a noun as well.
func newForeignVerb(name string) *cobra.Command {
	cmd := &cobra.Command{
		Use:                name,
		Hidden:             true,
		DisableFlagParsing: true,
		ValidArgsFunction:  cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, _ := foreign(append([]string{cmd.Name()}, args...))
			return usagef("%s", v.line())
		},
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		v, _ := foreign([]string{cmd.Name()})
		_ = helpForeign(cmd.OutOrStdout(), v) // a help function has no error
	})
	return cmd
}

// helpForeign answers `wherry help` about a foreign verb.
func helpForeign(w io.Writer, v foreignVerb) error {
	_, err := fmt.Fprintln(w, v.line())
	return err
}
