package memlog

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/eventlogtest"
)

func TestSuite(t *testing.T) {
	eventlogtest.RunSuite(t, func(t *testing.T) eventlog.Log {
		log := New(Options{}).Connect()
		t.Cleanup(log.Close)
		return log
	})
}

// Connections share a store. Closing one neither deletes anything nor ends the readers of the others.
func TestConnections(t *testing.T) {
	store := New(Options{Shared: true})
	one, two := store.Connect(), store.Connect()
	defer two.Close()
	require.True(t, one.Shared())
	streams := []eventlog.StreamConfig{{Name: "S", Subjects: []string{"s.>"}}}
	require.NoError(t, one.Prepare(t.Context(), streams))
	require.NoError(t, two.Prepare(t.Context(), streams))
	reader, err := two.Read(t.Context(), "S", eventlog.Query{Filters: []string{"s.>"}})
	require.NoError(t, err)
	defer reader.Close()
	_, err = one.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.x"}})
	require.NoError(t, err)
	one.Close()
	_, err = two.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.y"}})
	require.NoError(t, err)
	for _, subject := range []string{"s.x", "s.y"} {
		m, err := reader.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, subject, m.Subject)
	}
	again := store.Connect()
	defer again.Close()
	n, err := again.Count(t.Context(), "S", eventlog.Query{Filters: []string{"s.>"}})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
}

// The times of messages come from the clock, as those of NATS do: they decrease if it is set back.
func TestClock(t *testing.T) {
	now := time.Unix(1000, 0)
	log := New(Options{Now: func() time.Time { return now }}).Connect()
	defer log.Close()
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "S", Subjects: []string{"s"}}}))
	var times []int64
	for _, seconds := range []int64{1000, 1005, 990, 1006} {
		now = time.Unix(seconds, 0)
		seq, err := log.Append(t.Context(), "S", []eventlog.Write{{Subject: "s"}})
		require.NoError(t, err)
		m, err := log.Get(t.Context(), "S", seq)
		require.NoError(t, err)
		times = append(times, m.Time.Unix())
	}
	assert.Equal(t, []int64{1000, 1005, 990, 1006}, times)
}

// A waiting reader lets the clock of a simulation advance.
func TestReaderInSimulation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := New(Options{}).Connect()
		defer log.Close()
		require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "S", Subjects: []string{"s"}}}))
		reader, err := log.Read(t.Context(), "S", eventlog.Query{Filters: []string{"s"}})
		require.NoError(t, err)
		began := time.Now()
		time.AfterFunc(time.Hour, func() {
			_, err := log.Append(context.Background(), "S", []eventlog.Write{{Subject: "s"}})
			assert.NoError(t, err)
		})
		m, err := reader.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, began.Add(time.Hour), m.Time)
	})
}

// newLog returns a log with the stream S.
func newLog(t *testing.T, c eventlog.StreamConfig) *Log {
	t.Helper()
	log := New(Options{MaxMessage: 100}).Connect()
	t.Cleanup(log.Close)
	c.Name, c.Subjects = "S", []string{"s.>"}
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{c}))
	return log
}

func (l *Log) append(t *testing.T, writes ...eventlog.Write) error {
	t.Helper()
	_, err := l.Append(t.Context(), "S", writes)
	return err
}

// TestLimits checks that a message, and a stream, can have exactly its limit.
func TestLimits(t *testing.T) {
	log := newLog(t, eventlog.StreamConfig{})
	require.NoError(t, log.append(t, eventlog.Write{Subject: "s.a", Data: make([]byte, 100)}))
	require.ErrorIs(t, log.append(t, eventlog.Write{Subject: "s.a", Data: make([]byte, 101)}), eventlog.ErrTooLarge)
	info, err := log.Info(t.Context(), "S")
	require.NoError(t, err)
	require.NoError(t, log.append(t, eventlog.Write{Subject: "s.a", Data: make([]byte, 100), Header: map[string]string{"Name": "value"}}))
	more, err := log.Info(t.Context(), "S")
	require.NoError(t, err)
	assert.Greater(t, more.Bytes, 2*info.Bytes+uint64(len("Namevalue")), "headers count")
	assert.Less(t, more.Bytes, 2*info.Bytes+uint64(len("Namevalue"))+10)

	limited := newLog(t, eventlog.StreamConfig{MaxBytes: int64(info.Bytes)})
	require.NoError(t, limited.append(t, eventlog.Write{Subject: "s.a", Data: make([]byte, 100)}))
	require.ErrorIs(t, limited.append(t, eventlog.Write{Subject: "s.a"}), eventlog.ErrFull)
	smaller := newLog(t, eventlog.StreamConfig{MaxBytes: int64(info.Bytes) - 1})
	require.ErrorIs(t, smaller.append(t, eventlog.Write{Subject: "s.a", Data: make([]byte, 100)}), eventlog.ErrFull)
}

// TestErase checks that data of the same length replaces that of a message, and nothing else does.
func TestErase(t *testing.T) {
	log := newLog(t, eventlog.StreamConfig{})
	for _, data := range []string{"keep", "erase", "", "gone", "shorter"} {
		require.NoError(t, log.append(t, eventlog.Write{Subject: "s." + data + "x", Data: []byte(data)}))
	}
	require.NoError(t, log.Delete(t.Context(), "S", 4))
	before, err := log.Get(t.Context(), "S", 2)
	require.NoError(t, err)
	var seen []string
	require.NoError(t, log.Erase(t.Context(), func(stream, subject string, data []byte) []byte {
		seen = append(seen, stream+" "+subject)
		switch string(data) {
		case "erase", "":
			return make([]byte, len(data))
		case "shorter":
			return []byte("short")
		}
		return nil
	}))
	assert.Equal(t, []string{"S s.keepx", "S s.erasex", "S s.x", "S s.shorterx"}, seen)
	for seq, want := range map[uint64]string{1: "keep", 2: "\x00\x00\x00\x00\x00", 3: "", 5: "shorter"} {
		m, err := log.Get(t.Context(), "S", seq)
		require.NoError(t, err)
		assert.Equal(t, want, string(m.Data))
	}
	assert.Equal(t, "erase", string(before.Data), "a message that was read does not change")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	keep := func(string, string, []byte) []byte { return nil }
	assert.ErrorIs(t, log.Erase(ctx, keep), context.Canceled)
	log.Close()
	assert.ErrorIs(t, log.Erase(t.Context(), keep), eventlog.ErrClosed)
}

// TestMemoryIsFreed checks that deleted messages and closed readers take no memory, however they went.
func TestMemoryIsFreed(t *testing.T) {
	for name, remove := range map[string]func(log *Log) error{
		"delete": func(log *Log) error {
			for seq := range uint64(1000) {
				if err := log.Delete(t.Context(), "S", seq+1); err != nil {
					return err
				}
			}
			return nil
		},
		"purge":          func(log *Log) error { return log.PurgeBefore(t.Context(), "S", 1001) },
		"purge subjects": func(log *Log) error { return log.PurgeSubjects(t.Context(), "S", "s.>") },
	} {
		log := newLog(t, eventlog.StreamConfig{})
		r, err := log.Read(t.Context(), "S", eventlog.Query{Filters: []string{"s.>"}})
		require.NoError(t, err)
		for range 1000 {
			require.NoError(t, log.append(t, eventlog.Write{Subject: "s.a"}))
		}
		require.NoError(t, remove(log))
		stream := log.store.streams["S"]
		assert.LessOrEqual(t, len(stream.entries), 17, name)
		assert.Empty(t, stream.subjects, name)
		assert.Zero(t, stream.bytes, name)
		r.Close()
		r.Close() // again
		assert.Empty(t, stream.readers, name)
		assert.Empty(t, log.readers, name)
	}
	log := newLog(t, eventlog.StreamConfig{NewestOnly: true})
	for range 1000 {
		require.NoError(t, log.append(t, eventlog.Write{Subject: "s.a"}))
	}
	assert.LessOrEqual(t, len(log.store.streams["S"].entries), 19)
}
