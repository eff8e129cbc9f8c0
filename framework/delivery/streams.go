package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// defaultPartitions is the number of partitions of a new log.
const defaultPartitions = 16

// partitionsKey is the metadata key of the events stream that holds the number of partitions.
const partitionsKey = "landfall.partitions"

// trimsRecordedKey is the metadata key of the events stream which says that the process that last opened it records its trims.
// Earlier versions remove it.
const trimsRecordedKey = "landfall.records"

// PartitionsError means that the log was created with another number of partitions than its Config asks for.
type PartitionsError struct{ Stored, Asked int }

func (e *PartitionsError) Error() string {
	return fmt.Sprintf("the log was created with %d partitions, which cannot be changed, and the config asks for %d: set delivery.partitions to %d, or remove it",
		e.Stored, e.Asked, e.Stored)
}

// openStreams creates or updates the streams. A cluster without a leader has a minute to elect one.
func (q *Queue) openStreams(ctx context.Context) error {
	var mismatch *PartitionsError
	for began := time.Now(); ; {
		err := q.ensureStreams(ctx)
		if err == nil || errors.As(err, &mismatch) || errors.Is(err, ErrTargetMismatch) || q.embedded != nil || ctx.Err() != nil || time.Since(began) > time.Minute {
			return err
		}
		q.config.Log.Info("waiting for the cluster", "error", err)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// ensureStreams creates missing streams and updates the others. Other processes may do the same at the same time.
func (q *Queue) ensureStreams(ctx context.Context) error {
	for _, c := range q.streamConfigs() {
		stream, err := q.ensureStream(ctx, c)
		if err != nil {
			return fmt.Errorf("the stream %s: %w", c.Name, err)
		}
		q.streams[c.Name] = stream
	}
	return nil
}

// streamConfigs returns the configs of all streams.
func (q *Queue) streamConfigs() []jetstream.StreamConfig {
	base := jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowAtomicPublish: true, AllowDirect: true, Replicas: 1,
		Duplicates: time.Second, MaxMsgSize: -1, MaxBytes: -1,
	}
	if q.embedded == nil {
		base.Replicas = q.config.Replicas
	}
	events, park, dead, checkpoints := base, base, base, base
	events.Name, events.Subjects = eventsStream, []string{"ev.>", "ctl.>"}
	if q.config.MaxBytes > 0 {
		events.MaxBytes = q.config.MaxBytes
	}
	park.Name, park.Subjects, park.MaxMsgsPerSubject = parkStream, []string{"park.>"}, 1
	dead.Name, dead.Subjects, dead.MaxMsgsPerSubject = deadStream, []string{"dead.>"}, 1
	checkpoints.Name, checkpoints.Subjects, checkpoints.MaxMsgsPerSubject = checkpointsStream, []string{"book.>", "proc.>"}, 1
	park.Discard, dead.Discard, checkpoints.Discard = jetstream.DiscardOld, jetstream.DiscardOld, jetstream.DiscardOld
	list := []jetstream.StreamConfig{events, park, dead, checkpoints}
	for i := range list {
		if q.embedded != nil {
			list[i].Subjects = append(list[i].Subjects, probeSubject(list[i].Name))
		}
	}
	return list
}

// ensureStream creates a stream, or updates it if it exists. If another process creates it in between with another config, it is
// updated.
func (q *Queue) ensureStream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	const tries = 10
	for try := 1; ; try++ {
		known, err := q.js.Stream(ctx, c.Name)
		if err == nil {
			if c.Name == eventsStream {
				if c.Metadata, err = q.adoptPartitions(known.CachedInfo().Config.Metadata); err != nil {
					return nil, err
				}
				if _, ok := known.CachedInfo().Config.Metadata[trimsRecordedKey]; ok {
					c.Metadata[trimsRecordedKey] = "1"
				} else {
					q.monitor.openedByOlder = true
				}
				if err := q.adoptTarget(known.CachedInfo(), c.Metadata); err != nil {
					return nil, err
				}
			}
			return q.js.UpdateStream(ctx, c)
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, err
		}
		if c.Name == eventsStream {
			q.partitions = cmp.Or(q.config.Partitions, defaultPartitions)
			c.Metadata = map[string]string{partitionsKey: strconv.Itoa(q.partitions), trimsRecordedKey: "1"}
			if q.config.Target != "" {
				c.Metadata[targetKey] = q.config.Target
			}
		}
		created, err := q.js.CreateStream(ctx, c)
		if err == nil || try == tries || !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return created, err
		}
	}
}

// markTrimsRecorded sets trimsRecordedKey.
func (q *Queue) markTrimsRecorded(ctx context.Context) error {
	c := q.streams[eventsStream].CachedInfo().Config
	if _, ok := c.Metadata[trimsRecordedKey]; ok {
		return nil
	}
	c.Metadata = maps.Clone(c.Metadata)
	c.Metadata[trimsRecordedKey] = "1"
	stream, err := q.js.UpdateStream(ctx, c)
	if err == nil {
		q.streams[eventsStream] = stream
	}
	return err
}

// adoptPartitions adopts the number of partitions in a stream's metadata. It returns the metadata for the update. A stream
// without that number gets one.
func (q *Queue) adoptPartitions(metadata map[string]string) (map[string]string, error) {
	stored, err := strconv.Atoi(metadata[partitionsKey])
	if err != nil || stored <= 0 {
		stored = cmp.Or(q.config.Partitions, defaultPartitions)
	}
	if asked := q.config.Partitions; asked != 0 && asked != stored {
		return nil, &PartitionsError{Stored: stored, Asked: asked}
	}
	q.partitions = stored
	return map[string]string{partitionsKey: strconv.Itoa(stored)}, nil
}
