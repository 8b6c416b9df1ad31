package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/wherry-dev/wherry/internal/testlink"
)

func TestIntervalOfTheMedian(t *testing.T) {
	upTo := func(n int) (all []float64) {
		for i := range n {
			all = append(all, float64(n-i))
		}
		return all
	}
	tests := []struct {
		name      string
		figures   []float64
		low, high float64
		known     bool
	}{
		{"nothing tells nothing", nil, 0, 0, false},
		{"five are too few", upTo(5), 0, 0, false},
		{"of six, all", upTo(6), 1, 6, true},
		{"of fifteen, the fourth and the twelfth", upTo(15), 4, 12, true},
		{"of twenty-five, the eighth and the eighteenth", upTo(25), 8, 18, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if low, high, known := interval(tt.figures); low != tt.low || high != tt.high || known != tt.known {
				t.Errorf("interval = %v, %v, %v, want %v, %v, %v", low, high, known, tt.low, tt.high, tt.known)
			}
		})
	}
}

// walls is a row of runs that took so long.
func walls(name string, seconds ...float64) row {
	r := row{Name: name}
	for _, s := range seconds {
		r.Samples = append(r.Samples, sample{Wall: s})
	}
	return r
}

func TestBars(t *testing.T) {
	pairs := func(name string, s float64) row { return walls(name, slices.Repeat([]float64{s}, 15)...) }
	tests := []struct {
		name    string
		got     bar
		peer    string // in What
		figure  string
		reached bool
	}{
		{"as fast as the best peer", result{Tools: []row{pairs(own, 1), pairs("slow", 2), pairs("fast", 1)}}.level("wall", wall), "fast", "1.00 [1.00–1.00]", true},
		{"slower than the best peer", result{Tools: []row{pairs(own, 1.1), pairs("slow", 2), pairs("fast", 1)}}.level("wall", wall), "fast", "1.10 [1.10–1.10]", false},
		{"a peer that is not comparable", result{Tools: []row{pairs(own, 1.1), pairs("slow", 2), pairs("fast", 1)}}.level("wall", wall, "fast"), "slow", "0.55 [0.55–0.55]", true},
		{"few rounds prove nothing", result{Tools: []row{walls(own, 1, 1), walls("fast", 2, 2)}}.level("wall", wall), "fast", "0.50, too few rounds", false},
		{"wherry itself is no peer", result{Tools: []row{walls(own, 1), walls(own+" --quiet", 1)}}.level("wall", wall), "none", "–", false},
		{"a peer that failed is none", result{Tools: []row{walls(own, 1), {Name: "gone", Failed: "exit 1"}}}.faster(8), "none", "–", false},
		{"eight times as fast", result{Tools: []row{walls(own, 5, 5, 6), walls("slow", 42), walls("fast", 40)}}.faster(8), "fast", "8.0", true},
		{"not eight times as fast", result{Tools: []row{walls(own, 6), walls("fast", 40)}}.faster(8), "fast", "6.7", false},
		{"no more than a limit", atMost("lanes", "%.0f", 3, 3), "lanes", "3", true},
		{"more than a limit", atMost("lanes", "%.0f", 4, 3), "lanes", "4", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(tt.got.What, tt.peer) || tt.got.Got != tt.figure || tt.got.Reached != tt.reached {
				t.Errorf("got %+v, want %s with %s, reached: %t", tt.got, tt.figure, tt.peer, tt.reached)
			}
		})
	}
}

func TestPageHasWhatIsAskedAndConnections(t *testing.T) {
	r := result{Title: "T", Note: "N.", Runs: 3, PeerRuns: 1, Table: [][]string{{"a", "b"}, {"1", ""}}, Bars: []bar{{"lanes", "2", "≤ 3", true}}}
	r.Tools = []row{{Name: own, Samples: []sample{{Wall: 1, Conns: 9, AtOnce: 8}}}, {Name: "gone", Failed: "exit 1"}}
	got := r.markdown()
	for _, want := range []string{
		"N. Runs: 3, of peers 1.\n", "| peak RSS | requests | connections | at once |\n|---|---|---|---|---|---|---|---|---|\n",
		"| 0 | 9 | 8 |\n", "| gone | failed: exit 1 | | | | | | | |\n", "\n| a | b |\n|---|---|\n| 1 | |\n", "| lanes | 2 | ≤ 3 | yes |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the tables lack %q:\n%s", want, got)
		}
	}
}

func TestRowsOfDifferentWorkAreNotCompared(t *testing.T) {
	got := result{Apart: true, Tools: []row{walls("small", 1), walls("large", 2)}}.markdown()
	want := "| | wall | CPU | peak RSS | requests |\n|---|---|---|---|---|\n| small | 1.00 s (1.00–1.00) | 0 ms | – | 0 |\n"
	if !strings.Contains(got, want) {
		t.Errorf("the table lacks %q:\n%s", want, got)
	}
}

func TestBusyCountsConnectionsThatBringBytes(t *testing.T) {
	moments := []testlink.Stats{
		{Down: 40, Conns: []int64{10, 10, 10, 10}}, // the first half
		{Down: 60, Conns: []int64{20, 20, 10, 10}},
		{Down: 80, Conns: []int64{30, 30, 10, 10}},
		{Down: 100, Conns: []int64{30, 40, 10, 10, 10}}, // one that has just begun
	}
	if got, want := busy(moments), []float64{2, 2}; !slices.Equal(got, want) {
		t.Errorf("busy = %v, want %v", got, want)
	}
	if got := busy(nil); got != nil {
		t.Errorf("busy of nothing = %v", got)
	}
}

func TestWindowsBeginWithTheFirstByteAndEndBeforeTheLast(t *testing.T) {
	var moments []testlink.Stats
	for _, down := range []int64{0, 0, 5, 15, 25, 35, 40, 40, 40} {
		moments = append(moments, testlink.Stats{Down: down})
	}
	if got, want := spansOf(moments, 2), []float64{15, 20, 20}; !slices.Equal(got, want) {
		t.Errorf("spansOf = %v, want %v", got, want)
	}
	if got := spansOf(moments[:2], 2); got != nil {
		t.Errorf("spansOf of nothing = %v", got)
	}
}

func TestShareOfTheBestNumberOfLanes(t *testing.T) {
	tests := []struct {
		name  string
		match laneMatch
		want  float64
		cells []string
	}{
		{"slower", laneMatch{best: 4, lanes: 8, found: spread{5, 4, 6}, atOnce: spread{6, 6, 7}}, 0.8, []string{"4.00 s with 8", "5.00 s (4.00–6.00)", "6 (6–7)", "80.0 %"}},
		{"alone", laneMatch{found: spread{5, 5, 5}}, 1, []string{"none came near", "5.00 s (5.00–5.00)", "0", "100.0 %"}},
		{"failed", laneMatch{best: 4, lanes: 8}, 0, []string{"4.00 s with 8", "failed", "0", "0.0 %"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.match.share(); got != tt.want || !slices.Equal(tt.match.cells(), tt.cells) {
				t.Errorf("%v with %q, want %v with %q", got, tt.match.cells(), tt.want, tt.cells)
			}
		})
	}
}

func TestFlowIsTheSameFromEveryOffset(t *testing.T) {
	whole, err := io.ReadAll(&flow{seed: 7, size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(&flow{seed: 7, size: 1000}, whole); err != nil { // seeks, too
		t.Error(err)
	}
	if other, _ := io.ReadAll(&flow{seed: 8, size: 1000}); slices.Equal(whole, other) {
		t.Error("another seed gave the same bytes")
	}
}

// get asks for what is in the repository app, or for a span of it where span is not "".
func get(t *testing.T, s *synthetic, path, span string) (text string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.host+"/v2/app"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if span != "" {
		req.Header.Set("Range", span)
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp.StatusCode
}

func TestSyntheticRegistryGivesWhatItSays(t *testing.T) {
	s, err := startSynthetic(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	img, err := s.make("app", 1000, 2000)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := get(t, s, "/manifests/v1", "")
	var m manifest
	if err := json.Unmarshal([]byte(text), &m); err != nil || descriptorOf(typeManifest, []byte(text)) != img.root {
		t.Fatalf("manifest %s, %v", text, err)
	}
	for _, d := range append(m.Layers, m.Config) {
		whole, _ := get(t, s, "/blobs/"+d.Digest, "")
		sum := sha256.New()
		_, _ = io.WriteString(sum, whole)
		if digestOf(sum) != d.Digest || int64(len(whole)) != d.Size {
			t.Errorf("%d bytes of %+v", len(whole), d)
		}
		if part, status := get(t, s, "/blobs/"+d.Digest, "bytes=30-49"); part != whole[30:50] || status != http.StatusPartialContent {
			t.Errorf("a range is %d with %d bytes", status, len(part))
		}
	}
	if err := s.has("app", img); err == nil {
		t.Error("layers that nobody sent are taken to be there")
	}
}

func TestSyntheticRegistryRefusesTheFifthRequestForABlob(t *testing.T) {
	s, err := startSynthetic(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop() })
	img, err := s.make("app", 100<<20) // more than sockets hold
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.host+"/v2/app/blobs/"+img.blobs[1].Digest, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := new(http.Client).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if refused := resp.StatusCode == http.StatusTooManyRequests; refused != (i == 4) {
			t.Errorf("request %d: %s", i+1, resp.Status)
		}
	}
	if got := s.refused.Load(); got != 1 {
		t.Errorf("%d refused, want 1", got)
	}
}

func TestChoose(t *testing.T) {
	tests := []struct {
		name, list string
		want       []string
		wrong      bool
	}{
		{"all", "", scenarioNames(), false},
		{"some, in the order asked", "rate,copy", []string{"rate", "copy"}, false},
		{"those over TLS", secureGroup, []string{"wan-layer-tls", "wan-image-tls", "mirrors-tls"}, false},
		{"one that is not there", "copy,none", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chosen, err := choose(tt.list)
			var got []string
			for _, s := range chosen {
				got = append(got, s.name)
			}
			if !slices.Equal(got, tt.want) || (err != nil) != tt.wrong {
				t.Errorf("choose(%q) = %v, %v, want %v", tt.list, got, err, tt.want)
			}
		})
	}
}

func TestPick(t *testing.T) {
	here := []tool{{name: own}, {name: "crane"}, {name: "oras"}}
	if got, err := pick(here, "oras,"+own); err != nil || len(got) != 2 || got[0].name != own || got[1].name != "oras" {
		t.Errorf("picked %v, %v", got, err)
	}
	if got, err := pick(here, ""); err != nil || len(got) != 3 {
		t.Errorf("picked %v, %v", got, err)
	}
	if got, err := pick(here, "oras,skopeo"); err == nil {
		t.Errorf("picked %v though one is not here", got)
	}
}

func TestKeysAreTrustedForLoopback(t *testing.T) {
	k, err := makeKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(k.certificate, k.key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "127.0.0.1"}); err != nil {
		t.Error(err)
	}
}
