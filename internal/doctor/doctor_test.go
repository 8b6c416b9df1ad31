package doctor_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

// A fault is one thing that is wrong in a scene.
type fault struct {
	name    string
	inject  func(s *scene)
	want    []doctor.Cause
	verdict string // a part of it
	remedy  string // a part of that of the first problem
	class   error  // of the report's error; nil is none
	failed  bool   // there is an error, of no class
	never   string // is not in the verdict; "" is nothing
}

func TestDoctorNamesTheCauseAndNoOther(t *testing.T) {
	for _, tt := range slices.Concat(wayFaults, imageFaults) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			tt.inject(s)
			report := s.examine(t.Context())
			tt.check(t, report)
			if t.Failed() {
				for _, step := range report.Steps {
					t.Logf("%-8s %-11s %s: %s (%s)", step.Status, step.Hop, step.Subject, step.Detail, step.Took)
				}
			}
		})
	}
}

// check compares a report with what is expected of it.
func (f fault) check(t *testing.T, report *doctor.Report) {
	t.Helper()
	var got []doctor.Cause
	remedies := ""
	for _, p := range report.Problems {
		got = append(got, p.Cause)
		if p.Remedy == "" || strings.Contains(p.Remedy, "\n") {
			t.Errorf("%s has the remedy %q", p, p.Remedy)
		}
		remedies += p.Remedy
	}
	if !slices.Equal(got, f.want) {
		t.Errorf("causes %q, want %q", got, f.want)
	}
	if !strings.Contains(report.Verdict, f.verdict) || strings.Contains(report.Verdict, "\n") {
		t.Errorf("verdict %q, want %q in it", report.Verdict, f.verdict)
	}
	if f.never != "" && strings.Contains(report.Verdict, f.never) {
		t.Errorf("verdict %q has %q in it", report.Verdict, f.never)
	}
	for _, cause := range got {
		if words := strings.ReplaceAll(string(cause), "-", " "); !strings.Contains(report.Verdict, words) {
			t.Errorf("verdict %q does not name %s", report.Verdict, words)
		}
	}
	if !strings.Contains(remedies, f.remedy) {
		t.Errorf("remedies %q, want %q in them", remedies, f.remedy)
	}
	if err := report.Err(); (err == nil) != (f.class == nil && !f.failed) || f.class != nil && !errors.Is(err, f.class) {
		t.Errorf("error %v, want %v", err, f.class)
	}
}

// answer lets what stands in front of registry.test answer for a part of it.
func (s *scene) answer(part string, with func(http.ResponseWriter)) {
	s.front = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.Contains(req.URL.Path, part) {
				with(w)
				return
			}
			next.ServeHTTP(w, req)
		})
	}
}

// deafToTLS serves team/app in plain http and closes, without a word, on whoever
// begins with anything else.
func (s *scene) deafToTLS() string {
	r := testregistry.New(testregistry.Config{})
	image.PutTo(r, "team/app", "v1")
	server := httptest.NewUnstartedServer(r)
	server.Listener = &onlyLetters{Listener: server.Listener}
	server.Start()
	s.t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// closing closes on everybody.
func (s *scene) closing() string {
	l, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // that is all there is to see
		}
	}()
	s.t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// onlyLetters closes connections whose first byte is no letter.
type onlyLetters struct{ net.Listener }

func (l *onlyLetters) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &lettered{Conn: conn}, err
}

type lettered struct {
	net.Conn
	begun bool
}

func (c *lettered) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.begun {
		c.begun = true
		if p[0] < 'A' || p[0] > 'Z' {
			return 0, errors.Join(io.EOF, c.Close())
		}
	}
	return n, err
}

// intercept has registry.test's certificate signed by somebody of that name.
func (s *scene) intercept(by string) {
	s.signer = by
}

// proxy lets all be reached through a proxy that answers with status.
func (s *scene) proxy(status int) {
	s.names["proxy.test"] = "127.0.0.4"
	s.env["HTTPS_PROXY"] = "http://ann:" + password + "@proxy.test:3128"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		s.pipe(w, req)
	}))
	s.t.Cleanup(server.Close)
	s.open["127.0.0.4:3128"] = server.Listener.Addr().String()
}

// pipe connects who asks with whom he asks for.
func (s *scene) pipe(w http.ResponseWriter, req *http.Request) {
	host, port, _ := net.SplitHostPort(req.Host) // a CONNECT has both
	there, err := s.dial(req.Context(), "tcp", s.names[host]+":"+port)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.t.Error(err)
		return
	}
	_, _ = here.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) // who is gone gets nothing
	go both(here, buffered.Reader, there)
}

// both copies both ways until one side ends.
func both(here net.Conn, from *bufio.Reader, there net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}()
	_, _ = io.Copy(there, from)
	_ = there.Close()
	<-done
}
