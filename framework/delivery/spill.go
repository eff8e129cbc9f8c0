package delivery

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// A hot key has more events than its destination takes, one after the other. Its events must not fill the memory of the partition,
// in which the events of all other keys wait too. When the partition is full, what waits behind the first event of a hot key is
// spilled: it is parked durably, as is everything of the key that is read later. It comes back in order and in portions, each as
// soon as the one before is almost done.

// spilledBehind is why an event of a hot key is parked.
var spilledBehind = runtime.Verdict{Reason: "waits for many earlier events of the same user, and goes on by itself"}

// Shares of the room of a partition.
const (
	hotShare      = 8         // a key is hot if it has more than the eighth part
	portionShare  = hotShare  // of a spilled key that comes back at once
	refillShare   = 64        // what is left of a portion when the next one is asked for
	minSpillSpace = 512 << 20 // bytes that the disk must have to spare: what is spilled, and all that follows of the key, is stored twice
	fullHotShare  = 64        // a key is hot if it has more than this part and the partition stays full
)

// chain is the tasks of one key, in order. The first is in its lane, or waits to be tried again.
type chain struct {
	first, last *task
	n, bytes    int
}

// appendToChain appends a task to the chain of its key. It reports whether the task is the first.
func (p *partition) appendToChain(t *task) bool {
	c := p.chains[t.key]
	if c == nil {
		p.chains[t.key] = &chain{first: t, last: t, n: 1, bytes: t.bytes}
		return true
	}
	c.last.next = t
	c.last = t
	c.n++
	c.bytes += t.bytes
	return false
}

// popFromChain takes the first task of a key off its chain and returns the next one, or nil.
func (p *partition) popFromChain(t *task) *task {
	c := p.chains[t.key]
	if c == nil || c.first != t {
		return nil
	}
	c.first = t.next
	c.n--
	c.bytes -= t.bytes
	if c.first == nil {
		delete(p.chains, t.key)
	}
	return c.first
}

// spillHotKeys parks what waits behind the first events of hot keys. The longer the partition has been full, the less makes a key hot. A
// key whose events go together to an audience drains fast while its lane does well, and is left alone for a while. It reports
// whether there was any. What is spilled is stored twice, so none is if that would take the disk's last room.
func (p *partition) spillHotKeys(full time.Duration) bool {
	w := p.worker
	if w.runner.isParkingFull() || !w.runner.queue.hasSpareSpace(minSpillSpace) {
		return false
	}
	room, share := w.runner.settings.MaxInFlight, hotShare
	long := full > min(time.Second, w.runner.settings.EvictAfter)
	if long {
		share = fullHotShare
	}
	found := false
	for _, c := range p.chains {
		hot := c.n > max(room/share, 1) || c.bytes > maxTaskBytes/share || len(p.openPages) >= maxOpenPages
		if c.n < 2 || !hot || c.first.item.Independent && !long {
			continue
		}
		found = true
		p.spillChain(c)
	}
	return found
}

func (p *partition) spillChain(c *chain) {
	key := shortHash(c.first.key)
	if p.parkedKeys[key] == "" {
		p.parkedKeys[key] = kindEvicted
	}
	p.spilledKeys[key] = c.first.key
	p.generations[key]++
	keep := c.first
	c.n, c.bytes = 1, keep.bytes
	for keep.next != nil && keep.next.inRequest { // along with the first
		keep = keep.next
		c.n++
		c.bytes += keep.bytes
	}
	rest, now := keep.next, time.Now()
	keep.next, c.last = nil, keep
	for t := rest; t != nil; {
		next := t.next
		t.next = nil
		p.worker.storeDeadLetter(t, t.newDeadLetter(spilledBehind, true, now), p.parkedKeys[key])
		t = next
	}
}

// requestPortion asks for the next portion of a spilled key whose events in memory are almost done.
func (p *partition) requestPortion(key string) {
	w := p.worker
	name := shortHash(key)
	if _, ok := p.spilledKeys[name]; !ok || p.portionRequested[name] || p.closing {
		return
	}
	if c := p.chains[key]; c != nil && c.n > w.runner.settings.MaxInFlight/refillShare {
		return
	}
	p.portionRequested[name] = true
	w.goroutines.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		defer cancel()
		if err := w.runner.queue.sendCommand(ctx, w.id, p.number, opResume, command{Keys: []string{name}}); err != nil {
			w.runner.log.Warn("asking for the parked events of a user", "instance", w.id, "error", err)
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(p.portionRequested, name)
		}
	})
}

// requestPortions asks again for portions that could not be asked for.
func (p *partition) requestPortions() {
	for _, key := range p.spilledKeys {
		if c := p.chains[key]; c == nil {
			p.requestPortion(key)
		}
	}
}

// isIdleWithParked reports whether nothing of the partition is known to be parked or under way although some events are counted as
// parked. While an order is obeyed, its letters are neither.
func (p *partition) isIdleWithParked() bool {
	return p.counts[countParked] > 0 && p.parkedLoaded && len(p.parkedKeys)+p.pendingWrites+p.taskCount == 0 && !p.applyingCommand && !p.closing
}

// reconcileParked looks for parked letters that no key accounts for, so that they go on. If there are none, the count is corrected:
// a letter is removed before the checkpoint counts its verdict, as a letter that outlives its event would be sent again behind newer
// ones. A crash between the two leaves an event counted as parked that has been delivered.
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
	if p.nextPage != next || !p.isIdleWithParked() { // if something was read meanwhile, the keys may be outdated
		return nil
	}
	if len(keys) > 0 {
		clear(p.lettersInFlight)
		p.parkedKeys = keys
		return nil
	}
	p.counts[countDelivered] += p.counts[countParked]
	p.counts[countParked] = 0
	p.dirty = true
	return nil
}

// resumePortions reads the next portion of keys that were parked to make room. A key of which nothing is left is parked no longer.
func (p *partition) resumePortions(cmd command) ([]*DeadLetter, error) {
	w := p.worker
	var letters []*DeadLetter
	for _, key := range cmd.Keys {
		w.mu.Lock()
		for p.pendingWrites > 0 && p.ctx.Err() == nil { // what is being written belongs to it
			w.changed.Wait()
		}
		ours, room := p.parkedKeys[key] == kindEvicted, w.runner.settings.MaxInFlight
		delete(p.portionRequested, key)
		limit := max(1, min(room/portionShare, (room-p.taskCount)/2))
		cut := p.generations[key]
		w.mu.Unlock()
		if !ours {
			continue
		}
		part, more, err := p.readPortion(key, limit)
		if err != nil {
			return nil, err
		}
		letters = append(letters, part...)
		w.mu.Lock()
		for _, l := range part {
			l.generation = cut
		}
		p.notePortionRead(key, cut, part, more)
		w.mu.Unlock()
	}
	return letters, p.ctx.Err()
}

// notePortionRead notes what is left of a key after a portion of it was read. If the key was parked again in the meantime, cut is no
// longer its count: the portion may not have all of its letters, so that the key stays parked, and the portion is parked again too.
func (p *partition) notePortionRead(key string, cut int, part []*DeadLetter, more bool) {
	switch {
	case p.generations[key] != cut:
	case !more:
		delete(p.parkedKeys, key)
		delete(p.spilledKeys, key)
	case len(part) > 0:
		p.spilledKeys[key] = part[0].Key
	}
}

// readPortion reads the first parked letters of a key, in order, and reports whether there are more. Those that are under way already
// are not among them.
func (p *partition) readPortion(key string, limit int) (letters []*DeadLetter, more bool, err error) {
	w, q := p.worker, p.worker.runner.queue
	info, err := q.streams[parkStream].Info(p.ctx, jetstream.WithSubjectFilter(parkSubject(w.id, p.number)+"."+key+".>"))
	if err != nil {
		return nil, false, err
	}
	w.mu.Lock()
	places := make([]parkedLetter, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		if !p.lettersInFlight[subject] {
			places = append(places, parseParkedSubject(subject))
		}
	}
	w.mu.Unlock()
	slices.SortFunc(places, parkedLetter.compare)
	bytes := 0
	for _, at := range places {
		if len(letters) >= limit || bytes > maxTaskBytes/portionShare {
			return letters, true, nil
		}
		raw, err := q.streams[parkStream].GetLastMsgForSubject(p.ctx, at.subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		l, err := parseDeadLetter(raw.Subject, raw.Data, raw.Sequence)
		if err != nil {
			return nil, false, err
		}
		bytes += len(l.Event)
		letters = append(letters, l)
	}
	if letters, err = q.dropSuperseded(p.ctx, letters); err != nil {
		return nil, false, err
	}
	return letters, false, nil
}

// parkedLetter is a parked letter by the place of its event.
type parkedLetter struct {
	subject  string
	position position
	rest     string // the subscription's part
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
