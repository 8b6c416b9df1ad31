package content_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func TestParsePlatform(t *testing.T) {
	tests := []struct {
		in   string
		want content.Platform
	}{
		{"linux/amd64", content.Platform{OS: "linux", Architecture: "amd64"}},
		{"linux/arm/v7", content.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
		{"linux/arm64", content.Platform{OS: "linux", Architecture: "arm64"}},
		{"linux/arm64/v8", content.Platform{OS: "linux", Architecture: "arm64"}},
		{"linux/arm64/v9", content.Platform{OS: "linux", Architecture: "arm64", Variant: "v9"}},
		{"Linux/x86_64", content.Platform{OS: "linux", Architecture: "amd64"}},
		{"linux/x86-64", content.Platform{OS: "linux", Architecture: "amd64"}},
		{"linux/aarch64", content.Platform{OS: "linux", Architecture: "arm64"}},
		{"linux/armhf", content.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
		{"linux/armel", content.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}},
		{"linux/i386", content.Platform{OS: "linux", Architecture: "386"}},
		{"windows/amd64", content.Platform{OS: "windows", Architecture: "amd64"}},
		{"linux/*", content.Platform{OS: "linux", Architecture: "*"}},
		{"*/*", content.Platform{OS: "*", Architecture: "*"}},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := content.ParsePlatform(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
			again, err := content.ParsePlatform(got.String())
			if err != nil || again != got {
				t.Errorf("%s read again is %+v, %v", got, again, err)
			}
		})
	}
}

func TestWrongPlatformsAreRefused(t *testing.T) {
	for _, in := range []string{
		"", "linux", "all", "/", "linux/", "/amd64", "linux//v7", "linux/arm/", "linux/arm/v7/x", "linux amd64", "linux/a b",
		"linux/amd64\n", "linux/am\x1b[2Jd64", "linux/ämd64", "linux/amd64,linux/arm64", strings.Repeat("x", 1<<20),
	} {
		got, err := content.ParsePlatform(in)
		if !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%.40q gave %+v, %v; want invalid content", in, got, err)
			continue
		}
		oneLine(t, err)
	}
}

func TestPlatformMatches(t *testing.T) {
	tests := []struct {
		asked, got string
		want       bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/amd64", "linux/arm64", false},
		{"linux/amd64", "windows/amd64", false},
		{"linux/amd64", "linux/amd64/v3", true},
		{"linux/amd64/v3", "linux/amd64", false},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm64/v8", "linux/arm64", true},
		{"linux/arm64/v9", "linux/arm64", false},
		{"linux/arm", "linux/arm/v6", true},
		{"linux/arm/v7", "linux/arm/v6", false},
		{"linux/x86_64", "linux/amd64", true},
		{"linux/*", "linux/s390x", true},
		{"linux/*", "windows/amd64", false},
		{"*/amd64", "windows/amd64", true},
	}
	for _, tt := range tests {
		asked, err := content.ParsePlatform(tt.asked)
		got, gerr := content.ParsePlatform(tt.got)
		if err != nil || gerr != nil {
			t.Fatal(err, gerr)
		}
		if asked.Matches(got) != tt.want {
			t.Errorf("%s matches %s: %t, want %t", tt.asked, tt.got, !tt.want, tt.want)
		}
	}
	if p := content.HostPlatform(); !p.Matches(p) || p.Architecture == "" {
		t.Errorf("HostPlatform() = %+v", p)
	}
}

// platformed returns a child of digest number n for a platform in JSON.
func platformed(n int, platform, more string) string {
	if platform != "" {
		platform = `,"platform":` + platform
	}
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":3%s%s}`, ociManifest, digest.FromString(fmt.Sprint(n)), platform, more)
}

func TestPickPlatform(t *testing.T) {
	const attestation = `,"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`
	children := []string{
		platformed(0, "", ""),
		platformed(1, `{"os":"unknown","architecture":"unknown"}`, attestation),
		platformed(2, `{"os":"linux","architecture":"arm64","variant":"v8"}`, ""),
		platformed(3, `{"os":"linux","architecture":"amd64"}`, ""),
		platformed(4, `{"os":"linux","architecture":"amd64"}`, ""),
		platformed(5, `{"os":"linux","architecture":"arm","variant":"v6"}`, ""),
		platformed(6, `{"os":"linux","architecture":"arm","variant":"v7"}`, ""),
		platformed(7, `{"os":"linux","architecture":"riscv64"}`, attestation),
	}
	m, err := content.ParseManifest("", []byte(index(strings.Join(children, ","), "")), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		asked string
		want  int // number of the child; -1 for none
	}{
		{"linux/amd64", 3},
		{"linux/arm64", 2},
		{"linux/arm64/v8", 2},
		{"linux/arm", 6},
		{"linux/arm/v7", 6},
		{"linux/*", 2},
		{"linux/s390x", -1},
		{"linux/riscv64", -1},
		{"unknown/unknown", -1},
	}
	for _, tt := range tests {
		t.Run(tt.asked, func(t *testing.T) {
			p, err := content.ParsePlatform(tt.asked)
			if err != nil {
				t.Fatal(err)
			}
			got, err := content.PickPlatform(m, p)
			if tt.want >= 0 {
				if want := digest.FromString(fmt.Sprint(tt.want)); err != nil || got.Digest != want {
					t.Errorf("got %v, %v; want child %d", got.Digest, err, tt.want)
				}
				return
			}
			const choices = "linux/arm64, linux/amd64, linux/amd64, linux/arm/v6, linux/arm/v7"
			if !errors.Is(err, content.ErrNotFound) || !strings.Contains(err.Error(), choices) {
				t.Errorf("got %v, %v; want not found, with the choices %s", got, err, choices)
			}
		})
	}
}

func TestPickPlatformGoesByTheVariant(t *testing.T) {
	tests := []struct {
		asked, index string
		want         int // number of the child; -1 for none
	}{
		{"linux/arm/v6", "linux/arm/v7 linux/arm/v6", 1},
		{"linux/arm/v7", "linux/arm/v6 linux/arm/v7", 1},
		{"linux/arm/v6", "linux/arm/v7 linux/arm/v5", 1},
		{"linux/arm/v8", "linux/arm/v5 linux/arm/v7 linux/arm/v6", 1},
		{"linux/arm/v6", "linux/arm/v7", -1},
		{"linux/arm/v6", "linux/arm", -1},
		{"linux/arm/v5", "linux/arm/v6 linux/arm/v4", -1},
		{"linux/arm/v7", "linux/arm/v4", -1},
		{"linux/arm/v4", "linux/arm/v4", 0},
		{"linux/arm/v7", "linux/arm/v6 linux/arm", 1},
		{"linux/arm/7", "linux/arm/v6 linux/arm/v7", 1},
		{"linux/arm", "linux/arm/v8 linux/arm/v6 linux/arm/v7 linux/arm", 2},
		{"linux/arm", "linux/arm/v8", -1},
		{"linux/arm", "linux/arm64", -1},
		{"linux/arm/v7", "windows/arm/v7", -1},
		{"linux/arm/soft", "linux/arm/v7 linux/arm/soft", 1},
		{"linux/arm/v99999999999999999999", "linux/arm/v7", -1},
		{"linux/arm64", "linux/arm64/v8", 0},
		{"linux/arm64", "linux/arm64 linux/arm64/v8", 0},
		{"linux/arm64", "linux/arm64/v9 linux/arm64", 1},
		{"linux/arm64", "linux/arm64/v9", -1},
		{"linux/arm64", "linux/arm64/v8.1", -1},
		{"linux/arm64/v8.2", "linux/arm64 linux/arm64/v8.1 linux/arm64/v8.3", 1},
		{"linux/arm64/v9", "linux/arm64/v8 linux/arm64/v8.6 linux/arm64/v8.5", 2},
		{"linux/arm64/v9.1", "linux/arm64/v8.6 linux/arm64/v9 linux/arm64/v9.2", 1},
		{"linux/arm64", "linux/arm/v6 linux/arm/v7 linux/arm64", 2},
		{"linux/arm64", "linux/arm/v6 linux/arm/v7", -1},
		{"linux/arm64/v9", "linux/arm/v8", -1},
		{"linux/arm64/odd", "linux/arm/v7", -1},
		{"linux/amd64", "linux/amd64/v3 linux/amd64", 1},
		{"linux/amd64", "linux/amd64/v3 linux/amd64/v1", 1},
		{"linux/amd64", "linux/amd64/v3 linux/amd64/v2", 0},
		{"linux/amd64/v3", "linux/amd64 linux/amd64/v2 linux/amd64/v4", 1},
		{"linux/amd64/v3", "linux/amd64/v4", -1},
		{"linux/amd64", "linux/386", -1},
		{"linux/ppc64le/power9", "linux/ppc64le/power8 linux/ppc64le", -1},
		{"linux/ppc64le", "linux/ppc64le/power9 linux/ppc64le/power8", 0},
		{"linux/*", "windows/amd64 linux/arm/v5 linux/arm/v7", 1},
	}
	for _, tt := range tests {
		t.Run(tt.asked+" of "+tt.index, func(t *testing.T) {
			asked, err := content.ParsePlatform(tt.asked)
			if err != nil {
				t.Fatal(err)
			}
			got, err := content.PickPlatform(indexFor(t, strings.Fields(tt.index)...), asked)
			if tt.want < 0 {
				if !errors.Is(err, content.ErrNotFound) {
					t.Errorf("got %v, %v; want none", got.Platform, err)
				}
				return
			}
			if want := digest.FromString(fmt.Sprint(tt.want)); err != nil || got.Digest != want {
				t.Errorf("got %+v, %v; want child %d", got.Platform, err, tt.want)
			}
		})
	}
}

// indexFor returns an index of children number 0 and on for platforms.
func indexFor(t *testing.T, platforms ...string) content.Manifest {
	t.Helper()
	var children []string
	for n, s := range platforms {
		parts := append(strings.Split(s, "/"), "")
		children = append(children, platformed(n, fmt.Sprintf(`{"os":%q,"architecture":%q,"variant":%q}`, parts[0], parts[1], parts[2]), ""))
	}
	m, err := content.ParseManifest("", []byte(index(strings.Join(children, ","), "")), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheVariantOfAnARMIsTheOneOfItsCPU(t *testing.T) {
	const cpu = "processor\t: 0\nmodel name\t: %s\nBogoMIPS\t: 38.40\nFeatures\t: half thumb\nCPU implementer\t: 0x41\nCPU architecture: %s\nCPU variant\t: 0x0\n\n"
	tests := []struct{ name, cpuinfo, want string }{
		{"a Raspberry Pi 3", fmt.Sprintf(cpu, "ARMv7 Processor rev 4 (v7l)", "7"), "v7"},
		{"a Raspberry Pi Zero, which Linux takes for a 7", fmt.Sprintf(cpu, "ARMv6-compatible processor rev 7 (v6l)", "7"), "v6"},
		{"the same on an old Linux", "Processor\t: ARMv6-compatible processor rev 7 (v6l)\nCPU architecture: 7\n", "v6"},
		{"a 32-bit system on a 64-bit CPU", fmt.Sprintf(cpu, "ARMv8 Processor rev 3 (v8l)", "8"), "v8"},
		{"another spelling of that", fmt.Sprintf(cpu, "x", "AArch64"), "v8"},
		{"an ARM926", fmt.Sprintf(cpu, "ARM926EJ-S rev 5 (v5l)", "5TEJ"), "v5"},
		{"an architecture without a name", fmt.Sprintf(cpu, "x", "?(15)"), "v7"},
		{"an emulator's host", "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\n", ""},
		{"an architecture that nobody knows", fmt.Sprintf(cpu, "x", "unknown"), ""},
		{"no value", "CPU architecture\n", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := content.ARMVariant(tt.cpuinfo); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPickPlatformOfHostileChildrenHasOneLine(t *testing.T) {
	many := repeat(platformed(0, `{"os":"\u001b[2Jx\n","architecture":"y"}`, ""), 1000)
	m, err := content.ParseManifest("", []byte(index(many, "")), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = content.PickPlatform(m, content.Platform{OS: "linux", Architecture: "amd64"})
	if !errors.Is(err, content.ErrNotFound) {
		t.Fatalf("got %v, want not found", err)
	}
	oneLine(t, err)
}

func TestPlatformOfSpellsAsGoDoes(t *testing.T) {
	got := content.PlatformOf(ocispec.Platform{OS: "linux", Architecture: "aarch64", Variant: "v8"})
	if want := (content.Platform{OS: "linux", Architecture: "arm64"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
