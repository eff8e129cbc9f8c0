package delivery

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// A hot key has more events than its destination accepts one after the other. They must not fill the memory of the partition,
// which the other keys need. When the partition is full, the tasks that wait behind the first one of a hot key are spilled: they
// are parked durably, and so are later events of the key. They come back in order and in portions, each one when the previous one
// is almost done.

// spilledBehind is the verdict of a spilled event.
var spilledBehind = runtime.NotDelivered(runtime.Retry, fault.CauseBehindSpilled)

// Divisors of the capacity of a partition.
const (
	hotShare      = 8         // a key with more than this share is hot
	portionShare  = hotShare  // size of a portion
	refillShare   = 64        // tasks left of a portion when the next one is requested
	minSpillSpace = 512 << 20 // disk space that must be available, in bytes: spilled events are stored twice
	fullHotShare  = 64        // a key with more than this share is hot if the partition stays full
)

// hotKeysInterval is how often a full partition is searched for hot keys. With many waiting events it is full again after each batch.
const hotKeysInterval = 100 * time.Millisecond

// spillHotKeysLocked spills the tasks behind the first ones of hot keys. full is how long the partition has been full: the threshold
// falls with it. Changes of an audience drain in runs, so they are spilled only if the partition stays full. It reports whether
// any key was spilled. Nothing is spilled on a short disk, because spilled events are stored twice.
func (p *partition) spillHotKeysLocked(full time.Duration) bool {
	w := p.worker
	if w.runner.isParkingFull() || !w.runner.queue.hasSpareSpace(minSpillSpace) {
		return false
	}
	capacity, bytes, divisor := w.runner.settings.MaxInFlight, w.runner.memory.maxTaskBytes(), hotShare
	long := full > min(time.Second, w.runner.settings.EvictAfter)
	if long {
		divisor = fullHotShare
	}
	spilled := p.owner.TakeBehindLocked(func(c dispatch.Chain[*task]) bool {
		hot := c.Count > max(capacity/divisor, 1) || c.Bytes > bytes/divisor || len(p.openPages) >= maxOpenPages
		return hot && (long || !c.First.Value.item.Independent)
	})
	for _, list := range spilled {
		p.spillTasksLocked(list)
	}
	return len(spilled) > 0
}

// spillTasksLocked parks tasks that waited behind the first one of their key.
func (p *partition) spillTasksLocked(list []*dispatch.Task[*task]) {
	if list = p.worker.withoutErasedLocked(list); len(list) == 0 {
		return
	}
	key, now := shortHash(list[0].Value.key), time.Now()
	kind := p.parked.spill(key, list[0].Value.key)
	for _, t := range list {
		p.worker.storeDeadLetterLocked(t.Value, t.Value.newDeadLetter(spilledBehind, true, now), kind)
	}
}

// requestPortionLocked requests the next portion of a spilled key whose tasks in memory are almost done.
func (p *partition) requestPortionLocked(key string) {
	if len(p.parked.keys) == 0 {
		return
	}
	w := p.worker
	name := shortHash(key)
	if p.closing || p.owner.WaitingLocked(key) > w.runner.settings.MaxInFlight/refillShare || !p.parked.requestPortion(name) {
		return
	}
	w.goroutines.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		defer cancel()
		if err := w.runner.queue.sendCommand(ctx, w.id, p.number, opResume, command{Keys: []string{name}}); err != nil {
			w.runner.log.Warn("requesting the spilled events of a user", "instance", w.id, "error", err)
			w.mu.Lock()
			defer w.mu.Unlock()
			p.parked.portionNotRequested(name)
		}
	})
}

// requestPortionsLocked requests the portions whose request has failed.
func (p *partition) requestPortionsLocked() {
	for _, key := range p.parked.spilledKeys() {
		if p.owner.WaitingLocked(key) == 0 {
			p.requestPortionLocked(key)
		}
	}
}

// isIdleWithParkedLocked reports whether the partition counts parked events but has no parked keys, no tasks and no writes in flight.
// The dead letters of a command in progress are neither.
func (p *partition) isIdleWithParkedLocked() bool {
	return p.counts[countParked] > 0 && p.parked.loaded && len(p.parked.keys)+p.pendingWrites+p.taskCount == 0 && !p.applyingCommand && !p.closing
}

// reconcileParked looks for stored parked events of keys that the partition does not list, and lists their keys. If there are
// none, it corrects the count: a dead letter is deleted before the checkpoint counts its verdict, so that none is sent again behind
// newer events. After a crash between the two, a delivered event counts as parked.
func (p *partition) reconcileParked() error {
	w := p.worker
	w.mu.Lock()
	next := p.nextPage
	w.mu.Unlock()
	keys, err := p.storedParkedKeys()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.nextPage != next || !p.isIdleWithParkedLocked() { // something was read in the meantime, so the keys may be outdated
		return nil
	}
	if len(keys) > 0 {
		p.letters = newLetterCopies()
		p.parked.load(keys)
		return nil
	}
	p.counts[countDelivered] += p.counts[countParked]
	p.counts[countParked] = 0
	p.dirty = true
	return nil
}

// resumePortions reads the next portions of evicted and spilled keys. A key is unparked with its last dead letter.
func (p *partition) resumePortions(cmd command) ([]*DeadLetter, error) {
	w := p.worker
	var letters []*DeadLetter
	for _, key := range cmd.Keys {
		w.mu.Lock()
		for p.pendingWrites > 0 && p.ctx.Err() == nil { // dead letters that are being written belong to the portion
			w.changed.Wait()
		}
		isEvicted, capacity := p.parked.kind(key) == kindEvicted, w.runner.settings.MaxInFlight
		p.parked.portionNotRequested(key)
		limit := max(1, min(capacity/portionShare, (capacity-p.taskCount)/2))
		generation := p.parked.generation(key)
		w.mu.Unlock()
		if !isEvicted {
			continue
		}
		part, more, err := p.readPortion(key, limit)
		if err != nil {
			return nil, err
		}
		letters = append(letters, part...)
		w.mu.Lock()
		for _, l := range part {
			l.generation = generation
		}
		p.parked.notePortion(key, generation, part, more)
		w.mu.Unlock()
	}
	return letters, p.ctx.Err()
}

// readPortion reads the first parked events of a key, in order, without those in flight. It reports whether there are more.
func (p *partition) readPortion(key string, limit int) (letters []*DeadLetter, more bool, err error) {
	w, q := p.worker, p.worker.runner.queue
	subjects, err := q.store.Subjects(p.ctx, parkStream, parkSubject(w.id, p.number)+"."+key+".>")
	if err != nil {
		return nil, false, err
	}
	w.mu.Lock()
	places := make([]parkedLetter, 0, len(subjects))
	for _, subject := range subjects {
		if !p.letters.hasTask(subject) {
			places = append(places, parseParkedSubject(subject))
		}
	}
	w.mu.Unlock()
	slices.SortFunc(places, parkedLetter.compare)
	bytes := 0
	for len(places) > 0 {
		if len(letters) >= limit || bytes > maxTaskBytes/portionShare {
			return letters, true, nil
		}
		n := min(len(places), limit-len(letters), maxLetterReads)
		part, err := q.readLetters(p.ctx, places[:n])
		if err != nil {
			return nil, false, err
		}
		for _, l := range part {
			bytes += len(l.Event)
		}
		letters, places = append(letters, part...), places[n:]
	}
	if letters, err = q.dropSuperseded(p.ctx, letters); err != nil {
		return nil, false, err
	}
	return letters, false, nil
}

// maxLetterReads is how many dead letters are read at once.
const maxLetterReads = 16

// readLetters reads parked events at once, in order, without those that are gone.
func (q *Queue) readLetters(ctx context.Context, places []parkedLetter) (letters []*DeadLetter, err error) {
	list, errs := make([]*DeadLetter, len(places)), make([]error, len(places))
	var all sync.WaitGroup
	for i, at := range places {
		all.Go(func() {
			var m eventlog.Message
			if m, errs[i] = q.store.Last(ctx, parkStream, at.subject); errs[i] == nil {
				list[i], errs[i] = parseDeadLetter(m)
			}
		})
	}
	all.Wait()
	for i, l := range list {
		switch {
		case errors.Is(errs[i], eventlog.ErrNotFound):
		case errs[i] != nil:
			return nil, errs[i]
		default:
			letters = append(letters, l)
		}
	}
	return letters, nil
}

// parkedLetter is the subject of a parked event, with the event's position.
type parkedLetter struct {
	subject  string
	position position
	rest     string // hash of the subscription
}

func parseParkedSubject(subject string) parkedLetter {
	at := parkedLetter{subject: subject}
	parts := strings.SplitN(subject[strings.LastIndexByte(subject, '.')+1:], "-", 3)
	if len(parts) == 3 { // otherwise it sorts first
		at.position.seq, _ = strconv.ParseUint(parts[0], 10, 64)
		at.position.index, _ = strconv.Atoi(parts[1])
		at.rest = parts[2]
	}
	return at
}

func (a parkedLetter) compare(b parkedLetter) int {
	return cmp.Or(cmp.Compare(a.position.seq, b.position.seq), cmp.Compare(a.position.index, b.position.index), strings.Compare(a.rest, b.rest))
}
