package cloud

import (
	"strings"

	"github.com/wherry-dev/wherry/internal/pattern"
)

// A Registry is a kind of registry that a cloud runs; "" is none of them. It
// prints as people call it.
type Registry string

// The registries that have logins of their own.
const (
	ECR       Registry = "Amazon ECR"
	ECRPublic Registry = "Amazon ECR Public"
	Google    Registry = "Google Artifact Registry"
	Azure     Registry = "Azure Container Registry"
)

// Helper is the credential helper, as docker names it, that gives the same logins.
func (r Registry) Helper() string {
	switch r {
	case ECR, ECRPublic:
		return "ecr-login"
	case Google:
		return "gcr"
	case Azure:
		return "acr-env"
	}
	return ""
}

// RegistryOf returns what kind of registry a host is. It goes by the exact name:
// one with a port, a trailing dot or a letter in upper case is nobody's, and so
// is one that only begins or ends like a registry of a cloud.
func RegistryOf(host string) Registry { return parsePlace(host).registry }

// RegionOf returns the region of Amazon that a registry of [ECR] is in, "" for
// any other host.
func RegionOf(host string) string { return parsePlace(host).region }

// A place is what the name of a host says.
type place struct {
	registry  Registry
	host      string
	region    string // of ECR
	suffix    string // of ACR: which of Azure's clouds it is in
	fips      bool   // of ECR
	dualStack bool   // of ECR
}

// The names of hosts. Nothing may stand before or after.
var (
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
	ecrName = pattern.Lazy(`\A[0-9]{12}\.dkr([.-])ecr(-fips)?\.([a-z]{2,5}(?:-[a-z]{2,12}){1,2}-[0-9]{1,2})\.([a-z.]{5,30})\z`)
	// https://cloud.google.com/artifact-registry/docs/repositories/repo-locations
	garName = pattern.Lazy(`\A[a-z]{2,20}(?:-[a-z]{2,20}[0-9]{1,2})?-docker\.pkg\.dev\z`)
	// https://learn.microsoft.com/azure/container-registry/container-registry-get-started-portal: what is
	// behind the hyphen is the hash of a domain name label.
	acrName = pattern.Lazy(`\A[a-z0-9]{5,50}(?:-[a-z0-9]{1,20})?(\.azurecr\.(?:io|cn|us))\z`)
)

// An ecrDomain is where the names of ECR in some regions end.
type ecrDomain struct {
	suffix    string
	region    string // how the names of those regions begin; "" is all others
	dualStack bool
}

var ecrDomains = []ecrDomain{
	{"amazonaws.com", "", false},
	{"amazonaws.com.cn", "cn-", false},
	{"amazonaws.eu", "eusc-", false},
	{"on.aws", "", true},
	{"on.amazonwebservices.com.cn", "cn-", true},
}

func parsePlace(host string) place {
	const longest = 253 // of a name in DNS
	if len(host) > longest {
		return place{}
	}
	switch host {
	case "public.ecr.aws":
		return place{registry: ECRPublic, host: host}
	case "gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io":
		return place{registry: Google, host: host}
	}
	if garName().MatchString(host) {
		return place{registry: Google, host: host}
	}
	if m := acrName().FindStringSubmatch(host); m != nil {
		return place{registry: Azure, host: host, suffix: m[1]}
	}
	if m := ecrName().FindStringSubmatch(host); m != nil {
		p := place{registry: ECR, host: host, region: m[3], fips: m[2] != "", dualStack: m[1] == "-"}
		if p.isIn(m[4]) {
			return p
		}
	}
	return place{}
}

// isIn reports whether the names of p's region end so.
func (p place) isIn(suffix string) bool {
	want := ""
	for _, special := range []string{"cn-", "eusc-"} {
		if strings.HasPrefix(p.region, special) {
			want = special
		}
	}
	for _, d := range ecrDomains {
		if d.suffix == suffix {
			return d.region == want && d.dualStack == p.dualStack
		}
	}
	return false
}
