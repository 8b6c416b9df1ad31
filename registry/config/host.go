package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// A Host has the settings of one host, each with its origin. The zero Host is
// what most have. Files are named, not read; [Host.TLS] reads them.
type Host struct {
	PlainHTTP  Value[bool] // http, never https
	AllowHTTP  Value[bool] // http where the host does not speak https
	SkipVerify Value[bool] // do not check the host's certificate

	CA     Value[[]string]     // PEM files of certificates that are trusted beside the system's
	Roots  []Value[string]     // PEM files of the like for every host, from the environment and flags
	Client Value[[]ClientPair] // what the host is shown to prove who we are

	Proxy   Value[Proxy]  // not set, or set to the zero Proxy, is none
	Headers []Header      // sent with every request to the host and to no other, sorted by name
	Address Value[string] // host[:port] that is contacted instead; the name in requests and certificates stays

	DialTimeout       Value[time.Duration]
	Concurrency       Value[int]     // requests at once
	RequestsPerSecond Value[float64] // on average
}

// A ClientPair names the PEM files of a client certificate and its key, which
// may be one file.
type ClientPair struct{ Certificate, Key string }

// A Header is a header of requests. Its values may be credentials, and are not
// printed.
type Header struct {
	Name   string // in canonical form
	Values Value[[]Secret]
}

// or returns h, and from o what h does not have.
func (h Host) or(o Host) Host {
	h.PlainHTTP = h.PlainHTTP.or(o.PlainHTTP)
	h.AllowHTTP = h.AllowHTTP.or(o.AllowHTTP)
	h.SkipVerify = h.SkipVerify.or(o.SkipVerify)
	h.CA = h.CA.or(o.CA)
	h.Roots = append(slices.Clone(h.Roots), o.Roots...)
	h.Client = h.Client.or(o.Client)
	h.Proxy = h.Proxy.or(o.Proxy)
	h.Address = h.Address.or(o.Address)
	h.DialTimeout = h.DialTimeout.or(o.DialTimeout)
	h.Concurrency = h.Concurrency.or(o.Concurrency)
	h.RequestsPerSecond = h.RequestsPerSecond.or(o.RequestsPerSecond)

	headers := slices.Clone(h.Headers)
	for _, other := range o.Headers {
		if !slices.ContainsFunc(headers, func(had Header) bool { return had.Name == other.Name }) {
			headers = append(headers, other)
		}
	}
	slices.SortFunc(headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	h.Headers = headers
	return h
}

// Header returns the headers as requests carry them, credentials included.
func (h Host) Header() http.Header {
	header := http.Header{}
	for _, one := range h.Headers {
		for _, v := range one.Values.Value {
			header[one.Name] = append(header[one.Name], v.Reveal())
		}
	}
	return header
}

// A SettingError is a setting that cannot be used: the file that it names is not
// there, or is not what it should be. It has no class of content, since it says
// nothing about any.
type SettingError struct {
	From Origin
	Err  error // names the file and From
}

func (e *SettingError) Error() string { return e.Err.Error() }

// Permanent says that trying again cannot help.
func (e *SettingError) Permanent() bool { return true }

// maxFile is more than any file of settings or certificates has.
const maxFile = 1 << 20

// readFile reads a file that is small. Pipes and folders are refused; an empty
// device, as /dev/null, is an empty file.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); !mode.IsRegular() && mode&fs.ModeCharDevice == 0 {
		return nil, fmt.Errorf("%s: not a file: %w", path, content.ErrInvalid)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%s: more than %d bytes: %w", path, maxFile, content.ErrInvalid)
	}
	return raw, nil
}
