package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// findChunk is the number of pages that Find reads before it looks at earlier ones.
const findChunk = 500

// FindRequest selects stored events.
type FindRequest struct {
	Match    func(line []byte) bool // selects events by their JSON
	Limit    int                    // how many events to return
	MaxBytes int                    // how much of the log to read
}

// FindResult is the result of Find.
type FindResult struct {
	Events   []StoredEvent // newest first
	From     time.Time     // the log was searched from here on; zero if it is empty
	Complete bool          // the whole log was searched
}

// Find returns the newest events that a request selects, including the copies that replays have written. It searches the log backwards,
// until it has found Limit events or has read MaxBytes.
func (q *Queue) Find(ctx context.Context, r FindRequest) (FindResult, error) {
	_ = q.settle(ctx) // if that fails, the log is searched as it is
	oldest, last, err := q.storedRange(ctx)
	if err != nil {
		return FindResult{}, fmt.Errorf("reading the log: %w", err)
	}
	found := FindResult{Complete: oldest > last}
	size := 0
	for end := last + 1; !found.Complete && len(found.Events) < r.Limit && size < r.MaxBytes; {
		from := oldest
		if end > from+findChunk {
			from = end - findChunk
		}
		chunk, first, n, err := q.findBetween(ctx, r, from, end)
		if err != nil {
			return found, fmt.Errorf("reading the log: %w", err)
		}
		if !first.IsZero() {
			found.From = first
		}
		slices.Reverse(chunk)
		found.Events = append(found.Events, chunk...)
		size, end, found.Complete = size+n, from, from <= oldest
	}
	if len(found.Events) > r.Limit {
		found.Events, found.Complete = found.Events[:r.Limit], false
		found.From = found.Events[r.Limit-1].At
	}
	return found, nil
}

// findBetween returns the selected events of the pages from one to before another, oldest first, with the time of the first page and the
// number of bytes.
func (q *Queue) findBetween(ctx context.Context, r FindRequest, from, end uint64) (list []StoredEvent, first time.Time, size int, err error) {
	query := eventlog.Query{Filters: []string{"ev.>", "ctl.>"}, From: max(from, 1)}
	err = q.scanEvents(ctx, query, func(m eventlog.Message) (bool, error) {
		if m.Sequence >= end {
			return false, nil
		}
		if first.IsZero() {
			first = m.Time
		}
		size += len(m.Data)
		list = append(list, matchingEvents(&m, r.Match)...)
		return true, nil
	})
	return list, first, size, err
}

// matchingEvents returns the events of a message that match.
func matchingEvents(m *eventlog.Message, match func([]byte) bool) (list []StoredEvent) {
	for e := range eventsIn(m) {
		if !isErasedLine(e.Raw) && match(e.Raw) {
			list = append(list, e)
		}
	}
	return list
}

// Progress is how far an instance is in the log, according to its checkpoints. They may be some seconds old.
type Progress struct {
	checkpoints map[int]storedCheckpoint
}

// Progress returns the progress of an instance.
func (q *Queue) Progress(ctx context.Context, instance string) (Progress, error) {
	list, err := q.checkpointsOf(ctx, instance)
	if err != nil {
		return Progress{}, fmt.Errorf("reading the checkpoints: %w", err)
	}
	return Progress{list}, nil
}

// EventProgress says whether an instance has processed an event.
type EventProgress string

// The values of EventProgress.
const (
	EventBefore   EventProgress = "before"   // it was accepted before the instance existed
	EventWaiting  EventProgress = "waiting"  // it is not finished
	EventFinished EventProgress = "finished" // it is delivered, skipped, or in a dead letter
)

// Of returns the progress of an event.
func (p Progress) Of(e *StoredEvent) EventProgress {
	c, ok := p.checkpoints[e.Partition]
	if !ok {
		return EventWaiting
	}
	if e.Seq < c.checkpoint.Start {
		return EventBefore
	}
	all, bits := c.checkpoint.finishedEvents(e.Seq)
	if all || hasBit(bits, e.Index) {
		return EventFinished
	}
	return EventWaiting
}
