package ingest

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeConn is a connection from an address that records its deadlines and whether it was closed.
type fakeConn struct {
	net.Conn
	from        string
	closed      int
	read, write time.Time
}

func (f *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.from))
}
func (f *fakeConn) Close() error                       { f.closed++; return nil }
func (f *fakeConn) SetReadDeadline(t time.Time) error  { f.read = t; return nil }
func (f *fakeConn) SetWriteDeadline(t time.Time) error { f.write = t; return nil }
func (f *fakeConn) SetDeadline(t time.Time) error      { f.read, f.write = t, t; return nil }

// queueListener accepts the connections of a list.
type queueListener struct {
	net.Listener
	next []net.Conn
}

func (l *queueListener) Accept() (net.Conn, error) {
	if len(l.next) == 0 {
		return nil, net.ErrClosed
	}
	conn := l.next[0]
	l.next = l.next[1:]
	return conn, nil
}

// acceptFrom accepts a connection from each address, in order.
func acceptFrom(t *testing.T, c *Connections, addresses ...string) (accepted []*connection, inner []*fakeConn) {
	queue := &queueListener{}
	for _, from := range addresses {
		conn := &fakeConn{from: from}
		queue.next, inner = append(queue.next, conn), append(inner, conn)
	}
	l := c.Listen(queue)
	for range addresses {
		conn, err := l.Accept()
		require.NoError(t, err)
		accepted = append(accepted, conn.(*connection))
	}
	_, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	return accepted, inner
}

func surplusOf(conns []*connection) (list []bool) {
	for _, c := range conns {
		list = append(list, c.isSurplus)
	}
	return list
}

// TestConnectionsAreCountedPerAddress checks the limit per address: the first one beyond it is surplus, a closed one makes room, and a
// connection that is closed twice counts once.
func TestConnectionsAreCountedPerAddress(t *testing.T) {
	c := NewConnections(ConnectionLimits{Max: 10, PerAddress: 2})
	conns, inner := acceptFrom(t, c, "192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "[2001:db8:0:1::1]:1")
	assert.Equal(t, []bool{false, false, true, false, false, false, true, false}, surplusOf(conns), "addresses of one IPv6 network count as one")
	require.NoError(t, conns[0].Close())
	require.NoError(t, conns[0].Close())
	assert.Equal(t, 2, inner[0].closed)
	more, _ := acceptFrom(t, c, "192.0.2.1:4", "192.0.2.1:5")
	assert.Equal(t, []bool{false, true}, surplusOf(more))
	for _, conn := range append(conns, more...) {
		_ = conn.Close()
	}
	assert.Zero(t, c.open)
	assert.Empty(t, c.byPeer)
	assert.Zero(t, c.surplus.Len())
}

// TestTrustedProxiesHaveNoLimitPerAddress checks that a proxy's connections count toward the limit of the server only.
func TestTrustedProxiesHaveNoLimitPerAddress(t *testing.T) {
	c := NewConnections(ConnectionLimits{Max: 4, PerAddress: 1, Trusted: func(a netip.Addr) bool { return a == netip.MustParseAddr("10.0.0.1") }})
	conns, _ := acceptFrom(t, c, "10.0.0.1:1", "[::ffff:10.0.0.1]:2", "10.0.0.1:3", "192.0.2.1:1", "10.0.0.1:4")
	assert.Equal(t, []bool{false, false, false, false, true}, surplusOf(conns))
	_ = conns[0].Close()
	more, _ := acceptFrom(t, c, "192.0.2.1:2", "10.0.0.1:5")
	assert.Equal(t, []bool{true, false}, surplusOf(more))
}

// TestConnectionsReplaceTheLongestIdle checks which connection is closed at the limit of the server.
func TestConnectionsReplaceTheLongestIdle(t *testing.T) {
	c := NewConnections(ConnectionLimits{Max: 3, PerAddress: 3})
	conns, inner := acceptFrom(t, c, "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1")
	c.markIdle(conns[2], true)
	c.markIdle(conns[0], true)
	c.markIdle(conns[1], true)
	c.markIdle(conns[2], false) // busy again
	c.markIdle(conns[0], true)  // still idle, for as long as before
	more, _ := acceptFrom(t, c, "192.0.2.4:1", "192.0.2.4:2", "192.0.2.4:3")
	assert.Equal(t, []bool{false, false, true}, surplusOf(more))
	assert.Equal(t, []int{1, 1, 0}, []int{inner[0].closed, inner[1].closed, inner[2].closed})
	assert.Equal(t, 3, c.open)
	_ = conns[0].Close() // the server closes what was replaced
	c.markIdle(conns[0], true)
	assert.Equal(t, 3, c.open)
	assert.Zero(t, c.idle.Len())
}

// TestPerAddressLimitReplacesNoIdleConnection checks that a client at its own limit closes no connection of another.
func TestPerAddressLimitReplacesNoIdleConnection(t *testing.T) {
	c := NewConnections(ConnectionLimits{Max: 3, PerAddress: 1})
	conns, inner := acceptFrom(t, c, "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1")
	c.markIdle(conns[0], true)
	more, _ := acceptFrom(t, c, "192.0.2.2:2")
	assert.Equal(t, []bool{true}, surplusOf(more))
	assert.Zero(t, inner[0].closed)
}

// TestSurplusConnectionsAreFewAndShort checks their number and their deadlines.
func TestSurplusConnectionsAreFewAndShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConnections(ConnectionLimits{Max: 1, PerAddress: 1})
		addresses := make([]string, maxSurplus+1)
		for i := range addresses {
			addresses[i] = "192.0.2.1:1"
		}
		conns, inner := acceptFrom(t, c, addresses...)
		assert.Equal(t, maxSurplus, c.surplus.Len())
		assert.Zero(t, inner[1].closed)
		_, _ = acceptFrom(t, c, "192.0.2.9:1")
		assert.Equal(t, maxSurplus, c.surplus.Len())
		assert.Equal(t, []int{0, 1, 0}, []int{inner[0].closed, inner[1].closed, inner[2].closed}, "the oldest surplus connection is closed")
		early, late := time.Now().Add(time.Second), time.Now().Add(time.Hour)
		for _, asked := range []time.Time{early, late, {}} {
			require.NoError(t, conns[0].SetDeadline(asked))
			assert.Equal(t, asked, inner[0].read)
			want := conns[2].until
			if asked == early {
				want = early
			}
			require.NoError(t, conns[2].SetDeadline(asked))
			assert.Equal(t, []time.Time{want, want}, []time.Time{inner[2].read, inner[2].write})
			inner[2].read, inner[2].write = time.Time{}, time.Time{}
			require.NoError(t, conns[2].SetReadDeadline(asked))
			require.NoError(t, conns[2].SetWriteDeadline(asked))
			assert.Equal(t, []time.Time{want, want}, []time.Time{inner[2].read, inner[2].write})
		}
		assert.Equal(t, time.Now().Add(surplusTime), conns[2].until)
	})
}

func TestDefaultConnectionLimits(t *testing.T) {
	for _, c := range []struct{ given, want ConnectionLimits }{
		{ConnectionLimits{}, ConnectionLimits{Max: DefaultMaxConnections, PerAddress: DefaultMaxConnectionsPerAddress}},
		{ConnectionLimits{Max: 100}, ConnectionLimits{Max: 100, PerAddress: 50}},
		{ConnectionLimits{Max: 1}, ConnectionLimits{Max: 1, PerAddress: 1}},
		{ConnectionLimits{Max: 100, PerAddress: 70}, ConnectionLimits{Max: 100, PerAddress: 70}},
	} {
		made := NewConnections(c.given)
		assert.Equal(t, []int{c.want.Max, c.want.PerAddress}, []int{made.limit, made.PerAddress()})
	}
}

// TestMemoryBudget checks the limits of the budget and of the share of requests without a known write key, and that a refused
// reservation changes nothing.
func TestMemoryBudget(t *testing.T) {
	budget := &memoryBudget{limit: 400}
	known, unknown := memoryGrant{budget: budget}, memoryGrant{budget: budget, anonymous: true}
	assert.Equal(t, []int64{400, 100}, []int64{known.maxBytes(), unknown.maxBytes()})
	assert.True(t, unknown.reserveBytes(100))
	assert.False(t, unknown.reserveBytes(1))
	assert.True(t, known.reserveBytes(300))
	assert.False(t, known.reserveBytes(1))
	assert.Equal(t, []int64{400, 100, 300, 100}, []int64{budget.used.Load(), budget.anonymous.Load(), known.held, unknown.held})
	assert.True(t, unknown.reserveBytes(-40))
	assert.Equal(t, []int64{360, 60, 60}, []int64{budget.used.Load(), budget.anonymous.Load(), unknown.held})
	unknown.leaveAnonymous()
	unknown.leaveAnonymous()
	assert.Equal(t, []int64{360, 0, 60, 400}, []int64{budget.used.Load(), budget.anonymous.Load(), unknown.held, unknown.maxBytes()})
	known.releaseAll()
	unknown.releaseAll()
	assert.Zero(t, budget.used.Load()+budget.anonymous.Load()+known.held+unknown.held)

	for _, g := range []memoryGrant{{budget: budget}, {budget: budget, anonymous: true}} {
		require.True(t, g.reserveBytes(100))
		budget.used.Add(500) // as a request that is refused does for a moment
		budget.anonymous.Add(500)
		g.releaseAll()
		assert.Zero(t, g.held)
		assert.Equal(t, []int64{0, 0}, []int64{budget.used.Add(-500), budget.anonymous.Add(-500)}, "bytes are returned at any time")
	}
}

// TestBucket checks bursts, waiting times, debts and returned tokens.
func TestBucket(t *testing.T) {
	b, now := newBucket(2), noon
	take := func() bool { _, ok := b.takeToken(now); return ok }
	for range 4 {
		assert.True(t, take(), "a burst of twice the rate")
	}
	wait, ok := b.takeToken(now)
	assert.False(t, ok)
	assert.Equal(t, 500*time.Millisecond, wait)
	b.chargeTokens(3)
	wait, _ = b.takeToken(now)
	assert.Equal(t, 2*time.Second, wait, "three tokens of debt")
	now = now.Add(2 * time.Second)
	assert.True(t, take())
	assert.False(t, take())
	now = now.Add(-time.Hour)
	assert.False(t, take(), "a clock that goes back fills nothing")
	b.chargeTokens(-100)
	for range 4 {
		assert.True(t, take())
	}
	assert.False(t, take(), "returned tokens do not exceed the burst")
	now = now.Add(3 * time.Hour)
	for range 4 {
		assert.True(t, take())
	}
	assert.False(t, take(), "nor do saved ones")

	slow := newBucket(0.1)
	_, ok = slow.takeToken(noon)
	assert.True(t, ok, "a burst has at least one event")
	wait, ok = slow.takeToken(noon)
	assert.False(t, ok)
	assert.Equal(t, 10*time.Second, wait)
	assert.Nil(t, newBucket(-1))
	var none *bucket
	none.chargeTokens(5)
	_, ok = none.takeToken(noon)
	assert.True(t, ok)
}
