package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wherry": main})
}

// TestScript runs the command line as its users do. Besides testscript's own
// commands scripts have those of script_commands_test.go.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: os.Getenv("UPDATE_GOLDEN") != "",
		Setup:         setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"registry": cmdRegistry,
			"image":    cmdImage,
			"refer":    cmdRefer,
			"faults":   cmdFaults,
			"forget":   cmdForget,
			"requests": cmdRequests,
			"close":    cmdClose,
			"expand":   cmdExpand,
			"smaller":  cmdSmaller,
			"damage":   cmdDamage,
			"complete": cmdComplete,
			"digest":   cmdDigest,
			"pack":     cmdPack,
			"schema":   cmdSchema,
			"exits":    cmdExits,
			"signals":  cmdSignals,
		},
	})
}

// setup gives every script a home of its own, and $IMAGES, the real images.
func setup(env *testscript.Env) error {
	images, err := filepath.Abs(filepath.Join("..", "..", "testdata", "images"))
	if err != nil {
		return err
	}
	schemas, err := filepath.Abs(filepath.Join("..", "..", "docs", "schemas"))
	if err != nil {
		return err
	}
	data, err := filepath.Abs("testdata")
	if err != nil {
		return err
	}
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	env.Setenv("USERPROFILE", home)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
	env.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	env.Setenv("XDG_DATA_HOME", filepath.Join(home, "data"))
	env.Setenv("NO_COLOR", "1")
	env.Setenv("WHERRY_OWN_ONLY", "1")        // what this machine knows about registries is nobody's here
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else each wherry with the race detector in it takes a second to end
	env.Setenv("IMAGES", images)
	env.Setenv("SCHEMAS", schemas)
	env.Setenv("TESTDATA", data)
	env.Values[registriesKey{}] = registries{}
	return os.MkdirAll(home, 0o700)
}
