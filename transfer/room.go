package transfer

import (
	"fmt"

	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A disk is what the plan needs of one file system.
type disk struct {
	room    content.Room
	needs   int64
	counted map[held]bool
	targets []*TargetPlan
}

// held is one blob in one place.
type held struct {
	path   string
	digest digest.Digest
}

// checkRoom fails every target on a disk that has no room for what the plan
// moves there: all of it would fail before its end, and it is not known whose
// turn it is then. Manifests are not counted.
func (p *Plan) checkRoom() {
	disks := map[string]*disk{}
	for _, image := range p.Images {
		if image.Err != nil {
			continue
		}
		for _, t := range image.Targets {
			if t.Err == nil && len(t.Missing) > 0 {
				t.count(disks)
			}
		}
	}
	for _, k := range disks {
		if k.needs <= k.room.Free {
			continue
		}
		free, more := units.HumanSize(float64(k.room.Free)), units.HumanSize(float64(k.needs-k.room.Free))
		err := fmt.Errorf("the disk of %s has %s free, and %s more are needed: %w", k.room.Path, free, more, content.ErrNoSpace)
		for _, t := range k.targets {
			t.Err = at(Dst, OpRoom, ocispec.Descriptor{}, err)
		}
	}
}

// count adds what t misses to what is needed of its disk. Of a disk that tells
// nothing it is found out on the way.
func (t *TargetPlan) count(disks map[string]*disk) {
	sink, ok := content.As[content.Bounded](t.sink)
	if !ok {
		return
	}
	room, err := sink.Room()
	if err != nil {
		return
	}
	k := disks[room.Disk]
	if k == nil {
		k = &disk{room: room, counted: map[held]bool{}}
		disks[room.Disk] = k
	}
	k.targets = append(k.targets, t)
	for _, d := range t.Missing {
		blob := held{room.Path, d.Digest}
		if !k.counted[blob] {
			k.counted[blob] = true
			k.needs += d.Size - sink.Held(d)
		}
	}
}
