package packed

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ulikunitz/xz"
)

func TestXZGuardUnderstandsEveryBlock(t *testing.T) {
	noise := make([]byte, 90_000)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(noise) // it never fails
	// The default of 8 MiB, which the first case has, would be made anew for each block.
	const dict = 64 << 10
	tests := []struct {
		name string
		data []byte
		c    xz.WriterConfig
	}{
		{"one block", bytes.Repeat([]byte("words and words "), 5_000), xz.WriterConfig{}},
		{"noise, which is stored", noise, xz.WriterConfig{DictCap: dict}},
		{"many blocks", bytes.Repeat(noise[:5000], 10), xz.WriterConfig{DictCap: dict, BlockSize: 7001}},
		{"sha256 as check", noise[:25_000], xz.WriterConfig{DictCap: dict, BlockSize: 20_001, CheckSum: xz.SHA256}},
		{"crc32 as check", noise[:25_000], xz.WriterConfig{DictCap: dict, BlockSize: 20_003, CheckSum: xz.CRC32}},
		{"no check", noise[:25_000], xz.WriterConfig{DictCap: dict, BlockSize: 20_003, NoCheckSum: true}},
		{"nothing", nil, xz.WriterConfig{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packed := threeStreams(t, tt.c, tt.data)
			g := &xzGuard{r: packed, want: xzMagic, step: (*xzGuard).start}
			r, err := xz.NewReader(g)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, bytes.Repeat(tt.data, 3)) {
				t.Fatalf("read %d bytes, %v", len(got), err)
			}
			if g.lost || g.skip != 0 || len(g.got) != 0 || g.want != xzMagic {
				t.Errorf("it lost the thread: lost %t, %d to skip, %d of %d bytes", g.lost, g.skip, len(g.got), g.want)
			}
		})
	}
}

// threeStreams packs data three times, with padding after each.
func threeStreams(t *testing.T, c xz.WriterConfig, data []byte) *bytes.Buffer {
	t.Helper()
	var packed bytes.Buffer
	for range 3 {
		w, err := c.NewWriter(&packed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		packed.Write(make([]byte, 4))
	}
	return &packed
}
