package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// task is one event on its way through one subscription.
type task struct {
	dispatch.Task[*task] // its Value is the task

	partition    *partition
	page         *page
	eventIndex   int    // index in the page
	key          string // ordering key
	bytes        int
	verdict      *runtime.Verdict // of its last request
	lastExchange *Exchange
	batch        *Batch      // the last one that it was sent in; nil if batches are not recorded
	letter       *DeadLetter // the dead letter that it comes from; nil if it comes from the log
	origin       position    // of the event that it replays; zero if it is no replay, or the position is unknown
	letterLoaded bool        // letter is the stored one, or nil because none is stored
	erased       bool        // the event was erased before it was read
	resumed      bool        // from a dead letter of a key that stays parked, whose other dead letters are later ones
	item         runtime.Item

	source          string
	refusal         *runtime.Verdict // why it cannot be delivered; nil if it can be sent
	unlockLetter    func()           // lets the next stored dead letter be loaded; may be nil
	writtenVerdicts int              // Verdicts of the dead letter that was written for it; 0 if none was
	taskOf          string           // subject of the dead letter for which it was started; "" if it comes from the log
}

// eventPosition returns the place of the event in the log, also if the task comes from a dead letter or a replay.
func (t *task) eventPosition() position {
	switch {
	case t.letter != nil:
		return position{t.letter.Seq, t.letter.Index}
	case t.origin.seq > 0:
		return t.origin
	}
	return position{t.page.seq, t.eventIndex}
}

// newDeadLetter returns the dead letter for a task that is dead or parked.
func (t *task) newDeadLetter(v runtime.Verdict, parked bool, now time.Time) *DeadLetter {
	at := t.eventPosition()
	l := &DeadLetter{
		Instance: t.partition.worker.id, Subscription: t.item.Subscription.Name(), Source: t.source, Parked: parked, Key: t.key,
		Cause: v.Cause, Reason: v.Reason, Code: v.Code, Status: v.Status, Attempts: t.Attempts(), First: t.FirstFailed().UTC(), At: now.UTC(),
		Request: t.lastExchange, Seq: at.seq, Index: at.index, Event: []byte(t.item.Event.Raw()), partition: t.partition.number, verdictCount: 1,
	}
	if !parked && l.Attempts == 0 {
		l.Attempts = 1 // it was refused without a request
	}
	l.setID()
	return l
}
