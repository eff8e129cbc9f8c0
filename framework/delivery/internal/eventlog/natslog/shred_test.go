package natslog

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// TestShred checks that messages are deleted and overwritten on the disk, and that those which are gone do not count.
func TestShred(t *testing.T) {
	log := newLog(t)
	for range 4 {
		_, err := log.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.x", Data: []byte("erased-user")}})
		require.NoError(t, err)
	}
	require.NoError(t, log.Delete(t.Context(), "S", 3))
	for _, c := range []struct {
		seqs []uint64
		want int
	}{{nil, 0}, {[]uint64{1, 3, 4}, 2}, {[]uint64{1, 3, 4, 99}, 0}} {
		deleted, err := log.Shred(t.Context(), "S", c.seqs)
		require.NoError(t, err)
		assert.Equal(t, c.want, deleted)
	}
	assert.Equal(t, []string{"2 s.x  11 6572617365"}, textsOf(t, log))
	_, err := log.Shred(t.Context(), "UNKNOWN", []uint64{1})
	require.ErrorIs(t, err, eventlog.ErrNoStream)
	_, err = log.CompactServers(t.Context(), "UNKNOWN")
	require.ErrorIs(t, err, eventlog.ErrNoStream)
	servers, err := log.CompactServers(t.Context(), "S")
	require.NoError(t, err)
	assert.Equal(t, 1, servers, "one server does not replicate")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	deleted, err := log.Shred(ctx, "S", []uint64{2})
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, deleted)
}

// TestServersOfAStream checks which states of a cluster let data be shredded: every server must be there and have applied the writes.
func TestServersOfAStream(t *testing.T) {
	peer := func(change func(*jetstream.PeerInfo)) *jetstream.PeerInfo {
		p := &jetstream.PeerInfo{Name: "n2", Current: true, Active: time.Second}
		change(p)
		return p
	}
	good := func(*jetstream.PeerInfo) {}
	for name, c := range map[string]struct {
		leader       string
		peers        []*jetstream.PeerInfo
		away, behind string
	}{
		"all are there":      {"n1", []*jetstream.PeerInfo{peer(good), peer(good)}, "", ""},
		"one is offline":     {"n1", []*jetstream.PeerInfo{peer(good), peer(func(p *jetstream.PeerInfo) { p.Offline = true })}, "the NATS server n2 is away: start it", ""},
		"one was not heard":  {"n1", []*jetstream.PeerInfo{peer(func(p *jetstream.PeerInfo) { p.Active = awayAfter + 1 }), peer(good)}, "the NATS server n2 is away: start it", ""},
		"one was just heard": {"n1", []*jetstream.PeerInfo{peer(func(p *jetstream.PeerInfo) { p.Active = awayAfter }), peer(good)}, "", ""},
		"one is missing":     {"n1", []*jetstream.PeerInfo{peer(good)}, "it has 2 of 3 NATS servers", ""},
		"no leader":          {"", []*jetstream.PeerInfo{peer(good), peer(good)}, "it has 3 of 3 NATS servers", ""},
		"one is behind":      {"n1", []*jetstream.PeerInfo{peer(good), peer(func(p *jetstream.PeerInfo) { p.Current, p.Lag = false, maxLag+1 })}, "", "n2"},
		"one is just behind": {"n1", []*jetstream.PeerInfo{peer(good), peer(func(p *jetstream.PeerInfo) { p.Current, p.Lag = false, maxLag })}, "", ""},
		"an old lag":         {"n1", []*jetstream.PeerInfo{peer(good), peer(func(p *jetstream.PeerInfo) { p.Lag = maxLag + 1 })}, "", ""},
	} {
		info := &jetstream.ClusterInfo{Leader: c.leader, Replicas: c.peers}
		if err := serversAway(info, 3); c.away == "" {
			assert.NoError(t, err, name)
		} else {
			assert.EqualError(t, err, c.away, name)
		}
		assert.Equal(t, c.behind, serverBehind(info), name)
	}
}

// TestWriteGate checks that writes wait while the gate is closed, and that closing waits for those in progress.
func TestWriteGate(t *testing.T) {
	var gate writeGate
	leave, err := gate.enter(t.Context())
	require.NoError(t, err)
	closed := make(chan func())
	go func() { closed <- gate.close() }()
	select {
	case <-closed:
		t.Fatal("a write is in progress")
	case <-time.After(10 * time.Millisecond):
	}
	leave()
	open := <-closed
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("gone"))
	_, err = gate.enter(ctx)
	require.ErrorIs(t, err, context.Canceled)
	entered := make(chan func())
	go func() {
		leave, err := gate.enter(context.WithoutCancel(t.Context()))
		assert.NoError(t, err)
		entered <- leave
	}()
	select {
	case <-entered:
		t.Fatal("the gate is closed")
	case <-time.After(10 * time.Millisecond):
	}
	open()
	(<-entered)()
	gate.close()()
}
