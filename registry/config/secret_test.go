package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNoWayOfPrintingTellsASecret(t *testing.T) {
	m := newMachine(t, map[string]string{"own.yaml": `
registries:
  a.example:
    headers: {Authorization: Bearer hunter2}
    proxy: http://u:hunter2@proxy.example
`})
	r := m.registry(t, m.load(t), "a.example/b")
	if got := r.Origin.Settings.Header().Get("Authorization"); got != "Bearer hunter2" {
		t.Fatalf("header is %q", got)
	}
	secret, proxy := r.Origin.Settings.Headers[0].Values.Value[0], r.Origin.Settings.Proxy.Value
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", secret, proxy, r)
		fmt.Fprintf(&out, verb+"\n", r.Origin.Settings)
	}
	fmt.Fprintln(&out, secret.String(), proxy.String())
	if err := json.NewEncoder(&out).Encode(r); err != nil {
		t.Fatal(err)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "secret", secret, "proxy", proxy, "registry", r, "host", r.Origin.Settings)
	}
	if s := out.String(); strings.Contains(s, "hunter2") || strings.Contains(s, fmt.Sprintf("%x", "hunter2")) || !strings.Contains(s, "***") {
		t.Errorf("printed:\n%s", s)
	}
}
