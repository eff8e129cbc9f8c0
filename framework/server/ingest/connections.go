package ingest

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Bounds of a Connections. Surplus connections are beyond the others.
const (
	DefaultMaxConnections           = 4096
	DefaultMaxConnectionsPerAddress = 512
	maxSurplus                      = 64
	surplusTime                     = 5 * time.Second
)

// Connections bounds the connections of a server without keeping anybody from its health. At the bound, a connection that is idle
// makes place for a new one. If none is idle, or the client's address has as many as one may have, the new connection is surplus:
// a Handler answers 503 there without reading, other handlers answer as always. Surplus connections are few and short; the oldest
// makes place for the next. So a connection is always accepted, and a probe of /healthz answered.
//
// It is safe for concurrent use.
type Connections struct {
	most, perAddress int
	trusted          func(netip.Addr) bool

	mu      sync.Mutex
	open    int // without surplus ones
	byPeer  map[netip.Prefix]int
	idle    *list.List // of *connection, the one that is idle for longest first
	surplus *list.List // of *connection, the oldest first
}

// ConnectionBounds are the bounds of a Connections. Zero fields have working defaults.
type ConnectionBounds struct {
	Most       int
	PerAddress int
	// Trusted reports whether an address is a proxy, which opens connections for many clients and is not bound by PerAddress.
	Trusted func(netip.Addr) bool
}

// NewConnections returns a Connections without a connection.
func NewConnections(b ConnectionBounds) *Connections {
	c := &Connections{most: b.Most, perAddress: b.PerAddress, trusted: b.Trusted, byPeer: map[netip.Prefix]int{}, idle: list.New(), surplus: list.New()}
	if c.most <= 0 {
		c.most = DefaultMaxConnections
	}
	if c.perAddress <= 0 {
		c.perAddress = min(DefaultMaxConnectionsPerAddress, max(1, c.most/2))
	}
	if c.trusted == nil {
		c.trusted = func(netip.Addr) bool { return false }
	}
	return c
}

// PerAddress returns how many connections one address may have.
func (c *Connections) PerAddress() int { return c.perAddress }

// Guard makes a server tell the Connections which connections wait for a request, and its handlers which ones are surplus. The server then
// serves what Listen returns.
func (c *Connections) Guard(server *http.Server) {
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if own, ok := conn.(*connection); ok {
			c.note(own, state == http.StateIdle || state == http.StateNew)
		}
	}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if own, ok := conn.(*connection); ok && own.isSurplus {
			return context.WithValue(ctx, surplusKey{}, true)
		}
		return ctx
	}
}

type surplusKey struct{}

// isSurplus reports whether a request came over a surplus connection.
func isSurplus(ctx context.Context) bool { return ctx.Value(surplusKey{}) != nil }

// Listen returns a listener whose connections are counted and bounded.
func (c *Connections) Listen(l net.Listener) net.Listener {
	return &boundedListener{Listener: l, of: c}
}

type boundedListener struct {
	net.Listener
	of *Connections
}

func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	made, displaced := l.of.add(conn)
	if displaced != nil {
		_ = displaced.Conn.Close() // its reader notices and closes it again, which removes it
	}
	return made, nil
}

// connection is one that is counted. Its Connections' mutex guards place.
type connection struct {
	net.Conn
	of        *Connections
	peer      netip.Prefix
	capped    bool // it counts for its peer
	isSurplus bool
	until     time.Time     // of a surplus connection: no deadline is later
	place     *list.Element // among the idle or the surplus ones
	removed   bool
}

// add counts a connection, and returns the one that has to make place for it.
func (c *Connections) add(conn net.Conn) (made, displaced *connection) {
	made = &connection{Conn: conn, of: c}
	if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		made.peer, made.capped = network(at.Addr()), !c.trusted(at.Addr().Unmap())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	own := made.capped && c.byPeer[made.peer] >= c.perAddress
	if !own && c.open >= c.most {
		if displaced = c.pop(c.idle); displaced != nil {
			c.removeLocked(displaced)
		}
	}
	if own || c.open >= c.most {
		made.isSurplus, made.until = true, time.Now().Add(surplusTime)
		if c.surplus.Len() >= maxSurplus {
			displaced = c.pop(c.surplus)
		}
		made.place = c.surplus.PushBack(made)
		return made, displaced
	}
	c.open++
	if made.capped {
		c.byPeer[made.peer]++
	}
	return made, displaced
}

// pop takes the first connection of a list, nil if there is none.
func (c *Connections) pop(l *list.List) *connection {
	first := l.Front()
	if first == nil {
		return nil
	}
	popped := l.Remove(first).(*connection)
	popped.place = nil
	return popped
}

// note moves a connection in or out of the idle ones.
func (c *Connections) note(conn *connection, idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case conn.isSurplus || conn.removed:
	case idle && conn.place == nil:
		conn.place = c.idle.PushBack(conn)
	case !idle && conn.place != nil:
		c.idle.Remove(conn.place)
		conn.place = nil
	}
}

func (c *Connections) removeLocked(conn *connection) {
	if conn.removed {
		return
	}
	conn.removed = true
	if conn.isSurplus {
		if conn.place != nil {
			c.surplus.Remove(conn.place)
		}
		return
	}
	if conn.place != nil {
		c.idle.Remove(conn.place)
	}
	c.open--
	if !conn.capped {
		return
	}
	if c.byPeer[conn.peer]--; c.byPeer[conn.peer] <= 0 {
		delete(c.byPeer, conn.peer)
	}
}

// Close closes the connection and stops counting it.
func (n *connection) Close() error {
	n.of.mu.Lock()
	n.of.removeLocked(n)
	n.of.mu.Unlock()
	return n.Conn.Close()
}

// CloseWrite lets http.Server end an answer before it closes the connection.
func (n *connection) CloseWrite() error {
	if half, ok := n.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetReadDeadline sets the deadline, which a surplus connection has in any case.
func (n *connection) SetReadDeadline(t time.Time) error { return n.Conn.SetReadDeadline(n.bounded(t)) }

// SetWriteDeadline is SetReadDeadline for writing.
func (n *connection) SetWriteDeadline(t time.Time) error {
	return n.Conn.SetWriteDeadline(n.bounded(t))
}

// SetDeadline sets both deadlines.
func (n *connection) SetDeadline(t time.Time) error { return n.Conn.SetDeadline(n.bounded(t)) }

func (n *connection) bounded(t time.Time) time.Time {
	if n.isSurplus && (t.IsZero() || t.After(n.until)) {
		return n.until
	}
	return t
}
