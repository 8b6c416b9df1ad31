package doctor_test

import (
	"testing"

	"github.com/wherry-dev/wherry/internal/doctor"
)

func TestWhatLooksLikeAKnownRegistry(t *testing.T) {
	for host, want := range map[string]string{
		"ghrc.io": "ghcr.io", "ghcr.oi": "ghcr.io", "ghcr.com": "ghcr.io", "gchr.io": "ghcr.io", "GHRC.io": "ghcr.io", "ghrc.io:443": "ghcr.io",
		"quai.io": "quay.io", "dokcer.io": "docker.io", "docker.com": "docker.io", "gcrr.io": "gcr.io", "mcr.micros0ft.com": "mcr.microsoft.com",
		"mcr.rnicrosoft.com": "mcr.microsoft.com", "public.ecr.aw": "public.ecr.aws", "registry.k8s.com": "registry.k8s.io",

		"docker.io": "", "ghcr.io": "", "ghcr.io:443": "", "gcr.io": "", "icr.io": "", "us.gcr.io": "", "lscr.io": "",
		"registry.example.com": "", "localhost:5000": "", "127.0.0.1:5000": "", "[::1]:5000": "", "harbor.corp": "", "": "",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com": "", "registry.gitlab.example.com": "",
	} {
		if got := doctor.LooksLike(host); got != want {
			t.Errorf("%s looks like %q, want %q", host, got, want)
		}
	}
}
