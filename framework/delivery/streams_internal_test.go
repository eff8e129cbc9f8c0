package delivery

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestTargetsOfAQueue checks which target a queue has from then on, when it is refused, and when it is not known whose the events are.
func TestTargetsOfAQueue(t *testing.T) {
	for _, c := range []struct {
		was, want string
		last      uint64
		label     string
		mismatch  bool
		warns     bool
	}{
		{was: "", want: "", last: 5}, {was: "live", want: "", label: "live"}, {was: "", want: "live", label: "live"}, {was: "live", want: "live", last: 5, label: "live"},
		{was: "live", want: "sandbox", mismatch: true}, {was: "", want: "live", last: 1, label: "live", warns: true},
	} {
		var logged bytes.Buffer
		q := &Queue{config: Config{Target: c.want, Log: slog.New(slog.NewTextHandler(&logged, nil))}}
		labels := map[string]string{}
		err := q.adoptTarget(eventlog.Info{Labels: map[string]string{targetKey: c.was}, LastSeq: c.last}, labels)
		assert.Equal(t, c.mismatch, errors.Is(err, ErrTargetMismatch), c)
		assert.Equal(t, c.label, labels[targetKey], c)
		assert.Equal(t, c.warns, logged.Len() > 0, c)
	}
}

// TestLabelsOfAQueue checks what a queue writes down of itself when it is created, and what it adopts of one that exists.
func TestLabelsOfAQueue(t *testing.T) {
	open := func(partitions int, target string) *Queue {
		q := &Queue{config: Config{Partitions: partitions, Target: target, Log: slog.New(slog.DiscardHandler)}}
		q.monitor = newLogMonitor(q)
		return q
	}
	for _, c := range []struct {
		asked      int
		target     string
		stored     map[string]string // nil if the queue is created
		partitions int               // 0 if it is refused
		labels     map[string]string
		older      bool
	}{
		{asked: 0, partitions: 16, labels: map[string]string{partitionsKey: "16", trimsRecordedKey: "1"}},
		{asked: 4, target: "live", partitions: 4, labels: map[string]string{partitionsKey: "4", trimsRecordedKey: "1", targetKey: "live"}},
		{stored: map[string]string{partitionsKey: "8", trimsRecordedKey: "1", targetKey: "live"}, partitions: 8, labels: map[string]string{partitionsKey: "8", trimsRecordedKey: "1", targetKey: "live"}},
		{asked: 8, stored: map[string]string{partitionsKey: "8"}, partitions: 8, labels: map[string]string{partitionsKey: "8"}, older: true},
		{asked: 9, stored: map[string]string{partitionsKey: "8"}},
		{stored: map[string]string{}, partitions: 16, labels: map[string]string{partitionsKey: "16"}, older: true},
		{asked: 3, stored: map[string]string{partitionsKey: "x"}, partitions: 3, labels: map[string]string{partitionsKey: "3"}, older: true},
		{asked: 3, stored: map[string]string{partitionsKey: "0"}, partitions: 3, labels: map[string]string{partitionsKey: "3"}, older: true},
	} {
		q := open(c.asked, c.target)
		var info *eventlog.Info
		if c.stored != nil {
			info = &eventlog.Info{Labels: c.stored}
		}
		labels, err := q.labelEvents(info)
		if c.partitions == 0 {
			var mismatch *PartitionsError
			require.ErrorAs(t, err, &mismatch)
			assert.Equal(t, "the log was created with 8 partitions, which cannot be changed, and the config asks for 9: set delivery.partitions to 8, or remove it", err.Error())
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, c.labels, labels, c)
		assert.Equal(t, []any{c.partitions, c.older}, []any{q.partitions, q.monitor.openedByOlder}, c)
	}
}

// unpreparedLog is a log whose streams cannot be prepared for some time.
type unpreparedLog struct {
	*memlog.Log
	until time.Time
	err   error
}

func (l *unpreparedLog) Prepare(ctx context.Context, streams []eventlog.StreamConfig) error {
	if time.Now().Before(l.until) {
		return l.err
	}
	return l.Log.Prepare(ctx, streams)
}

// TestWaitingForACluster checks for how long a cluster without a leader is waited for, and which errors are not waited for.
func TestWaitingForACluster(t *testing.T) {
	slow := errors.New("no leader")
	for name, c := range map[string]struct {
		shared bool
		lasts  time.Duration
		err    error
		wait   time.Duration // at least
		works  bool
	}{
		"it answers after a while":     {shared: true, lasts: 30 * time.Second, err: slow, wait: 30 * time.Second, works: true},
		"it does not answer":           {shared: true, lasts: time.Hour, err: slow, wait: time.Minute},
		"it is in this process":        {lasts: time.Hour, err: slow},
		"another number of partitions": {shared: true, lasts: time.Hour, err: &PartitionsError{Stored: 1, Asked: 2}},
		"another target":               {shared: true, lasts: time.Hour, err: ErrTargetMismatch},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &unpreparedLog{memlog.New(memlog.Options{Shared: c.shared}).Connect(), time.Now().Add(c.lasts), c.err}
			began := time.Now()
			q, err := Open(t.Context(), Config{}.On(log))
			assert.Equal(t, c.works, err == nil, name)
			assert.GreaterOrEqual(t, time.Since(began), c.wait, name)
			assert.Less(t, time.Since(began), c.wait+2*time.Second, name)
			if err == nil {
				q.Close()
			} else {
				assert.ErrorIs(t, err, c.err, name)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := Open(ctx, Config{}.On(&unpreparedLog{memlog.New(memlog.Options{Shared: true}).Connect(), time.Now().Add(time.Hour), slow}))
		assert.Error(t, err)
		assert.Equal(t, 10*time.Second, time.Since(began))
	})
}

// TestTrimsAreMarkedAsRecorded checks that a queue of an earlier version says from then on that its trims are recorded, and keeps its other labels.
func TestTrimsAreMarkedAsRecorded(t *testing.T) {
	store := memlog.New(memlog.Options{})
	log := store.Connect()
	old := func(*eventlog.Info) (map[string]string, error) {
		return map[string]string{partitionsKey: "2", targetKey: "live"}, nil
	}
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: eventsStream, Subjects: []string{"ev.>", "ctl.>"}, Labels: old}}))
	q, err := Open(t.Context(), Config{}.On(store.Connect()))
	require.NoError(t, err)
	defer q.Close()
	assert.Equal(t, 2, q.Partitions())
	info, err := log.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{partitionsKey: "2", targetKey: "live", trimsRecordedKey: "1"}, info.Labels)
}

// TestDefaults checks the defaults that depend on other settings, and that what is set stays.
func TestDefaults(t *testing.T) {
	s := Settings{}.withDefaults()
	assert.Equal(t, []time.Duration{time.Second, 4 * time.Hour, time.Minute, time.Hour, 10 * time.Second, 45 * time.Second, 135 * time.Second}, []time.Duration{s.Linger, s.RetryFor, s.MaxBackoff, s.MaxPause, s.EvictAfter, s.Lease, s.StallAfter})
	assert.Equal(t, []int{8, 10, 2000}, []int{s.MaxBatches, s.MaxAttempts, s.MaxInFlight})
	assert.Equal(t, 2*time.Minute, Settings{Lease: time.Second}.withDefaults().StallAfter)
	assert.Equal(t, 3*time.Hour, Settings{Lease: time.Hour}.withDefaults().StallAfter)
	metrics := NewMetrics(nil)
	set := Settings{MaxBatches: 1, Lease: time.Minute, StallAfter: time.Second, Metrics: metrics, Log: slog.Default()}.withDefaults()
	assert.Equal(t, []any{1, time.Minute, time.Second, metrics, slog.Default()}, []any{set.MaxBatches, set.Lease, set.StallAfter, set.Metrics, set.Log})
	r := &Runner{settings: Settings{Lease: 45 * time.Second}}
	for took, want := range map[time.Duration]time.Duration{0: checkpointInterval, 5 * time.Millisecond: checkpointInterval, 10 * time.Millisecond: 200 * time.Millisecond, time.Second: 500 * time.Millisecond} {
		assert.Equal(t, want, r.checkpointDelay(took), took)
	}
	r.settings.Lease = 4 * time.Second
	assert.Equal(t, 200*time.Millisecond, r.checkpointDelay(time.Second), "leases must be renewed in time")
}

// TestAppendedEvents checks that events of a request have the partitions of their keys, and that one which the log does not take refuses the request.
func TestAppendedEvents(t *testing.T) {
	q, err := Open(t.Context(), Config{Partitions: 4}.On(memlog.New(memlog.Options{MaxMessage: 200}).Connect()))
	require.NoError(t, err)
	defer q.Close()
	long := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	require.Error(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "a", Raw: long(1)}, {Source: "web", Key: "a", Raw: long(201)}}))
	list := []NewEvent{{"web", "a", long(1)}, {"app", "a", long(2)}, {"web", "b", long(3)}, {"web", "a", long(4)}}
	require.NoError(t, q.Append(t.Context(), list))
	got := map[string]string{}
	require.NoError(t, q.store.Scan(t.Context(), eventsStream, eventlog.Query{Filters: []string{">"}}, func(m eventlog.Message) (bool, error) {
		for e := range eventsIn(&m) {
			got[partitionSubject("ev", e.Source, e.Partition)] += string(e.Raw) + "\n"
		}
		return true, nil
	}))
	want := map[string]string{}
	for _, e := range list {
		want[partitionSubject("ev", e.Source, q.partitionOf(e.Key))] += string(e.Raw) + "\n"
	}
	assert.Equal(t, want, got)
}
