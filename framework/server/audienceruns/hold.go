package audienceruns

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/pause"
)

// HoldOptions says which audience a command changes.
type HoldOptions struct {
	Ledger             *state.Ledger
	Instance, Audience string
	Syncs              []config.AudienceSync  // of the config; one of them may be of the audience
	By                 string                 // the command and who runs it
	OnWait             func(startedBy string) // called once if another run is in progress; may be nil
	Lease              time.Duration          // 30 seconds by default, as that of a Scheduler
	Now                func() time.Time       // time.Now by default
}

// Hold is the lease of an audience that a command changes. Meanwhile no audience sync of it runs, and no other command changes it.
type Hold struct {
	lease
	ctx  context.Context // ends if the lease is lost
	stop func()          // ends the renewals
	sync string
	now  func() time.Time
	run  Run
}

// syncOf returns the id of the sync of an audience in an instance; "" if there is none.
func syncOf(o *HoldOptions) string {
	for _, s := range o.Syncs {
		if s.Audience == o.Audience && s.UsesInstance(o.Instance) {
			return s.ID
		}
	}
	return ""
}

// HoldAudience waits until no other run changes an audience, and takes its lease. The returned context ends if the lease is lost. The caller calls
// Release.
func HoldAudience(ctx context.Context, o HoldOptions) (*Hold, context.Context, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Lease = cmp.Or(o.Lease, defaultLease)
	h := &Hold{sync: syncOf(&o), now: o.Now}
	h.ledger, h.key = o.Ledger, stateKey(h.sync)
	if h.sync == "" {
		h.key = "audienceCommand/" + o.Audience
	}
	began := o.Now().UTC()
	h.run = Run{ID: began.Format(runIDFormat), Sync: h.sync, Instance: o.Instance, Audience: o.Audience, At: began, StartedBy: o.By, Command: true}
	if err := h.acquire(ctx, &o); err != nil {
		return nil, nil, err
	}
	h.ctx, h.stop = h.startRenewals(ctx, o.Lease)
	return h, h.ctx, nil
}

// acquire takes the lease when no run holds it, or the process of that run is dead.
func (h *Hold) acquire(ctx context.Context, o *HoldOptions) error {
	owner, watch, told := rand.Text(), sighting{}, false
	for {
		doc, text, err := readDocument(ctx, h.ledger, h.key)
		if err != nil {
			return err
		}
		if doc.Holder == "" || watch.isAbandoned(&doc, time.Now(), o.Lease) {
			h.text, h.doc = text, doc
			err := h.update(ctx, func(d *document) { d.takeForCommand(owner, &h.run) })
			if !errors.Is(err, errLeaseLost) {
				return err
			}
			continue // another process was faster
		}
		if !told && o.OnWait != nil && doc.Run != nil {
			told = true
			o.OnWait(doc.Run.StartedBy)
		}
		if err := pause.For(ctx, o.Lease/30); err != nil {
			return err
		}
	}
}

// takeForCommand gives the lease to a command. The scheduler repeats a run whose process is dead.
func (d *document) takeForCommand(owner string, run *Run) {
	if d.Run != nil && !d.Run.Command {
		d.repeats(d.Run.ID)
		d.Requested = cmp.Or(d.Requested, byInterrupted)
	}
	if d.Slot.IsZero() {
		d.Slot = run.At // a sync that has not run waits for its first time
	}
	d.Holder, d.Beat, d.Run = owner, d.Beat+1, run
	d.Read = nil // the command may change users of rows that stay as they are
}

// AllowRemovals records removals before they are sent, so that they count for the sync of the audience.
func (h *Hold) AllowRemovals(exits int) error {
	if h.sync == "" || exits == 0 {
		return nil
	}
	now := h.now()
	return h.update(h.ctx, func(d *document) { d.addRemoval(now, h.run.ID, exits) })
}

// addRemoval records the removals of a run, and forgets those of more than a day ago.
func (d *document) addRemoval(now time.Time, run string, exits int) {
	d.Removals = slices.DeleteFunc(slices.Clone(d.Removals), func(r removal) bool { return !r.isRecent(now) })
	d.Removals = append(d.Removals, removal{run, now.UTC(), exits})
}

// Lost returns an error if another process has taken over the lease. h may be nil.
func (h *Hold) Lost() error {
	if h != nil && errors.Is(context.Cause(h.ctx), errLeaseLost) {
		return errLeaseLost
	}
	return nil
}

// Release ends the lease. If the audience has a sync and the report is not nil, it returns the record of the run, which the caller saves with
// SaveRun.
func (h *Hold) Release(report *audiencesync.Report, runErr error) (*Run, error) {
	h.stop()
	ending, end := context.WithTimeout(context.WithoutCancel(h.ctx), 5*time.Second)
	defer end()
	run := h.run
	recorded := h.sync != "" && report != nil
	if recorded {
		run.Seconds, run.Report = h.now().Sub(run.At).Seconds(), report
		run.setOutcome(runErr, false)
	}
	err := h.update(ending, func(d *document) {
		d.Holder, d.Run = "", nil
		if recorded {
			d.Last = &run
		}
	})
	if !recorded {
		return nil, err
	}
	return &run, err
}

// SaveRun writes the record of a run that has ended to the journal of the state. The oldest records beyond their limit in bytes are deleted.
func SaveRun(ctx context.Context, store *state.Store, r *Run) error {
	return saveRun(ctx, store, r, time.Time{}, 0)
}

// saveRun is SaveRun. It also deletes the records that are older than keep, unless that is 0.
func saveRun(ctx context.Context, store *state.Store, r *Run, now time.Time, keep time.Duration) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = store.AppendJournal(ctx, []state.JournalEntry{{Kind: kindRun, At: r.At, Data: string(text)}})
	}
	if err == nil {
		err = store.TrimJournal(ctx, kindRun, now, keep, maxRunBytes)
	}
	return err
}
