package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/fault"
)

// StreamSnapshot describes the snapshot of one stream.
type StreamSnapshot struct {
	Name   string          `json:"name"`
	Format string          `json:"format,omitempty"` // "records" for messages as JSON; "" for a snapshot that NATS has made
	Config json.RawMessage `json:"config,omitempty"` // NATS configuration of the stream; for a snapshot of NATS, like State
	State  json.RawMessage `json:"state,omitempty"`  // NATS state of the stream when the snapshot was taken
}

// ErrNotEmpty means that the queue has streams already, so that nothing can be restored into it.
var ErrNotEmpty = errors.New("the queue already exists")

// Snapshots writes snapshots of the queue's streams while the queue is in use. It writes the checkpoints first and the events
// last, so that the other snapshots hold every page and dead letter that a checkpoint refers to. The rewritten pages follow the events, so that they
// hold each page that is replaced meanwhile.
func (q *Queue) Snapshots(ctx context.Context, to func(stream string) (io.Writer, error)) ([]StreamSnapshot, error) {
	store, ok := q.store.(eventlog.Snapshotter)
	if !ok {
		return nil, fmt.Errorf("a snapshot of this log: %w", errors.ErrUnsupported)
	}
	if err := q.holdTrimming(ctx, time.Hour); err != nil {
		if _, failure := q.store.WriteFailure(checkpointsStream); failure != nil {
			err = failure
		}
		return nil, fmt.Errorf("keeping events from being trimmed: %w", err)
	}
	defer func() { _ = q.holdTrimming(context.WithoutCancel(ctx), 0) }() // the hold also expires
	var list []StreamSnapshot
	for _, name := range []string{checkpointsStream, parkStream, deadStream, eventsStream, rewrittenStream} {
		if name == rewrittenStream {
			if info, err := q.store.Info(ctx, name); errors.Is(err, eventlog.ErrNoStream) || err == nil && info.Messages == 0 {
				continue
			}
		}
		w, err := to(name)
		if err != nil {
			return nil, err
		}
		s, err := q.writeSnapshot(ctx, store, name, w)
		if err != nil {
			return nil, fmt.Errorf("the snapshot of %s: %w", name, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// writeSnapshot writes a snapshot of one stream.
func (q *Queue) writeSnapshot(ctx context.Context, store eventlog.Snapshotter, name string, w io.Writer) (StreamSnapshot, error) {
	if name != eventsStream {
		return StreamSnapshot{Name: name, Format: formatRecords}, q.writeRecords(ctx, name, w)
	}
	if err := q.settle(ctx); err != nil {
		return StreamSnapshot{}, err
	}
	copied, err := store.Snapshot(ctx, name, w)
	return StreamSnapshot{Name: name, Config: copied.Config, State: copied.State}, err
}

// holdTrimming prevents trimming for d, so that the recorded trims match the events in a snapshot. 0 ends it.
func (q *Queue) holdTrimming(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	until := int64(0)
	if d > 0 {
		until = time.Now().Add(d).Unix()
	}
	return q.monitor.updateState(ctx, func(s *logState) { s.Hold = until })
}

// RestoreSnapshots creates the streams of a new queue from snapshots. It restores the events first and the checkpoints last, so
// that an interrupted restore leaves no checkpoint without its events.
func RestoreSnapshots(ctx context.Context, c Config, list []StreamSnapshot, from func(stream string) (io.ReadCloser, error)) error {
	q, err := openConnection(c)
	if err != nil {
		return err
	}
	defer q.Close()
	store, ok := q.store.(eventlog.Snapshotter)
	if !ok {
		return fmt.Errorf("restoring this log: %w", errors.ErrUnsupported)
	}
	if err := q.checkNoStreams(ctx); err != nil {
		return err
	}
	for i := len(list) - 1; i >= 0; i-- {
		r, err := from(list[i].Name)
		if err != nil {
			return err
		}
		s := list[i]
		switch s.Format {
		case formatRecords:
			err = q.restoreRecords(ctx, s.Name, r)
		case "":
			err = store.Restore(ctx, eventlog.Snapshot{Name: s.Name, Config: s.Config, State: s.State}, r)
		default:
			err = fmt.Errorf("a snapshot in the format %q needs a later version of this program", s.Format)
		}
		if err = errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("restoring %s: %w", s.Name, err)
		}
	}
	return q.endRestoredHold(ctx)
}

// checkNoStreams returns an error if the queue has streams, also those that a backup may lack: rewritten pages would be taken for those of the restored
// log.
func (q *Queue) checkNoStreams(ctx context.Context) error {
	answers := func() (final bool, err error) {
		_, err = q.store.Info(ctx, eventsStream)
		return errors.Is(err, eventlog.ErrNoStream), err
	}
	if err := q.untilServersAnswer(ctx, answers); err != nil && !errors.Is(err, eventlog.ErrNoStream) {
		return err
	}
	var found []string
	for _, name := range []string{eventsStream, parkStream, deadStream, checkpointsStream, journalStream, rewrittenStream} {
		switch _, err := q.store.Info(ctx, name); {
		case err == nil:
			found = append(found, name)
		case !errors.Is(err, eventlog.ErrNoStream):
			return fmt.Errorf("the stream %s: %w", name, err)
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: to restore into it, delete its %s %s", ErrNotEmpty, fault.Plural(len(found), "stream", "streams"), strings.Join(found, ", "))
	}
	return nil
}

// endRestoredHold ends the hold of the backup that was restored.
func (q *Queue) endRestoredHold(ctx context.Context) error {
	state, _, err := q.monitor.loadState(ctx)
	if err != nil || state.Hold == 0 {
		return err
	}
	return q.holdTrimming(ctx, 0)
}

// Partitions returns the number of partitions of the log.
func (q *Queue) Partitions() int { return q.partitions }
