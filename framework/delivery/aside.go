package delivery

import (
	"encoding/json"
	"time"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// behind is why an event is parked whose user's earlier one is.
var behind = runtime.Verdict{Reason: "waits behind an earlier event of the same user that is parked"}

// decide applies a final verdict to the first task of a key.
func (w *worker) decide(t *task, v runtime.Verdict) {
	w.advance(t)
	w.conclude(t, v)
}

// conclude applies a final verdict to a task that is in no chain any more.
func (w *worker) conclude(t *task, v runtime.Verdict) {
	if v.Outcome == runtime.Refused {
		w.setAside(t, t.letterOf(v, false, time.Now()), "")
		return
	}
	outcome := countDelivered
	if v.Outcome == runtime.Skipped {
		outcome = countSkipped
	}
	w.end(t, outcome, v.Reason)
}

// advance lets the next task of a key go on.
func (w *worker) advance(t *task) {
	if next := t.part.unfollow(t); next != nil {
		w.enqueue(next, false)
	}
	t.part.refill(t.key)
}

// park sets a task and all that wait behind it aside, and what will come for the same key.
func (w *worker) park(t *task, v runtime.Verdict, kind string) {
	p := t.part
	p.parked[short(t.key)] = kind
	delete(p.spilled, short(t.key))
	p.cuts[short(t.key)]++
	delete(p.keys, t.key)
	delete(p.held, t)
	now := time.Now()
	for ; t != nil; t = t.next {
		w.setAside(t, t.letterOf(v, true, now), kind)
		v = behind
	}
}

// setAside writes a letter, however often that takes while the partition is this worker's, and then the task is at its end. If the
// event may have a letter already, both become one.
func (w *worker) setAside(t *task, l *Letter, kind string) {
	if t.merged || t.letter == nil && t.origin.seq == 0 {
		w.writeLetter(t, l, kind)
		return
	}
	w.withStored(t, func() {
		l.inherit(t)
		w.writeLetter(t, l, kind)
	})
}

// writeLetter writes a letter and ends its task, unless the partition is given up before.
func (w *worker) writeLetter(t *task, l *Letter, kind string) {
	line, err := json.Marshal(l)
	if err != nil {
		panic(err) // it holds nothing that cannot be written: the event is JSON
	}
	p, to, subject := t.part, w.runner.queue.dead, l.subject(kind)
	if l.Parked {
		to = w.runner.queue.park
	}
	p.aside++
	var write func()
	write = func() {
		to.add([]record{{subject, line}}, func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil && !p.closing {
				w.runner.log.Warn("setting an event aside", "instance", w.id, "error", err)
				time.AfterFunc(time.Second, write)
				return
			}
			p.aside--
			w.idle.Broadcast()
			if p.lost || err != nil { // it is read again
				t.unlockStored()
				return
			}
			outcome := countDead
			if l.Parked {
				outcome = countParked
			}
			if t.letter != nil && t.letter.from == subject {
				t.letter.stored = 0 // the new one has taken its place
			}
			w.end(t, outcome, l.Reason)
		})
	}
	write()
}

// end takes a task off, and its letter, if it has one.
func (w *worker) end(t *task, outcome, reason string) {
	p := t.part
	if !t.merged && t.letter == nil && t.origin.seq > 0 && p.counts[countDead]+p.counts[countParked] > 0 {
		w.withStored(t, func() { w.end(t, outcome, reason) })
		return
	}
	w.settled(t, outcome, reason)
	if t.letter == nil {
		t.unlockStored()
		p.count(outcome, t.item.Subscription.Name(), reason)
		w.leave(t, outcome)
		return
	}
	p.aside++
	w.background.Go(func() {
		for t.letter.stored > 0 && w.ctx.Err() == nil {
			if err := w.runner.queue.remove(w.ctx, t.letter); err == nil {
				break
			}
			p.sleep(time.Second)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		p.aside--
		w.idle.Broadcast()
		t.unlockStored()
		if w.ctx.Err() != nil || p.lost {
			return
		}
		delete(p.taken, t.letter.from)
		was := countDead
		if t.letter.Parked {
			was = countParked
		}
		p.counts[was] -= int64(t.letter.stands)
		p.counts[outcome] += int64(t.letter.stands - t.ownVerdict())
		p.count(outcome, t.item.Subscription.Name(), reason)
		w.leave(t, outcome)
	})
}

// leave makes room.
func (w *worker) leave(t *task, outcome string) {
	p := t.part
	if p.lost {
		return
	}
	p.tasks--
	p.bytes -= t.bytes
	p.finish(t.page, t.index, outcome)
	w.idle.Broadcast()
}

// makeRoom parks what keeps failing while other things go well, so that these do not wait. It reports whether there was any.
func (p *partition) makeRoom() bool {
	w := p.worker
	if w.stopped != "" || w.runner.parkingFull() || !p.worthwhile() {
		return false
	}
	var blocked []*task
	for t := range p.held {
		blocked = append(blocked, t)
	}
	for _, l := range w.lanes {
		if l.failures == 0 || l.busy {
			continue
		}
		var rest []*task
		for _, t := range l.queue {
			if t.part != p {
				rest = append(rest, t)
				continue
			}
			blocked = append(blocked, t)
			l.bytes -= t.bytes
		}
		l.queue = rest
	}
	p.recall = 0
	for _, t := range blocked {
		w.park(t, runtime.Verdict{Reason: "parked for a while: the destination does not take it, and others wait", Status: 503}, roomy)
	}
	return len(blocked) > 0
}

// worthwhile tells whether there may be somebody to make room for: other things go well. Where nothing has for a while, it may be
// that nothing else can be read; to find out, room is made then, too, but each time after twice as long, as all of it is parked in
// vain where the remote takes nothing.
func (p *partition) worthwhile() bool {
	w := p.worker
	wait := max(12*w.runner.config.Patience, time.Second)
	if time.Since(w.succeeded) <= wait {
		p.looked, p.looks = time.Now(), 0
		return true
	}
	if time.Since(p.looked) < wait<<p.looks {
		return false
	}
	p.looked, p.looks = time.Now(), min(p.looks+1, 8)
	return true
}

// roomyKeys are keys that were parked for want of room, where there is room now: one, and twice as many each time that goes well.
func (p *partition) roomyKeys() []string {
	if p.tasks > p.worker.runner.config.Room/2 || len(p.window) > maxWindow/2 || time.Since(p.recalled) < p.worker.runner.config.Patience {
		return nil
	}
	now := time.Now()
	for _, l := range p.worker.lanes {
		if l.failures > 0 && (len(l.queue) > 0 || now.Before(l.pausedUntil)) {
			return nil
		}
	}
	var keys []string
	for key, kind := range p.parked {
		if _, refilled := p.spilled[key]; kind == roomy && !refilled && len(keys) < max(p.recall, 1) {
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		p.recalled, p.recall = now, min(max(2*p.recall, 2), maxOrder)
	}
	return keys
}
