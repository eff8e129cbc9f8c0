package delivery

import (
	"bytes"
	"context"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of what a partition of an instance holds in memory.
const (
	maxTaskBytes = 16 << 20 // of their events and payloads
	maxOpenPages = 4096     // pages between the first that is not finished and the newest
)

// partition is one partition of an instance while this process works on it. What it holds is guarded by the worker's mutex.
type partition struct {
	worker *worker
	number int
	ctx    context.Context // ends with the partition
	cancel context.CancelFunc
	done   chan struct{} // closed when it reads no more

	initial       checkpoint // as it was found
	revision      uint64     // of the book as it was last written
	leaseUntil    time.Time  // until when nobody else works on it
	renewedAt     time.Time
	dirty         bool
	logID         int64     // the log that it reads, by the time of its creation
	anchor        *anchor   // the last page that was taken
	lastRead      time.Time // when that was, or when the partition was
	logShortSince time.Time // since when the log has ended before what was read; zero if it does not

	mapping *mappingSlot // notes which event is being mapped

	parkingBlocked   bool // it reads no more, since no more can be parked
	applyingCommand  bool // the letters of an order are being read and begun
	closing          bool // no more is begun
	abandoned        bool // nothing is decided any more
	inFlight         int  // tasks in batches under way
	openPages        []*page
	nextPage         uint64
	chains           map[string]*chain // the tasks of each key
	taskCount        int
	taskBytes        int
	counts           map[string]int64
	parkedKeys       map[string]string // by short key: held or roomy
	spilledKeys      map[string]string // hot keys by their short ones; what is parked of them comes back in portions
	generations      map[string]int    // how often what waits of a key was parked again, so that nothing resumed overtakes it
	parkedLoaded     bool              // it is known what is parked
	portionRequested map[string]bool   // those whose next portion has been asked for
	lettersInFlight  map[string]bool   // letters that are under way, by subject
	delayed          map[*task]bool    // tasks that wait to be tried again on their own
	pendingWrites    int               // letters that are being written or deleted
	recentIDs        *recentIDs
	mergeMu          sync.Mutex // held while a stored letter is read and written again; taken before the worker's mutex
	unreadPages      uint64     // pages that wait to be read
	eventsPerPage    float64    // events of a page, lately

	evictCheckedAt time.Time // when room was last made, or there was no need to find out whether it helps
	evictBackoffs  int       // how often that has not helped
	unparkedAt     time.Time // when keys were last unparked by themselves
	unparkBatch    int       // how many next time
}

func (w *worker) newPartition(n int, cp checkpoint, revision uint64, valid time.Time) *partition {
	p := &partition{
		worker: w, number: n, done: make(chan struct{}), initial: cp, revision: revision, leaseUntil: valid, renewedAt: time.Now(), evictCheckedAt: time.Now(), nextPage: cp.Low, logID: cp.LogCreated, anchor: cp.Anchor, lastRead: time.Now(),
		chains: map[string]*chain{}, spilledKeys: map[string]string{}, portionRequested: map[string]bool{}, generations: map[string]int{}, counts: maps.Clone(cp.Counts),
		parkedKeys: map[string]string{}, lettersInFlight: map[string]bool{}, delayed: map[*task]bool{}, recentIDs: newRecentIDs(),
	}
	if p.counts == nil {
		p.counts = map[string]int64{}
	}
	p.mapping = w.runner.mappingNotes.acquireSlot(w.id, n)
	p.ctx, p.cancel = context.WithCancel(w.ctx)
	return p
}

// leaseRemaining is for how long nobody else works on the partition.
func (p *partition) leaseRemaining() time.Duration { return time.Until(p.leaseUntil) }

// run reads the partition until its context ends, whatever goes wrong.
func (p *partition) run() {
	defer close(p.done)
	defer p.mapping.releaseSlot()
	for p.ctx.Err() == nil {
		err := p.readLog()
		if p.ctx.Err() == nil && err != nil {
			p.worker.runner.log.Warn("reading events", "instance", p.worker.id, "partition", p.number, "error", err)
			p.sleepFor(time.Second)
		}
	}
}

func (p *partition) sleepFor(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}

// logSubjects are what the partition reads.
func (p *partition) logSubjects() []string {
	n := "." + strconv.Itoa(p.number)
	subjects := []string{commandSubject(p.worker.id, p.number)}
	if len(p.worker.instance.Sources) == 0 {
		return append(subjects, "ev.*"+n)
	}
	for _, id := range p.worker.instance.Sources {
		subjects = append(subjects, "ev."+subjectToken(id)+n)
	}
	return subjects
}

func (p *partition) readLog() error {
	q := p.worker.runner.queue
	if err := p.loadParked(); err != nil {
		return err
	}
	p.worker.mu.Lock()
	from := p.nextPage
	if p.recentIDs.isEmpty() && p.initial.DedupeFrom > 0 {
		from = min(from, p.initial.DedupeFrom)
	}
	p.worker.mu.Unlock()
	consumer, err := q.js.OrderedConsumer(p.ctx, eventsStream, jetstream.OrderedConsumerConfig{
		FilterSubjects: p.logSubjects(), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
		InactiveThreshold: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(64))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(p.ctx))
		if err != nil {
			return err
		}
		if err := p.handleMessage(m); err != nil {
			return err
		}
	}
}

// loadParked reads which keys are parked.
func (p *partition) loadParked() error {
	keys, err := p.storedParkedKeys()
	if err != nil {
		return err
	}
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.parkedLoaded = true
	for key, kind := range keys {
		if p.parkedKeys[key] != kindHeld {
			p.parkedKeys[key] = kind
		}
	}
	return nil
}

// storedParkedKeys returns the short keys of all stored parked letters, with their kind: held if any letter of a key is.
func (p *partition) storedParkedKeys() (map[string]string, error) {
	stream := p.worker.runner.queue.streams[parkStream]
	info, err := stream.Info(p.ctx, jetstream.WithSubjectFilter(parkSubject(p.worker.id, p.number)+".>"))
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for subject := range info.State.Subjects {
		if parts := strings.Split(subject, "."); len(parts) == 6 && keys[parts[3]] != kindHeld {
			keys[parts[3]] = parts[4]
		}
	}
	return keys, nil
}

// handleMessage takes a message of the log.
func (p *partition) handleMessage(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	seq, w := meta.Sequence.Stream, p.worker
	subject := strings.Split(m.Subject(), ".")
	all, bits := p.initial.finishedEvents(seq)
	w.mu.Lock()
	p.unreadPages = meta.NumPending
	known := seq < p.nextPage
	if !known {
		p.anchor, p.lastRead = &anchor{Seq: seq, Time: meta.Timestamp.UnixNano()}, time.Now()
	}
	w.mu.Unlock()
	if subject[0] == "ctl" && m.Headers().Get(opHeader) != opReplayEvents {
		if all || known {
			return nil
		}
		return p.applyCommand(m, seq)
	}
	r := &pageReader{
		partition: p, page: &page{seq: seq, acceptedMillis: meta.Timestamp.UnixMilli(), replayed: subject[0] == "ctl"}, source: parseToken(subject[1]),
		onlySubscription: m.Headers().Get(onlyHeader),
	}
	if r.page.replayed {
		r.source = m.Headers().Get(sourceHeader)
	}
	lines := bytes.Split(bytes.TrimSuffix(m.Data(), []byte{'\n'}), []byte{'\n'})
	if r.page.replayed {
		r.origins = parseOrigins(m.Headers().Get(originsHeader), len(lines))
	}
	if all || known { // only its messageIds are of use
		r.rememberIDs(lines)
		return nil
	}
	if err := p.waitUntilCanPark(); err != nil {
		return err
	}
	r.openPage(len(lines), bits)
	for i, line := range lines {
		if err := p.waitForCapacity(); err != nil {
			return err
		}
		if err := r.readEvent(i, line); err != nil {
			return err
		}
	}
	r.closePage()
	return nil
}

// waitForCapacity waits until there is room for another event. If hot keys fill the room, they are spilled; if failing events do, they are parked.
func (p *partition) waitForCapacity() error {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	began := time.Now()
	full, scanned := began, time.Time{}
	for p.taskCount >= w.runner.settings.MaxInFlight || p.taskBytes >= maxTaskBytes || len(p.openPages) >= maxOpenPages {
		if p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		if time.Since(scanned) > 20*time.Millisecond {
			scanned = time.Now()
			p.spillHotKeys(time.Since(full))
		}
		if time.Since(began) > w.runner.settings.EvictAfter && !p.evictFailing() {
			began = time.Now()
		}
		timer := time.AfterFunc(100*time.Millisecond, w.changed.Broadcast)
		w.changed.Wait()
		timer.Stop()
	}
	return p.ctx.Err()
}

// recordOutcome takes one verdict of an event as given. They count when all are there, at once with the event itself: what a book
// says has been finished is what it has counted.
func (p *partition) recordOutcome(pg *page, i int, outcome string) {
	if pg.verdictsLeft[i]--; pg.verdictsLeft[i] > 0 {
		if pg.earlyOutcomes == nil {
			pg.earlyOutcomes = map[int][]string{}
		}
		pg.earlyOutcomes[i] = append(pg.earlyOutcomes[i], outcome)
		return
	}
	p.dirty = true
	p.counts[outcome]++
	for _, earlier := range pg.earlyOutcomes[i] {
		p.counts[earlier]++
	}
	delete(pg.earlyOutcomes, i)
	switch {
	case pg.holdsLetters:
	case pg.replayed:
		p.counts[countReplayed]++
	default:
		p.counts[countEvents]++
	}
	pg.eventsLeft--
	p.dropFinishedPages()
}

// dropFinishedPages takes finished pages from the front of the window.
func (p *partition) dropFinishedPages() {
	n := 0
	for n < len(p.openPages) && p.openPages[n].isFinished() {
		p.openPages[n] = nil
		n++
	}
	if p.openPages = p.openPages[n:]; len(p.openPages) == 0 {
		p.openPages = nil
	}
	p.dirty = p.dirty || n > 0
}

// currentCheckpoint is the book as it stands.
func (p *partition) currentCheckpoint(owner string) checkpoint {
	cp := checkpoint{Owner: owner, Start: p.initial.Start, Counts: maps.Clone(p.counts), LogCreated: p.logID, Anchor: p.anchor}
	cp.setProgress(p.openPages, p.nextPage)
	cp.carryOver(p.initial, p.nextPage)
	if cp.DedupeFrom = p.recentIDs.oldestBefore(cp.Low); p.recentIDs.isEmpty() {
		cp.DedupeFrom = p.initial.DedupeFrom // they are yet to be read again
	}
	return cp
}
