package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/go-units"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// A bounded sink is in memory and says that it lies on a disk. What it is given
// past what it says is free does not fit.
type bounded struct {
	content.Memory
	room content.Room
	held map[string]int64 // by digest
	puts atomic.Int64
}

func (b *bounded) Room() (content.Room, error) {
	if b.room.Disk == "" {
		return content.Room{}, errors.ErrUnsupported
	}
	return b.room, nil
}

func (b *bounded) Held(d ocispec.Descriptor) int64 { return b.held[d.Digest.String()] }

func (b *bounded) PutBlob(ctx context.Context, blob content.Blob) (content.Outcome, error) {
	b.puts.Add(1)
	if blob.Descriptor().Size > b.room.Free {
		return 0, content.ErrNoSpace
	}
	return b.Memory.PutBlob(ctx, blob)
}

func TestAPlanThatHasNoRoomMovesNothing(t *testing.T) {
	src := &maker{t: t}
	layer := src.image("linux/amd64", nil, strings.Repeat("a", 1000)).Digest
	src.image("linux/amd64", nil, strings.Repeat("b", 500))
	m, err := src.Manifest(t.Context(), layer.String())
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	held := map[string]int64{}
	for _, d := range m.Blobs() {
		all += d.Size
		held[d.Digest.String()] = min(d.Size, 100)
	}
	disk := func(name, path string, free int64) *bounded {
		return &bounded{room: content.Room{Disk: name, Path: path, Free: free}}
	}
	there := disk("a", "one", all-100)
	there.held = held
	same := disk("a", "one", all)
	tests := []struct {
		name  string
		sinks []*bounded
		fails []bool
	}{
		{"what fits just so", []*bounded{disk("a", "one", all)}, []bool{false}},
		{"a byte too little", []*bounded{disk("a", "one", all-1)}, []bool{true}},
		{"some of it is there", []*bounded{there}, []bool{false}},
		{"two on one disk", []*bounded{disk("a", "one", 2*all-1), disk("a", "two", 2*all-1)}, []bool{true, true}},
		{"two on two disks", []*bounded{disk("a", "one", all), disk("b", "two", all-1)}, []bool{false, true}},
		{"one, twice", []*bounded{same, same}, []bool{false, false}},
		{"nobody knows", []*bounded{{room: content.Room{Free: 1 << 20}}}, []bool{false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			job := transfer.Job{Name: "app", Src: &src.Memory, Ref: layer.String()}
			for _, s := range tt.sinks {
				job.Dst = append(job.Dst, transfer.Target{Name: s.room.Path, Sink: s, Names: []string{"v1"}})
			}
			result := run(t, &transfer.Copier{}, job)
			for i, got := range result.Images[0].Targets {
				if noRoom := errors.Is(got.Err, content.ErrNoSpace); noRoom != tt.fails[i] || !noRoom && got.Err != nil {
					t.Errorf("to %s: %v", got.Name, got.Err)
				}
				if tt.fails[i] && tt.sinks[i].puts.Load() > 0 {
					t.Errorf("%s was given %d blobs", got.Name, tt.sinks[i].puts.Load())
				}
			}
		})
	}
}

func TestAPlanThatHasNoRoomSaysHowMuchIsNeeded(t *testing.T) {
	src := &maker{t: t}
	image := src.image("linux/amd64", nil, strings.Repeat("a", 100_000))
	dst := &bounded{room: content.Room{Disk: "a", Path: "here", Free: 50_000}}
	var told []transfer.Event
	c := &transfer.Copier{Observe: func(e transfer.Event) { told = append(told, e) }}
	result := run(t, c, transfer.Job{Src: &src.Memory, Ref: image.Digest.String(), Dst: []transfer.Target{{Sink: dst}}})
	want := regexp.MustCompile(`the disk of here has 50kB free, and \d[\d.]*kB more are needed`)
	if err := result.Images[0].Targets[0].Err; err == nil || !want.MatchString(err.Error()) {
		t.Errorf("error %v, want %s", err, want)
	}
	if end := told[len(told)-1]; end.Kind != transfer.RunDone || !errors.Is(end.Err, content.ErrNoSpace) {
		t.Errorf("it ends with %v, %v", end.Kind, end.Err)
	}
}

// A disk that others fill meanwhile ends a copy in its midst.
func TestAFullDiskTellsWhatIsMissing(t *testing.T) {
	src := &maker{t: t}
	image := src.image("linux/amd64", nil, strings.Repeat("a", 1000), strings.Repeat("b", 900), strings.Repeat("c", 10))
	m, err := src.Manifest(t.Context(), image.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	dst := &bounded{room: content.Room{Free: 20}, held: map[string]int64{}}
	for _, d := range m.Blobs() {
		if d.Size == 1000 {
			dst.held[d.Digest.String()] = 300
		}
	}
	var end transfer.Event
	c := &transfer.Copier{Jobs: 1, Observe: func(e transfer.Event) { end = e }}
	result := run(t, c, transfer.Job{Name: "app", Src: &src.Memory, Ref: image.Digest.String(), Dst: []transfer.Target{{Sink: dst}}})
	got := result.Images[0].Targets[0].Err
	if !errors.Is(got, content.ErrNoSpace) || !strings.Contains(got.Error(), "are still missing") {
		t.Fatalf("error %v", got)
	}
	if !errors.Is(end.Err, content.ErrNoSpace) || end.Pace.Done != 0 || end.Pace.Total == 0 {
		t.Errorf("it ends with %v and %d of %d bytes", end.Err, end.Pace.Done, end.Pace.Total)
	}
	if dst.puts.Load() != 1 {
		t.Errorf("it was tried with %d blobs", dst.puts.Load())
	}
	var all int64
	for _, d := range m.Blobs() {
		all += d.Size
	}
	if want := all - 300; !strings.Contains(got.Error(), fmt.Sprintf("; %s are", units.HumanSize(float64(want)))) {
		t.Errorf("error %v, want %d bytes missing", got, want)
	}
}
