package testlink_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
)

func TestDrawnShapesFollowFromTheSeed(t *testing.T) {
	const most = 120e6
	draw := func(seed uint64) (all []testlink.Shape) {
		for rnd := rand.New(rand.NewPCG(seed, 0)); len(all) < 50; {
			all = append(all, testlink.Draw(rnd, most))
		}
		return all
	}
	first := draw(1)
	if !slices.Equal(first, draw(1)) || slices.Equal(first, draw(2)) {
		t.Error("shapes do not follow from the seed")
	}
	for _, s := range first {
		if rate := s.Rate(24); rate < most/8-1 || rate > most || s.Rate(1) > rate || s.RTT < 5*time.Millisecond || s.RTT > 150*time.Millisecond {
			t.Errorf("%+v lets %d bytes a second through", s, rate)
		}
	}
}
