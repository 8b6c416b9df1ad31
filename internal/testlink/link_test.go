package testlink_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// dial opens a connection over l in a bubble, without a network, and returns both ends.
func dial(t *testing.T, l *testlink.Link) (client, server net.Conn) {
	t.Helper()
	client, near := net.Pipe()
	far, server := net.Pipe()
	over := make(chan struct{})
	go func() {
		defer close(over)
		l.Carry(near, far)
	}()
	t.Cleanup(func() {
		_, _ = client.Close(), server.Close()
		<-over
	})
	return client, server
}

// send writes n bytes in the background.
func send(w io.Writer, n int) {
	go func() { _, _ = w.Write(make([]byte, n)) }() // where it cannot, the reader has too little
}

// receive reads n bytes.
func receive(t *testing.T, r io.Reader, n int) {
	t.Helper()
	if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
		t.Error(err)
	}
}

// within fails where got is not want, up to one in a hundred.
func within(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if d := got - want; d.Abs() > want/100 {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

const megabyte = 1_000_000

func TestFirstByteTakesARoundTripMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := dial(t, testlink.New(testlink.Shape{RTT: 50 * time.Millisecond}))
		for _, want := range []time.Duration{100 * time.Millisecond, 50 * time.Millisecond} {
			begin := time.Now()
			send(client, 1)
			receive(t, server, 1)
			send(server, 1)
			receive(t, client, 1)
			within(t, "an exchange", time.Since(begin), want)
		}
	})
}

func TestCaps(t *testing.T) {
	tests := []struct {
		name  string
		shape testlink.Shape
		want  time.Duration // for 200 kB over each of four connections at once
		up    bool          // from the client to the server
	}{
		{"each connection has its own", testlink.Shape{PerConn: megabyte}, 200 * time.Millisecond, false},
		{"all share one", testlink.Shape{Total: 2 * megabyte}, 400 * time.Millisecond, false},
		{"the narrower counts", testlink.Shape{PerConn: megabyte, Total: 2 * megabyte}, 400 * time.Millisecond, false},
		{"a long way costs no rate", testlink.Shape{RTT: 150 * time.Millisecond, PerConn: megabyte}, 350 * time.Millisecond, false},
		{"nor on the way up", testlink.Shape{PerConn: megabyte / 2}, 400 * time.Millisecond, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := testlink.New(tt.shape)
				begin := time.Now()
				var all sync.WaitGroup
				for range 4 {
					client, server := dial(t, l)
					from, to := server, client
					if tt.up {
						from, to = client, server
					}
					all.Go(func() {
						send(from, megabyte/5)
						receive(t, to, megabyte/5)
					})
				}
				all.Wait()
				within(t, "all of it", time.Since(begin), tt.want)
				if s := l.Stats(); s.Opened != 4 || s.Most != 4 || s.Up+s.Down != 4*megabyte/5 {
					t.Errorf("stats %+v, want 4 connections and 800 kB", s)
				}
			})
		})
	}
}

func TestAShareOfTheTotalIsEven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testlink.New(testlink.Shape{Total: megabyte})
		first, server := dial(t, l)
		send(server, 3*megabyte/10)
		second, server := dial(t, l)
		send(server, 3*megabyte/10)
		over := make(chan struct{})
		go func() {
			defer close(over)
			receive(t, second, 3*megabyte/10)
		}()
		receive(t, first, megabyte/10) // who comes first begins with a few pieces more
		begin := l.Stats().Conns
		receive(t, first, megabyte/10)
		end := l.Stats().Conns
		if ratio := float64(end[0]-begin[0]) / float64(end[1]-begin[1]); ratio < 0.8 || ratio > 1.25 {
			t.Errorf("the two had got %v bytes, then %v", begin, end)
		}
		receive(t, first, megabyte/10)
		<-over
	})
}

// A fate is what two connections go through, one after the other: how long they take, and the bytes they bring.
type fate struct {
	took  [2]time.Duration
	bytes [2]int64
}

// fateOf lets two connections over a link of that shape bring 1 MB each.
func fateOf(t *testing.T, s testlink.Shape) (f fate) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := testlink.New(s)
		for i := range f.took {
			begin := time.Now()
			client, server := dial(t, l)
			send(server, megabyte)
			f.bytes[i], _ = io.CopyN(io.Discard, client, megabyte) // how it ends is what is looked at
			f.took[i] = time.Since(begin)
		}
	})
	return f
}

func TestBadDaysComeFromTheSeed(t *testing.T) {
	tests := []struct {
		name  string
		shape testlink.Shape
		bad   func(fate) bool
	}{
		{
			"pauses",
			testlink.Shape{Pauses: testlink.Pauses{Every: megabyte / 20, Min: time.Second, Max: 2 * time.Second}},
			func(f fate) bool { return f.took[0] > 5*time.Second && f.bytes[0] == megabyte },
		},
		{
			"resets",
			testlink.Shape{Resets: testlink.Resets{Every: megabyte / 8}},
			func(f fate) bool { return f.bytes[0] < megabyte },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first := fateOf(t, tt.shape)
			if !tt.bad(first) {
				t.Errorf("nothing happened: %v", first)
			}
			if first.took[0] == first.took[1] && first.bytes[0] == first.bytes[1] {
				t.Errorf("both connections had the same: %v", first)
			}
			if again := fateOf(t, tt.shape); again != first {
				t.Errorf("%v, then %v", first, again)
			}
			tt.shape.Seed = 1
			if other := fateOf(t, tt.shape); other == first {
				t.Errorf("another seed gave the same: %v", first)
			}
		})
	}
}

func TestHTTP2PassesUntouched(t *testing.T) {
	body := make([]byte, megabyte)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	link := testlink.Start(t, server.Listener.Addr().String(), testlink.Shape{RTT: time.Millisecond})
	client := server.Client()
	t.Cleanup(client.CloseIdleConnections)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+link.Addr(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, body) || resp.ProtoMajor != 2 {
				t.Errorf("%d bytes by %s, %v", len(got), resp.Proto, err)
			}
		})
	}
	all.Wait()
	if s := link.Stats(); s.Opened != len(s.Conns) || s.Down < 3*megabyte || s.Down > 4*megabyte {
		t.Errorf("stats %+v, want little more than 3 MB", s)
	}
}

func TestResetsAreRST(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, megabyte)) }))
	t.Cleanup(server.Close)
	link := testlink.Start(t, server.Listener.Addr().String(), testlink.Shape{Resets: testlink.Resets{Every: 1000}})
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", link.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after %d bytes: %v, want a reset", n, err)
	}
	if s := link.Stats(); s.Reset != 1 {
		t.Errorf("stats %+v, want one reset", s)
	}
}

func TestEndsArePassedOn(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer func() { _ = listener.Close() }()
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(conn) // ends with the client's half of the connection
		_, _ = conn.Write(append([]byte("heard "), text...))
		_ = conn.Close()
	}()
	link := testlink.Start(t, listener.Addr().String(), testlink.Shape{RTT: time.Millisecond, PerConn: megabyte})
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", link.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "all")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "heard all" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestADeadServerIsAReset(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	link := testlink.Start(t, server.Listener.Addr().String(), testlink.Shape{})
	server.Close()
	dialer := tls.Dialer{Config: &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(t.Context(), "tcp", link.Addr())
	if err == nil {
		_ = conn.Close()
		t.Fatal("a handshake with nobody")
	}
	if s := link.Stats(); s.Opened != 0 {
		t.Errorf("stats %+v, want no connection", s)
	}
}
