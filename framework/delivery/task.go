package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// task is one event on its way through one subscription.
type task struct {
	item         runtime.Item
	partition    *partition
	page         *page
	eventIndex   int         // of the event in the page
	source       string      // where the event came from
	key          string      // what its order is kept for
	next         *task       // what waits behind it for the same key
	letter       *DeadLetter // what it was read from, where that is a letter
	origin       position    // of the event that it replays; zero if it replays none or that is not known
	letterLoaded bool        // its stored letter has been looked up
	unlockLetter func()      // lets the next letter be looked up; may be nil

	run        []*task // later tasks of the key that are sent along with this one
	runCarried int     // how many of those behind it were in a failed request with it, and may have been acted on
	inRequest  bool    // it is in a request under way
	resumed    bool    // it comes back though its key is parked: what is parked of it is later

	refusal       *runtime.Verdict // why it cannot be delivered, where that is known before
	bytes         int
	arrived       time.Time
	attempts      int
	ownFailures   int       // attempts that failed while the remote took others
	maxBatch      int       // the most items of its next batch, after batches that failed as a whole; 0 for no such bound
	batchFailures int       // batches of this span that failed as a whole
	firstFailed   time.Time // when it first failed
	lastExchange  *Exchange

	polls        int       // how often the remote was asked for its operation, or has begun one
	pendingSince time.Time // since when the remote works on it
}

// orderKey is what the order of an item is kept for.
func orderKey(e event.Value, item runtime.Item) string {
	key := event.OrderingKey(e)
	if item.Independent {
		return item.Lane + " " + key
	}
	return key
}

// laneName is the lane of a task: that of its item; what goes alone needs to wait for nobody but its own key.
func (t *task) laneName() string {
	if t.item.BatchSize <= 1 && !t.item.Independent {
		return t.item.Lane + "\x00" + t.key
	}
	return t.item.Lane
}

// position returns where the log has the task's event, also if the task comes from a letter or a replay.
func (t *task) position() position {
	switch {
	case t.letter != nil:
		return position{t.letter.Seq, t.letter.Index}
	case t.origin.seq > 0:
		return t.origin
	}
	return position{t.page.seq, t.eventIndex}
}

// newDeadLetter returns the letter of a task that is set aside, at the place of its event.
func (t *task) newDeadLetter(v runtime.Verdict, parked bool, now time.Time) *DeadLetter {
	at := t.position()
	l := &DeadLetter{
		Instance: t.partition.worker.id, Subscription: t.item.Subscription.Name(), Source: t.source, Parked: parked, Key: t.key,
		Reason: v.Reason, Code: v.Code, Status: v.Status, Attempts: t.attempts, First: t.firstFailed.UTC(), At: now.UTC(),
		Request: t.lastExchange, Seq: at.seq, Index: at.index, Event: []byte(t.item.Event.Raw()), partition: t.partition.number, verdictCount: 1,
	}
	l.setID()
	return l
}
