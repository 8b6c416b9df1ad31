package cli

import (
	"fmt"
	"strings"

	"github.com/wherry-dev/wherry/registry"
)

// A printout is text in docker info's layout: a blank more for each level.
type printout struct{ lines []string }

func (p *printout) add(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

// list adds a title and what stands below it, nothing where there is nothing.
func (p *printout) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	p.add(" %s:", title)
	for _, item := range items {
		p.add("  %s", item)
	}
}

// said adds what has a value.
func (p *printout) said(name, value string) {
	if value != "" {
		p.add(" %s: %s", name, value)
	}
}

// lines are what docker info prints, as far as there is something of the kind
// without a daemon, and which files say something.
func (i *InfoResult) lines() []string {
	p := &printout{}
	p.add("Client:")
	p.add(" Version:    %s", i.ClientInfo.Version)
	p.add(" Go version: %s", i.ClientInfo.GoVersion)
	p.add(" OS/Arch:    %s/%s", i.ClientInfo.Os, i.ClientInfo.Arch)
	p.add(" Debug Mode: %t", i.ClientInfo.Debug)
	p.add("")
	p.add("Server: none is needed")
	p.add(" Images: %d", i.Images)
	p.said("Storage Driver", i.Driver)
	for _, pair := range i.DriverStatus {
		p.add("  %s", strings.Join(pair, ": "))
	}
	p.said("Store Folder", i.DockerRootDir)
	p.said("OSType", i.OSType)
	p.said("Architecture", i.Architecture)
	p.add(" CPUs: %d", i.NCPU)
	p.said("HTTP Proxy", i.HTTPProxy)
	p.said("HTTPS Proxy", i.HTTPSProxy)
	p.said("No Proxy", i.NoProxy)

	indexes := i.RegistryConfig.sortedIndexes()
	var insecure []string
	for _, one := range indexes {
		if !one.Secure {
			insecure = append(insecure, one.Name)
		}
	}
	p.list("Insecure Registries", append(insecure, i.RegistryConfig.InsecureRegistryCIDRs...))
	p.list("Registry Mirrors", i.RegistryConfig.Mirrors)
	for _, one := range indexes {
		if one.Name != registry.DockerHub {
			p.list("Registry Mirrors of "+one.Name, one.Mirrors)
		}
	}

	var files []string
	for _, file := range i.Files {
		files = append(files, file.line())
	}
	p.list("Configuration Files", files)
	p.said("Files of podman, containerd and docker", i.leftAlone())
	p.said("State Folder", i.StateFolder)
	return p.lines
}

func (i *InfoResult) leftAlone() string {
	if i.OwnOnly == "" {
		return ""
	}
	return "left alone (" + i.OwnOnly + ")"
}

// line says what a file has.
func (f InfoFile) line() string {
	if f.Unread != "" {
		return f.Path + ": not read: " + f.Unread
	}
	var said []string
	for _, one := range []struct {
		n          int
		word, many string
	}{{f.Registries, "registry", "registries"}, {f.Mirrors, "mirror", "mirrors"}, {f.ShortNames, "short name", "short names"}} {
		switch one.n {
		case 0:
		case 1:
			said = append(said, "1 "+one.word)
		default:
			said = append(said, fmt.Sprintf("%d %s", one.n, one.many))
		}
	}
	if len(said) == 0 {
		return f.Path + ": nothing about registries"
	}
	return f.Path + ": " + strings.Join(said, ", ")
}
