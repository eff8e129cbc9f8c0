package delivery

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	surveyEvery  = time.Second     // how often partitions are looked at
	unownedGrace = 2 * time.Second // how long a partition may be without an owner while it changes hands
	countedEvery = 5 * time.Second // how often the events of a partition without an owner are counted
	surveyBudget = 5 * time.Second // the most that one look may take
)

// unowned is a partition that no process works on.
type unowned struct {
	since   time.Time // when this process noticed
	counted time.Time // when its events were last counted
	oldest  time.Time // when the oldest event that waits was accepted; zero if none does
	pages   int       // that wait
	perPage int       // events of the first
}

// survey is what the watch over the partitions has found.
type survey struct {
	mu         sync.Mutex
	unowned    map[place]*unowned
	stalled    map[place]time.Time // since when partitions make no progress
	unreadable error               // why the log cannot be read
	since      time.Time           // and since when
}

// watchProgress looks at the partitions of this process's instances until the Runner stops.
func (r *Runner) watchProgress() {
	dog := newWatchdog(r.config.StallAfter)
	for pause(r.ctx, surveyEvery) == nil {
		ctx, cancel := context.WithTimeout(r.ctx, surveyBudget)
		r.surveyUnowned(ctx, time.Now())
		r.surveyProgress(ctx, dog, time.Now())
		cancel()
	}
}

// ownedElsewhere reports whether another process has a partition, as its checkpoint says.
func (r *Runner) ownedElsewhere(subject string, now time.Time) bool {
	s, ok := r.roster.look(subject)
	if !ok {
		return false
	}
	owner := readBook(s.data).Owner
	return owner != "" && owner != r.name && now.Sub(s.at) < r.config.Lease
}

// partitionsWithoutOwner returns the partitions of this process's instances that no process works on.
func (r *Runner) partitionsWithoutOwner(now time.Time) map[place]*worker {
	free := map[place]*worker{}
	r.all(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for n := range r.queue.partitions {
			if w.parts[n] == nil && !w.stopping && !r.ownedElsewhere(bookSubject(w.id, n), now) {
				free[place{w.id, n}] = w
			}
		}
	})
	return free
}

// surveyUnowned finds the partitions without an owner, and counts what waits in them.
func (r *Runner) surveyUnowned(ctx context.Context, now time.Time) {
	free := r.partitionsWithoutOwner(now)
	s := &r.survey
	s.mu.Lock()
	known := map[place]*unowned{}
	for at := range free {
		known[at] = s.unowned[at]
		if known[at] == nil {
			known[at] = &unowned{since: now}
		}
	}
	s.unowned = known
	known = maps.Clone(known)
	s.mu.Unlock()
	for at, u := range known {
		if now.Sub(u.since) < unownedGrace || now.Sub(u.counted) < countedEvery {
			continue
		}
		counted, err := r.countUnowned(ctx, free[at], at.partition)
		r.noteReading(err)
		if err != nil {
			return
		}
		counted.since, counted.counted = u.since, now
		s.mu.Lock()
		if s.unowned[at] != nil {
			s.unowned[at] = counted
		}
		s.mu.Unlock()
	}
}

// noteReading takes the result of reading the log into account.
func (r *Runner) noteReading(err error) {
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

// countUnowned counts what waits in a partition from its checkpoint on.
func (r *Runner) countUnowned(ctx context.Context, w *worker, n int) (*unowned, error) {
	seen, _ := r.roster.look(bookSubject(w.id, n))
	low := max(readBook(seen.data).Low, 1)
	p := &partition{worker: w, n: n}
	first, err := r.firstUnread(ctx, p, low)
	if err != nil || first == nil {
		return &unowned{}, err
	}
	consumer, err := r.queue.js.CreateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
		FilterSubjects: p.subjects(), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: low,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	info := consumer.CachedInfo()
	if err := r.queue.js.DeleteConsumer(ctx, eventsStream, info.Name); err != nil {
		r.log.Debug("deleting a consumer", "error", err)
	}
	return &unowned{oldest: first.Time, pages: int(info.NumPending), perPage: max(bytes.Count(first.Data, []byte{'\n'}), 1)}, nil
}

// firstUnread returns the first message of a partition from a sequence on; nil if there is none.
func (r *Runner) firstUnread(ctx context.Context, p *partition, from uint64) (first *jetstream.RawStreamMsg, err error) {
	for _, subject := range p.subjects() {
		m, err := r.queue.streams[eventsStream].GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(subject))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return nil, err
		case first == nil || m.Sequence < first.Sequence:
			first = m
		}
	}
	return first, nil
}

// surveyProgress shows the watchdog the partitions that this process works on.
func (r *Runner) surveyProgress(ctx context.Context, dog *watchdog, now time.Time) {
	stalled, kept := map[place]time.Time{}, map[place]bool{}
	r.all(func(w *worker) {
		w.mu.Lock()
		samples := w.samples(now)
		w.mu.Unlock()
		for p, s := range samples {
			at := place{w.id, p.n}
			kept[at] = true
			if !s.outstanding && dog.quietFor(at, s, now) > r.config.StallAfter && !s.paused {
				s.outstanding = r.overlooked(ctx, p, s.next, now)
			}
			since, news := dog.observe(at, s, now)
			if since.IsZero() {
				continue
			}
			stalled[at] = since
			if news {
				r.log.Error("accepted events make no progress though nothing is paused", "instance", w.id, "partition", p.n, "owner", r.name,
					"since", since.UTC(), "page", s.oldest, "next", s.next)
			}
		}
	})
	dog.forget(kept)
	r.survey.mu.Lock()
	defer r.survey.mu.Unlock()
	r.survey.stalled = stalled
}

// overlooked reports whether the log has an old event for a partition that has not read it, as if its reading had ended.
func (r *Runner) overlooked(ctx context.Context, p *partition, next uint64, now time.Time) bool {
	first, err := r.firstUnread(ctx, p, next)
	r.noteReading(err)
	return err == nil && first != nil && now.Sub(first.Time) > r.config.StallAfter
}

// samples are the samples of a worker's partitions. The mutex is held.
func (w *worker) samples(now time.Time) map[*partition]sample {
	paused := w.stopped != "" || now.Before(w.pausedUntil)
	for _, l := range w.lanes {
		paused = paused || l.failures > 0
	}
	list := map[*partition]sample{}
	for _, p := range w.parts {
		s := sample{progress: progress{next: p.next}, paused: paused || p.blocked || len(p.held) > 0, outstanding: len(p.window) > 0 || p.behind > 0}
		if len(p.window) > 0 {
			s.oldest, s.left = p.window[0].seq, p.window[0].left
		}
		for _, n := range p.counts {
			s.verdicts += n
		}
		list[p] = s
	}
	return list
}
