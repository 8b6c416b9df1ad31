package faults_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// A memnet is a network in memory, on which time is that of the test's bubble.
type memnet struct {
	mu   sync.Mutex
	at   map[string]*listener
	port uint16
}

func newMemnet() *memnet { return &memnet{at: map[string]*listener{}, port: 5000} }

// listen is for testregistry.Registry.ListenOn. Port 0 is a free one.
func (n *memnet) listen(address string) (net.Listener, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if ap.Port() == 0 {
		n.port++
		ap = netip.AddrPortFrom(ap.Addr(), n.port)
	}
	l := &listener{net: n, addr: net.TCPAddrFromAddrPort(ap), calls: make(chan *conn), done: make(chan struct{})}
	n.at[ap.String()] = l
	return l, nil
}

// dial is for registry.Client.Dial.
func (n *memnet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.at[address]
	n.mu.Unlock()
	remote, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	refused := &net.OpError{Op: "dial", Net: network, Addr: remote, Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}
	there, back := newStream(), newStream()
	ours := &conn{local: local, remote: remote, in: back, out: there, read: newDeadline(), write: newDeadline()}
	theirs := &conn{local: remote, remote: local, in: there, out: back, read: newDeadline(), write: newDeadline()}
	select {
	case l.calls <- theirs:
		return ours, nil
	case <-l.done:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	net   *memnet
	addr  net.Addr
	calls chan *conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.at, l.addr.String())
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }
