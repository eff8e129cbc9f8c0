package natslog

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeCluster answers the requests of the JetStream API about the stream S as its servers would.
type fakeCluster struct {
	log     *Log
	info    atomic.Pointer[jetstream.StreamInfo]
	purged  atomic.Int64 // bytes of the requests to purge
	purges  atomic.Int64
	deletes atomic.Int64
	onInfo  atomic.Pointer[func()] // called for each request for the state
}

func newFakeCluster(t *testing.T) *fakeCluster {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(30*time.Second))
	c := &fakeCluster{log: openLog(t, Config{URL: s.ClientURL()})}
	c.set(nil)
	answer := func(subject string, f func(*nats.Msg) any) {
		_, err := c.log.conn.Subscribe("$JS.API.STREAM."+subject, func(m *nats.Msg) {
			text, err := json.Marshal(f(m))
			if assert.NoError(t, err) {
				assert.NoError(t, m.Respond(text))
			}
		})
		require.NoError(t, err)
	}
	done := map[string]bool{"success": true}
	answer("INFO.S", func(*nats.Msg) any {
		if f := c.onInfo.Load(); f != nil {
			(*f)()
		}
		return c.info.Load()
	})
	answer("PURGE.S", func(m *nats.Msg) any {
		c.purged.Add(int64(len(m.Data)))
		c.purges.Add(1)
		return done
	})
	answer("MSG.DELETE.S", func(*nats.Msg) any { c.deletes.Add(1); return done })
	return c
}

// set lets the cluster have these servers beside the leader. Three keep the stream.
func (c *fakeCluster) set(peers []*jetstream.PeerInfo) {
	c.info.Store(&jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: "S", Replicas: 3}, Cluster: &jetstream.ClusterInfo{Leader: "n1", Replicas: peers}})
}

// TestShredOnACluster checks that nothing is deleted while a server is away, which would keep the data, and that a deletion waits for
// servers that are behind.
func TestShredOnACluster(t *testing.T) {
	c := newFakeCluster(t)
	current := &jetstream.PeerInfo{Name: "n2", Current: true}
	for name, other := range map[string]struct {
		peer *jetstream.PeerInfo
		most time.Duration // that it may take
		want string
	}{
		"away":   {&jetstream.PeerInfo{Name: "n3", Offline: true}, time.Minute, "the stream S: the NATS server n3 is away: start it"},
		"behind": {&jetstream.PeerInfo{Name: "n3", Lag: maxLag + 1}, 300 * time.Millisecond, context.DeadlineExceeded.Error()},
	} {
		c.set([]*jetstream.PeerInfo{current, other.peer})
		ctx, cancel := context.WithTimeout(t.Context(), other.most)
		deleted, err := c.log.Shred(ctx, "S", []uint64{1})
		assert.ErrorContains(t, err, other.want, name)
		assert.Zero(t, deleted)
		_, err = c.log.CompactServers(ctx, "S")
		assert.Error(t, err, name)
		cancel()
	}
	assert.Zero(t, c.deletes.Load()+c.purges.Load())

	caughtUp := func() { c.set([]*jetstream.PeerInfo{current, current}) }
	c.onInfo.Store(&caughtUp) // at the next look
	deleted, err := c.log.Shred(t.Context(), "S", []uint64{1, 2})
	require.NoError(t, err)
	assert.Equal(t, 2, deleted)
	assert.EqualValues(t, 2, c.deletes.Load())
}

// TestServersAreCompacted checks that the servers of a cluster get enough requests to drop what they keep of earlier writes, and that they
// are not called compacted if one of them went away meanwhile.
func TestServersAreCompacted(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newFakeCluster(t)
	current := &jetstream.PeerInfo{Name: "n2", Current: true}
	whole := []*jetstream.PeerInfo{current, current}
	c.set(whole)
	servers, err := c.log.CompactServers(t.Context(), "S")
	require.NoError(t, err)
	assert.Equal(t, 3, servers)
	assert.GreaterOrEqual(t, c.purged.Load(), int64(fillBytes))
	requests := c.purges.Load()

	left := func() {
		if c.purges.Load() > requests {
			c.set(whole[:1])
		}
	}
	c.onInfo.Store(&left)
	_, err = c.log.CompactServers(t.Context(), "S")
	assert.ErrorContains(t, err, "it has 2 of 3 NATS servers")
	assert.Equal(t, 2*requests, c.purges.Load())
	assert.True(t, strings.HasPrefix(err.Error(), "the stream S: "))
}
