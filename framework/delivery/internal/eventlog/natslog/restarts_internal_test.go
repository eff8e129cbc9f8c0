package natslog

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// TestReadsGoOnAfterARestart checks that reads during a restart of the server wait for it, and that a scan goes on where it was.
func TestReadsGoOnAfterARestart(t *testing.T) {
	log, err := Open(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer log.Close()
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}}}))
	const messages = 600 // more than are requested at once
	writes := make([]eventlog.Write, messages)
	for i := range writes {
		writes[i] = eventlog.Write{Subject: "ev.a", Data: []byte(strconv.Itoa(i))}
	}
	_, err = log.Append(t.Context(), "EVENTS", writes)
	require.NoError(t, err)
	var got []uint64
	require.NoError(t, log.Scan(t.Context(), "EVENTS", eventlog.Query{}, func(m eventlog.Message) (bool, error) {
		if got = append(got, m.Sequence); len(got) == 2 {
			require.NoError(t, log.embedded.restart())
		}
		return true, nil
	}))
	require.Len(t, got, messages)
	for i, seq := range got {
		assert.Equal(t, uint64(i+1), seq)
	}

	calls := 0
	require.NoError(t, log.acrossRestarts(t.Context(), func(ctx context.Context) error {
		if calls++; calls == 1 {
			require.NoError(t, log.embedded.restart())
			<-ctx.Done() // a request without an answer
			return ctx.Err()
		}
		return nil
	}))
	assert.Equal(t, 2, calls)
	m, err := log.Get(t.Context(), "EVENTS", 3)
	require.NoError(t, err)
	assert.Equal(t, "2", string(m.Data))
	failed := errors.New("failed")
	require.ErrorIs(t, log.Scan(t.Context(), "EVENTS", eventlog.Query{}, func(eventlog.Message) (bool, error) { return true, failed }), failed)
	log.Close()
	_, err = log.Get(t.Context(), "EVENTS", 3)
	require.ErrorIs(t, err, eventlog.ErrClosed)
}

// TestReadsWaitForChangesOfFiles checks that a read waits for a restart as long as files are changed, and not much longer.
func TestReadsWaitForChangesOfFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &embeddedServer{}
		began := time.Now()
		_, err := e.awaitLife(t.Context())
		require.ErrorIs(t, err, errServerDown)
		assert.InDelta(t, reconnectTimeout.Seconds(), time.Since(began).Seconds(), 1)

		e.setChanges(true)
		began = time.Now()
		time.AfterFunc(2*time.Minute, func() { e.setChanges(false) })
		_, err = e.awaitLife(t.Context())
		require.ErrorIs(t, err, errServerDown)
		assert.InDelta(t, (2*time.Minute + reconnectTimeout).Seconds(), time.Since(began).Seconds(), 1)

		e.setChanges(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = e.awaitLife(ctx)
		require.ErrorIs(t, err, errServerDown, "the caller does not wait any longer")
		e.setChanges(true)
		e.isLast = true
		_, err = e.awaitLife(t.Context())
		require.ErrorIs(t, err, eventlog.ErrClosed)
	})
}
