package delivery

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
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

	closing bool // no more is begun
	lost    bool // nothing is decided any more
	flying  int  // tasks in batches under way
	window  []*page
	next    uint64
	keys    map[string]*task // the last task of each key
	tasks   int
	bytes   int
	counts  map[string]int64
	parked  map[string]string // by short key: held or roomy
	held    map[*task]bool    // tasks that wait to be tried again on their own
	aside   int               // letters that are being written or deleted
	seen    *recent
	behind  uint64  // pages that wait to be read
	mean    float64 // events of a page, lately

	recalled time.Time // when keys were last unparked by themselves
	recall   int       // how many next time
}

func (w *worker) newPartition(n int, b book, revision uint64, valid time.Time) *partition {
	p := &partition{
		worker: w, n: n, ended: make(chan struct{}), was: b, revision: revision, valid: valid, written: time.Now(), next: b.Low,
		keys: map[string]*task{}, counts: maps.Clone(b.Counts), parked: map[string]string{}, held: map[*task]bool{}, seen: newRecent(),
	}
	if p.counts == nil {
		p.counts = map[string]int64{}
	}
	p.ctx, p.cancel = context.WithCancel(w.ctx)
	return p
}

// validFor is for how long nobody else works on the partition.
func (p *partition) validFor() time.Duration { return time.Until(p.valid) }

// run reads the partition until its context ends, whatever goes wrong.
func (p *partition) run() {
	defer close(p.ended)
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
	subjects := []string{"ctl." + token(p.worker.id) + n}
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
	stream, err := p.worker.runner.queue.js.Stream(p.ctx, parkStream)
	if err != nil {
		return err
	}
	info, err := stream.Info(p.ctx, jetstream.WithSubjectFilter("park."+token(p.worker.id)+"."+strconv.Itoa(p.n)+".>"))
	if err != nil {
		return err
	}
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	for subject := range info.State.Subjects {
		if parts := strings.Split(subject, "."); len(parts) == 6 && p.parked[parts[3]] == "" {
			p.parked[parts[3]] = parts[4]
		}
	}
	return nil
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
	w.mu.Unlock()
	if subject[0] == "ctl" && m.Headers().Get(opHeader) != opEvents {
		if all || known {
			return nil
		}
		return p.obey(m, seq)
	}
	in := &intake{
		part: p, page: &page{seq: seq, at: meta.Timestamp.UnixMilli()}, done: bits, source: untoken(subject[1]),
		again: subject[0] == "ctl", only: m.Headers().Get(onlyHeader),
	}
	if in.again {
		in.source = m.Headers().Get(sourceHeader)
	}
	lines := bytes.Split(bytes.TrimSuffix(m.Data(), []byte{'\n'}), []byte{'\n'})
	if all || known { // only its messageIds are of use
		return in.remember(lines)
	}
	in.page.open = slices.Repeat([]uint16{unread}, len(lines))
	in.page.left, in.page.again = len(lines), in.again
	w.mu.Lock()
	p.mean += (float64(len(lines)) - p.mean) / 16
	w.mu.Unlock()
	for i := range lines {
		if hasBit(bits, i) {
			in.page.open[i] = 0
			in.page.left--
		}
	}
	for i, line := range lines {
		if err := p.wait(); err != nil {
			return err
		}
		in.event(i, line)
	}
	in.end()
	return nil
}

// wait waits until there is room for another event. Where what fails takes all the room, it is parked.
func (p *partition) wait() error {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	for began := time.Now(); p.tasks >= w.runner.config.Room || p.bytes >= maxTaskBytes || len(p.window) >= maxWindow; {
		if p.ctx.Err() != nil {
			return p.ctx.Err()
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

// intake is a page that is being read.
type intake struct {
	part   *partition
	page   *page
	done   []byte // bits of the events that are finished already
	source string
	again  bool   // a replay: its messageIds have been seen before
	only   string // the only subscription that gets it; "" for all
	begun  bool
}

// remember only takes the messageIds of events.
func (in *intake) remember(lines [][]byte) error {
	for _, line := range lines {
		if e, err := event.Parse(line); err == nil && !in.again {
			in.part.seen.add(in.source, e.Value().Get("messageId").Str(), in.page.seq, in.page.at)
		}
	}
	return nil
}

// begin puts the page into the window.
func (in *intake) begin() {
	if !in.begun {
		in.begun = true
		in.part.window = append(in.part.window, in.page)
		in.part.next = in.page.seq + 1
	}
}

// event takes one event through the subscriptions as far as its tasks.
func (in *intake) event(i int, line []byte) {
	p, w := in.part, in.part.worker
	e, err := event.Parse(line)
	var tasks []*task
	var verdicts []runtime.Verdict
	if err == nil && !in.again && p.seen.add(in.source, e.Value().Get("messageId").Str(), in.page.seq, in.page.at) {
		err = errDuplicate
	}
	if err == nil && !hasBit(in.done, i) {
		tasks, verdicts = in.offer(i, e)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	in.begin()
	if hasBit(in.done, i) {
		return
	}
	in.page.open[i] = uint16(max(len(tasks)+len(verdicts), 1))
	if err != nil || len(tasks)+len(verdicts) == 0 {
		p.finish(in.page, i, p.unmatched(err))
		return
	}
	for _, v := range verdicts {
		p.count(countSkipped, v.Subscription, v.Reason)
		p.finish(in.page, i, countSkipped)
	}
	for _, t := range tasks {
		w.begin(t)
	}
}

var errDuplicate = errors.New("the messageId was accepted before")

// offer hands an event to the subscriptions. The verdicts are final; what cannot be mapped is a task, too, that is dead.
func (in *intake) offer(i int, e event.Event) (tasks []*task, verdicts []runtime.Verdict) {
	p, now := in.part, time.Now()
	plan := p.worker.instance.Plan
	for _, s := range plan.Subscriptions() {
		if in.only != "" && in.only != s.Name() {
			continue
		}
		item, v := plan.Prepare(s, e, i)
		if v != nil && v.Reason == runtime.NotSubscribed {
			continue
		}
		if v != nil && v.Outcome == runtime.Skipped {
			verdicts = append(verdicts, *v)
			continue
		}
		if v != nil {
			item = runtime.Item{Subscription: s, Event: e}
		}
		tasks = append(tasks, &task{
			item: item, part: p, page: in.page, index: i, source: in.source, key: keyOf(e.Value(), item), refused: v,
			bytes: len(e.Raw()) + item.Payload.Size(), arrived: now,
		})
	}
	return tasks, verdicts
}

// end says that the page has been read.
func (in *intake) end() {
	w := in.part.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	in.begin()
	in.page.read = true
	in.part.slide()
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
	b := book{Owner: owner, Counts: maps.Clone(p.counts)}
	b.write(p.window, p.next)
	b.carry(p.was, p.next)
	if b.Since = p.seen.since(b.Low); p.seen.empty() {
		b.Since = p.was.Since // they are yet to be read again
	}
	return b
}
