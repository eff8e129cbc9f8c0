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
	maxWindow    = 4096     // pages between the first that is not finished and the newest
)

// partition is one partition of an instance while this process works on it. What it holds is guarded by the worker's mutex.
type partition struct {
	worker *worker
	n      int
	ctx    context.Context // ends with the partition
	cancel context.CancelFunc
	ended  chan struct{} // closed when it reads no more

	was      book      // as it was found
	revision uint64    // of the book as it was last written
	valid    time.Time // until when nobody else works on it
	written  time.Time
	dirty    bool
	logID    int64     // the log that it reads, by the time of its creation
	anchor   *anchor   // the last page that was taken
	took     time.Time // when that was, or when the partition was
	doubted  time.Time // since when the log has ended before what was read; zero if it does not

	mapping *mappingSlot // notes which event is being mapped

	blocked bool // it reads no more, since no more can be parked
	obeying bool // the letters of an order are being read and begun
	closing bool // no more is begun
	lost    bool // nothing is decided any more
	flying  int  // tasks in batches under way
	window  []*page
	next    uint64
	keys    map[string]*chain // the tasks of each key
	tasks   int
	bytes   int
	counts  map[string]int64
	parked  map[string]string // by short key: held or roomy
	spilled map[string]string // hot keys by their short ones; what is parked of them comes back in portions
	cuts    map[string]int    // how often what waits of a key was parked again, so that nothing resumed overtakes it
	loaded  bool              // it is known what is parked
	asked   map[string]bool   // those whose next portion has been asked for
	taken   map[string]bool   // letters that are under way, by subject
	held    map[*task]bool    // tasks that wait to be tried again on their own
	aside   int               // letters that are being written or deleted
	seen    *recent
	merging sync.Mutex // held while a stored letter is read and written again; taken before the worker's mutex
	behind  uint64     // pages that wait to be read
	mean    float64    // events of a page, lately

	looked   time.Time // when room was last made, or there was no need to find out whether it helps
	looks    int       // how often that has not helped
	recalled time.Time // when keys were last unparked by themselves
	recall   int       // how many next time
}

func (w *worker) newPartition(n int, b book, revision uint64, valid time.Time) *partition {
	p := &partition{
		worker: w, n: n, ended: make(chan struct{}), was: b, revision: revision, valid: valid, written: time.Now(), looked: time.Now(), next: b.Low, logID: b.Log, anchor: b.Anchor, took: time.Now(),
		keys: map[string]*chain{}, spilled: map[string]string{}, asked: map[string]bool{}, cuts: map[string]int{}, counts: maps.Clone(b.Counts),
		parked: map[string]string{}, taken: map[string]bool{}, held: map[*task]bool{}, seen: newRecent(),
	}
	if p.counts == nil {
		p.counts = map[string]int64{}
	}
	p.mapping = w.runner.notes.slot(w.id, n)
	p.ctx, p.cancel = context.WithCancel(w.ctx)
	return p
}

// validFor is for how long nobody else works on the partition.
func (p *partition) validFor() time.Duration { return time.Until(p.valid) }

// run reads the partition until its context ends, whatever goes wrong.
func (p *partition) run() {
	defer close(p.ended)
	defer p.mapping.release()
	for p.ctx.Err() == nil {
		err := p.read()
		if p.ctx.Err() == nil && err != nil {
			p.worker.runner.log.Warn("reading events", "instance", p.worker.id, "partition", p.n, "error", err)
			p.sleep(time.Second)
		}
	}
}

func (p *partition) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}

// subjects are what the partition reads.
func (p *partition) subjects() []string {
	n := "." + strconv.Itoa(p.n)
	subjects := []string{askSubject(p.worker.id, p.n)}
	if len(p.worker.instance.Sources) == 0 {
		return append(subjects, "ev.*"+n)
	}
	for _, id := range p.worker.instance.Sources {
		subjects = append(subjects, "ev."+token(id)+n)
	}
	return subjects
}

func (p *partition) read() error {
	q := p.worker.runner.queue
	if err := p.loadParked(); err != nil {
		return err
	}
	p.worker.mu.Lock()
	from := p.next
	if p.seen.empty() && p.was.Since > 0 {
		from = min(from, p.was.Since)
	}
	p.worker.mu.Unlock()
	consumer, err := q.js.OrderedConsumer(p.ctx, eventsStream, jetstream.OrderedConsumerConfig{
		FilterSubjects: p.subjects(), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
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
		if err := p.take(m); err != nil {
			return err
		}
	}
}

// loadParked reads which keys are parked.
func (p *partition) loadParked() error {
	keys, err := p.parkedKeys()
	if err != nil {
		return err
	}
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.loaded = true
	for key, kind := range keys {
		if p.parked[key] != held {
			p.parked[key] = kind
		}
	}
	return nil
}

// parkedKeys returns the short keys of all stored parked letters, with their kind: held if any letter of a key is.
func (p *partition) parkedKeys() (map[string]string, error) {
	stream := p.worker.runner.queue.streams[parkStream]
	info, err := stream.Info(p.ctx, jetstream.WithSubjectFilter(parkSubject(p.worker.id, p.n)+".>"))
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for subject := range info.State.Subjects {
		if parts := strings.Split(subject, "."); len(parts) == 6 && keys[parts[3]] != held {
			keys[parts[3]] = parts[4]
		}
	}
	return keys, nil
}

// take takes a message of the log.
func (p *partition) take(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	seq, w := meta.Sequence.Stream, p.worker
	subject := strings.Split(m.Subject(), ".")
	all, bits := p.was.done(seq)
	w.mu.Lock()
	p.behind = meta.NumPending
	known := seq < p.next
	if !known {
		p.anchor, p.took = &anchor{Seq: seq, Time: meta.Timestamp.UnixNano()}, time.Now()
	}
	w.mu.Unlock()
	if subject[0] == "ctl" && m.Headers().Get(opHeader) != opEvents {
		if all || known {
			return nil
		}
		return p.obey(m, seq)
	}
	in := &intake{
		part: p, page: &page{seq: seq, at: meta.Timestamp.UnixMilli(), again: subject[0] == "ctl"}, source: untoken(subject[1]),
		only: m.Headers().Get(onlyHeader),
	}
	if in.page.again {
		in.source = m.Headers().Get(sourceHeader)
	}
	lines := bytes.Split(bytes.TrimSuffix(m.Data(), []byte{'\n'}), []byte{'\n'})
	if in.page.again {
		in.origins = readOrigins(m.Headers().Get(originsHeader), len(lines))
	}
	if all || known { // only its messageIds are of use
		in.remember(lines)
		return nil
	}
	if err := p.awaitParkingRoom(); err != nil {
		return err
	}
	in.begin(len(lines), bits)
	for i, line := range lines {
		if err := p.wait(); err != nil {
			return err
		}
		if err := in.event(i, line); err != nil {
			return err
		}
	}
	in.end()
	return nil
}

// wait waits until there is room for another event. If hot keys fill the room, they are spilled; if failing events do, they are parked.
func (p *partition) wait() error {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	began := time.Now()
	full, scanned := began, time.Time{}
	for p.tasks >= w.runner.config.Room || p.bytes >= maxTaskBytes || len(p.window) >= maxWindow {
		if p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		if time.Since(scanned) > 20*time.Millisecond {
			scanned = time.Now()
			p.spill(time.Since(full))
		}
		if time.Since(began) > w.runner.config.Patience && !p.makeRoom() {
			began = time.Now()
		}
		timer := time.AfterFunc(100*time.Millisecond, w.idle.Broadcast)
		w.idle.Wait()
		timer.Stop()
	}
	return p.ctx.Err()
}

// finish takes one verdict of an event as given. They count when all are there, at once with the event itself: what a book
// says has been finished is what it has counted.
func (p *partition) finish(pg *page, i int, outcome string) {
	if pg.open[i]--; pg.open[i] > 0 {
		if pg.outcomes == nil {
			pg.outcomes = map[int][]string{}
		}
		pg.outcomes[i] = append(pg.outcomes[i], outcome)
		return
	}
	p.dirty = true
	p.counts[outcome]++
	for _, earlier := range pg.outcomes[i] {
		p.counts[earlier]++
	}
	delete(pg.outcomes, i)
	switch {
	case pg.letters:
	case pg.again:
		p.counts[countReplayed]++
	default:
		p.counts[countEvents]++
	}
	pg.left--
	p.slide()
}

// slide takes finished pages from the front of the window.
func (p *partition) slide() {
	n := 0
	for n < len(p.window) && p.window[n].finished() {
		p.window[n] = nil
		n++
	}
	if p.window = p.window[n:]; len(p.window) == 0 {
		p.window = nil
	}
	p.dirty = p.dirty || n > 0
}

// note is the book as it stands.
func (p *partition) note(owner string) book {
	b := book{Owner: owner, Start: p.was.Start, Counts: maps.Clone(p.counts), Log: p.logID, Anchor: p.anchor}
	b.write(p.window, p.next)
	b.carry(p.was, p.next)
	if b.Since = p.seen.since(b.Low); p.seen.empty() {
		b.Since = p.was.Since // they are yet to be read again
	}
	return b
}
