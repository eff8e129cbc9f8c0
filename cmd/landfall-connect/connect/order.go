package connect

import (
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// maxHeld bounds the messages that are known to wait. Those beyond it come back as well, but may overtake each other.
const maxHeld = 100_000

// The waits between tries of a message.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// order says which message of a key is next while one of them is to come again. It is for one goroutine.
type order struct {
	hold  time.Duration // how long one is waited for that does not come
	now   func() time.Time
	lines map[string]*line
	held  int
	swept time.Time
}

// line is the messages of a key that are to come again, the next one first.
type line struct {
	waiting  []place
	failures int                        // of the first
	until    time.Time                  // when the first may be tried
	reason   string                     // why it failed last
	done     map[string]runtime.Verdict // what has become of the first, where that is decided
}

// place is one message of a line.
type place struct {
	id   string
	seen time.Time // when it last came
}

func newOrder(hold time.Duration, now func() time.Time) *order {
	return &order{hold: hold, now: now, lines: map[string]*line{}}
}

// next tells whether a message may be tried now; where it may not, it has a place in its line, and why says what for.
func (o *order) next(key, id string) (ok bool, why string) {
	l := o.line(key)
	if l == nil {
		return true, ""
	}
	now := o.now()
	for i := range l.waiting {
		if l.waiting[i].id != id {
			continue
		}
		l.waiting[i].seen = now
		switch {
		case i > 0:
			return false, "waits for an earlier event of its user: " + l.reason
		case now.Before(l.until):
			return false, l.reason
		}
		return true, ""
	}
	if o.held < maxHeld {
		o.held++
		l.waiting = append(l.waiting, place{id, now})
	}
	return false, "waits for an earlier event of its user: " + l.reason
}

// line is the line of a key without those that have not come for too long; nil where nobody is left.
func (o *order) line(key string) *line {
	l := o.lines[key]
	for l != nil && o.hold > 0 && o.now().Sub(l.waiting[0].seen) > o.hold {
		l = o.pop(key, l)
	}
	return l
}

// pop takes the first from a line; nil where it was the last.
func (o *order) pop(key string, l *line) *line {
	o.held--
	if len(l.waiting) == 1 {
		delete(o.lines, key)
		return nil
	}
	*l = line{waiting: l.waiting[1:], reason: l.reason}
	return l
}

// fail says that a message which was next is to come again.
func (o *order) fail(key, id, reason string, after time.Duration, done map[string]runtime.Verdict) {
	l := o.lines[key]
	if l == nil {
		l = &line{waiting: []place{{id, o.now()}}}
		o.lines[key] = l
		o.held++
	}
	l.failures++
	l.reason, l.done = reason, done
	l.until = o.now().Add(max(after, httpx.Backoff(firstPause, mostPause, l.failures)))
}

// done is what has become of a message that is next, as far as that was decided before.
func (o *order) done(key string) map[string]runtime.Verdict {
	if l := o.lines[key]; l != nil {
		return l.done
	}
	return nil
}

// settle says that a message which was next is done.
func (o *order) settle(key string) {
	if l := o.lines[key]; l != nil {
		o.pop(key, l)
	}
}

// pause is how long it takes until one of the keys may be tried.
func (o *order) pause(keys map[string]bool) time.Duration {
	wait := mostPause
	for key := range keys {
		if l := o.lines[key]; l != nil {
			wait = min(wait, l.until.Sub(o.now()))
		} else {
			wait = min(wait, firstPause)
		}
	}
	return max(wait, time.Millisecond)
}

// sweep forgets, now and then, those that have not come for too long; all of them where nothing is held.
func (o *order) sweep() {
	if o.hold <= 0 {
		clear(o.lines)
		o.held = 0
		return
	}
	if o.now().Sub(o.swept) < o.hold/2 {
		return
	}
	o.swept = o.now()
	for key := range o.lines {
		o.line(key)
	}
}
