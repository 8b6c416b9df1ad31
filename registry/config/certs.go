package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// A keyRule says what a client certificate without a file for its key is.
type keyRule uint8

const (
	keyBeside keyRule = iota // an error: the key is in a file of its own
	keyInside                // the key may be in the certificate's file
)

// readCerts reads the names of the certificates in the folder of one host: *.crt
// are authorities, NAME.cert and NAME.key a client certificate and its key.
// https://docs.docker.com/engine/security/certificates/
func readCerts(folder string, keys keyRule) (Host, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return Host{}, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	var authorities []string
	var pairs []ClientPair
	for _, name := range names {
		file := filepath.Join(folder, name)
		base, extension := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
		switch {
		case extension == ".crt":
			authorities = append(authorities, file)
		case extension == ".cert" && slices.Contains(names, base+".key"):
			pairs = append(pairs, ClientPair{file, filepath.Join(folder, base+".key")})
		case extension == ".cert" && keys == keyInside:
			pairs = append(pairs, ClientPair{file, file})
		case extension == ".cert":
			return Host{}, fmt.Errorf("%s: there is no %s.key beside it; an authority is called *.crt: %w", file, base, content.ErrInvalid)
		case extension == ".key" && keys == keyBeside && !slices.Contains(names, base+".cert"):
			return Host{}, fmt.Errorf("%s: there is no %s.cert beside it: %w", file, base, content.ErrInvalid)
		}
	}
	var h Host
	if authorities != nil {
		h.CA = Value[[]string]{authorities, Origin{File: folder}}
	}
	if pairs != nil {
		h.Client = Value[[]ClientPair]{pairs, Origin{File: folder}}
	}
	return h, nil
}

// A certsConf is what one certs.d says, by host.
type certsConf map[string]Host

// hostFolders returns the folders in a certs.d, which are called after hosts.
func (l *loader) hostFolders(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if l.absent(folder, err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(folder, e.Name()))
		if err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// certs reads a certs.d.
func (l *loader) certs(folder string) (certsConf, error) {
	names, err := l.hostFolders(folder)
	if err != nil {
		return nil, err
	}
	found := certsConf{}
	for _, name := range names {
		inside := filepath.Join(folder, name)
		h, err := readCerts(inside, keyBeside)
		if l.absent(inside, err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		l.saw(inside, h)
		found[canonical(name)] = h
	}
	return found, nil
}

// saw notes a folder that has certificates.
func (l *loader) saw(folder string, h Host) {
	if h.CA.Set() || h.Client.Set() {
		l.files = append(l.files, File{Path: folder})
	}
}

// absent reports whether err says that nothing is there. What is there and may
// not be read is noted, and nothing too.
func (l *loader) absent(path string, err error) bool {
	if errors.Is(err, fs.ErrPermission) {
		l.files = append(l.files, File{Path: path, Unread: err})
		return true
	}
	return errors.Is(err, fs.ErrNotExist)
}
