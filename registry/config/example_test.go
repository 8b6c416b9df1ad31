package config_test

import (
	"fmt"
	"path/filepath"

	"github.com/wherry-dev/wherry/registry/config"
)

// What would be used for docker.io/library/nginx on a machine that has been
// used with podman and docker, and why.
func ExampleView_Registry() {
	view, err := config.Load(config.From{
		Root: filepath.FromSlash("testdata/machine"),             // a program leaves this out,
		Own:  filepath.FromSlash("testdata/machine/wherry.yaml"), // and gives Env and Home
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := view.Registry("docker.io", "library/nginx")
	if err != nil {
		fmt.Println(err)
		return
	}
	line := func(o config.Origin) string { return filepath.Base(o.String()) }
	fmt.Printf("origin %s/%s (%s)\n", found.Origin.Host, found.Origin.Repository, line(found.Origin.From))
	s := found.Origin.Settings
	fmt.Printf("  %d requests at once (%s)\n", s.Concurrency.Value, line(s.Concurrency.From))
	for _, m := range found.Mirrors {
		fmt.Printf("mirror %s/%s (%s)\n", m.Host, m.Repository, line(m.From))
		fmt.Printf("  may %s (%s)\n", m.Capabilities.Value, line(m.Capabilities.From))
		fmt.Printf("  any certificate: %t (%s)\n", m.Settings.SkipVerify.Value, line(m.Settings.SkipVerify.From))
	}
	// Output:
	// origin harbor.example/hub/nginx (registries.conf:5)
	//   4 requests at once (wherry.yaml:4)
	// mirror cache.example:5000/hub/nginx (registries.conf:8)
	//   may pull (registries.conf:9)
	//   any certificate: true (daemon.json:2)
}

// A name without a host may stand for several.
func ExampleView_ShortName() {
	view, err := config.Load(config.From{Root: filepath.FromSlash("testdata/machine")})
	if err != nil {
		fmt.Println(err)
		return
	}
	names, err := view.ShortName("nginx")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range names {
		fmt.Println(name.Value)
	}
	// Output:
	// quay.io/nginx
	// docker.io/library/nginx
}
