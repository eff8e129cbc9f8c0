package delivery

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// DeadLetterFilter selects dead letters; zero fields select all.
type DeadLetterFilter struct {
	Instance     string
	Subscription string
	ID           string
	IDs          []string // dead letters with one of these ids; nil for all
	User         string   // its userId or anonymousId
	Cause        fault.Cause
	Reason       string    // a part of the reason, case-insensitive
	Since, Until time.Time // when the dead letter was written
	Parked       bool      // parked events
	Dead         bool      // dead letters; if neither is set, both are selected
	Limit        int       // maximum number of dead letters; 0 for no limit
	// IsRemoved reports whether an instance is no longer in the config, so that no worker processes its dead letters. It may be
	// nil.
	IsRemoved func(instance string) bool
}

// IsZero reports whether the filter selects everything.
func (f DeadLetterFilter) IsZero() bool { return reflect.ValueOf(f).IsZero() }

func (f DeadLetterFilter) matchesLetter(l *DeadLetter) bool {
	return (f.Subscription == "" || l.Subscription == f.Subscription) && (f.ID == "" || l.ID == f.ID) && (f.IDs == nil || slices.Contains(f.IDs, l.ID)) &&
		(f.Cause == "" || l.Cause == f.Cause) && (f.Reason == "" || strings.Contains(strings.ToLower(l.Reason), strings.ToLower(f.Reason))) &&
		(f.Since.IsZero() || !l.At.Before(f.Since)) && (f.Until.IsZero() || l.At.Before(f.Until)) && (f.User == "" || f.matchesUser(l))
}

func (f DeadLetterFilter) matchesUser(l *DeadLetter) bool {
	e, err := event.Parse(l.Event)
	return err == nil && (e.Value().Get("userId").Text() == f.User || e.Value().Get("anonymousId").Text() == f.User)
}

// DeadLetters calls visit for the dead letters that a filter selects: the dead ones first, then the parked ones, each in the order of
// writing.
func (q *Queue) DeadLetters(ctx context.Context, f DeadLetterFilter, visit func(*DeadLetter) error) error {
	instance := "*"
	if f.Instance != "" {
		instance = subjectToken(f.Instance)
	}
	n := 0
	read := func(stream, subject string) error {
		return q.eachDeadLetter(ctx, stream, subject, func(l *DeadLetter) (bool, error) {
			if !f.matchesLetter(l) {
				return true, nil
			}
			n++
			return f.Limit == 0 || n < f.Limit, visit(l)
		})
	}
	if f.Dead || !f.Parked {
		if err := read(deadStream, "dead."+instance+".>"); err != nil {
			return err
		}
	}
	if (f.Parked || !f.Dead) && (f.Limit == 0 || n < f.Limit) {
		return read(parkStream, "park."+instance+".>")
	}
	return nil
}

// maxCommandItems is the maximum number of dead letters or keys in one command.
const maxCommandItems = 200

// partitionID identifies a partition of an instance.
type partitionID struct {
	instance  string
	partition int
}

// ReplayDeadLetters replays the selected dead letters with the current subscriptions and mappings; of a parked event, everything
// parked for its key. It returns how many were selected when the replay is durable, which is before it is done.
func (q *Queue) ReplayDeadLetters(ctx context.Context, f DeadLetterFilter) (int, error) {
	n, dead, parked, err := q.selectLetters(ctx, f)
	if err != nil {
		return 0, err
	}
	if err := rejectRemoved(f, dead, parked); err != nil {
		return 0, err
	}
	for at, letters := range dead {
		for len(letters) > 0 {
			part := letters[:min(len(letters), maxCommandItems)]
			cmd := command{}
			for _, l := range part {
				cmd.DeadLetters = append(cmd.DeadLetters, l.storedSeq)
			}
			if err := q.sendCommand(ctx, at.instance, at.partition, opReplayDead, cmd); err != nil {
				return 0, err
			}
			letters = letters[len(part):]
		}
	}
	return n, q.sendKeyCommands(ctx, opUnpark, parked)
}

// DropDeadLetters deletes the selected dead letters; of a parked event, everything parked for its key. It returns how many were
// selected.
func (q *Queue) DropDeadLetters(ctx context.Context, f DeadLetterFilter) (int, error) {
	n, dead, parked, err := q.selectLetters(ctx, f)
	if err != nil {
		return 0, err
	}
	for _, letters := range dead {
		for _, l := range letters {
			if err := q.deleteLetter(ctx, l); err != nil {
				return 0, err
			}
		}
	}
	if err := q.dropRemoved(ctx, f, parked); err != nil {
		return 0, err
	}
	return n, q.sendKeyCommands(ctx, opDrop, parked)
}

// RemovedInstanceError means that dead letters cannot be replayed because their instance is not in the config.
type RemovedInstanceError struct{ Instance string }

func (e *RemovedInstanceError) Error() string {
	return fmt.Sprintf("the instance %q is no longer in the config, so its dead letters cannot be replayed: landfall instances rename %s NEW moves them to another instance, and --instance selects those of one instance",
		e.Instance, e.Instance)
}

// rejectRemoved returns a *RemovedInstanceError if the dead letters of a removed instance are selected.
func rejectRemoved(f DeadLetterFilter, dead map[partitionID][]*DeadLetter, parked map[partitionID][]string) error {
	if f.IsRemoved == nil {
		return nil
	}
	for at := range dead {
		if f.IsRemoved(at.instance) {
			return &RemovedInstanceError{at.instance}
		}
	}
	for at := range parked {
		if f.IsRemoved(at.instance) {
			return &RemovedInstanceError{at.instance}
		}
	}
	return nil
}

// dropRemoved deletes the parked events of removed instances, which have no worker to do that, and removes them from parked.
func (q *Queue) dropRemoved(ctx context.Context, f DeadLetterFilter, parked map[partitionID][]string) error {
	for at, keys := range parked {
		if f.IsRemoved == nil || !f.IsRemoved(at.instance) {
			continue
		}
		for _, key := range keys {
			subject := parkSubject(at.instance, at.partition) + "." + key + ".>"
			if err := q.store.PurgeSubjects(ctx, parkStream, subject); err != nil {
				return err
			}
		}
		delete(parked, at)
	}
	return nil
}

// selectLetters returns the selected dead letters by partition: the dead ones in order, and the key hashes of the parked ones.
func (q *Queue) selectLetters(ctx context.Context, f DeadLetterFilter) (n int, dead map[partitionID][]*DeadLetter, parked map[partitionID][]string, err error) {
	dead, parked = map[partitionID][]*DeadLetter{}, map[partitionID][]string{}
	known := map[string]bool{}
	err = q.DeadLetters(ctx, f, func(l *DeadLetter) error {
		n++
		l.Event, l.Request = nil, nil // they may be large
		at := partitionID{l.Instance, l.partition}
		key := shortHash(l.Key)
		switch {
		case !l.Parked:
			dead[at] = append(dead[at], l)
		case !known[l.Instance+" "+key]:
			known[l.Instance+" "+key] = true
			parked[at] = append(parked[at], key)
		}
		return nil
	})
	for _, letters := range dead {
		sortByEvent(letters)
	}
	return n, dead, parked, err
}

func (q *Queue) sendKeyCommands(ctx context.Context, op string, parked map[partitionID][]string) error {
	for at, keys := range parked {
		for len(keys) > 0 {
			n := min(len(keys), maxCommandItems)
			if err := q.sendCommand(ctx, at.instance, at.partition, op, command{Keys: keys[:n]}); err != nil {
				return err
			}
			keys = keys[n:]
		}
	}
	return nil
}

// ReplayRequest selects stored events and the instance that gets them again.
type ReplayRequest struct {
	Instance     string
	Subscription string // the only subscription to run; "" for all
	Sources      []string
	Since, Until time.Time              // by the time of acceptance
	Choose       func(event.Value) bool // selects events; nil for all
}

// Replay appends stored events again, for one instance and in order. It returns their number when they are durable.
func (q *Queue) Replay(ctx context.Context, req ReplayRequest) (int, error) {
	c := &replayCopier{queue: q, request: req, open: map[int]*replayPage{}}
	if err := q.settle(ctx); err != nil {
		return 0, err
	}
	err := q.scanEvents(ctx, eventlog.Query{Filters: []string{"ev.>"}, Since: req.Since}, func(m eventlog.Message) (bool, error) {
		if !req.Until.IsZero() && !m.Time.Before(req.Until) {
			return false, nil
		}
		return true, c.copyPage(ctx, &m)
	})
	if err != nil {
		return c.n, err
	}
	return c.n, c.flushPages(ctx)
}

// replayCopier copies events to new pages.
type replayCopier struct {
	queue    *Queue
	request  ReplayRequest
	open     map[int]*replayPage // the newest page of each partition
	pages    []*replayPage
	bytes, n int
}

// replayPage is a page of replayed events to append.
type replayPage struct {
	eventlog.Write
	source  string // of the first event
	sources sourceList
	origins origins
}

// maxOriginRuns limits the header with the origins of a page.
const maxOriginRuns = 1000

func (c *replayCopier) copyPage(ctx context.Context, m *eventlog.Message) error {
	for e := range eventsIn(m) {
		if sources := c.request.Sources; (len(sources) == 0 || slices.Contains(sources, e.Source)) && c.isChosen(e.Raw) {
			c.addEvent(&e)
		}
	}
	if len(c.pages) >= maxMessages/2 || c.bytes >= groupBytes {
		return c.flushPages(ctx)
	}
	return nil
}

// isChosen reports whether an event is to be replayed.
func (c *replayCopier) isChosen(line []byte) bool {
	erased := c.queue.erased.Load()
	if isErasedLine(line) || c.request.Choose == nil && erased == nil {
		return !isErasedLine(line)
	}
	e, err := event.Parse(line)
	if err != nil {
		return c.request.Choose == nil
	}
	return (c.request.Choose == nil || c.request.Choose(e.Value())) && (erased == nil || !(*erased)(e.Value()))
}

func (c *replayCopier) addEvent(e *StoredEvent) {
	p, token := c.open[e.Partition], subjectToken(e.Source)
	if p == nil || !c.hasSpace(p, e, token) {
		p = &replayPage{source: e.Source, Write: eventlog.Write{
			Subject: commandSubject(c.request.Instance, e.Partition), Header: map[string]string{opHeader: opReplayEvents},
		}}
		if c.request.Subscription != "" {
			p.Header[onlyHeader] = c.request.Subscription
		}
		c.open[e.Partition] = p
		c.pages = append(c.pages, p)
	}
	p.Data = append(append(p.Data, e.Raw...), '\n')
	p.sources.add(token)
	p.origins.addPosition(position{e.Seq, e.Index})
	c.bytes += len(e.Raw) + 1
	c.n++
}

// hasSpace reports whether a page has space for another event.
func (c *replayCopier) hasSpace(p *replayPage, e *StoredEvent, token string) bool {
	return (e.Source == p.source || c.queue.mixesSources()) && p.sources.accepts(token) &&
		len(p.Data)+len(e.Raw) < singlePageBytes && len(p.origins.runs) < maxOriginRuns
}

func (c *replayCopier) flushPages(ctx context.Context) error {
	if len(c.pages) == 0 {
		return nil
	}
	if err := c.queue.checkWritable(); err != nil {
		return err
	}
	if err := c.queue.settle(ctx); err != nil {
		return err
	}
	writes := make([]eventlog.Write, len(c.pages))
	for i, p := range c.pages {
		p.Header[originsHeader] = p.origins.String()
		if p.sources.isMixed() {
			p.Header[sourcesHeader] = p.sources.String()
		} else {
			p.Header[sourceHeader] = p.source
		}
		writes[i] = p.Write
	}
	c.pages, c.bytes = nil, 0
	clear(c.open)
	if err := c.queue.preparePages(ctx, writes); err != nil {
		return err
	}
	_, err := c.queue.store.Append(ctx, eventsStream, writes)
	return err
}
