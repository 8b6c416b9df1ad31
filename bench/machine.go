package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// A machine is what the figures hold for.
type machine struct {
	Date, CPU, Kernel, Memory, Folders, Load string
	Cores                                    int
	Image                                    string
	Versions                                 []string
	Absent                                   []string
	Note                                     string
}

// describe asks the system and the tools.
func describe(ctx context.Context, b *bench, absent []string) machine {
	m := machine{
		Date: b.started.UTC().Format("2006-01-02 15:04 UTC"), Cores: runtime.NumCPU(), Absent: absent, Note: b.note,
		CPU: field("/proc/cpuinfo", "model name"), Memory: gigabytes(field("/proc/meminfo", "MemTotal")), Kernel: beforeDash(output(ctx, "uname", "-sr")),
		Folders: "memory on " + fileSystem(ctx, b.memory) + ", disk on " + fileSystem(ctx, b.disk),
		Image:   fmt.Sprintf("%d layers, %.0f MB", len(b.real.blobs)-1, float64(b.real.size())/1e6),
		Load:    firstWords("/proc/loadavg", 3),
	}
	for _, t := range b.tools {
		m.Versions = append(m.Versions, t.name+" "+t.says(ctx))
	}
	m.Versions = append(m.Versions, "registry: CNCF distribution "+b.src.version)
	return m
}

func (m machine) markdown() string {
	lines := []string{
		"- " + m.Date + "; load of the machine when it began: " + m.Load,
		fmt.Sprintf("- %d cores of %s, %s, %s; %s", m.Cores, m.CPU, m.Memory, m.Kernel, m.Folders),
		"- " + strings.Join(m.Versions, ", "),
		"- real image: " + m.Image,
	}
	if len(m.Absent) > 0 {
		lines = append(lines, "- not installed, so not measured: "+strings.Join(m.Absent, ", "))
	}
	if m.Note != "" {
		lines = append(lines, "- "+m.Note)
	}
	return strings.Join(lines, "\n") + "\n"
}

const unknown = "unknown"

// field finds the first line "name : value" of a file.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

// gigabytes makes "24684084 kB" readable, which counts in KiB.
func gigabytes(kib string) string {
	n, err := strconv.ParseFloat(strings.TrimSuffix(kib, " kB"), 64)
	if err != nil {
		return kib + " memory"
	}
	return fmt.Sprintf("%.0f GiB memory", n/(1<<20))
}

func firstWords(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return unknown
	}
	words := strings.Fields(string(text))
	return strings.Join(words[:min(n, len(words))], " ")
}

func fileSystem(ctx context.Context, folder string) string {
	return output(ctx, "stat", "-f", "-c", "%T", folder)
}

func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(out))
}

// beforeDash leaves out what builders append to a version.
func beforeDash(version string) string {
	version, _, _ = strings.Cut(version, "-")
	return version
}
