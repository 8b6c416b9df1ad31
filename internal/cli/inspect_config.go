package cli

import (
	"slices"
	"strings"
)

// A configFlag is --config of inspect: alone it asks for the config's bytes, with a
// value it is what --config is everywhere, the file of settings.
type configFlag struct {
	bytes bool
	file  *string
}

// configBytes is the value of a --config that has none.
const configBytes = "bytes"

// Set reads s.
func (c *configFlag) Set(s string) error {
	if s == configBytes {
		c.bytes = true
		return nil
	}
	*c.file = s
	return nil
}

// String returns nothing: alone it has no value.
func (c *configFlag) String() string { return "" }

// Type is how help texts call the value.
func (c *configFlag) Type() string { return "FILE" }

// joined returns args with each --config FILE of inspect as --config=FILE, where
// FILE would else be an argument too many: with all verbs the value may stand apart.
func joined(args []string, stdio Stdio, env func(string) string) []string {
	const flag = "--config"
	if !slices.Contains(args, flag) || !slices.Contains(args, "inspect") {
		return args
	}
	root := newRoot(newFactory(stdio, env))
	cmd, rest, err := root.Find(args)
	if err != nil || cmd.CommandPath() != root.Name()+" inspect" || cmd.ParseFlags(rest) != nil || cmd.Flags().NArg() <= 1 {
		return args
	}
	var all []string
	for _, arg := range args {
		if n := len(all); n > 0 && all[n-1] == flag && !strings.HasPrefix(arg, "-") {
			all[n-1] = flag + "=" + arg
			continue
		}
		all = append(all, arg)
	}
	return all
}
