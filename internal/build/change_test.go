package build_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/build"
)

func settings(c ocispec.ImageConfig) build.Config { return build.Config{ImageConfig: c} }

func TestChangesMeanWhatTheyMeanToDocker(t *testing.T) {
	var set struct{}
	docker := func(d dockerspec.DockerOCIImageConfigExt) build.Config {
		return build.Config{DockerOCIImageConfigExt: d}
	}
	tests := []struct {
		name    string
		changes []string
		want    build.Config
	}{
		{"nothing", nil, build.Config{}},
		{"a command", []string{`CMD ["nginx", "-g", "daemon off;"]`}, settings(ocispec.ImageConfig{Cmd: []string{"nginx", "-g", "daemon off;"}})},
		{"a command for the shell", []string{"cmd nginx -g 'daemon off;'"}, settings(ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", "nginx -g 'daemon off;'"}})},
		{"single quotes are no JSON", []string{`CMD ['nginx', '-g', 'daemon off;']`}, settings(ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", "['nginx', '-g', 'daemon off;']"}})},
		{"an entrypoint takes away no command that was set", []string{"CMD [\"b\"]", "ENTRYPOINT [\"a\"]"}, settings(ocispec.ImageConfig{Entrypoint: []string{"a"}, Cmd: []string{"b"}})},
		{"variables", []string{"ENV A=1 B='two words'", "ENV A=3", "ENV C $A$B", "ENV D=${E:-none}"}, settings(ocispec.ImageConfig{Env: []string{"A=3", "B=two words", "C=3two words", "D=none"}})},
		{"labels", []string{"LABEL a=1 b=2", `LABEL a="x y"`}, settings(ocispec.ImageConfig{Labels: map[string]string{"a": "x y", "b": "2"}})},
		{"ports", []string{"ENV P='81 82'", "EXPOSE 80 53/UDP 8000-8002/tcp $P 8080:90"}, settings(ocispec.ImageConfig{
			Env:          []string{"P=81 82"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}, "81/tcp": {}, "82/tcp": {}, "90/tcp": {}},
		})},
		{"volumes", []string{`VOLUME ["/data", "/log"]`, "VOLUME /x"}, settings(ocispec.ImageConfig{Volumes: map[string]struct{}{"/data": set, "/log": set, "/x": set}})},
		{"folders", []string{"WORKDIR /a/../b", "WORKDIR c", "WORKDIR ../d"}, settings(ocispec.ImageConfig{WorkingDir: "/b/d"})},
		{"user and signal", []string{"USER app:app", "STOPSIGNAL SIGRTMIN+3"}, settings(ocispec.ImageConfig{User: "app:app", StopSignal: "SIGRTMIN+3"})},
		{"a signal in small letters", []string{"STOPSIGNAL sigterm"}, settings(ocispec.ImageConfig{StopSignal: "sigterm"})},
		{"a signal without SIG", []string{"STOPSIGNAL RTMAX-14"}, settings(ocispec.ImageConfig{StopSignal: "RTMAX-14"})},
		{"several lines", []string{"USER 1\n# a comment\nSTOPSIGNAL 9"}, settings(ocispec.ImageConfig{User: "1", StopSignal: "9"})},
		{"for whoever builds on it", []string{"ONBUILD RUN make"}, docker(dockerspec.DockerOCIImageConfigExt{OnBuild: []string{"RUN make"}})},
		{"health", []string{"HEALTHCHECK --interval=5s --retries=2 CMD curl -f localhost"}, docker(dockerspec.DockerOCIImageConfigExt{
			Healthcheck: &dockerspec.HealthcheckConfig{Test: []string{"CMD-SHELL", "curl -f localhost"}, Interval: 5 * time.Second, Retries: 2},
		})},
		{"no health", []string{"HEALTHCHECK NONE"}, docker(dockerspec.DockerOCIImageConfigExt{Healthcheck: &dockerspec.HealthcheckConfig{Test: []string{"NONE"}}})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got build.Config
			if err := build.Change(&got, "linux", tt.changes...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChangesStartFromWhatIsThere(t *testing.T) {
	c := settings(ocispec.ImageConfig{Cmd: []string{"old"}, Env: []string{"A=1"}, WorkingDir: "/w"})
	if err := build.Change(&c, "linux", `ENTRYPOINT ["new"]`, "WORKDIR $A"); err != nil {
		t.Fatal(err)
	}
	want := settings(ocispec.ImageConfig{Entrypoint: []string{"new"}, Env: []string{"A=1"}, WorkingDir: "/w/1"})
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	c = build.Config{}
	if err := build.Change(&c, "windows", "CMD dir"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"cmd", "/S", "/C", "dir"}, c.Cmd); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoChangeIsRefused(t *testing.T) {
	tests := []struct{ change, want string }{
		{"RUN rm -rf /", `"RUN rm -rf /": "RUN" is no instruction that changes a config; those are CMD, ENTRYPOINT, ENV`},
		{"FORM scratch", `"FORM" is no instruction`},
		{"FROM scratch", `"FROM" is no instruction`},
		{"USER 1\nCOPY a b", `"COPY" is no instruction`},
		{"", `file with no instructions`},
		{"ENV", "ENV requires at least one argument"},
		{"ENV A", "ENV must have two arguments"},
		{"LABEL =x", "LABEL names can not be blank"},
		{"EXPOSE http", `"http" is no port`},
		{"EXPOSE 70000", `"70000" is no port`},
		{"EXPOSE 9-8", `"9-8" is no port`},
		{"EXPOSE 99999999999999999999", "is no port"},
		{"STOPSIGNAL now!", `"now!" is no signal`},
		{"STOPSIGNAL foo", `"foo" is no signal`},
		{"STOPSIGNAL SIGFOO", `"SIGFOO" is no signal`},
		{"STOPSIGNAL 0", `"0" is no signal`},
		{"STOPSIGNAL 65", `"65" is no signal`},
		{"STOPSIGNAL RTMIN+16", `"RTMIN+16" is no signal`},
		{"STOPSIGNAL RTMAX--1", `"RTMAX--1" is no signal`},
		{"ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"},
		{"HEALTHCHECK", "HEALTHCHECK requires at least one argument"},
		{"ENV A=${B:?it is missing}", "it is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.change, func(t *testing.T) {
			err := build.Change(&build.Config{}, "linux", tt.change)
			if _, ok := errors.AsType[*build.ChangeError](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func FuzzChange(f *testing.F) {
	for _, seed := range []string{"CMD ['a']", "ENV A=${B:-$C}", "EXPOSE 1-65535/udp", "HEALTHCHECK --interval=1s CMD x", "# escape=`\nLABEL a=b", "ENV A=<<EOF\nx\nEOF"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, change string) {
		err := build.Change(&build.Config{}, "linux", change)
		if _, ok := errors.AsType[*build.ChangeError](err); err != nil && !ok {
			t.Errorf("no ChangeError: %v", err)
		}
	})
}
