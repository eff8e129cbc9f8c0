package natslog

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// TestMessagesThatCannotBeDeleted checks that a message which the server refuses to delete is not called deleted, unlike one that is gone.
func TestMessagesThatCannotBeDeleted(t *testing.T) {
	log := openLog(t, Config{Dir: t.TempDir()})
	_, err := log.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept.>"}, DenyDelete: true})
	require.NoError(t, err)
	_, err = log.Append(t.Context(), "KEPT", []eventlog.Write{{Subject: "kept.x", Data: []byte("erased-user")}})
	require.NoError(t, err)
	require.ErrorIs(t, log.Delete(t.Context(), "KEPT", 1), jetstream.ErrMsgDeleteUnsuccessful)
	require.NoError(t, log.Delete(t.Context(), "KEPT", 2))
	deleted, err := log.Shred(t.Context(), "KEPT", []uint64{2, 1})
	require.ErrorIs(t, err, jetstream.ErrMsgDeleteUnsuccessful)
	assert.Zero(t, deleted)
	_, err = log.Get(t.Context(), "KEPT", 1)
	require.NoError(t, err)
}

// TestCountsLeaveNothing checks that the server keeps nothing of a count, of which there are many.
func TestCountsLeaveNothing(t *testing.T) {
	log := newLog(t)
	_, err := log.Count(t.Context(), "S", eventlog.Query{})
	require.NoError(t, err)
	info, err := log.streamInfo(t.Context(), "S")
	require.NoError(t, err)
	assert.Zero(t, info.State.Consumers)
}

// TestHeadersOfMessages checks which headers of a message are the writer's: NATS adds some, such as the condition of a write.
func TestHeadersOfMessages(t *testing.T) {
	log := newLog(t)
	_, err := log.Append(t.Context(), "S", []eventlog.Write{
		{Subject: "s.x", Conditional: true}, {Subject: "s.y", Conditional: true, Header: map[string]string{"Name": "value"}},
	})
	require.NoError(t, err)
	for seq, want := range []map[string]string{nil, {"Name": "value"}} {
		m, err := log.Get(t.Context(), "S", uint64(seq+1))
		require.NoError(t, err)
		assert.Equal(t, want, m.Header)
	}
	assert.Equal(t, map[string]string{"A": "1"}, headerOf(nats.Header{"A": {"1", "2"}, "B": {}, "Nats-Msg-Id": {"x"}}))
}

// TestStartsOfQueries checks where a query starts: the newest messages go before a time, and that before a sequence.
func TestStartsOfQueries(t *testing.T) {
	at := time.Now()
	for _, c := range []struct {
		query  eventlog.Query
		policy jetstream.DeliverPolicy
		seq    uint64
		since  bool
	}{
		{eventlog.Query{}, jetstream.DeliverAllPolicy, 0, false},
		{eventlog.Query{From: 1}, jetstream.DeliverByStartSequencePolicy, 1, false},
		{eventlog.Query{From: 7, Since: at}, jetstream.DeliverByStartTimePolicy, 0, true},
		{eventlog.Query{From: 7, Since: at, Newest: true}, jetstream.DeliverLastPerSubjectPolicy, 0, false},
	} {
		policy, seq, since := startOf(c.query)
		assert.Equal(t, []any{c.policy, c.seq, c.since}, []any{policy, seq, since != nil})
	}
}

// TestInfoOfAnEmptyStream checks that the first sequence of a stream without messages is the next one.
func TestInfoOfAnEmptyStream(t *testing.T) {
	for _, c := range []struct{ messages, first, last, want uint64 }{{0, 0, 0, 1}, {0, 5, 4, 5}, {0, 0, 9, 10}, {1, 4, 4, 4}} {
		info := infoOf(&jetstream.StreamInfo{State: jetstream.StreamState{Msgs: c.messages, FirstSeq: c.first, LastSeq: c.last}})
		assert.Equal(t, c.want, info.FirstSeq)
	}
}

// TestLevelsOfTheServersLog checks at which level a message of the server is logged, and that only one which ends the server counts as a failure.
func TestLevelsOfTheServersLog(t *testing.T) {
	var out bytes.Buffer
	log := serverLog{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), &atomic.Bool{}}
	for want, call := range map[string]func(string, ...any){
		"level=DEBUG": log.Noticef, "level=DEBUG msg": log.Debugf, "level=DEBUG ": log.Tracef, "level=WARN": log.Warnf, "level=ERROR": log.Errorf,
	} {
		out.Reset()
		call("disk %d", 7)
		assert.Contains(t, out.String(), want)
		assert.Contains(t, out.String(), `msg="log storage: disk 7"`)
		assert.False(t, log.failed.Load())
	}
	out.Reset()
	log.Fatalf("disk %d", 7)
	assert.True(t, strings.Contains(out.String(), "level=ERROR") && log.failed.Load())
}
