package doctor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

func TestStepsAgreeWithEachOther(t *testing.T) {
	for _, tt := range []struct {
		name        string
		inject      func(s *scene)
		hop         doctor.Hop
		says, never string
	}{
		{
			name: "no login where one is wanted",
			inject: func(s *scene) {
				s.registry.Auth = testregistry.Auth{Scheme: testregistry.Basic, Users: map[string]string{"ann": password}}
			},
			hop: doctor.HopToken, says: "registry.test: no token server; basic; no credential", never: "needed",
		},
		{
			name: "a login where one is wanted",
			inject: func(s *scene) {
				s.user = "ann"
				s.registry.Auth = testregistry.Auth{Scheme: testregistry.Basic, Users: map[string]string{"ann": password}}
			},
			hop: doctor.HopToken, says: "no token server; basic; credential from /home/ann/.docker/config.json", never: "needed",
		},
		{
			name:   "a short name before it is known what it stands for",
			inject: func(s *scene) { s.target = "app:v1"; s.alias = "app" },
			hop:    doctor.HopReference, says: "app: a short name, tag v1", never: "docker.io",
		},
		{
			name:   "an address in place of the host's own",
			inject: func(s *scene) { s.settings = append(s.settings, "address: 127.0.0.2:443") },
			hop:    doctor.HopDNS, says: "registry.test: contacted at 127.0.0.2:443 (", never: "itself",
		},
		{
			name:   "a clock that is years fast",
			inject: func(s *scene) { s.clock(52583 * time.Hour) },
			hop:    doctor.HopTLS, says: "6 years fast", never: "52583h",
		},
		{
			name:   "a clock that is days slow",
			inject: func(s *scene) { s.clock(-100 * time.Hour) },
			hop:    doctor.HopTLS, says: "4 days slow", never: "100h",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			tt.inject(s)
			var said []string
			for _, step := range s.examine(t.Context()).Steps {
				if step.Hop == tt.hop {
					said = append(said, step.Subject+": "+step.Detail)
				}
			}
			if text := strings.Join(said, "\n"); !strings.Contains(text, tt.says) || strings.Contains(text, tt.never) {
				t.Errorf("%s says %q, want %q in it and not %q", tt.hop, text, tt.says, tt.never)
			}
		})
	}
}

// clock lets ours be off.
func (s *scene) clock(off time.Duration) {
	s.doctor.Now = func() time.Time { return time.Now().Add(off) }
}
