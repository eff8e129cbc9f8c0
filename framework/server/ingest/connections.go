package ingest

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/server/access"
)

// Limits of a Connections. Surplus connections are not included in the maximum.
const (
	DefaultMaxConnections           = 4096
	DefaultMaxConnectionsPerAddress = 512
	maxSurplus                      = 64
	surplusTime                     = 5 * time.Second
)

// Connections limits the connections of a server, but keeps health checks working. At the limit, a new connection replaces the one that
// has been idle for longest. If none is idle, or the client's address has reached its limit, the new connection is a surplus connection:
// a Handler responds to it with status 503 without reading the body, and other handlers respond as usual. Surplus connections are few
// and short-lived; at their limit, a new one replaces the oldest. So every connection is accepted, and /healthz always responds.
//
// It is safe for concurrent use.
type Connections struct {
	limit, perAddress int
	trusted           func(netip.Addr) bool

	mu      sync.Mutex
	open    int // without surplus connections
	byPeer  map[netip.Prefix]int
	idle    *list.List // of *connection, idle for longest first
	surplus *list.List // of *connection, oldest first
}

// ConnectionLimits configures a Connections. Zero fields have working defaults.
type ConnectionLimits struct {
	Max        int
	PerAddress int
	// Trusted reports whether an address is a trusted proxy, which PerAddress does not limit. May be nil.
	Trusted func(netip.Addr) bool
}

// NewConnections returns a Connections without open connections.
func NewConnections(b ConnectionLimits) *Connections {
	c := &Connections{limit: b.Max, perAddress: b.PerAddress, trusted: b.Trusted, byPeer: map[netip.Prefix]int{}, idle: list.New(), surplus: list.New()}
	if c.limit <= 0 {
		c.limit = DefaultMaxConnections
	}
	if c.perAddress <= 0 {
		c.perAddress = min(DefaultMaxConnectionsPerAddress, max(1, c.limit/2))
	}
	if c.trusted == nil {
		c.trusted = func(netip.Addr) bool { return false }
	}
	return c
}

// PerAddress returns the maximum number of connections per address.
func (c *Connections) PerAddress() int { return c.perAddress }

// Guard sets hooks of the server that track idle connections and mark surplus ones. The server must serve the listener that Listen
// returns, or one around it for TLS or the PROXY protocol.
func (c *Connections) Guard(server *http.Server) {
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if own := countedConnection(conn); own != nil {
			c.markIdle(own, state == http.StateIdle || state == http.StateNew)
		}
	}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if own := countedConnection(conn); own != nil && own.isSurplus {
			return context.WithValue(ctx, surplusKey{}, true)
		}
		return ctx
	}
}

// countedConnection returns the counted connection inside those of TLS and of the PROXY protocol, or nil.
func countedConnection(conn net.Conn) *connection {
	for {
		switch outer := conn.(type) {
		case *connection:
			return outer
		case interface{ NetConn() net.Conn }: // of crypto/tls
			conn = outer.NetConn()
		case interface{ Raw() net.Conn }: // of go-proxyproto
			conn = outer.Raw()
		default:
			return nil
		}
	}
}

type surplusKey struct{}

// isSurplus reports whether a request came over a surplus connection.
func isSurplus(ctx context.Context) bool { return ctx.Value(surplusKey{}) != nil }

// Listen returns a listener whose connections are counted and limited.
func (c *Connections) Listen(l net.Listener) net.Listener {
	return &limitedListener{Listener: l, connections: c}
}

// limitedListener counts and limits the connections that it accepts.
type limitedListener struct {
	net.Listener
	connections *Connections
}

func (l *limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	made, displaced := l.connections.addConnection(conn)
	if displaced != nil {
		_ = displaced.Conn.Close() // its reader fails and closes it again, which removes it
	}
	return made, nil
}

// connection is a counted connection. The mutex of its Connections guards place.
type connection struct {
	net.Conn
	of        *Connections
	peer      netip.Prefix
	capped    bool // counts toward the limit per address
	isSurplus bool
	until     time.Time     // for a surplus connection: the latest deadline
	place     *list.Element // element of the idle or surplus list; nil if in neither
	removed   bool
}

// addConnection counts a connection. It returns the connection to close in its place, if any.
func (c *Connections) addConnection(conn net.Conn) (made, displaced *connection) {
	made = &connection{Conn: conn, of: c}
	if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		made.peer, made.capped = access.NetworkOf(at.Addr()), !c.trusted(at.Addr().Unmap())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	peerFull := made.capped && c.byPeer[made.peer] >= c.perAddress
	if !peerFull && c.open >= c.limit {
		if displaced = c.popFirst(c.idle); displaced != nil {
			c.removeLocked(displaced)
		}
	}
	if peerFull || c.open >= c.limit {
		made.isSurplus, made.until = true, time.Now().Add(surplusTime)
		if c.surplus.Len() >= maxSurplus {
			displaced = c.popFirst(c.surplus)
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

// popFirst removes and returns the first connection of a list; nil if the list is empty.
func (c *Connections) popFirst(l *list.List) *connection {
	first := l.Front()
	if first == nil {
		return nil
	}
	popped := l.Remove(first).(*connection)
	popped.place = nil
	return popped
}

// markIdle adds a connection to the idle list, or removes it.
func (c *Connections) markIdle(conn *connection, idle bool) {
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

// removeLocked stops counting a connection. The caller must hold c.mu.
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

// CloseWrite lets http.Server finish a response before it closes the connection.
func (n *connection) CloseWrite() error {
	if half, ok := n.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetReadDeadline sets the read deadline. A surplus connection always has one.
func (n *connection) SetReadDeadline(t time.Time) error {
	return n.Conn.SetReadDeadline(n.limitDeadline(t))
}

// SetWriteDeadline is SetReadDeadline for writing.
func (n *connection) SetWriteDeadline(t time.Time) error {
	return n.Conn.SetWriteDeadline(n.limitDeadline(t))
}

// SetDeadline sets both deadlines.
func (n *connection) SetDeadline(t time.Time) error { return n.Conn.SetDeadline(n.limitDeadline(t)) }

// limitDeadline returns t, or the latest deadline of a surplus connection if that is earlier.
func (n *connection) limitDeadline(t time.Time) time.Time {
	if n.isSurplus && (t.IsZero() || t.After(n.until)) {
		return n.until
	}
	return t
}
