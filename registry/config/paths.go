package config

import "path/filepath"

// system returns a path of the system.
func (l *loader) system(path string) string {
	return filepath.Join(l.from.Root, filepath.FromSlash(path))
}

// user returns a path under the folder of a variable of the XDG Base Directory
// Specification, or where it should be under the home folder; "" without one.
func (l *loader) user(variable, standard, path string) string {
	folder := l.from.Env(variable)
	if !filepath.IsAbs(folder) {
		if l.from.Home == "" {
			return ""
		}
		folder = filepath.Join(l.from.Home, standard)
	}
	return filepath.Join(folder, filepath.FromSlash(path))
}

func (l *loader) userConfig(path string) string { return l.user("XDG_CONFIG_HOME", ".config", path) }

// home returns a path under the home folder, "" without one.
func (l *loader) home(path string) string {
	if l.from.Home == "" {
		return ""
	}
	return filepath.Join(l.from.Home, filepath.FromSlash(path))
}
