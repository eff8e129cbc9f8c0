package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// task is one event on its way through one subscription.
type task struct {
	item   runtime.Item
	part   *partition
	page   *page
	index  int      // of the event in the page
	source string   // where the event came from
	key    string   // what its order is kept for
	next   *task    // what waits behind it for the same key
	letter *Letter  // what it was read from, where that is a letter
	origin logPlace // of the event that it replays; zero if it replays none or that is not known
	merged bool     // its stored letter has been looked up
	unlock func()   // lets the next letter be looked up; may be nil

	run     []*task // later tasks of the key that are sent along with this one
	carried int     // how many of those behind it were in a failed request with it, and may have been acted on
	sent    bool    // it is in a request under way
	resumed bool    // it comes back though its key is parked: what is parked of it is later

	refused  *runtime.Verdict // why it cannot be delivered, where that is known before
	bytes    int
	arrived  time.Time
	attempts int
	alone    int       // attempts that failed while the remote took others
	span     int       // the most items of its next batch, after batches that failed as a whole; 0 for no such bound
	wholes   int       // batches of this span that failed as a whole
	failed   time.Time // when it first failed
	last     *Exchange

	polls   int       // how often the remote was asked for its operation, or has begun one
	pending time.Time // since when the remote works on it
}

// keyOf is what the order of an item is kept for.
func keyOf(e event.Value, item runtime.Item) string {
	key := event.OrderingKey(e)
	if item.Apart {
		return item.Lane + " " + key
	}
	return key
}

// laneOf is the lane of a task: that of its item; what goes alone needs to wait for nobody but its own key.
func (t *task) laneOf() string {
	if t.item.BatchSize <= 1 && !t.item.Apart {
		return t.item.Lane + "\x00" + t.key
	}
	return t.item.Lane
}

// place returns where the log has the task's event, also if the task comes from a letter or a replay.
func (t *task) place() logPlace {
	switch {
	case t.letter != nil:
		return logPlace{t.letter.Seq, t.letter.Index}
	case t.origin.seq > 0:
		return t.origin
	}
	return logPlace{t.page.seq, t.index}
}

// letterOf returns the letter of a task that is set aside, at the place of its event.
func (t *task) letterOf(v runtime.Verdict, parked bool, now time.Time) *Letter {
	at := t.place()
	l := &Letter{
		Instance: t.part.worker.id, Subscription: t.item.Subscription.Name(), Source: t.source, Parked: parked, Key: t.key,
		Reason: v.Reason, Code: v.Code, Status: v.Status, Attempts: t.attempts, First: t.failed.UTC(), At: now.UTC(),
		Request: t.last, Seq: at.seq, Index: at.index, Event: []byte(t.item.Event.Raw()), partition: t.part.n, stands: 1,
	}
	l.setID()
	return l
}
