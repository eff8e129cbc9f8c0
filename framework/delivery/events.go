package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/event"
)

// StoredEvent is an event as stored in the log.
type StoredEvent struct {
	Seq    uint64 // page of the event in the log
	Index  int    // index in the page
	At     time.Time
	Source string
	Raw    []byte

	Partition int         // of the log
	Replay    string      // the instance that gets the event again; "" unless it is a copy that a replay has written
	Original  EventSource // of a copy: the event that is replayed; zero if it is unknown
}

// EventSource is the position of an event in the log: the page and the index in it.
type EventSource struct {
	Seq   uint64
	Index int
}

// ErrEventNotFound means that the log does not have the event, or has deleted it.
var ErrEventNotFound = errors.New("the log does not have this event, or has deleted it: events are kept for a limited time")

// Event returns the event at a position of the log: the page seq and the index in it.
func (q *Queue) Event(ctx context.Context, seq uint64, index int) (StoredEvent, error) {
	if seq == 0 {
		return StoredEvent{}, ErrEventNotFound
	}
	m, err := q.storedPage(ctx, seq)
	if errors.Is(err, eventlog.ErrNotFound) {
		return StoredEvent{}, ErrEventNotFound
	}
	if err != nil {
		return StoredEvent{}, fmt.Errorf("reading the log: %w", err)
	}
	for e := range eventsIn(&m) {
		if e.Index == index && !isErasedLine(e.Raw) {
			return e, nil
		}
	}
	return StoredEvent{}, ErrEventNotFound
}

// Limits of the pages that Latest reads: for the events of all users, and for those of one user.
const (
	maxPagesAll  = 64
	maxPagesUser = 2000
)

// Latest returns the latest accepted events, newest first and at most limit of them. If user is not "", it returns only the events
// of the user with that userId or anonymousId. It reads a limited number of the latest pages; whole reports whether these are the
// whole log.
func (q *Queue) Latest(ctx context.Context, user string, limit int) (list []StoredEvent, whole bool, err error) {
	_ = q.settle(ctx) // if that fails, the log is shown as it is
	oldest, last, err := q.storedRange(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("reading the log: %w", err)
	}
	pages, subjects := uint64(maxPagesAll), []string{"ev.>"}
	if user != "" {
		pages, subjects = maxPagesUser, q.userSubjects(user)
	}
	from := uint64(1)
	if last > pages {
		from = last - pages + 1
	}
	whole = from <= oldest
	err = q.scanEvents(ctx, eventlog.Query{Filters: subjects, From: from}, func(m eventlog.Message) (bool, error) {
		list = append(list, pageEvents(&m, user)...)
		if len(list) > 2*limit { // the newest are last
			list = slices.Clone(list[len(list)-limit:])
		}
		return true, nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("reading the log: %w", err)
	}
	list = list[max(0, len(list)-limit):]
	slices.Reverse(list)
	return list, whole, nil
}

// userSubjects returns the subjects that a user's events may have.
func (q *Queue) userSubjects(user string) []string {
	as, anonymous := q.partitionOf("u:"+user), q.partitionOf("a:"+user)
	subjects := []string{"ev.*." + strconv.Itoa(as)}
	if as != anonymous {
		subjects = append(subjects, "ev.*."+strconv.Itoa(anonymous))
	}
	return subjects
}

// pageEvents returns the events of a page, or only those of a user if user is not "".
func pageEvents(m *eventlog.Message, user string) (list []StoredEvent) {
	for e := range eventsIn(m) {
		if isErasedLine(e.Raw) {
			continue
		}
		if user != "" && (!bytes.Contains(e.Raw, []byte(user)) && !bytes.ContainsRune(e.Raw, '\\') || !isUserEvent(e.Raw, user)) {
			continue
		}
		list = append(list, e)
	}
	return list
}

func isUserEvent(line []byte, user string) bool {
	e, err := event.Parse(line)
	if err != nil {
		return false
	}
	key := event.OrderingKey(e.Value())
	return key == "u:"+user || key == "a:"+user
}
