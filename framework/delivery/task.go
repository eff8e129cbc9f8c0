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
	eventIndex   int // index in the page
	source       string
	key          string      // ordering key
	next         *task       // the next task of the same key, which waits for this one
	letter       *DeadLetter // the letter that it comes from; nil if it comes from the log
	origin       position    // of the event that it replays; zero if it is no replay, or the position is unknown
	letterLoaded bool        // letter is the stored one, or nil because none is stored
	unlockLetter func()      // lets the next stored letter be loaded; may be nil

	run        []*task // later tasks of the key that are sent in the same request
	runCarried int     // how many tasks of the run were in a failed request, so that the remote may have applied them
	inRequest  bool    // in a request in flight
	resumed    bool    // from a letter of a key that stays parked: its other letters are later ones

	refusal       *runtime.Verdict // why it cannot be delivered; nil if it can be sent
	bytes         int
	arrived       time.Time
	attempts      int
	ownFailures   int       // failures while the remote accepted other events
	maxBatch      int       // limit of its next batch's size while the batch is being halved; 0 for none
	batchFailures int       // failures of whole batches since maxBatch was set
	firstFailed   time.Time // time of the first failure
	lastExchange  *Exchange

	polls        int       // requests that started or polled its asynchronous operation
	pendingSince time.Time // since when the operation has been running
}

// orderKey returns the ordering key of an item. Independent items, such as changes of an audience, are ordered within their lane
// only.
func orderKey(e event.Value, item runtime.Item) string {
	key := event.OrderingKey(e)
	if item.Independent {
		return item.Lane + " " + key
	}
	return key
}

// laneName returns the lane of a task. An event that is sent in a request of its own has a lane for its key, as it waits for that
// key only.
func (t *task) laneName() string {
	if t.item.BatchSize <= 1 && !t.item.Independent {
		return t.item.Lane + "\x00" + t.key
	}
	return t.item.Lane
}

// eventPosition returns where the event stands in the log, also if the task comes from a letter or a replay.
func (t *task) eventPosition() position {
	switch {
	case t.letter != nil:
		return position{t.letter.Seq, t.letter.Index}
	case t.origin.seq > 0:
		return t.origin
	}
	return position{t.page.seq, t.eventIndex}
}

// newDeadLetter returns the letter for a task that is dead or parked.
func (t *task) newDeadLetter(v runtime.Verdict, parked bool, now time.Time) *DeadLetter {
	at := t.eventPosition()
	l := &DeadLetter{
		Instance: t.partition.worker.id, Subscription: t.item.Subscription.Name(), Source: t.source, Parked: parked, Key: t.key,
		Cause: v.Cause, Reason: v.Reason, Code: v.Code, Status: v.Status, Attempts: t.attempts, First: t.firstFailed.UTC(), At: now.UTC(),
		Request: t.lastExchange, Seq: at.seq, Index: at.index, Event: []byte(t.item.Event.Raw()), partition: t.partition.number, verdictCount: 1,
	}
	l.setID()
	return l
}
