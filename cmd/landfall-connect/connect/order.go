package connect

import (
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// maxHeld limits the messages whose order is known. Further messages are held back as well, but in no order.
const maxHeld = 100_000

// The delays between the tries of a message.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// keyOrder decides which message of a key is next while the pipeline is to send one of them again. It must not be used concurrently.
type keyOrder struct {
	hold      time.Duration // how long a message holds back others if it does not come again
	now       func() time.Time
	queues    map[string]*keyQueue
	held      int
	expiredAt time.Time
}

// keyQueue holds the messages of a key that are to come again, the next one first.
type keyQueue struct {
	waiting       []heldMessage
	failures      int                        // of the first message
	until         time.Time                  // when the first message may be tried again
	reason        string                     // why it failed last
	finalVerdicts map[string]runtime.Verdict // the final verdicts of the first message, by subscription
}

// heldMessage is one message of a keyQueue.
type heldMessage struct {
	id   string
	seen time.Time // when the pipeline last sent it
}

func newOrder(hold time.Duration, now func() time.Time) *keyOrder {
	return &keyOrder{hold: hold, now: now, queues: map[string]*keyQueue{}}
}

// tryNext reports whether a message may be tried now. If not, the message is in the queue of its key, and why is the reason.
func (o *keyOrder) tryNext(key, id string) (ok bool, why string) {
	l := o.queueOf(key)
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
		l.waiting = append(l.waiting, heldMessage{id, now})
	}
	return false, "waits for an earlier event of its user: " + l.reason
}

// queueOf returns the queue of a key, without the messages that have not come again for too long. It returns nil if the queue is empty.
func (o *keyOrder) queueOf(key string) *keyQueue {
	l := o.queues[key]
	for l != nil && o.hold > 0 && o.now().Sub(l.waiting[0].seen) > o.hold {
		l = o.removeFirst(key, l)
	}
	return l
}

// removeFirst removes the first message of a queue. It returns nil if that was the last one.
func (o *keyOrder) removeFirst(key string, l *keyQueue) *keyQueue {
	o.held--
	if len(l.waiting) == 1 {
		delete(o.queues, key)
		return nil
	}
	*l = keyQueue{waiting: l.waiting[1:], reason: l.reason}
	return l
}

// markFailed records that the next message of a key has failed and is to come again.
func (o *keyOrder) markFailed(key, id, reason string, after time.Duration, done map[string]runtime.Verdict) {
	l := o.queues[key]
	if l == nil {
		l = &keyQueue{waiting: []heldMessage{{id, o.now()}}}
		o.queues[key] = l
		o.held++
	}
	l.failures++
	l.reason, l.finalVerdicts = reason, done
	l.until = o.now().Add(max(after, httpx.Backoff(firstPause, maxPause, l.failures)))
}

// finalVerdicts returns the verdicts of the next message of a key that earlier tries have decided, by subscription.
func (o *keyOrder) finalVerdicts(key string) map[string]runtime.Verdict {
	if l := o.queues[key]; l != nil {
		return l.finalVerdicts
	}
	return nil
}

// markDone records that the next message of a key is done.
func (o *keyOrder) markDone(key string) {
	if l := o.queues[key]; l != nil {
		o.removeFirst(key, l)
	}
}

// retryDelay returns how long it takes until a message of one of the keys may be tried.
func (o *keyOrder) retryDelay(keys map[string]bool) time.Duration {
	wait := maxPause
	for key := range keys {
		if l := o.queues[key]; l != nil {
			wait = min(wait, l.until.Sub(o.now()))
		} else {
			wait = min(wait, firstPause)
		}
	}
	return max(wait, time.Millisecond)
}

// removeExpired removes, from time to time, the messages that have not come again for too long. With a hold of 0 it removes all messages.
func (o *keyOrder) removeExpired() {
	if o.hold <= 0 {
		clear(o.queues)
		o.held = 0
		return
	}
	if o.now().Sub(o.expiredAt) < o.hold/2 {
		return
	}
	o.expiredAt = o.now()
	for key := range o.queues {
		o.queueOf(key)
	}
}
