package dispatch_test

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// job is the value of a task of the property test.
type job struct {
	n        int    // order of addition within its key
	id       string // key, or lane and group of a task without one
	keyless  bool
	trouble  int  // answers that are failures
	polls    int  // answers that are pending
	poison   bool // a request with it fails
	refused  bool // it is finished without the remote
	quiet    bool // of the lane whose tasks must not wait for others
	added    time.Time
	finished int
	owner    *simOwner
	sent     bool // it was in a request since its owner got it
	tried    bool // and the request was answered
}

type (
	simTask  = dispatch.Task[*job]
	simBatch = dispatch.Batch[*job]
)

// simOwner is an owner with what is left of its tasks, in order.
type simOwner struct {
	*dispatch.Owner[*job]
	gone    bool
	until   time.Time             // its lease
	waiting map[string][]*simTask // by id
}

// simulation runs a dispatcher against a remote that fails in all ways, and checks each step. The dispatcher's lock guards it.
type simulation struct {
	seed       uint64
	random     *lockedRandom
	config     dispatch.Config
	d          *dispatch.Dispatcher[*job]
	owners     []*simOwner
	calm       bool // the remote fails no more
	mild       bool // no pauses and suspensions, and a free slot for the quiet lane
	pauses     time.Time
	suspended  bool
	inFlight   map[dispatch.Lane]bool
	newest     map[string]int // the newest task of each id that was in a request
	added      map[string]int
	order      []*simTask // all unfinished tasks, in order of addition
	total      int
	ended      int
	senders    sync.WaitGroup
	background sync.WaitGroup
}

// quietLatency is how long the remote of the quiet lane takes.
const quietLatency = 50 * time.Millisecond

// check ends the test if a condition does not hold. It is called in goroutines of the dispatcher.
func (s *simulation) check(holds bool, format string, args ...any) {
	if !holds {
		panic(fmt.Sprintf("LANDFALL_SEED=%d: ", s.seed) + fmt.Sprintf(format, args...))
	}
}

// Send checks a batch and delivers it.
func (s *simulation) Send(b *simBatch) {
	first, now := b.Tasks[0], time.Now()
	s.check(!s.inFlight[first.Lane], "two batches of a lane")
	s.check(len(s.inFlight) < s.config.MaxBatches, "too many batches")
	s.check(!s.suspended && !now.Before(s.pauses), "a batch during a pause")
	s.inFlight[first.Lane] = true
	fresh, bytes, heads := 0, 0, map[string]int{}
	for _, t := range b.Tasks {
		j := t.Value
		s.check(first.Lane == t.Lane && first.Group == t.Group, "a batch of two groups")
		s.check(!j.owner.gone, "a task of an owner that is gone")
		s.check(j.owner.until.IsZero() || now.Before(j.owner.until), "a task without a lease")
		if !j.tried {
			fresh, bytes = fresh+1, bytes+t.Bytes
		}
		at := heads[j.id]
		s.check(j.owner.waiting[j.id][at] == t, "%s: task %d overtakes", j.id, j.n)
		s.check(at == 0 || t.Together || j.keyless, "%s: two tasks in a request", j.id)
		heads[j.id]++
		j.sent = true
	}
	for _, t := range b.Tasks {
		s.check(t.Value.tried || t.Together || fresh <= max(t.MaxBatch, 1), "%d tasks in a batch, and one allows %d", fresh, t.MaxBatch)
	}
	s.check(fresh <= max(first.MaxBatch, 1), "%d tasks in a batch of %d", fresh, first.MaxBatch)
	s.check(first.MaxBytes == 0 || fresh <= 1 || bytes <= first.MaxBytes || len(b.Tasks) > fresh, "%d bytes", bytes)
	for id, last := range newestOf(b) {
		s.check(last.Value.n >= s.newest[id], "%s: task %d is sent after a newer one", id, last.Value.n)
	}
	s.senders.Go(func() { s.answer(b) })
}

// newestOf returns the task of each key that takes effect: the newest one that is not refused. The order of tasks without a key is
// that of their batches.
func newestOf(b *simBatch) map[string]*simTask {
	newest := map[string]*simTask{}
	for _, t := range b.Tasks {
		if !t.Value.refused && !t.Value.keyless {
			newest[t.Value.id] = t
		}
	}
	return newest
}

// answer sleeps and reports results.
func (s *simulation) answer(b *simBatch) {
	s.d.Lock()
	latency := time.Duration(s.random.Int64N(int64(300 * time.Millisecond)))
	switch quiet := b.Tasks[0].Value.quiet; {
	case quiet:
		latency = quietLatency
	case !s.calm && s.random.IntN(15) == 0:
		latency = 40 * time.Second
	}
	if b.Limit > 0 {
		latency = min(latency, b.Limit)
	}
	s.d.Unlock()
	time.Sleep(latency)
	s.d.Lock()
	defer s.d.Unlock()
	results := s.resultsOf(b)
	delete(s.inFlight, b.Tasks[0].Lane)
	b.DoneLocked(results)
}

func (s *simulation) resultsOf(b *simBatch) []dispatch.Result {
	results := make([]dispatch.Result, len(b.Tasks))
	whole := !s.calm && s.random.IntN(6) == 0 && !b.Tasks[0].Value.quiet
	for _, t := range b.Tasks {
		whole = whole || t.Value.poison && !s.calm
	}
	if !whole && !s.calm && !s.mild && s.random.IntN(40) == 0 {
		s.suspended = true
		s.background.Go(func() {
			time.Sleep(5 * time.Second)
			s.d.Lock()
			defer s.d.Unlock()
			s.suspended = false
			s.d.UnsuspendLocked()
		})
		for i := range results {
			results[i].Outcome = dispatch.NotSent
		}
		return results
	}
	for _, t := range b.Tasks {
		t.Value.tried = true
	}
	newest := newestOf(b)
	for id, t := range newest {
		if !t.Value.owner.gone {
			s.newest[id] = t.Value.n
		}
	}
	asked := time.Duration(s.random.IntN(3)) * time.Second
	for i, t := range b.Tasks {
		j, r := t.Value, &results[i]
		switch {
		case whole:
			r.Outcome = dispatch.Retry
		case j.refused || t.Together && newest[j.id] != t: // a newer task of the key supersedes it
			r.Outcome = dispatch.Dropped
		case j.polls > 0:
			j.polls--
			r.Outcome = dispatch.Pending
		case j.trouble > 0 && !s.calm:
			j.trouble--
			*r = dispatch.Result{Outcome: dispatch.Retry, RetryAfter: asked, Unrelated: asked > 0}
		}
	}
	if !s.calm && !s.mild && s.random.IntN(30) == 0 {
		s.pauses, _ = s.d.PauseLocked(10 * time.Second)
	}
	return results
}

// end checks and counts the outcome of a task. taken tells that the host keeps it elsewhere.
func (s *simulation) end(t *simTask, taken bool) {
	j := t.Value
	j.finished++
	s.check(j.finished == 1, "%s %d: two outcomes", j.id, j.n)
	s.check(!j.owner.gone, "an outcome after the owner has gone")
	at := slices.Index(j.owner.waiting[j.id], t)
	s.check(at >= 0, "%s: task %d is unknown", j.id, j.n)
	for _, earlier := range j.owner.waiting[j.id][:at] {
		s.check(taken || earlier.Together || j.keyless, "%s: task %d has an outcome before an earlier one", j.id, j.n)
	}
	j.owner.waiting[j.id] = slices.Delete(j.owner.waiting[j.id], at, at+1)
	s.remove(t)
	s.ended++
	if limit := s.config.Linger + 2*quietLatency + time.Millisecond; j.quiet && s.mild {
		s.check(time.Since(j.added) < limit, "a quiet lane waits for others: %v", time.Since(j.added))
	}
}

func (s *simulation) remove(t *simTask) {
	s.order = slices.DeleteFunc(s.order, func(o *simTask) bool { return o == t })
}

func (s *simulation) Finished(t *simTask, _ dispatch.Result) { s.end(t, false) }

func (s *simulation) Retried(*simTask, dispatch.Result) {}

// Exhausted takes no tasks, some, or all.
func (s *simulation) Exhausted(tasks []*simTask, _ dispatch.Result) int {
	taken := [...]int{0, 1, s.random.IntN(len(tasks) + 1), len(tasks)}[s.random.IntN(4)]
	s.take(tasks[:taken])
	return taken
}

// take counts tasks as taken by the host.
func (s *simulation) take(tasks []*simTask) {
	for _, t := range tasks {
		s.end(t, true)
	}
}

func (s *simulation) newOwner() *simOwner {
	o := &simOwner{waiting: map[string][]*simTask{}}
	o.Owner = s.d.NewOwner(func() time.Duration {
		if o.until.IsZero() {
			return time.Hour
		}
		return time.Until(o.until)
	})
	return o
}

// replaceOwner closes an owner, as a crash does, and adds its unfinished tasks again for a new one.
func (s *simulation) replaceOwner(i int, drain bool) {
	old := s.owners[i]
	fresh := s.newOwner()
	s.d.Lock()
	defer s.d.Unlock()
	var again []*simTask
	for _, t := range s.order {
		if t.Value.owner == old {
			again = append(again, t)
		}
	}
	for _, t := range again {
		s.remove(t)
		if t.Value.sent {
			delete(s.newest, t.Value.id)
		}
	}
	if drain {
		old.DrainLocked()
	}
	old.gone = true
	old.CloseLocked()
	s.owners[i] = fresh
	for _, t := range again {
		j := *t.Value
		j.owner, j.sent, j.tried, j.added = fresh, false, false, time.Now()
		s.add(&simTask{Value: &j, Lane: t.Lane, Group: t.Group, Key: t.Key, Together: t.Together, MaxBatch: t.MaxBatch, MaxBytes: t.MaxBytes, Bytes: t.Bytes})
	}
}

// add adds a task.
func (s *simulation) add(t *simTask) {
	j := t.Value
	t.Owner = j.owner.Owner
	j.owner.waiting[j.id] = append(j.owner.waiting[j.id], t)
	s.order = append(s.order, t)
	s.d.AddLocked(t)
}
