package faults_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/wherry-dev/wherry/internal/faults"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	small = sync.OnceValue(func() testimage.Image { return faults.MadeUp(250_000) })
	large = sync.OnceValue(func() testimage.Image { return faults.MadeUp(1_200_000) }) // a client asks before it sends the one in the middle
)

// imageOf returns what is copied in a case.
func imageOf(c faults.Case) testimage.Image {
	if c.Part == faults.Writing && c.At == faults.Middle {
		return large()
	}
	return small()
}

// chosen returns all cases under make soak. Else it is one for each fault and pair, which one is drawn.
func chosen() []faults.Case {
	var some []faults.Case
	for _, f := range faults.Table() {
		byPair := map[faults.Pair][]faults.Case{}
		for _, c := range f.Cases() {
			byPair[c.Pair] = append(byPair[c.Pair], c)
		}
		for pair, all := range byPair {
			if os.Getenv("WHERRY_SOAK") == "" {
				h := fnv.New32a()
				_, _ = h.Write([]byte(f.Name + string(pair))) // a hash never fails
				at := int(h.Sum32()) % len(all)
				all = all[at : at+1]
			}
			some = append(some, all...)
		}
	}
	return some
}

func TestCopiesThatFaultsStrike(t *testing.T) {
	for _, c := range chosen() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { strike(t, c) })
		})
	}
}

// strike copies while a fault strikes, and checks what became of it.
func strike(t *testing.T, c faults.Case) {
	t.Helper()
	target, err := faults.TargetAt(imageOf(c), c.At)
	if err != nil {
		t.Fatal(err)
	}
	config, err := c.Arm(target)
	if err != nil {
		t.Fatal(err)
	}
	base := quiet(t, c, config)
	s := newScene(t, c.Pair, imageOf(c), config, c.AtSource())
	defer s.close()
	if c.Untrusted {
		s.trusting.Roots = trust(x509.NewCertPool())
	}
	began := time.Now()
	err = s.run(t.Context())
	got, want := s.cost(time.Since(began)), c.Of(c.Times)
	defer func() {
		if t.Failed() {
			t.Logf("%v\n%s", err, s.log())
		}
	}()
	s.checkOutcome(want, err, target)
	strikes := max(c.Times, 1)
	if len(c.Strikes) == 0 { // nobody gets as far as to ask
		return
	}
	if struck := s.faulty.Struck(0); struck == 0 || err == nil && c.Times > 0 && struck != c.Times {
		t.Errorf("it struck %d times", struck)
	}
	s.checkCost(c, got.less(base), target)
	if most := want.Within * time.Duration(strikes); got.took > most {
		t.Errorf("it took %s, want at most %s", got.took, most)
	}
	s.checkPatience(want.AtLeast)
}

// checkCost compares what a copy cost more than without its fault with what it may.
func (s *scene) checkCost(c faults.Case, more cost, target faults.Target) {
	s.t.Helper()
	want, strikes := c.Of(c.Times), max(c.Times, 1)
	requests, size := want.Requests*strikes, target.Size
	if c.Collateral() {
		requests, size, want.Again = 4*requests, s.img.BlobBytes(), max(want.Again, 1)
	}
	if more.requests > requests {
		s.t.Errorf("%d requests more than without a fault, want at most %d", more.requests, requests)
	}
	most := int64(want.Again*float64(size)*float64(strikes)) + want.Buffers
	if more.there > most {
		s.t.Errorf("%d bytes more there than without a fault, want at most %d", more.there, most)
	}
	if most = max(most, size*int64(strikes)+want.Buffers); more.opposite > most { // little blobs are read again from their start
		s.t.Errorf("%d bytes more at the other end than without a fault, want at most %d", more.opposite, most)
	}
}

func (s *scene) checkOutcome(want faults.Want, err error, target faults.Target) {
	s.t.Helper()
	if !errors.Is(err, want.Class) {
		s.t.Errorf("error %v, want %v", err, want.Class)
	}
	got, named := s.arrived()
	if want.Class == nil && err == nil {
		if named != s.img.Root.Digest {
			s.t.Errorf("the tag stands for %q", named)
		}
		for d, p := range s.all() {
			if !bytes.Equal(got[d], p) {
				s.t.Errorf("%s has %d bytes, want %d", d, len(got[d]), len(p))
			}
		}
		return
	}
	if named != "" {
		s.t.Errorf("the tag stands for %s", named)
	}
	for d, p := range got {
		if d.Algorithm().FromBytes(p) != d {
			s.t.Errorf("what lies there as %s is something else", d)
		}
	}
	for _, says := range want.Says {
		says = strings.NewReplacer("{host}", s.faulty.Host(), "{digest}", target.Digest.String()).Replace(says)
		if err == nil || !strings.Contains(err.Error(), says) {
			s.t.Errorf("error %v, want one that says %q", err, says)
		}
	}
}

// checkPatience looks for requests that came too early after a strike.
func (s *scene) checkPatience(least time.Duration) {
	s.t.Helper()
	all := s.faulty.Requests()
	for _, struck := range all {
		if len(struck.Faults) == 0 || least == 0 {
			continue
		}
		for _, q := range all {
			if q.At.After(struck.Done) && q.At.Before(struck.Done.Add(least)) {
				s.t.Errorf("%s %s came %s after it was asked to wait %s", q.Method, q.Kind, q.At.Sub(struck.Done), least)
			}
		}
	}
}

var quietCosts sync.Map // to functions that return the cost

// quiet returns what the copy costs without a fault.
func quiet(t *testing.T, c faults.Case, config testregistry.Config) cost {
	t.Helper()
	plain := testregistry.Config{TLS: config.TLS, NoHTTP2: config.NoHTTP2, Auth: config.Auth}
	plain.Quirks = slices.DeleteFunc(slices.Clone(config.Quirks), func(q testregistry.Quirk) bool { return q.Name != "storage" })
	key := struct {
		pair   faults.Pair
		source bool
		proto  faults.Protocol
		auth   testregistry.Scheme
		quirks int
		size   int64
	}{c.Pair, c.AtSource(), c.Protocol, config.Auth.Scheme, len(plain.Quirks), imageOf(c).BlobBytes()}
	mine := sync.OnceValue(func() cost { return costWithout(t, c, plain) })
	once, _ := quietCosts.LoadOrStore(key, mine)
	return once.(func() cost)()
}

func costWithout(t *testing.T, c faults.Case, plain testregistry.Config) cost {
	t.Helper()
	s := newScene(t, c.Pair, imageOf(c), plain, c.AtSource())
	defer s.close()
	if err := s.run(t.Context()); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	s.checkOutcome(faults.Want{}, nil, faults.Target{})
	return s.cost(0)
}
