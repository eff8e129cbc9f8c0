// Package dispatch decides when which tasks are sent together. It keeps the order of each key, batches tasks, retries them with
// backoff, and bounds the parallel requests, so that one slow lane, hot key or poisoned task delays no other. It sends nothing
// itself: a host adds tasks, starts the batches that it gets, and reports their results.
//
//	d := dispatch.New[Event](dispatch.Config{MaxBatches: 4}, handler)
//	defer d.Stop()
//	d.Add(&dispatch.Task[Event]{Value: e, Lane: dispatch.Lane{Name: "orders"}, Key: e.User, MaxBatch: 100})
//
// The dispatcher then calls Send of the handler with a batch. The handler starts a goroutine, which sends the batch and calls Done
// with one result for each task. When a task needs no more attempts, the dispatcher calls Finished or Exhausted.
//
// # Lanes, groups and keys
//
// A lane is a sequence of batches: at most one is in flight. Lanes run in parallel, up to Config.MaxBatches, and take turns. A batch
// has tasks of one group. It is sent when it is full, by number or size, when its first task has waited for Config.Linger, or after
// Flush.
//
// A key is what must keep its order, such as a user. A task waits until each earlier task of its owner and key has an outcome,
// whichever lane that is in. So a key is at most once in a request, unless its tasks are Together: then those that wait behind the
// first are sent along with it, as a run. That is for tasks of which the newest decides. The results of a run must respect this:
// when one is Done, no earlier one is Retry. A run that was in a failed request stays together, because the remote may have applied
// its newest task, and an older one alone would undo that.
//
// A task without a key has its order from its lane: its batch is retried in its place, and later batches of the lane wait. With
// Config.InPlace that holds for all tasks.
//
// # Failures
//
// If only some tasks of a batch fail, each of them waits for a backoff of its own, together with the tasks of its key, and no others.
// If a batch fails as a whole, its lane waits for a backoff, and other tasks of the lane go first. A batch that keeps failing as a
// whole for reasons of its content is halved until the task that the remote cannot process is alone: after three such failures, or
// two if other batches of the lane succeed. After eight failed batches in a row the remote is considered down, and nothing is halved
// further. A backoff doubles with each failure, has jitter, and is at least what the remote asked for.
//
// A task is exhausted when it has failed for longer than Config.RetryFor, or Config.MaxAttempts times by itself, while the remote
// accepted others. The host decides what to do with it and those behind it. A pending task is sent again, after a backoff, to poll
// its operation. Pause sends nothing for a while, Resume ends pauses and waits, Suspend and a result NotSent without RetryAfter
// stop everything until Unsuspend.
//
// # Fairness
//
// A key with many tasks occupies one place in its lane. A task whose requests fail holds back its key. While a batch with such a
// task is halved, the other tasks of the batch wait for at most 3 + log2(size of the batch) backoffs of their lane. A lane whose
// requests are slow occupies one of the Config.MaxBatches requests; as long as fewer lanes than that are slow, the others do not
// wait for them.
//
// # Memory
//
// The dispatcher holds what it is given. A host bounds that: Wait waits until the number or size of the tasks that are held is low
// enough, WaitLane until a lane that has a whole batch waiting has sent it. TakeBehindLocked takes the tasks that wait behind those
// of a hot key, TakeFailingLocked the tasks that wait for a retry, for a host that keeps them elsewhere. It adds them again later,
// before newer ones of their keys.
//
// # Owners
//
// Tasks can have an Owner, such as a partition that a process works on as long as it has a lease. An owner allows a request or does
// not, and limits its duration. Drain ends an owner in order, Close at once: after that, nothing is reported about its tasks.
//
// # Locking
//
// A dispatcher has one lock. Its methods take it, except those whose names end in Locked, which need it held. The methods of the
// Handler and the allowance of owners are called with the lock held: they must not block, and call only methods ending in Locked. A
// host with state that must change in one step with the dispatcher's, such as the keys that it keeps elsewhere, guards it with the
// same lock: a Dispatcher is a sync.Locker. The dispatcher starts no goroutines, apart from the calls of its Clock.
package dispatch
