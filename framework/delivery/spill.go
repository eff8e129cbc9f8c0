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

// spilled is why an event of a hot key is parked.
var spilled = runtime.Verdict{Reason: "waits for many earlier events of the same user, and goes on by itself"}

// Shares of the room of a partition.
const (
	hotShare   = 8         // a key is hot if it has more than the eighth part
	portion    = hotShare  // of a spilled key that comes back at once
	refillAt   = 64        // what is left of a portion when the next one is asked for
	spillSpare = 512 << 20 // bytes that the disk must have to spare: what is spilled, and all that follows of the key, is stored twice
	denseShare = 64        // a key is hot if it has more than this part and the partition stays full
)

// chain is the tasks of one key, in order. The first is in its lane, or waits to be tried again.
type chain struct {
	first, last *task
	n, bytes    int
}

// follow appends a task to the chain of its key. It reports whether the task is the first.
func (p *partition) follow(t *task) bool {
	c := p.keys[t.key]
	if c == nil {
		p.keys[t.key] = &chain{first: t, last: t, n: 1, bytes: t.bytes}
		return true
	}
	c.last.next = t
	c.last = t
	c.n++
	c.bytes += t.bytes
	return false
}

// unfollow takes the first task of a key off its chain and returns the next one, or nil.
func (p *partition) unfollow(t *task) *task {
	c := p.keys[t.key]
	if c == nil || c.first != t {
		return nil
	}
	c.first = t.next
	c.n--
	c.bytes -= t.bytes
	if c.first == nil {
		delete(p.keys, t.key)
	}
	return c.first
}

// spill parks what waits behind the first events of hot keys. The longer the partition has been full, the less makes a key hot. A
// key whose events go together to an audience drains fast while its lane does well, and is left alone for a while. It reports
// whether there was any. What is spilled is stored twice, so none is if that would take the disk's last room.
func (p *partition) spill(full time.Duration) bool {
	w := p.worker
	if w.runner.parkingFull() || !w.runner.queue.hasSpare(spillSpare) {
		return false
	}
	room, share := w.runner.config.Room, hotShare
	long := full > min(time.Second, w.runner.config.Patience)
	if long {
		share = denseShare
	}
	found := false
	for _, c := range p.keys {
		hot := c.n > max(room/share, 1) || c.bytes > maxTaskBytes/share || len(p.window) >= maxWindow
		if c.n < 2 || !hot || c.first.item.Apart && !long {
			continue
		}
		found = true
		p.spillChain(c)
	}
	return found
}

func (p *partition) spillChain(c *chain) {
	key := short(c.first.key)
	if p.parked[key] == "" {
		p.parked[key] = roomy
	}
	p.spilled[key] = c.first.key
	p.cuts[key]++
	keep := c.first
	c.n, c.bytes = 1, keep.bytes
	for keep.next != nil && keep.next.sent { // along with the first
		keep = keep.next
		c.n++
		c.bytes += keep.bytes
	}
	rest, now := keep.next, time.Now()
	keep.next, c.last = nil, keep
	for t := rest; t != nil; {
		next := t.next
		t.next = nil
		p.worker.setAside(t, t.letterOf(spilled, true, now), p.parked[key])
		t = next
	}
}

// refill asks for the next portion of a spilled key whose events in memory are almost done.
func (p *partition) refill(key string) {
	w := p.worker
	name := short(key)
	if _, ok := p.spilled[name]; !ok || p.asked[name] || p.closing {
		return
	}
	if c := p.keys[key]; c != nil && c.n > w.runner.config.Room/refillAt {
		return
	}
	p.asked[name] = true
	w.background.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		defer cancel()
		if err := w.runner.queue.ask(ctx, w.id, p.n, opResume, order{Keys: []string{name}}); err != nil {
			w.runner.log.Warn("asking for the parked events of a user", "instance", w.id, "error", err)
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(p.asked, name)
		}
	})
}

// refillAll asks again for portions that could not be asked for.
func (p *partition) refillAll() {
	for _, key := range p.spilled {
		if c := p.keys[key]; c == nil {
			p.refill(key)
		}
	}
}

// quietWithParked reports whether nothing of the partition is known to be parked or under way although some events are counted as
// parked. While an order is obeyed, its letters are neither.
func (p *partition) quietWithParked() bool {
	return p.counts[countParked] > 0 && p.loaded && len(p.parked)+p.aside+p.tasks == 0 && !p.obeying && !p.closing
}

// reconcileParked looks for parked letters that no key accounts for, so that they go on. If there are none, the count is corrected:
// a letter is removed before the checkpoint counts its verdict, as a letter that outlives its event would be sent again behind newer
// ones. A crash between the two leaves an event counted as parked that has been delivered.
func (p *partition) reconcileParked() error {
	w := p.worker
	w.mu.Lock()
	next := p.next
	w.mu.Unlock()
	keys, err := p.parkedKeys()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.next != next || !p.quietWithParked() { // if something was read meanwhile, the keys may be outdated
		return nil
	}
	if len(keys) > 0 {
		clear(p.taken)
		p.parked = keys
		return nil
	}
	p.counts[countDelivered] += p.counts[countParked]
	p.counts[countParked] = 0
	p.dirty = true
	return nil
}

// resume reads the next portion of keys that were parked to make room. A key of which nothing is left is parked no longer.
func (p *partition) resume(o order) ([]*Letter, error) {
	w := p.worker
	var letters []*Letter
	for _, key := range o.Keys {
		w.mu.Lock()
		for p.aside > 0 && p.ctx.Err() == nil { // what is being written belongs to it
			w.idle.Wait()
		}
		ours, room := p.parked[key] == roomy, w.runner.config.Room
		delete(p.asked, key)
		limit := max(1, min(room/portion, (room-p.tasks)/2))
		cut := p.cuts[key]
		w.mu.Unlock()
		if !ours {
			continue
		}
		part, more, err := p.portionOf(key, limit)
		if err != nil {
			return nil, err
		}
		letters = append(letters, part...)
		w.mu.Lock()
		for _, l := range part {
			l.cut = cut
		}
		p.portionRead(key, cut, part, more)
		w.mu.Unlock()
	}
	return letters, p.ctx.Err()
}

// portionRead notes what is left of a key after a portion of it was read. If the key was parked again in the meantime, cut is no
// longer its count: the portion may not have all of its letters, so that the key stays parked, and the portion is parked again too.
func (p *partition) portionRead(key string, cut int, part []*Letter, more bool) {
	switch {
	case p.cuts[key] != cut:
	case !more:
		delete(p.parked, key)
		delete(p.spilled, key)
	case len(part) > 0:
		p.spilled[key] = part[0].Key
	}
}

// portionOf reads the first parked letters of a key, in order, and reports whether there are more. Those that are under way already
// are not among them.
func (p *partition) portionOf(key string, limit int) (letters []*Letter, more bool, err error) {
	w, q := p.worker, p.worker.runner.queue
	info, err := q.streams[parkStream].Info(p.ctx, jetstream.WithSubjectFilter(parkSubject(w.id, p.n)+"."+key+".>"))
	if err != nil {
		return nil, false, err
	}
	w.mu.Lock()
	places := make([]parkedAt, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		if !p.taken[subject] {
			places = append(places, parkedAtOf(subject))
		}
	}
	w.mu.Unlock()
	slices.SortFunc(places, parkedAt.compare)
	bytes := 0
	for _, at := range places {
		if len(letters) >= limit || bytes > maxTaskBytes/portion {
			return letters, true, nil
		}
		raw, err := q.streams[parkStream].GetLastMsgForSubject(p.ctx, at.subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		l, err := parseLetter(raw.Subject, raw.Data, raw.Sequence)
		if err != nil {
			return nil, false, err
		}
		bytes += len(l.Event)
		letters = append(letters, l)
	}
	if letters, err = q.newest(p.ctx, letters); err != nil {
		return nil, false, err
	}
	return letters, false, nil
}

// parkedAt is a parked letter by the place of its event.
type parkedAt struct {
	subject string
	place   logPlace
	rest    string // the subscription's part
}

func parkedAtOf(subject string) parkedAt {
	at := parkedAt{subject: subject}
	parts := strings.SplitN(subject[strings.LastIndexByte(subject, '.')+1:], "-", 3)
	if len(parts) == 3 { // otherwise it sorts first
		at.place.seq, _ = strconv.ParseUint(parts[0], 10, 64)
		at.place.index, _ = strconv.Atoi(parts[1])
		at.rest = parts[2]
	}
	return at
}

func (a parkedAt) compare(b parkedAt) int {
	return cmp.Or(cmp.Compare(a.place.seq, b.place.seq), cmp.Compare(a.place.index, b.place.index), strings.Compare(a.rest, b.rest))
}
