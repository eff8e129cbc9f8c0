package delivery

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A checkpoint without an owner is created once; a second creation does not move it.
func TestCheckpointIsCreatedOnce(t *testing.T) {
	q, err := OpenTest(t, Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer q.Close()
	first, second := newLeases(q, time.Minute), newLeases(q, time.Minute)
	_, err = first.writeCheckpoint(t.Context(), "", checkpointSubject("i", 0), 0, checkpoint{Low: 5})
	require.NoError(t, err)
	_, err = second.writeCheckpoint(t.Context(), "", checkpointSubject("i", 0), 0, checkpoint{Low: 9})
	require.ErrorIs(t, err, errLeaseLost)
	m, err := q.store.Last(t.Context(), checkpointsStream, checkpointSubject("i", 0))
	require.NoError(t, err)
	require.EqualValues(t, 5, parseCheckpoint(m.Data).Low)
}

// Selecting dead letters keeps neither their events nor their requests in memory.
func TestSelectLettersKeepsNoEvents(t *testing.T) {
	q, err := OpenTest(t, Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer q.Close()
	require.NoError(t, q.dead.publishRecords(t.Context(), []record{{"dead.i.0.1-0-x", []byte(`{"id":"1-0-x","instance":"i","event":{"a":1},"request":{"method":"POST","url":"u"}}`)}}))
	_, dead, _, err := q.selectLetters(t.Context(), DeadLetterFilter{})
	require.NoError(t, err)
	list := dead[partitionID{"i", 0}]
	require.Len(t, list, 1)
	require.Nil(t, list[0].Event)
	require.Nil(t, list[0].Request)
}

// Events that an instance of another process has not finished are kept, even if this process's config does not have that
// instance.
func TestOtherMembersEventsAreNotTrimmed(t *testing.T) {
	q, err := OpenTest(t, Config{Dir: t.TempDir(), Partitions: 2, Retention: time.Nanosecond})
	require.NoError(t, err)
	defer q.Close()
	r := idleRunner(t, q, Settings{})
	require.NoError(t, r.SetInstances(t.Context(), nil))
	require.NoError(t, r.leases.sendHeartbeat(t.Context(), "other", memberAlive))
	_, err = r.leases.writeCheckpoint(t.Context(), "other", checkpointSubject("theirs", 1), 0, checkpoint{Owner: "other", Low: 1})
	require.NoError(t, err)
	for i := range 20 {
		key := fmt.Sprint("u:", i)
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: key, Raw: []byte(`{"type":"track"}`)}}))
	}
	messages := func() uint64 {
		_, err = r.trimLog(t.Context())
		require.NoError(t, err)
		info, err := q.store.Info(t.Context(), eventsStream)
		require.NoError(t, err)
		return info.Messages
	}
	left := messages()
	require.GreaterOrEqual(t, left, uint64(10), "all from the first of their partition on")
	require.Equal(t, left, messages())
	require.NoError(t, r.leases.sendHeartbeat(t.Context(), "other", memberLeft))
	require.Zero(t, messages(), "events that no member works on are not kept")
}
