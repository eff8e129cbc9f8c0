package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pause"
)

// defaultPartitions is the number of partitions of a new log.
const defaultPartitions = 16

// partitionsKey is the label of the events stream that holds the number of partitions.
const partitionsKey = "landfall.partitions"

// trimsRecordedKey is the label of the events stream which says that the process that last opened it records its trims.
// Earlier versions remove it.
const trimsRecordedKey = "landfall.records"

// PartitionsError means that the log was created with another number of partitions than its Config asks for.
type PartitionsError struct{ Stored, Asked int }

func (e *PartitionsError) Error() string {
	return fmt.Sprintf("the log was created with %s, which cannot be changed, and the config asks for %d: set delivery.partitions to %d, or remove it",
		fault.Count(e.Stored, "partition"), e.Asked, e.Stored)
}

// openStreams creates or updates the streams. A cluster without a leader has a minute to elect one.
func (q *Queue) openStreams(ctx context.Context) error {
	var mismatch *PartitionsError
	return q.untilServersAnswer(ctx, func() (final bool, err error) {
		err = q.store.Prepare(ctx, q.streamConfigs())
		return errors.As(err, &mismatch) || errors.Is(err, ErrTargetMismatch), err
	})
}

const (
	serversWait = time.Minute // how long the servers of a cluster may take to elect a leader
	waitNotice  = 5 * time.Second
)

// untilServersAnswer calls try until it succeeds, or its error is final. On a cluster, whose servers may be electing a leader, it tries for a while.
func (q *Queue) untilServersAnswer(ctx context.Context, try func() (final bool, err error)) error {
	var noticed time.Time
	for began := time.Now(); ; {
		final, err := try()
		switch {
		case err == nil || final || !q.store.Shared() || ctx.Err() != nil:
			return err
		case time.Since(began) > serversWait:
			return fmt.Errorf("the NATS servers have not answered for %v: check that most of them run and reach each other, so that they can elect a leader, then try again: %w", serversWait, err)
		case time.Since(noticed) >= waitNotice:
			noticed = time.Now()
			q.config.Log.Warn("waiting for the NATS servers, which may be electing a leader", "atMost", serversWait-noticed.Sub(began).Round(time.Second), "error", err)
		}
		_ = pause.For(ctx, 500*time.Millisecond)
	}
}

// streamConfigs returns the configs of all streams.
func (q *Queue) streamConfigs() []eventlog.StreamConfig {
	list := []eventlog.StreamConfig{
		q.eventsConfig(q.labelEvents),
		{Name: parkStream, Subjects: []string{"park.>"}, NewestOnly: true},
		{Name: deadStream, Subjects: []string{"dead.>"}, NewestOnly: true},
		{Name: checkpointsStream, Subjects: []string{"book.>", "proc.>"}, NewestOnly: true},
	}
	if q.hasDisk() {
		list = append(list, eventlog.StreamConfig{Name: journalStream, Subjects: []string{"journal.>"}})
	}
	return list
}

func (q *Queue) eventsConfig(labels func(*eventlog.Info) (map[string]string, error)) eventlog.StreamConfig {
	return eventlog.StreamConfig{Name: eventsStream, Subjects: []string{"ev.>", "ctl.>"}, MaxBytes: q.config.MaxBytes, Labels: labels}
}

// labelEvents returns the labels of the events stream, and adopts those that are stored.
func (q *Queue) labelEvents(stored *eventlog.Info) (map[string]string, error) {
	if stored == nil {
		q.partitions = cmp.Or(q.config.Partitions, defaultPartitions)
		labels := map[string]string{partitionsKey: strconv.Itoa(q.partitions), trimsRecordedKey: "1"}
		if q.config.Target != "" {
			labels[targetKey] = q.config.Target
		}
		return labels, nil
	}
	labels, err := q.adoptPartitions(stored.Labels)
	if err != nil {
		return nil, err
	}
	if _, ok := stored.Labels[trimsRecordedKey]; ok {
		labels[trimsRecordedKey] = "1"
	} else {
		q.monitor.noteOpenedByOlder()
	}
	return labels, q.adoptTarget(*stored, labels)
}

// markTrimsRecorded sets trimsRecordedKey.
func (q *Queue) markTrimsRecorded(ctx context.Context) error {
	info, err := q.store.Info(ctx, eventsStream)
	if err != nil {
		return err
	}
	if _, ok := info.Labels[trimsRecordedKey]; ok {
		return nil
	}
	return q.store.Prepare(ctx, []eventlog.StreamConfig{q.eventsConfig(func(stored *eventlog.Info) (map[string]string, error) {
		labels, err := keepLabels(stored)
		labels[trimsRecordedKey] = "1"
		return labels, err
	})})
}

// keepLabels returns a copy of the labels of a stream.
func keepLabels(stored *eventlog.Info) (map[string]string, error) {
	labels := map[string]string{}
	if stored != nil {
		maps.Copy(labels, stored.Labels)
	}
	return labels, nil
}

// mixesSources reports whether events of several sources share pages. They do not on a cluster: servers of earlier versions may use it, which would
// lose events of such pages.
func (q *Queue) mixesSources() bool { return !q.store.Shared() }

// minCompressed is the size of the smallest page that is compressed, in bytes: that of a few events.
const minCompressed = 1 << 10

// preparePages marks the pages to compress. As with pages of several sources, those of a cluster are not. It makes earlier versions refuse the log
// before it gets the first page of either kind.
func (q *Queue) preparePages(ctx context.Context, pages []eventlog.Write) error {
	isNew := false // a page that earlier versions cannot read
	for i := range pages {
		w := &pages[i]
		w.Compress = len(w.Data) >= minCompressed && !q.store.Shared()
		_, mixed := w.Header[sourcesHeader]
		isNew = isNew || mixed || w.Compress
	}
	if !isNew || q.refusing.Load() {
		return nil
	}
	c := q.eventsConfig(keepLabels)
	c.RefuseEarlier = true
	if err := q.store.Prepare(ctx, []eventlog.StreamConfig{c}); err != nil {
		return err
	}
	q.refusing.Store(true)
	return nil
}

// adoptPartitions adopts the number of partitions in a stream's labels. It returns the labels for the update. A stream
// without that number gets one.
func (q *Queue) adoptPartitions(labels map[string]string) (map[string]string, error) {
	stored, err := strconv.Atoi(labels[partitionsKey])
	if err != nil || stored <= 0 {
		stored = cmp.Or(q.config.Partitions, defaultPartitions)
	}
	if asked := q.config.Partitions; asked != 0 && asked != stored {
		return nil, &PartitionsError{Stored: stored, Asked: asked}
	}
	q.partitions = stored
	return map[string]string{partitionsKey: strconv.Itoa(stored)}, nil
}
