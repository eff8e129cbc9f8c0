package delivery

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/pause"
)

const (
	surveyInterval = time.Second     // how often partitions are surveyed
	unownedGrace   = 2 * time.Second // how long a partition may be without an owner during a handover
	countInterval  = 5 * time.Second // how often the events of an unowned partition are counted
	surveyBudget   = 5 * time.Second // timeout of a survey
)

// unownedPartition is a partition that no process owns.
type unownedPartition struct {
	since     time.Time // when this process noticed
	countedAt time.Time // when its events were last counted
	oldest    time.Time // when the oldest waiting event was accepted; zero if none waits
	pages     int       // waiting pages
	perPage   int       // events of the first waiting page
}

// survey is the result of the last look at all partitions.
type survey struct {
	removals        []removal // that were counted last; used by watchProgress only
	removalsCounted time.Time // when; used by watchProgress only

	mu         sync.Mutex // guards the fields below; an unownedPartition is not changed once it is among them
	unowned    map[partitionID]*unownedPartition
	stalled    map[partitionID]time.Time // since when partitions have made no progress
	removed    []*removedSource          // sources with events that are not delivered
	unreadable error                     // why the log cannot be read; nil if it can
	since      time.Time                 // of unreadable
}

// watchProgress surveys the partitions of this process's instances until the Runner stops.
func (r *Runner) watchProgress() {
	dog := newWatchdog(r.settings.StallAfter)
	for pause.For(r.ctx, surveyInterval) == nil {
		ctx, cancel := context.WithTimeout(r.ctx, surveyBudget)
		r.surveyUnowned(ctx, time.Now())
		r.surveyProgress(ctx, dog, time.Now())
		if err := r.surveyRemovals(ctx, time.Now()); err != nil {
			r.log.Debug("counting the events of removed sources", "error", err)
		}
		cancel()
	}
}

// isOwnedElsewhere reports whether another process holds the lease of a partition.
func (r *Runner) isOwnedElsewhere(subject string, now time.Time) bool {
	s, ok := r.leases.latestOf(subject)
	if !ok {
		return false
	}
	owner := ownerOf(s.data)
	return owner != "" && owner != r.name && now.Sub(s.changedAt) < r.settings.Lease
}

// partitionsWithoutOwner returns the partitions of this process's instances that no process owns.
func (r *Runner) partitionsWithoutOwner(now time.Time) map[partitionID]*worker {
	free := map[partitionID]*worker{}
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for n := range r.queue.partitions {
			if w.partitions[n] == nil && !w.stopping && !r.isOwnedElsewhere(checkpointSubject(w.id, n), now) {
				free[partitionID{w.id, n}] = w
			}
		}
	})
	return free
}

// surveyUnowned finds the partitions without an owner and counts their waiting events.
func (r *Runner) surveyUnowned(ctx context.Context, now time.Time) {
	free := r.partitionsWithoutOwner(now)
	s := &r.survey
	s.mu.Lock()
	known := map[partitionID]*unownedPartition{}
	for at := range free {
		known[at] = s.unowned[at]
		if known[at] == nil {
			known[at] = &unownedPartition{since: now}
		}
	}
	s.unowned = known
	known = maps.Clone(known)
	s.mu.Unlock()
	for at, u := range known {
		if now.Sub(u.since) < unownedGrace || now.Sub(u.countedAt) < countInterval {
			continue
		}
		counted, err := r.countUnowned(ctx, free[at], at.partition)
		r.noteReadResult(err)
		if err != nil {
			return
		}
		counted.since, counted.countedAt = u.since, now
		s.mu.Lock()
		if s.unowned[at] != nil {
			s.unowned[at] = counted
		}
		s.mu.Unlock()
	}
}

// noteReadResult records the result of reading the log.
func (r *Runner) noteReadResult(err error) {
	s := &r.survey
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.unreadable, s.since = nil, time.Time{}
	case r.ctx.Err() == nil && s.unreadable == nil:
		s.unreadable, s.since = err, time.Now()
		r.log.Error("the log cannot be read", "error", err)
	}
}

// countUnowned counts the waiting events of a partition.
func (r *Runner) countUnowned(ctx context.Context, w *worker, n int) (*unownedPartition, error) {
	seen, _ := r.leases.latestOf(checkpointSubject(w.id, n))
	low := max(parseCheckpoint(seen.data).Low, 1)
	p := &partition{worker: w, number: n}
	first, err := r.firstUnread(ctx, p, low)
	if err != nil || first == nil {
		return &unownedPartition{}, err
	}
	pages, err := r.queue.store.Count(ctx, eventsStream, eventlog.Query{Filters: p.logSubjects(), From: low})
	if err != nil {
		return nil, err
	}
	return &unownedPartition{oldest: first.Time, pages: int(pages), perPage: max(w.ownEvents(first), 1)}, nil
}

// maxPassedPages is the number of pages without events of an instance's sources after which a search for them ends.
const maxPassedPages = 100

// firstUnread returns the first message of a partition from a sequence on that concerns its instance, nil if there is none.
func (r *Runner) firstUnread(ctx context.Context, p *partition, from uint64) (first *eventlog.Message, err error) {
	for _, subject := range p.logSubjects() {
		m, err := r.queue.store.First(ctx, eventsStream, subject, from)
		for passed := 0; err == nil && passed < maxPassedPages && p.worker.ownEvents(&m) == 0; passed++ {
			m, err = r.queue.store.First(ctx, eventsStream, subject, m.Sequence+1)
		}
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
		case err != nil:
			return nil, err
		case first == nil || m.Sequence < first.Sequence:
			first = &m
		}
	}
	return first, nil
}

// ownEvents returns how many events of a message are of the instance's sources; 1 for a command.
func (w *worker) ownEvents(m *eventlog.Message) (n int) {
	p := newLogPage(*m, 0, maphash.Seed{})
	if p.runs == nil {
		return 1
	}
	for _, own := range p.eventsFrom(w.sources) {
		n += own.to - own.from
	}
	return n
}

// surveyProgress passes the progress of the partitions of this process to the watchdog.
func (r *Runner) surveyProgress(ctx context.Context, dog *watchdog, now time.Time) {
	stalled, present := map[partitionID]time.Time{}, map[partitionID]bool{}
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		samples := w.progressSamplesLocked(now)
		w.mu.Unlock()
		for p, s := range samples {
			at := partitionID{w.id, p.number}
			present[at] = true
			if dog.isQuiet(at, s, now) {
				if s.outstanding = r.hasOverlookedEvents(ctx, p, s.next, now); !s.outstanding {
					dog.noteNothingOverlooked(at, now)
				}
			}
			since, news := dog.observe(at, s, now)
			if since.IsZero() {
				continue
			}
			stalled[at] = since
			if news {
				r.log.Error("accepted events make no progress though nothing is paused", "instance", w.id, "partition", p.number, "owner", r.name,
					"since", since.UTC(), "page", s.oldest, "next", s.next)
			}
		}
	})
	dog.keepOnly(present)
	r.survey.mu.Lock()
	defer r.survey.mu.Unlock()
	r.survey.stalled = stalled
}

// hasOverlookedEvents reports whether the log has an event for a partition that is older than StallAfter and has not been read,
// for example because the partition's reader hangs.
func (r *Runner) hasOverlookedEvents(ctx context.Context, p *partition, next uint64, now time.Time) bool {
	first, err := r.firstUnread(ctx, p, next)
	r.noteReadResult(err)
	return err == nil && first != nil && now.Sub(first.Time) > r.settings.StallAfter
}

// progressSamplesLocked returns the samples of a worker's partitions.
func (w *worker) progressSamplesLocked(now time.Time) map[*partition]sample {
	stats := w.dispatcher.StatsLocked()
	paused := w.suspendReason != "" || now.Before(stats.PausedUntil) || stats.Failing
	list := map[*partition]sample{}
	for _, p := range w.partitions {
		unread, idle := p.cursor.unread()
		s := sample{
			progress: progress{next: p.nextPage}, paused: paused || p.parkingBlocked || p.owner.RetryingLocked() > 0,
			outstanding: len(p.openPages) > 0 || unread > 0 && !idle, // what an idle reader overlooks is looked for in the log
		}
		if len(p.openPages) > 0 {
			s.oldest, s.left = p.openPages[0].seq, p.openPages[0].eventsLeft
		}
		for _, n := range p.counts {
			s.verdicts += n
		}
		list[p] = s
	}
	return list
}
