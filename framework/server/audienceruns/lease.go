package audienceruns

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// document is the state of a job in the ledger of its instance. It is replaced as a whole, by compare and swap.
type document struct {
	Slot      time.Time `json:"slot"`                // when the newest run of the schedule began
	Holder    string    `json:"holder,omitempty"`    // the process that runs it
	Beat      uint64    `json:"beat,omitempty"`      // changes as long as the holder is alive
	Run       *Run      `json:"run,omitempty"`       // the run in progress
	Requested string    `json:"requested,omitempty"` // who asked for a run
	Approved  *approval `json:"approved,omitempty"`
	Waiting   *waiting  `json:"waiting,omitempty"`
	Removals  []removal `json:"removals,omitempty"` // of the last 24 hours
	Repeats   string    `json:"repeats,omitempty"`  // the id of the run that began the removals that the next run completes
	Last      *Run      `json:"last,omitempty"`     // the newest run that has ended
	Read      *progress `json:"read,omitempty"`     // what incremental runs have read; nil if the next one reads the whole result
}

// repeats records that the next run completes a run that did not end well. Its removals do not count twice.
func (d *document) repeats(run string) {
	if d.Repeats == "" {
		d.Repeats = run
	}
}

// newestSlot returns when the newest run of the schedule began. One that is more than a day ahead began while the clock was ahead, and counts as a day
// ago: the next time of the schedule is due.
func (d *document) newestSlot(now time.Time) time.Time {
	if d.Slot.Sub(now) > day {
		return now.Add(-day)
	}
	return d.Slot
}

// removedBefore returns how many members earlier runs of the last 24 hours were allowed to remove, and how many of these removals the run in
// progress completes.
func (d *document) removedBefore(now time.Time) (earlier, repeated int) {
	for _, r := range d.Removals {
		if !r.isRecent(now) {
			continue
		}
		if earlier += r.Exits; r.Run == d.Repeats {
			repeated += r.Exits
		}
	}
	return earlier, repeated
}

// checkRemovals returns a *GuardError if a run may not remove this many members. Otherwise it returns how many of these removals do not complete
// those of an earlier run.
func (d *document) checkRemovals(now time.Time, exits, members int, maxRemove float64) (more int, err error) {
	earlier, repeated := d.removedBefore(now)
	more = max(exits-repeated, 0)
	allowed := more == 0 || float64(more+earlier)*100 <= maxRemove*float64(members+earlier)
	if !allowed && (d.Approved == nil || exits > d.Approved.Exits) {
		return 0, &GuardError{exits, members, earlier, maxRemove}
	}
	return more, nil
}

// waiting is a run that the guard stopped, and that can be approved.
type waiting struct {
	Run     string    `json:"run"`
	At      time.Time `json:"at"`
	Exits   int       `json:"exits"`
	Members int       `json:"members"`
}

// approval allows the removals of a run that waited.
type approval struct {
	By    string `json:"by"`
	Exits int    `json:"exits"`
}

// removal is what one run was allowed to remove.
type removal struct {
	Run   string    `json:"run"`
	At    time.Time `json:"at"`
	Exits int       `json:"exits"`
}

// isRecent reports whether a removal was in the last 24 hours. One that is further ahead is from a clock that was ahead.
func (r *removal) isRecent(now time.Time) bool { return now.Sub(r.At).Abs() < day }

// errLeaseLost means that another process has changed the document of a run, because it took over its lease.
var errLeaseLost = errors.New("another server has taken over this run")

// documents stores the documents of an instance: its ledger.
type documents interface {
	Get(ctx context.Context, key string) (value string, ok bool, err error)
	Swap(ctx context.Context, key, old, value string) (ok bool, err error)
}

// lease is the document of a run that this process holds.
type lease struct {
	ledger documents
	key    string
	due    time.Time // the time of the schedule at which the run should begin; zero if something else starts it

	mu    sync.Mutex
	text  string
	doc   document
	tried uint64 // the highest Beat that the holder may have stored: a write may succeed although it was canceled, or its answer was lost
}

// readDocument returns the document at a key and its text.
func readDocument(ctx context.Context, ledger documents, key string) (doc document, text string, err error) {
	text, _, err = ledger.Get(ctx, key)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &doc)
	}
	return doc, text, err
}

// changeDocument applies a change to a job's document. If change returns an error, nothing changes.
func changeDocument(ctx context.Context, j job, change func(*document) error) error {
	for {
		doc, text, err := readDocument(ctx, j.instance.Ledger, j.stateKey())
		if err == nil {
			err = change(&doc)
		}
		if err != nil {
			return err
		}
		changed, err := json.Marshal(&doc)
		if err != nil {
			return err
		}
		if ok, err := j.instance.Ledger.Swap(ctx, j.stateKey(), text, string(changed)); err != nil || ok {
			return err
		}
	}
}

// acquire takes the lease of a job that is due. It returns nil if the job is not due or another process runs it.
func (s *Scheduler) acquire(ctx context.Context, j job) (*lease, error) {
	doc, text, err := readDocument(ctx, j.instance.Ledger, j.stateKey())
	if err != nil {
		return nil, err
	}
	now := s.Now()
	doc.Slot = doc.newestSlot(now)
	by, dead := "", doc.Run
	switch {
	case doc.Holder != "" && !s.isAbandoned(j, &doc, now):
		return nil, nil
	case doc.Holder != "" && (dead == nil || !dead.Command):
		by = byInterrupted
	case doc.Slot.IsZero() && doc.Requested == "":
		doc.Slot = now // a new sync waits for its first time
	default:
		by = s.dueBy(j, &doc, now)
	}
	if by == "" && doc.Holder == "" && text != "" {
		return nil, nil
	}
	l := &lease{ledger: j.instance.Ledger, key: j.stateKey(), text: text, doc: doc, due: j.dueTime(by, doc.Slot)}
	err = l.update(ctx, func(d *document) {
		if by == "" { // a new sync, or a command that died
			d.Holder, d.Run = "", nil
			return
		}
		d.takeForRun(s.owner, j, by, now)
	})
	switch {
	case errors.Is(err, errLeaseLost): // another process was faster
		return nil, nil
	case err != nil:
		return nil, err
	case doc.Holder != "":
		s.saveRun(ctx, j, interruptedRun(dead, now))
	}
	if by == "" {
		return nil, nil
	}
	return l, nil
}

// takeForRun gives the lease to a run of a job that begins now.
func (d *document) takeForRun(owner string, j job, by string, now time.Time) {
	if by == byInterrupted && d.Run != nil {
		d.repeats(d.Run.ID)
	}
	d.Slot, d.Holder, d.Beat, d.Requested = now, owner, d.Beat+1, ""
	d.Run = &Run{ID: now.UTC().Format(runIDFormat), Sync: j.sync.ID, Instance: j.id(), Audience: j.sync.Audience, At: now.UTC(), StartedBy: by, Repeats: d.Repeats}
}

// isAbandoned reports whether the holder of a lease has shown no sign of life for the length of a lease.
func (s *Scheduler) isAbandoned(j job, d *document, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.seen[j.key()]
	defer func() { s.seen[j.key()] = known }()
	return known.isAbandoned(d, now, s.Lease)
}

// isAbandoned reports whether a lease has not changed for a time, and records what it is now.
func (known *sighting) isAbandoned(d *document, now time.Time, lease time.Duration) bool {
	if known.holder != d.Holder || known.beat != d.Beat {
		*known = sighting{d.Holder, d.Beat, now}
		return false
	}
	return now.Sub(known.since) >= lease
}

// update changes the document. The error is errLeaseLost if another process has changed it in a way that ends the lease.
func (l *lease) update(ctx context.Context, change func(*document)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	doc := l.doc
	for {
		change(&doc)
		text, err := json.Marshal(&doc)
		if err != nil {
			return err
		}
		if doc.Holder == l.doc.Holder {
			l.tried = max(l.tried, doc.Beat)
		}
		ok, err := l.ledger.Swap(ctx, l.key, l.text, string(text))
		if err != nil {
			return err
		}
		if ok {
			l.text, l.doc = string(text), doc
			return nil
		}
		current, _, err := l.ledger.Get(ctx, l.key)
		if err != nil {
			return err
		}
		var other document
		if err := json.Unmarshal([]byte(current), &other); err != nil || !l.isOwnLocked(&other) {
			return errLeaseLost
		}
		l.text, doc, l.doc = current, other, other // a run was asked for or approved, or an earlier write of this process has succeeded
	}
}

// isOwnLocked reports whether the document is still that of the lease: no other process has written its holder's part.
func (l *lease) isOwnLocked(d *document) bool {
	return d.Holder != "" && d.Holder == l.doc.Holder && (d.Beat == l.doc.Beat || d.Beat > l.doc.Beat && d.Beat <= l.tried)
}

// startRenewals renews the lease, which has a length, in the background. The returned context ends with the cause errLeaseLost if that
// fails. stop ends the renewals and waits for the last one.
func (l *lease) startRenewals(parent context.Context, length time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		l.keepAlive(ctx, length/4, cancel)
	}()
	return ctx, func() {
		cancel(nil)
		<-stopped
	}
}

// keepAlive renews the lease until ctx ends. If that fails, it cancels the run.
func (l *lease) keepAlive(ctx context.Context, every time.Duration, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		attempt, end := context.WithTimeout(ctx, every)
		err := l.update(attempt, func(d *document) { d.Beat++ })
		end()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			renewed = time.Now()
		case errors.Is(err, errLeaseLost), time.Since(renewed) > 2*every:
			cancel(errLeaseLost)
			return
		}
	}
}
