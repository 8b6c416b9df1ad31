package cli

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
)

// net/http told its own logger, and so standard error, what a server sent
// unasked: an answer that repeats a request has the credential in it.
func TestWhatAServerSendsUnaskedIsNotWritten(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	t.Cleanup(func() { log.SetOutput(before) })
	log.SetOutput(&logged)

	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		// An answer to a HEAD, and one to nothing behind it.
		_, _ = conn.Read(make([]byte, http.DefaultMaxHeaderBytes))
		_, _ = io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\nAuthorization: Basic YW5uOnMzY3JldA==\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // until the client has seen it
	}()
	got := run(t, "exists", "--retries", "1", "--plain-http", l.Addr().String(), l.Addr().String()+"/app:v1")
	_ = l.Close()
	<-gone
	if logged.Len() > 0 {
		t.Errorf("logged %q, and %+v", logged.String(), got)
	}
}
