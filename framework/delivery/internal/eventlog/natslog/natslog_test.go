package natslog

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/eventlogtest"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog/logfiles"
	"github.com/landfall-dev/landfall/internal/testport"
)

func TestSuiteEmbedded(t *testing.T) {
	eventlogtest.RunSuite(t, func(t *testing.T) eventlog.Log { return openLog(t, Config{Dir: t.TempDir()}) })
}

func TestSuiteOnServer(t *testing.T) {
	eventlogtest.RunSuite(t, func(t *testing.T) eventlog.Log {
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true})
		require.NoError(t, err)
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		require.True(t, s.ReadyForConnections(time.Minute))
		return openLog(t, Config{URL: s.ClientURL(), Replicas: 1})
	})
}

// TestWritesResumeAfterAnOutage checks that a server outside the process which does not answer for a while accepts writes again when it
// is back, without a write in the meantime, and that the test writes are not stored.
func TestWritesResumeAfterAnOutage(t *testing.T) {
	options := &server.Options{Host: "127.0.0.1", Port: testport.Number(t), JetStream: true, StoreDir: t.TempDir(), NoSigs: true}
	start := func() *server.Server {
		s, err := server.NewServer(options)
		require.NoError(t, err)
		s.Start()
		require.True(t, s.ReadyForConnections(time.Minute))
		return s
	}
	s := start()
	log := openLog(t, Config{URL: s.ClientURL(), Replicas: 1})
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "S", Subjects: []string{"s.*.x", "t.>"}}}))
	write := []eventlog.Write{{Subject: "s.a.x"}}
	_, err := log.Append(t.Context(), "S", write)
	require.NoError(t, err)

	s.Shutdown()
	s.WaitForShutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = log.Append(ctx, "S", write)
	require.Error(t, err)
	failed := func() bool { _, err := log.WriteFailure("S"); return err != nil }
	require.Eventually(t, failed, time.Minute, 10*time.Millisecond)

	s = start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.Eventually(t, func() bool { return !failed() }, time.Minute, 10*time.Millisecond)
	last, err := log.Append(t.Context(), "S", write)
	require.NoError(t, err)
	assert.LessOrEqual(t, last, uint64(3), "the write that was not answered may have been stored, a test write may not")
}

func openLog(t *testing.T, c Config) *Log {
	t.Helper()
	log, err := Open(c)
	require.NoError(t, err)
	t.Cleanup(log.Close)
	return log
}

// What was appended is there after the log was closed and opened again.
func TestReopened(t *testing.T) {
	dir := t.TempDir()
	streams := []eventlog.StreamConfig{{Name: "S", Subjects: []string{"s.>"}}}
	log := openLog(t, Config{Dir: dir})
	require.NoError(t, log.Prepare(t.Context(), streams))
	_, err := log.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.x", Data: []byte("data"), Header: map[string]string{"Name": "value"}}, {Subject: "s.y"}})
	require.NoError(t, err)
	before, err := log.Info(t.Context(), "S")
	require.NoError(t, err)
	log.Close()
	assert.Empty(t, log.embedded.serverID(), "the server has stopped")
	known, err := logfiles.TakeStamps(dir)
	require.NoError(t, err)
	assert.NotEmpty(t, known, "its files need not be checked")
	log = openLog(t, Config{Dir: dir})
	require.NoError(t, log.Prepare(t.Context(), streams))
	m, err := log.Get(t.Context(), "S", 1)
	require.NoError(t, err)
	assert.Equal(t, "data", string(m.Data))
	assert.Equal(t, map[string]string{"Name": "value"}, m.Header)
	after, err := log.Info(t.Context(), "S")
	require.NoError(t, err)
	assert.True(t, before.Created.Equal(after.Created))
	assert.Equal(t, before.LastSeq, after.LastSeq)
}

func TestAllReceived(t *testing.T) {
	info := func(name string, pending, delivered uint64) *jetstream.ConsumerInfo {
		return &jetstream.ConsumerInfo{Name: name, NumPending: pending, Delivered: jetstream.SequenceInfo{Consumer: delivered}}
	}
	last := &jetstream.MsgMetadata{Consumer: "a", Sequence: jetstream.SequencePair{Consumer: 7}}
	for _, c := range []struct {
		name string
		info *jetstream.ConsumerInfo
		last *jetstream.MsgMetadata
		want bool
	}{
		{"all received", info("a", 0, 7), last, true},
		{"some are pending", info("a", 3, 7), last, false},
		{"some are on their way", info("a", 0, 9), last, false},
		{"the first one is on its way", info("a", 0, 1), nil, false},
		{"everything was deleted", info("a", 0, 0), nil, true},
		{"a replaced consumer has nothing", info("b", 0, 0), last, true},
		{"a replaced consumer's first one is on its way", info("b", 0, 1), last, false},
	} {
		assert.Equal(t, c.want, allReceived(c.info, c.last), c.name)
	}
}

// TestEarlierVersionsRefuse updates a stream as earlier versions do, after it was told to refuse them. Later versions still prepare it, also if an
// earlier version has made it refuse those before it.
func TestEarlierVersionsRefuse(t *testing.T) {
	log := newLog(t)
	earlier := log.natsConfig(stream()[0])
	earlier.DenyDelete = true
	_, err := log.js.UpdateStream(t.Context(), earlier)
	require.NoError(t, err)
	_, err = log.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.a", Data: []byte("a")}, {Subject: "s.a", Data: []byte("b")}})
	require.NoError(t, err)
	refusing := stream()
	refusing[0].RefuseEarlier = true
	for _, configs := range [][]eventlog.StreamConfig{refusing, stream(), refusing} {
		require.NoError(t, log.Prepare(t.Context(), configs))
		_, err = log.js.UpdateStream(t.Context(), earlier)
		require.ErrorContains(t, err, "message TTL status can not be disabled")
	}
	require.NoError(t, log.PurgeBefore(t.Context(), "S", 2))
	assert.Len(t, textsOf(t, log), 1)
}
