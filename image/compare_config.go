package image

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A SettingChange is a setting that differs between two images. One that an image
// does not have is empty there.
type SettingChange struct {
	Difference

	Name string // "env", "label", "entrypoint", …
	Key  string // of a variable, a label, a port, a volume; the number of a step
	Was  string // of A; lists are JSON
	Now  string // of B
}

// A configFile is what of a config is compared.
type configFile struct {
	history
	rootFS

	Created json.RawMessage `json:"created"` // a time that is none is none
	Author  string          `json:"author"`
	ocispec.Platform

	Config dockerspec.DockerOCIImageConfig `json:"config"`
}

func parseConfig(raw []byte) (configFile, error) {
	var f configFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, fmt.Errorf("%w: %w", err, content.ErrInvalid)
	}
	return f, nil
}

// settings are those of one image by name and key, and the names in the order in
// which they are shown.
type settings struct {
	names  []string
	values map[string]map[string]string
}

// set sets a setting that is not empty.
func (s *settings) set(name, key, value string) {
	if s.values == nil {
		s.values = map[string]map[string]string{}
	}
	if s.values[name] == nil {
		s.values[name] = map[string]string{}
		s.names = append(s.names, name)
	}
	if key != "" || value != "" {
		s.values[name][key] = value
	}
}

// strictness is what counts as a difference.
type strictness uint8

const (
	literal  strictness = iota // all
	semantic                   // not when things were made, nor the order of what has none
)

// compareConfigs returns the settings that differ.
func compareConfigs(a, b configFile, by strictness) []SettingChange {
	was, now := a.settings(by), b.settings(by)
	var all []SettingChange
	for _, name := range was.names {
		keys := maps.Clone(was.values[name])
		maps.Copy(keys, now.values[name])
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			before, had := was.values[name][key]
			after, has := now.values[name][key]
			if had != has || before != after {
				all = append(all, SettingChange{differenceOf(had, has), name, key, before, after})
			}
		}
	}
	return append(all, compareHistory(a, b, by)...)
}

// differenceOf returns how what differs does, that A and B have or do not.
func differenceOf(inA, inB bool) Difference {
	switch {
	case !inA:
		return OnlyB
	case !inB:
		return OnlyA
	}
	return Differs
}

func (f configFile) settings(by strictness) settings {
	var s settings
	c := f.Config
	s.set("platform", "", platformOf(f.Platform))
	s.set("user", "", c.User)
	s.set("workingDir", "", c.WorkingDir)
	s.set("entrypoint", "", list(c.Entrypoint))
	s.set("cmd", "", list(c.Cmd))
	s.set("shell", "", list(c.Shell))
	s.set("stopSignal", "", c.StopSignal)
	s.set("healthcheck", "", object(c.Healthcheck))
	s.set("onBuild", "", list(c.OnBuild))
	s.setEnv(c.Env, by)
	s.set("label", "", "")
	for key, value := range c.Labels {
		s.set("label", key, value)
	}
	s.set("port", "", "")
	for port := range c.ExposedPorts {
		s.set("port", port, "")
	}
	s.set("volume", "", "")
	for path := range c.Volumes {
		s.set("volume", path, "")
	}
	s.set("author", "", f.Author)
	if by == literal {
		s.set("created", "", strings.Trim(string(f.Created), `"`))
	}
	return s
}

// setEnv sets variables, and their order where that counts.
func (s *settings) setEnv(env []string, by strictness) {
	s.set("env", "", "")
	var order []string
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		s.set("env", name, value)
		order = append(order, name)
	}
	s.set("envOrder", "", "")
	if by == literal {
		s.set("envOrder", "", list(order))
	}
}

func platformOf(p ocispec.Platform) string {
	text := content.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}.String()
	return strings.TrimSpace(text + " " + p.OSVersion + " " + strings.Join(p.OSFeatures, ","))
}

// list returns a list as JSON, nothing for none.
func list(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return object(all)
}

// object returns v as JSON, nothing for what is not there.
func object(v any) string {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil || text.String() == "null\n" {
		return ""
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// compareHistory returns the steps that differ: those between the first that are
// the same in both and the last ones that are.
func compareHistory(a, b configFile, by strictness) []SettingChange {
	was, now := a.lines(by), b.lines(by)
	first := 0
	for first < len(was) && first < len(now) && was[first] == now[first] {
		first++
	}
	endA, endB := len(was), len(now)
	for endA > first && endB > first && was[endA-1] == now[endB-1] {
		endA--
		endB--
	}
	var all []SettingChange
	for i := first; i < max(endA, endB); i++ {
		change := SettingChange{Difference: differenceOf(i < endA, i < endB), Name: "history", Key: strconv.Itoa(i + 1)}
		if i < endA {
			change.Was = was[i]
		}
		if i < endB {
			change.Now = now[i]
		}
		all = append(all, change)
	}
	return all
}

// lines returns a line for each step, the oldest first.
func (f configFile) lines(by strictness) []string {
	all := make([]string, len(f.History))
	for i, step := range f.History {
		all[i] = cmp.Or(step.CreatedBy, step.Comment, "(nothing said)")
		if by == literal && !time.Time(step.Created).IsZero() {
			all[i] += " (" + time.Time(step.Created).UTC().Format(time.RFC3339) + ")"
		}
	}
	return all
}
