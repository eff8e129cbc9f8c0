package audienceruns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
	"github.com/landfall-dev/landfall/framework/state"
)

// Status is the state of a sync of one instance.
type Status struct {
	Sync     string    `json:"sync"`
	Instance string    `json:"instance"`
	Audience string    `json:"audience"`
	Next     time.Time `json:"next,omitzero"`     // when the schedule runs it again
	Running  *Run      `json:"running,omitempty"` // the run in progress
	Last     *Run      `json:"last,omitempty"`
	Waiting  bool      `json:"waiting"` // the newest run waits for an approval
	Asked    bool      `json:"asked"`   // a run was asked for and has not begun

	From      string  `json:"from"` // the database, without credentials
	Query     string  `json:"query"`
	Mode      string  `json:"mode"`
	Column    string  `json:"audienceColumn,omitempty"` // that has the audience of each row
	Changed   string  `json:"changedColumn,omitempty"`  // that says when a row has changed, if runs are incremental
	MaxRemove float64 `json:"maxRemove"`                // percentage of the members that may leave in a day

	WaitingRun   string `json:"waitingRun,omitempty"`   // the id of the run that waits
	WaitingExits int    `json:"waitingExits,omitempty"` // the members that it would remove
}

// Choice names a sync, and one of its instances unless it has only one.
type Choice struct {
	Sync     string `json:"sync"`
	Instance string `json:"instance,omitempty"`
	Run      string `json:"run,omitempty"` // the run to approve; "" for the one that waits
}

// ChoiceError means that a Choice does not name one sync of one instance.
type ChoiceError struct{ Reason string }

func (e *ChoiceError) Error() string { return e.Reason }

// ErrNotWaiting means that there is no run to approve.
var ErrNotWaiting = errors.New("no run of this sync waits for an approval")

// List returns the state of all enabled syncs.
func (s *Scheduler) List(ctx context.Context) ([]Status, error) {
	list := []Status{}
	for _, j := range s.jobs() {
		d, _, err := readDocument(ctx, j.instance.Ledger, j.stateKey())
		if err != nil {
			return nil, err
		}
		status := Status{
			Sync: j.sync.ID, Instance: j.id(), Audience: j.sync.Audience, Last: d.Last, Running: d.Run, Waiting: d.Waiting != nil, Asked: d.Requested != "" || d.Approved != nil && d.Run == nil,
			From: sqlsource.Location(j.sync.URL), Query: j.sync.Query, Mode: j.sync.Mode, Column: j.sync.Only, MaxRemove: j.sync.MaxRemove,
		}
		if j.sync.Incremental != nil {
			status.Changed = j.sync.Incremental.Column
		}
		if d.Waiting != nil {
			status.WaitingRun, status.WaitingExits = d.Waiting.Run, d.Waiting.Exits
		}
		if j.sync.Schedule != nil && !d.Slot.IsZero() {
			status.Next = j.dueAfter(d.newestSlot(s.Now())).UTC()
		}
		list = append(list, status)
	}
	return list, nil
}

// find returns the job that a choice names.
func (s *Scheduler) find(c Choice) (found job, err error) {
	var ids, in []string
	for _, j := range s.jobs() {
		ids = append(ids, j.sync.ID)
		if j.sync.ID == c.Sync {
			in = append(in, j.id())
			if c.Instance == "" || c.Instance == j.id() {
				found = j
			}
		}
	}
	switch {
	case len(in) == 0:
		return found, &ChoiceError{fmt.Sprintf("there is no enabled audience sync %q%s", c.Sync, fault.DidYouMean(c.Sync, ids))}
	case found.instance.Plan == nil:
		return found, &ChoiceError{fmt.Sprintf("the sync %s has no instance %q%s", c.Sync, c.Instance, fault.DidYouMean(c.Instance, in))}
	case c.Instance == "" && len(in) > 1:
		return found, &ChoiceError{fmt.Sprintf("the sync %s has %d instances: name one of them", c.Sync, len(in))}
	}
	return found, nil
}

// RunNow makes a sync run as soon as a server can. by says who asked.
func (s *Scheduler) RunNow(ctx context.Context, c Choice, by string) error {
	j, err := s.find(c)
	if err != nil {
		return err
	}
	err = changeDocument(ctx, j, func(d *document) error { d.Requested = by; return nil })
	s.wakeUp()
	return err
}

// Approve repeats the run that waits for an approval. It may remove as many members as that run would have removed, and no more.
func (s *Scheduler) Approve(ctx context.Context, c Choice, by string) error {
	j, err := s.find(c)
	if err != nil {
		return err
	}
	err = changeDocument(ctx, j, func(d *document) error {
		if d.Waiting == nil || c.Run != "" && c.Run != d.Waiting.Run {
			return ErrNotWaiting
		}
		d.Approved = &approval{"approval by " + by, d.Waiting.Exits}
		return nil
	})
	s.wakeUp()
	return err
}

// History returns the newest records of runs, newest first. sync is "" for all syncs.
func (s *Scheduler) History(ctx context.Context, sync string, limit int) ([]Run, error) {
	list := []Run{}
	err := s.Store.Journal(ctx, state.JournalQuery{Kinds: []string{kindRun}}, func(e state.JournalEntry) bool {
		var r Run
		if json.Unmarshal([]byte(e.Data), &r) == nil && (sync == "" || r.Sync == sync) {
			list = append(list, r)
		}
		return len(list) < limit
	})
	return list, err
}
