package faults

import "github.com/wherry-dev/wherry/content"

// once is where a fault strikes that no content is about.
var once = []Position{Manifest}

// network is what goes wrong on the way to a registry.
var network = []Fault{
	{
		Name: "no-such-name", Part: Network, Does: "DNS: NXDOMAIN",
		Held: []string{"internal/faults.TestNamesThatCannotBeFound", "registry.TestANameThatDoesNotExistIsAskedForOnce"},
	},
	{
		Name: "dns-fails", Part: Network, Row: "no-such-name", Does: "DNS: SERVFAIL, once and always",
		Held: []string{"internal/faults.TestNamesThatCannotBeFound"},
	},
	{
		Name: "dead-address", Part: Network, Does: "of several addresses of a host one does not answer",
		Held: []string{"internal/faults.TestADeadAddressOfSeveral"},
	},
	{
		Name: "ipv6", Part: Network, Does: "addresses of IPv6, with brackets and port",
		Held: []string{"internal/endpoint.TestParseReadsEveryForm"},
	},
	wrongTLS("tls-expired", "the certificate has expired", "expired", "expired"),
	wrongTLS("tls-other-name", "the certificate is for another name", "other-name", "cannot validate certificate"),
	wrongTLS("tls-old", "nothing newer than TLS 1.1 is spoken", "old-tls", "protocol version"),
	// What it says depends on whether its refusal arrives before we write: that is looked at over TCP.
	heldToo(wrongTLS("tls-wants-client", "a certificate of ours is wanted", "wants-client", "{host}"),
		"registry.TestAHostThatWantsACertificateIsNotAskedInHTTPThen", "internal/cli.TestAServerThatWantsAClientCertificateIsSaidTo"),
	{
		Name: "tls-unknown", Part: Network, Does: "nobody knows who signed the certificate", At: once, Lasts: true, Protocols: []Protocol{HTTPS}, Untrusted: true,
		Server: []string{"tls"}, Want: fails(content.ErrUnavailable, 0, "unknown authority", "{host}"),
	},
	{
		Name: "plain-on-https", Part: Network, Does: "plain http where https is asked for, and the other way round",
		Held: []string{"internal/doctor.TestDoctorNamesTheCauseAndNoOther", "internal/cli.TestHintsAreAboutTheSchemeThatAHostSpeaks", "registry.TestALoopbackHostIsAskedWhatItSpeaksOnce"},
	},
	{
		Name: "own-authorities", Part: Network, Does: "certificates in certs.d, SSL_CERT_FILE and --ca",
		Held: []string{"registry/config.TestCertificatesAreFoundWhereTheyAreKept", "internal/cli.TestACertificateThatIsNamedIsTrusted"},
	},
	{
		Name: "proxy-refuses", Part: Network, Does: "a proxy says 407, or 502 once and always",
		Held: []string{"internal/faults.TestProxiesInTheWay"},
	},
	{
		Name: "proxy-drops", Part: Network, Does: "a proxy ends a tunnel in the middle of a body",
		Held: []string{"internal/faults.TestProxiesInTheWay"},
	},
	{
		Name: "no-proxy", Part: Network, Does: "NO_PROXY with networks, ports and leading dots; SOCKS5",
		Held: []string{"registry/config.TestWhichProxyARequestTakesAndWhy"},
	},
	{
		Name: "middlebox", Part: Network, Does: "something between takes headers away",
		Held: []string{"internal/doctor.TestDoctorNamesTheCauseAndNoOther"},
	},
	{
		Name: "mtu", Part: Network, Does: "handshakes work and bodies never come", At: blobs, Lasts: true,
		Strikes: []string{"stall-after=0"}, Want: fails(content.ErrUnavailable, 5, "stalled", "{digest}").within(5*stall + 3*unhurried),
	},
}

// wrongTLS is a registry with such a certificate, in the words of testregistry.ParseConfig.
func wrongTLS(name, does, certificate, says string) Fault {
	return Fault{
		Name: name, Part: Network, Row: "TLS", Does: does, At: once, Lasts: true, Protocols: []Protocol{HTTPS},
		Server: []string{"certificate=" + certificate}, Want: fails(content.ErrUnavailable, 0, says, "{host}"),
	}
}

func heldToo(f Fault, tests ...string) Fault {
	f.Held = tests
	return f
}
