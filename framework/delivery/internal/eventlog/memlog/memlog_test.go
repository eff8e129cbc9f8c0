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

// The times of messages come from the clock. They do not decrease even if the clock is set back.
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
	assert.Equal(t, []int64{1000, 1005, 1005, 1006}, times)
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
