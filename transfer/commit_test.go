package transfer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/transfer"
)

// A closing is a place in a registry that has a last word on a run.
type closing struct {
	*spy
	commit func() error
}

func (c *closing) Commit(context.Context) error { return c.commit() }

// A watched source says that something refers to everything.
type watched struct{ *spy }

func (watched) ReferrersState(context.Context, digest.Digest) (string, error) { return "some", nil }

func TestCommitHasTheLastWord(t *testing.T) {
	tests := []struct {
		name       string
		err        error
		remembered int
	}{
		{"of a run that went well", nil, 1},
		{"of one that did not after all", content.ErrConflict, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := &maker{t: t}
			src.app("v1")
			var commits atomic.Int64
			dst := &closing{newSpy(&content.Memory{}), func() error { commits.Add(1); return tt.err }}
			known := contenttest.NewFacts()
			result := run(t, &transfer.Copier{Facts: known}, transfer.Job{
				Name: "app", Src: watched{newSpy(&src.Memory)}, Ref: "v1", Filter: transfer.Filter{Referrers: true},
				Dst: []transfer.Target{{Name: "there", Sink: dst, Names: []string{"v1"}}},
			})
			if err := result.Err(); !errors.Is(err, tt.err) || commits.Load() != 1 {
				t.Errorf("committed %d times, %v; want once, %v", commits.Load(), err, tt.err)
			}
			if known.Len() != tt.remembered {
				t.Errorf("remembered %d facts, want %d", known.Len(), tt.remembered)
			}
		})
	}
}
