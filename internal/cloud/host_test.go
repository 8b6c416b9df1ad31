package cloud_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/cloud"
)

// registries are hosts that clouds run.
var registries = map[string]cloud.Registry{
	"123456789012.dkr.ecr.us-east-1.amazonaws.com":                    cloud.ECR,
	"123456789012.dkr.ecr.us-gov-west-1.amazonaws.com":                cloud.ECR,
	"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com":           cloud.ECR,
	"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":                cloud.ECR,
	"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu":                cloud.ECR,
	"123456789012.dkr-ecr.eu-central-2.on.aws":                        cloud.ECR,
	"123456789012.dkr-ecr-fips.us-east-2.on.aws":                      cloud.ECR,
	"123456789012.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn": cloud.ECR,
	"public.ecr.aws":                         cloud.ECRPublic,
	"us-docker.pkg.dev":                      cloud.Google,
	"europe-docker.pkg.dev":                  cloud.Google,
	"northamerica-northeast1-docker.pkg.dev": cloud.Google,
	"gcr.io":                                 cloud.Google,
	"us.gcr.io":                              cloud.Google,
	"eu.gcr.io":                              cloud.Google,
	"asia.gcr.io":                            cloud.Google,
	"contoso.azurecr.io":                     cloud.Azure,
	"contoso-abc123def.azurecr.io":           cloud.Azure,
	"contoso.azurecr.cn":                     cloud.Azure,
	"contoso.azurecr.us":                     cloud.Azure,
}

// strangers are hosts that clouds do not run, or not as registries.
var strangers = []string{
	"", ".", "docker.io", "localhost:5000", "amazonaws.com", "pkg.dev", "azurecr.io", "ecr.aws", "on.aws",
	"12345678901.dkr.ecr.us-east-1.amazonaws.com", "1234567890123.dkr.ecr.us-east-1.amazonaws.com", "dkr.ecr.us-east-1.amazonaws.com",
	"123456789012.dkr.ecr.us-east-1.amazonaws.com.cn", "123456789012.dkr.ecr.cn-north-1.amazonaws.com", "123456789012.dkr.ecr.us-east-1.amazonaws.eu",
	"123456789012.dkr.ecr.us-east-1.on.aws", "123456789012.dkr-ecr.us-east-1.amazonaws.com", "123456789012.dkr-ecr.us-east-1.on.amazonwebservices.com.cn",
	"123456789012.dkr.ecr.evil.amazonaws.com", "123456789012.dkr.ecr.us-east-1.evil.amazonaws.com", "123456789012.dkr.ecr.amazonaws.com",
	"123456789012.dkr.ecr.us-east-1.elb.amazonaws.com", "123456789012.dkrXecr.us-east-1.amazonaws.com", "123456789012xdkr.ecr.us-east-1.amazonaws.com",
	"api.ecr.us-east-1.amazonaws.com", "gallery.ecr.aws", "public.ecr.aws.amazonaws.com", "xpublic.ecr.aws",
	"docker.pkg.dev", "-docker.pkg.dev", "us-python.pkg.dev", "us--docker.pkg.dev", "us.docker.pkg.dev", "evil.us-docker.pkg.dev", "us-docker-pkg.dev",
	"evil.gcr.io", "k8s.gcr.io", "us-gcr.io", "gcr.io.gcr.io", "usgcr.io", "africa.gcr.io", "us.us.gcr.io",
	"evil.azurecr.io.attacker.com", "contoso.azurecr.de", "contosoazurecr.io", "contoso.eastus.data.azurecr.io", "a.azurecr.io", "con_toso.azurecr.io",
	"contoso-.azurecr.io", "-contoso.azurecr.io", "contoso-a-b.azurecr.io", "evil.contoso.azurecr.io",
}

// tricks make of the name of a registry another name that looks like it.
var tricks = map[string]func(host string) string{
	"a suffix":               func(h string) string { return h + ".attacker.com" },
	"a suffix without a dot": func(h string) string { return h + "x" },
	"a prefix":               func(h string) string { return "attacker.com." + h },
	"a prefix and a hyphen":  func(h string) string { return "attacker-x-" + h },
	"an infix":               func(h string) string { return strings.Replace(h, ".", ".attacker.", 1) },
	"an infix at the end":    func(h string) string { i := strings.LastIndex(h, "."); return h[:i] + ".attacker" + h[i:] },
	"user information":       func(h string) string { return h + "@attacker.com" },
	"a user":                 func(h string) string { return "user:password@" + h },
	"a trailing dot":         func(h string) string { return h + "." },
	"a leading dot":          func(h string) string { return "." + h },
	"a port":                 func(h string) string { return h + ":443" },
	"another port":           func(h string) string { return h + ":8443" },
	"an empty port":          func(h string) string { return h + ":" },
	"upper case":             strings.ToUpper,
	"one letter in upper case": func(h string) string {
		return strings.Replace(h, "r", "R", 1)
	},
	"another dot":         func(h string) string { return strings.ReplaceAll(h, ".", "。") },
	"a letter that folds": func(h string) string { return strings.Replace(h, "r", "ſ", 1) },
	"a Cyrillic letter": func(h string) string {
		return strings.Replace(h, "c", "\u0441", 1)
	},
	"punycode":               func(h string) string { return "xn--" + h },
	"a scheme":               func(h string) string { return "https://" + h },
	"a path":                 func(h string) string { return h + "/v2/" },
	"a backslash":            func(h string) string { return h + `\.attacker.com` },
	"a query":                func(h string) string { return "attacker.com?" + h },
	"a fragment":             func(h string) string { return "attacker.com#" + h },
	"a newline behind":       func(h string) string { return h + "\n" },
	"a newline before":       func(h string) string { return "attacker.com\n" + h },
	"a NUL":                  func(h string) string { return h + "\x00.attacker.com" },
	"a blank":                func(h string) string { return h + " " },
	"a percent sign":         func(h string) string { return strings.Replace(h, ".", "%2e", 1) },
	"a letter without width": func(h string) string { return h + "\u200b" },
	"twice":                  func(h string) string { return h + "." + h },
}

func TestARegistryOfACloudIsKnownByItsExactName(t *testing.T) {
	for host, want := range registries {
		if got := cloud.RegistryOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
		if want.Helper() == "" {
			t.Errorf("%s has no helper", want)
		}
	}
	for _, host := range disguises() {
		if got := cloud.RegistryOf(host); got != "" {
			t.Errorf("%q is taken for %s", host, got)
		}
	}
}

// disguises are all names that are no registry's of a cloud.
func disguises() []string {
	all := strangers
	for host := range registries {
		for _, trick := range tricks {
			all = append(all, trick(host))
		}
	}
	return all
}

// FuzzRegistryOf holds what names have in common that are a cloud's.
func FuzzRegistryOf(f *testing.F) {
	for host := range registries {
		f.Add(host)
	}
	for _, host := range disguises() {
		f.Add(host)
	}
	owners := []string{".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".on.aws", ".on.amazonwebservices.com.cn", "public.ecr.aws", "-docker.pkg.dev", "gcr.io", ".azurecr.io", ".azurecr.cn", ".azurecr.us"}
	f.Fuzz(func(t *testing.T, host string) {
		if cloud.RegistryOf(host) == "" {
			return
		}
		if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || strings.Contains(host, "..") || strings.Contains(host, "xn--") {
			t.Errorf("%q is no plain name", host)
		}
		if u, err := url.Parse("https://" + host + "/v2/"); err != nil || u.Host != host || u.Hostname() != host || u.User != nil {
			t.Errorf("%q leads to %v, %v", host, u, err)
		}
		for _, owner := range owners {
			if strings.HasSuffix(host, owner) {
				return
			}
		}
		t.Errorf("%q is nobody's", host)
	})
}
