package doctor

import "slices"

// through returns the mirror that pulls go through although something fails at
// the registry, "" where there is none, or nothing fails. Only a mirror that was
// found to have all of the image counts: bytes are taken from any, and what a tag
// stands for is believed of a mirror that may tell, where the registry is silent.
func (p *plan) through() string {
	origin := p.exams[0]
	silent, failed := origin.silent()
	if !failed || origin.found(MissingPlatform) {
		return ""
	}
	for _, m := range p.exams[1:] {
		named := origin.image.root.Digest == m.image.root.Digest // the registry named it
		switch {
		case !m.serves, p.target.isDigest() && m.tagsOnly:
		case p.target.isDigest(), named, silent && m.resolves:
			return m.at.Host
		}
	}
	return ""
}

// silent reports whether something fails at the registry, and whether all that does
// comes to no more than that it does not answer, or lets us ask no more.
func (x *exam) silent() (silent, failed bool) {
	silent = true
	for _, f := range x.findings {
		if !f.failed() {
			continue
		}
		failed = true
		silent = silent && slices.Contains(silences, f.problem.Cause)
	}
	return silent, failed
}

// found reports whether c was found at the host.
func (x *exam) found(c Cause) bool {
	return slices.ContainsFunc(x.findings, func(f finding) bool { return f.problem != nil && f.problem.Cause == c })
}

// silences are the causes for which a client hears nothing of a registry that
// means anything: it takes what a mirror says in place of it. Behind other causes
// may be an answer that it believes.
var silences = []Cause{
	UnknownHost, DNSFailure, ConnectionRefused, NoAnswer, NoRoute, ConnectionBroken, ProxyDown, ProxyRefuses,
	CertificateExpired, CertificateNotYet, UnknownAuthority, WrongName, Intercepted, TLSFailure, SpeaksPlainHTTP,
	ServerError, RateLimited,
}
