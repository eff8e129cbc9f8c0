package delivery

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/internal/pause"
)

// Limits of what a partition of an instance holds in memory.
const (
	maxTaskBytes = 16 << 20 // bytes of events and payloads
	maxOpenPages = 4096     // pages from the first unfinished one to the newest
)

// partition is the state of one partition of an instance while this process owns it. Methods whose names end in Locked need the
// worker's mutex held.
type partition struct {
	worker    *worker
	owner     *dispatch.Owner[*task] // of its tasks in the dispatcher
	number    int
	ctx       context.Context // ends when the partition is released or abandoned
	cancel    context.CancelFunc
	done      chan struct{}     // closed when readLoop has returned
	initial   checkpoint        // the checkpoint at acquisition
	sources   []string          // see checkpoint.Sources
	removed   map[string]uint64 // see checkpoint.Removed
	logID     int64             // identity of the log that is read: when it was created
	mapping   *mappingSlot      // records which event is being mapped
	recentIDs *recentIDs
	cursor    *pageCursor // where it reads the log; set by readLog once it runs
	mergeMu   sync.Mutex  // held while a stored dead letter is read and rewritten; locked before the worker's mutex

	// The worker's mutex guards the fields below.

	revision      uint64    // of the checkpoint that was last written
	leaseUntil    time.Time // end of the lease: no other process works on the partition until then
	renewedAt     time.Time
	dirty         bool      // the checkpoint is to be written
	hasRead       bool      // the checkpoint has progress that is written less often: events that concern no subscription
	anchor        *anchor   // the last page read
	lastRead      time.Time // when the last page was read, or the partition was acquired
	logShortSince time.Time // since when the log has ended before nextPage; zero if it does not

	hotKeysSearchedAt time.Time // when the partition was last full and searched for hot keys

	parkingBlocked  bool // reading has stopped because no more events can be parked
	applyingCommand bool // the dead letters of a command are being read and started
	closing         bool // no more tasks are started
	abandoned       bool // the lease may be lost: no more verdicts are applied
	openPages       []*page
	nextPage        uint64
	taskCount       int
	taskBytes       int
	pinnedBytes     int // of the pages that tasks keep in memory
	counts          map[string]int64
	parked          parkedKeys
	letters         letterCopies
	pendingWrites   int     // dead letters that are being written or deleted
	eventsPerPage   float64 // of the instance's sources; moving average

	evictCheckedAt time.Time // when eviction last ran, or was last known not to need a backoff
	evictBackoffs  int       // evictions in a row without a success since
	unparkedAt     time.Time // when evicted keys were last resumed
	unparkBatch    int       // how many keys to resume next
}

func (w *worker) newPartition(n int, cp checkpoint, revision uint64, valid time.Time) *partition {
	p := &partition{
		worker: w, number: n, done: make(chan struct{}), initial: cp, revision: revision, leaseUntil: valid, renewedAt: time.Now(), evictCheckedAt: time.Now(), nextPage: cp.Low, logID: cp.LogCreated, anchor: cp.Anchor, lastRead: time.Now(),
		eventsPerPage: 1, counts: maps.Clone(cp.Counts), letters: newLetterCopies(), recentIDs: newRecentIDs(),
		sources: recordedSources(w.instance.Sources), removed: removedSources(cp, w.instance.Sources),
	}
	p.owner = w.dispatcher.NewOwner(p.requestAllowanceLocked)
	if p.counts == nil {
		p.counts = map[string]int64{}
	}
	p.mapping = w.runner.mappingNotes.acquireSlot(w.id, n)
	p.ctx, p.cancel = context.WithCancel(w.ctx)
	return p
}

// leaseRemainingLocked returns how long the lease still lasts.
func (p *partition) leaseRemainingLocked() time.Duration { return time.Until(p.leaseUntil) }

// requestAllowanceLocked returns how long a request that starts now may take: it must end before the lease does. At least half of the lease
// must be left.
func (p *partition) requestAllowanceLocked() time.Duration {
	lease, left := p.worker.runner.settings.Lease, p.leaseRemainingLocked()
	if left < lease/2 {
		return 0
	}
	return min(left, lease) - lease/10
}

// readLoop reads the log until the partition's context ends. After an error it tries again.
func (p *partition) readLoop() {
	defer close(p.done)
	defer p.mapping.releaseSlot()
	defer func() { p.cursor.close() }()
	for p.ctx.Err() == nil {
		err := p.readLog()
		if p.ctx.Err() == nil {
			p.worker.runner.log.Warn("reading events", "instance", p.worker.id, "partition", p.number, "error", err)
			_ = pause.For(p.ctx, time.Second)
		}
	}
}

// logSubjects returns the subjects that the partition reads.
func (p *partition) logSubjects() []string {
	n := "." + strconv.Itoa(p.number)
	subjects := []string{commandSubject(p.worker.id, p.number)}
	if len(p.worker.instance.Sources) == 0 {
		return append(subjects, "ev.*"+n)
	}
	for _, id := range p.worker.instance.Sources {
		subjects = append(subjects, "ev."+subjectToken(id)+n)
	}
	return append(subjects, "ev."+mixedToken+n)
}

func (p *partition) readLog() error {
	if err := p.loadParked(); err != nil {
		return err
	}
	cursor := p.openCursor()
	for {
		m, err := cursor.nextPage(p.ctx)
		if err != nil {
			return err
		}
		if err := p.handlePage(m); err != nil {
			return err
		}
	}
}

// openCursor moves the partition's cursor to the first page that is not read yet, or that has messageIds to remember. A cursor before that page stays
// where it is: it reads messageIds on its way.
func (p *partition) openCursor() *pageCursor {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	from := p.nextPage
	if p.recentIDs.isEmpty() && p.initial.DedupeFrom > 0 {
		from = min(from, p.initial.DedupeFrom)
	}
	if p.cursor == nil || p.cursor.isBeyond(from) {
		p.cursor.close()
		p.cursor = w.runner.queue.feeds.newCursor(p.number, p.logSubjects(), from)
	}
	return p.cursor
}

// loadParked loads the parked keys.
func (p *partition) loadParked() error {
	keys, err := p.storedParkedKeys()
	if err != nil {
		return err
	}
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.parked.load(keys)
	return nil
}

// storedParkedKeys returns the kinds of the keys with parked events, by key hash: kindHeld if any of the key's dead letters is held.
func (p *partition) storedParkedKeys() (map[string]string, error) {
	subjects, err := p.worker.runner.queue.store.Subjects(p.ctx, parkStream, parkSubject(p.worker.id, p.number)+".>")
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for _, subject := range subjects {
		if parts := strings.Split(subject, "."); len(parts) == 6 && keys[parts[3]] != kindHeld {
			keys[parts[3]] = parts[4]
		}
	}
	return keys, nil
}

// handlePage processes a page or a command of the log.
func (p *partition) handlePage(m *logPage) error {
	seq, w := m.Sequence, p.worker
	all, bits := p.initial.finishedEvents(seq)
	w.mu.Lock()
	known := seq < p.nextPage
	if !known {
		p.anchor, p.lastRead = &anchor{Seq: seq, Time: m.Time.UnixNano()}, time.Now()
		if all {
			p.nextPage, p.hasRead = seq+1, true
		}
	}
	w.mu.Unlock()
	if m.isCommand() && !m.replaysEvents() {
		if all || known {
			return nil
		}
		return p.applyCommand(m.Message)
	}
	r := &pageReader{
		partition: p, bytes: len(m.Data), page: &page{seq: seq, acceptedMillis: m.Time.UnixMilli(), readAt: time.Now(), replayed: m.replaysEvents()},
		own: m.eventsFrom(w.sources), onlySubscription: m.Header[onlyHeader],
	}
	if len(r.own) == 0 {
		p.passPage(seq)
		return nil
	}
	var ids []uint64
	r.events, ids = m.parseEvents(r.own)
	if r.page.replayed {
		r.origins = parseOrigins(m.Header[originsHeader], len(r.events))
	}
	if all || known {
		p.recentIDs.addIDs(seq, r.page.acceptedMillis, ids, r.own)
		return nil
	}
	if err := p.waitUntilCanPark(); err != nil {
		return err
	}
	r.openPage(bits)
	r.duplicates = p.recentIDs.addIDs(seq, r.page.acceptedMillis, ids, r.own)
	return r.readEvents()
}

// passPage notes that a page without events of the instance's sources was read. That alone does not make the checkpoint be written.
func (p *partition) passPage(seq uint64) {
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.nextPage = max(p.nextPage, seq+1)
	p.eventsPerPage -= p.eventsPerPage / 16
}

// isFullLocked reports whether the partition holds as much as it may.
func (p *partition) isFullLocked() bool {
	return p.taskCount >= p.worker.runner.settings.MaxInFlight || p.taskBytes >= p.worker.runner.memory.maxTaskBytes() || len(p.openPages) >= maxOpenPages
}

// waitForCapacityLocked waits until the partition can hold another event. When it is full, hot keys are spilled and failing events are
// evicted.
func (p *partition) waitForCapacityLocked() error {
	if !p.isFullLocked() {
		return p.ctx.Err()
	}
	w := p.worker
	p.cursor.setBlocked()
	began := time.Now()
	full := began
	for p.isFullLocked() {
		if p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		if time.Since(p.hotKeysSearchedAt) > hotKeysInterval {
			p.hotKeysSearchedAt = time.Now()
			p.spillHotKeysLocked(time.Since(full))
		}
		if time.Since(began) > w.runner.settings.EvictAfter && !p.evictFailingLocked() {
			began = time.Now()
		}
		timer := time.AfterFunc(100*time.Millisecond, w.changed.Broadcast)
		w.changed.Wait()
		timer.Stop()
	}
	return p.ctx.Err()
}

// recordOutcomeLocked records one verdict of an event. An event's verdicts are counted together, when the last one is known, so that a
// checkpoint counts exactly the events that it lists as finished.
func (p *partition) recordOutcomeLocked(pg *page, i int, outcome string) {
	if pg.verdictsLeft[i]--; pg.verdictsLeft[i] > 0 {
		if pg.earlyOutcomes == nil {
			pg.earlyOutcomes = map[int][]string{}
		}
		pg.earlyOutcomes[i] = append(pg.earlyOutcomes[i], outcome)
		return
	}
	for _, earlier := range pg.earlyOutcomes[i] {
		p.counts[earlier]++
	}
	delete(pg.earlyOutcomes, i)
	p.finishEventsLocked(pg, outcome, 1)
}

// finishEventsLocked counts n events of a page that have all their verdicts, the last of which had this outcome.
func (p *partition) finishEventsLocked(pg *page, outcome string, n int) {
	if outcome == countUnmatched {
		p.hasRead = true
	} else {
		p.dirty = true
	}
	p.counts[outcome] += int64(n)
	switch {
	case pg.holdsLetters:
	case pg.replayed:
		p.counts[countReplayed] += int64(n)
	default:
		p.counts[countEvents] += int64(n)
	}
	pg.eventsLeft -= n
	p.closeFinishedLocked(pg)
}

// closeFinishedLocked closes a page if all its events have their verdicts.
func (p *partition) closeFinishedLocked(pg *page) {
	if pg.isFinishedLocked() {
		p.pinPageLocked(pg, 0)
	}
	p.dropFinishedPagesLocked()
}

// dropFinishedPagesLocked removes finished pages from the front of openPages.
func (p *partition) dropFinishedPagesLocked() {
	n := 0
	for n < len(p.openPages) && p.openPages[n].isFinishedLocked() {
		p.openPages[n] = nil
		n++
	}
	if p.openPages = p.openPages[n:]; len(p.openPages) == 0 {
		p.openPages = nil
	}
	p.hasRead = p.hasRead || n > 0
}

// currentCheckpointLocked returns the checkpoint of the current state.
func (p *partition) currentCheckpointLocked(owner string) checkpoint {
	cp := checkpoint{Owner: owner, Start: p.initial.Start, Counts: maps.Clone(p.counts), LogCreated: p.logID, Anchor: p.anchor, Sources: p.sources, Removed: p.removed}
	cp.setProgressLocked(p.openPages, p.nextPage)
	cp.carryOver(p.initial, p.nextPage)
	if cp.DedupeFrom = p.recentIDs.oldestBefore(cp.Low); p.recentIDs.isEmpty() {
		cp.DedupeFrom = p.initial.DedupeFrom // the remembered messageIds are not read yet
	}
	return cp
}
