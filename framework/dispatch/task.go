package dispatch

import "time"

// Lane identifies a sequence of batches that are sent one after the other. Scope may be a pointer, such as to the destination, or
// nil.
type Lane struct {
	Scope any
	Name  string
}

// Group identifies tasks that may share a batch. Scope may be a pointer, such as to the subscription, or nil.
type Group struct {
	Scope any
	Key   string
}

// Task is a piece of work. The host sets the exported fields before it adds the task, and may change Value while the task is in a
// batch that is in flight.
type Task[T any] struct {
	Lane  Lane
	Group Group
	Value T
	Owner *Owner[T] // nil if the host needs no owners
	// Key orders tasks: a task waits until all earlier tasks with the same Owner and Key have an outcome, and the other tasks of the
	// lane do not wait for it. A task without a Key is ordered by its lane: while it is retried, the lane waits.
	Key      string
	MaxBatch int // maximum number of tasks in its batch; less than 2 means that it is sent alone
	MaxBytes int // maximum size of its batch; 0 for no limit
	Bytes    int // its size for MaxBytes, Wait and Stats; 0 if the host bounds none of them
	// Together says that tasks of the key may share a request, in order, because the newest decides. It has no effect without a
	// Key.
	Together bool

	// Each batch uses the fields from Value to sameBucket. They are adjacent, because few tasks are in the processor's caches.

	inRequest  bool          // in a batch in flight
	attempts   int           // requests that were answered or failed
	history    *history      // nil if no request has failed
	run        int           // how many of the next tasks are in the same batch
	next       *Task[T]      // the next task of the same key, which waits for this one
	chain      chain[T]      // the tasks of its key if it is the first
	hash       uint64        // of Key
	sameBucket *Task[T]      // the next task in its bucket of the chainTable
	order      uint64        // order in its queue
	seq        uint64        // order of addition
	arrived    time.Duration // when it was added, since the beginning of the dispatcher
}

// history is what has happened to a task whose first request did not finish it.
type history struct {
	failures     int // of its own: while the remote accepted other tasks
	firstFailed  time.Time
	maxBatch     int // limit of its next batch's size while its batch is halved; 0 for none
	wholes       int // failures of whole batches since maxBatch was set
	carried      int // how many tasks of its run were in a failed request, so that the remote may have applied them
	polls        int // requests that started or polled its operation
	pendingSince time.Time
}

var emptyHistory history

// past returns the history of a task for reading.
func (t *Task[T]) past() *history {
	if t.history == nil {
		return &emptyHistory
	}
	return t.history
}

// record returns the history of a task for writing.
func (t *Task[T]) record() *history {
	if t.history == nil {
		t.history = &history{}
	}
	return t.history
}

// Attempts returns how many requests with the task were answered or failed.
func (t *Task[T]) Attempts() int { return t.attempts }

// FirstFailed returns when the task failed first; zero if it has not failed.
func (t *Task[T]) FirstFailed() time.Time { return t.past().firstFailed }

// wasTried reports whether the task was in a batch before.
func (t *Task[T]) wasTried() bool { return t.tries() > 0 }

// tries returns how many batches the task was in.
func (t *Task[T]) tries() int { return t.attempts + t.past().polls }

// Outcome says how a request ended for a task.
type Outcome int

// The outcomes.
const (
	Done    Outcome = iota // the remote has accepted or refused it
	Dropped                // it is finished without the remote's decision, for example because it is invalid
	Retry                  // a later attempt may succeed
	Pending                // the remote processes it: it is sent again, after a backoff, to ask for the result
	NotSent                // nothing can be sent before the host calls Unsuspend or, if RetryAfter is set, from this lane for that time. It counts as no attempt.
)

// Result is the result of a task in a request.
type Result struct {
	Outcome    Outcome
	RetryAfter time.Duration // how long the remote asks to wait
	Unrelated  bool          // the failure has nothing to do with the content of the batch, so the batch is not halved
}

// isFinal reports whether the task needs no more attempts.
func (r Result) isFinal() bool { return r.Outcome == Done || r.Outcome == Dropped }
