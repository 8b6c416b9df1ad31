package installed

import (
	apk "github.com/knqyf263/go-apk-version"
	deb "github.com/knqyf263/go-deb-version"
)

// Order tells which of two versions of a package is the higher one.
type Order uint8

// The orders of two versions.
const (
	Unknown Order = iota // one of them is no version that the manager would take
	Equal
	Higher // the second is
	Lower  // the second is
)

// Compare returns how the version now stands to was, as m compares versions.
func Compare(m Manager, was, now string) Order {
	const most = 256 // bytes; nothing is gained by looking at what is no version for long
	switch {
	case was == now:
		return Equal
	case len(was) > most || len(now) > most:
		return Unknown
	}
	switch m {
	case Dpkg:
		a, errA := deb.NewVersion(was)
		b, errB := deb.NewVersion(now)
		if errA == nil && errB == nil {
			return orderOf(b.Compare(a))
		}
	case Apk:
		if a, b := apk.Version(was), apk.Version(now); apk.Valid(was) && apk.Valid(now) {
			return orderOf(b.Compare(a))
		}
	case RPM:
	}
	return Unknown
}

func orderOf(n int) Order {
	switch {
	case n > 0:
		return Higher
	case n < 0:
		return Lower
	}
	return Equal
}
