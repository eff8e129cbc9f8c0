package audienceruns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
)

// Run is the record of one run.
type Run struct {
	ID        string               `json:"id"`
	Sync      string               `json:"sync"`
	Instance  string               `json:"instance"`
	Audience  string               `json:"audience"`
	At        time.Time            `json:"at"`
	Seconds   float64              `json:"seconds"`
	StartedBy string               `json:"startedBy"`
	Changes   bool                 `json:"changes,omitempty"` // it read only the rows that have changed
	Repeats   string               `json:"repeats,omitempty"` // the id of the earlier run whose removals this one completes
	Command   bool                 `json:"command,omitempty"` // a command ran, not the sync
	Outcome   Outcome              `json:"outcome"`
	Error     string               `json:"error,omitempty"`
	Report    *audiencesync.Report `json:"report,omitempty"`
}

// Outcome is the result of a run.
type Outcome string

// The outcomes.
const (
	OK          Outcome = "ok"
	Failed      Outcome = "failed"      // Error says why; users who could be delivered have been
	Waiting     Outcome = "waiting"     // it would remove too many members, and waits for an approval
	Interrupted Outcome = "interrupted" // its server stopped
)

// Limits of the records that are kept.
const (
	kindRun      = "audience.run" // in the journal of the state
	runRetention = 90 * 24 * time.Hour
	maxRunBytes  = 8 << 20
	day          = 24 * time.Hour
)

// defaultRunLimit is how long a run may take by default.
const defaultRunLimit = 6 * time.Hour

// errRunLimit is the cause of the end of a run that took too long.
var errRunLimit = errors.New("the run took too long")

// GuardError means that a run would remove more members than its sync may remove in a day. Nothing was sent.
type GuardError struct {
	Exits, Members int
	Earlier        int // members that left in the last 24 hours
	MaxRemove      float64
}

func (e *GuardError) Error() string {
	earlier := ""
	if e.Earlier > 0 {
		earlier = fmt.Sprintf(", after %d in the last 24 hours", e.Earlier)
	}
	return fmt.Sprintf("%d of %s would be removed%s, more than %g %%: nothing was sent; the run waits for an approval", e.Exits, fault.Count(e.Members, "member"), earlier, e.MaxRemove)
}

// interruptedRun returns the record of a run whose server stopped.
func interruptedRun(r *Run, now time.Time) *Run {
	if r == nil {
		return nil
	}
	ended := *r
	ended.Outcome, ended.Error, ended.Seconds = Interrupted, "the server stopped; the run is repeated", now.Sub(r.At).Seconds()
	if r.Command {
		ended.Error = "the command was ended"
	}
	return &ended
}

// runJob runs a job whose lease this process holds, and ends the lease.
func (s *Scheduler) runJob(parent context.Context, j job, l *lease) {
	limited, endLimit := context.WithTimeoutCause(budget.WithClass(parent, budget.Background), cmp.Or(j.sync.RunLimit, defaultRunLimit), errRunLimit)
	defer endLimit()
	run := *l.doc.Run
	read := readingOf(&j.sync, &l.doc, run.At)
	if !l.due.IsZero() { // a result that is as new as the time of the schedule is new enough
		read.notBefore = read.notBefore.Add(-min(s.Now().Sub(l.due), lateness))
	}
	run.Changes = !read.full
	ctx, stop := l.startRenewals(limited, s.Lease)
	report, err := s.synchronize(ctx, j, l, read)
	report.Warnings = append(report.Warnings, read.warnings(&j.sync, &report)...)
	lost := errors.Is(context.Cause(ctx), errLeaseLost)
	if err != nil && errors.Is(context.Cause(ctx), errRunLimit) {
		err = fmt.Errorf("the run was stopped, since it took longer than its runLimit, %v; the next run continues it", cmp.Or(j.sync.RunLimit, defaultRunLimit))
	}
	stop()
	if lost {
		s.Log.Warn("an audience sync was stopped: its lease could not be renewed", "sync", j.sync.ID, "instance", j.id())
		return
	}
	ending, end := context.WithTimeout(context.WithoutCancel(parent), 5*time.Second)
	defer end()
	run.Seconds, run.Report = s.Now().Sub(run.At).Seconds(), &report
	run.setOutcome(err, parent.Err() != nil)
	if err := l.update(ending, func(d *document) { d.end(&run, read) }); err != nil {
		s.Log.Warn("the result of an audience sync cannot be written", "sync", j.sync.ID, "instance", j.id(), "error", err)
	}
	s.saveRun(ending, j, &run)
}

// end ends the lease of a run of the sync, and records what it has read.
func (d *document) end(run *Run, read *reading) {
	approved := d.Approved
	d.Holder, d.Run, d.Last, d.Approved, d.Waiting = "", nil, run, nil, nil
	switch run.Outcome {
	case OK:
		d.Repeats = ""
		read.advance(d, run.At, run.Report)
	case Waiting:
		d.Waiting = &waiting{run.ID, run.At, run.Report.Exits, run.Report.Members}
	case Failed:
		d.repeats(run.ID)
	case Interrupted:
		d.repeats(run.ID)
		d.Requested, d.Approved = byInterrupted, approved
	}
}

// setOutcome records how a run ended.
func (r *Run) setOutcome(err error, stopping bool) {
	var guard *GuardError
	r.Outcome = OK
	switch {
	case stopping:
		r.Outcome, r.Error = Interrupted, "the server stopped; the run is repeated"
	case errors.As(err, &guard):
		r.Outcome, r.Error = Waiting, guard.Error()
	case err != nil:
		r.Outcome, r.Error = Failed, fault.Shorten(err.Error(), 1000)
	case r.Report.Failed > 0:
		r.Outcome, r.Error = Failed, fault.Count(r.Report.Failed, "change")+" failed for now: the next run sends them again"
	}
}

// synchronize runs the query and sends the difference.
func (s *Scheduler) synchronize(ctx context.Context, j job, l *lease, read *reading) (audiencesync.Report, error) {
	return s.runQuery(ctx, j, read, &audiencesync.Syncer{Guard: func(exits, members int) error { return s.guard(ctx, j, l, exits, members) }})
}

// runQuery runs the query of a job with a Syncer, whose plan, ledger and suppressed users it sets.
func (s *Scheduler) runQuery(ctx context.Context, j job, read *reading, syncer *audiencesync.Syncer) (audiencesync.Report, error) {
	failed := audiencesync.Report{Audience: j.sync.Audience}
	options := rowOptions(&j)
	result, err := s.openResult(ctx, &j, read, options)
	if err != nil {
		return failed, err
	}
	defer result.end()
	read.clock = result.clock
	options.At, options.Source = result.at, result.id
	rows, err := audiencesync.TableRows(result.table, options)
	if err != nil {
		return failed, err
	}
	syncer.Partial = !read.full
	syncer.Plan, syncer.Audiences, syncer.Ledger = j.instance.Plan, j.instance.Plugin.Audiences, j.instance.Ledger
	if s.Suppressed != nil {
		syncer.Suppressed = s.Suppressed()
	}
	a, err := audienceOf(ctx, j)
	if err != nil {
		return failed, err
	}
	return syncer.Sync(ctx, a, rows, read.mode(&j.sync), 1)
}

// rowOptions returns how the rows of a job's result are read.
func rowOptions(j *job) audiencesync.Options {
	o := audiencesync.Options{Identifiers: j.instance.Plugin.Audiences.Identifiers, Columns: j.sync.Columns, Properties: audiencesync.Properties(j.sync.Properties)}
	if j.sync.Key != "" {
		o.Identifiers = []string{j.sync.Key}
	}
	if i := j.sync.Incremental; i != nil {
		o.Removed, o.Reserved = i.Removed, []string{i.Column}
	}
	if j.sync.Only != "" {
		o.Only = audiencesync.RowFilter{Column: j.sync.Only, Value: j.sync.Audience}
	}
	return o
}

// openedResult is the result of a query.
type openedResult struct {
	table     audiencesync.Table
	at, clock time.Time
	id        string
	end       func()
}

// openResult runs the query of a job, or uses the result of another job that shares it and is not too old.
func (s *Scheduler) openResult(ctx context.Context, j *job, read *reading, o audiencesync.Options) (*openedResult, error) {
	query := sqlsource.Options{URL: j.sync.URL, Query: j.sync.Query, Timeout: j.sync.Timeout, Changes: read.changes}
	if key := j.shareKey(); key != "" && read.full {
		table, end, err := s.results.open(ctx, key, read.notBefore, query, o)
		if err != nil {
			return nil, err
		}
		return &openedResult{table, table.at, table.clock, table.id, end}, nil
	}
	result, err := sqlsource.Open(ctx, query)
	if err != nil {
		return nil, err
	}
	return &openedResult{result, result.At, result.Clock, result.ID(), result.Close}, nil
}

// audienceOf returns the audience with its name: that of the config, otherwise of the ledger, otherwise its id.
func audienceOf(ctx context.Context, j job) (destination.Audience, error) {
	a := destination.Audience{ID: j.sync.Audience, Name: j.sync.Name}
	if a.Name != "" {
		return a, nil
	}
	size, _, err := j.instance.Ledger.Audience(ctx, a.ID)
	if a.Name = size.Name; a.Name == "" {
		a.Name = a.ID
	}
	return a, err
}

// guard returns a *GuardError if a run may not remove this many members. Otherwise it records the removals before they are sent, so that
// they count even if the server dies.
func (s *Scheduler) guard(ctx context.Context, j job, l *lease, exits, members int) error {
	now := s.Now()
	l.mu.Lock()
	doc := l.doc
	l.mu.Unlock()
	more, err := doc.checkRemovals(now, exits, members, j.sync.MaxRemove)
	if err != nil || more == 0 {
		return err
	}
	return l.update(ctx, func(d *document) { d.addRemoval(now, cmp.Or(d.Repeats, d.Run.ID), more) })
}

// saveRun writes the record of a run that has ended.
func (s *Scheduler) saveRun(ctx context.Context, j job, r *Run) {
	if r == nil {
		return
	}
	s.metrics.observe(r)
	log := s.Log.Info
	if r.Outcome != OK {
		log = s.Log.Warn
	}
	log("audience sync", "sync", r.Sync, "instance", r.Instance, "outcome", string(r.Outcome), "seconds", r.Seconds, "error", r.Error)
	keep := runRetention
	if !s.MayDeleteByAge() {
		keep = 0
	}
	if err := saveRun(ctx, s.Store, r, s.Now(), keep); err != nil {
		s.Log.Warn("the record of an audience sync cannot be written", "sync", j.sync.ID, "error", err)
	}
}
