// Package audience brings audiences to destinations without events: from a file, or from the ledger. What it sends goes the
// way of an event's payload: the action's schema, its handler, the ledger, and retries in place.
//
// Files and ledgers of any size are read piece by piece. A Keeper is used by one goroutine at a time.
package audience

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/framework/stream"
)

// Keeper works on the audiences of one instance.
type Keeper struct {
	Plan      *runtime.Plan
	Audiences *destination.Audiences
	Ledger    *state.Ledger
	DryRun    bool             // count and send nothing
	Progress  func(done int)   // told after each batch; may be nil
	Failed    func(Failure)    // told of each change that was not delivered; may be nil
	Now       func() time.Time // time.Now by default
	Retry     stream.Retry
}

// Failure is a change that was not delivered.
type Failure struct {
	Identity string          `json:"identity"`
	Member   bool            `json:"member"`
	Outcome  runtime.Outcome `json:"outcome"`
	Reason   string          `json:"reason"`
}

// Report is what became of a work on one audience.
type Report struct {
	Audience   string `json:"audience"`
	Name       string `json:"name"`
	Rows       int    `json:"rows"`       // of the file
	Duplicates int    `json:"duplicates"` // rows that name a user once more
	Unusable   int    `json:"unusable"`   // rows that name nobody
	Members    int    `json:"members"`    // before
	Enters     int    `json:"enters"`     // to be sent
	Exits      int    `json:"exits"`
	Unchanged  int    `json:"unchanged"`
	Delivered  int    `json:"delivered"`
	Skipped    int    `json:"skipped"`
	Refused    int    `json:"refused"`
	Failed     int    `json:"failed"` // tried to the end, though trying later may help
	DryRun     bool   `json:"dryRun"`
}

// Mode is what a file says about an audience.
type Mode string

// The modes.
const (
	Mirror Mode = "mirror" // it is the audience: others leave
	Add    Mode = "add"    // these enter
	Remove Mode = "remove" // these leave
)

// decide tells what becomes of somebody who is in the file or not: whether to be a member, and whether that is to be sent.
func (m Mode) decide(in bool, s state.Standing) (member, send bool) {
	switch {
	case in && m != Remove:
		return true, !s.Member || s.Doubt
	case in, m == Mirror:
		return false, s.Member || s.Doubt
	}
	return s.Member, false
}

// TooMany refuses to remove more of an audience than was allowed.
type TooMany struct {
	Exits, Members int
	Share          float64
}

func (e *TooMany) Error() string {
	return fmt.Sprintf("%d of %d members would be removed, more than %g %%: nothing was sent; give --yes to do it", e.Exits, e.Members, 100*e.Share)
}

// Sync makes an audience what a file says. share is the largest part of the members that it may remove; 1 allows all.
func (k *Keeper) Sync(ctx context.Context, a destination.Audience, rows *Rows, mode Mode, share float64) (Report, error) {
	report, err := k.begin(ctx, a)
	if err != nil {
		return report, err
	}
	listed, err := k.read(ctx, rows, &report)
	if err != nil {
		return report, err
	}
	defer listed.Close()
	err = k.Ledger.Compare(ctx, a.ID, listed, func(identity string, in bool, s state.Standing) error {
		switch member, send := mode.decide(in, s); {
		case !send && s.Member:
			report.Unchanged++
		case send && member:
			report.Enters++
		case send:
			report.Exits++
		}
		return nil
	})
	if err != nil {
		return report, err
	}
	if float64(report.Exits) > share*float64(report.Members) && share < 1 {
		return report, &TooMany{report.Exits, report.Members, share}
	}
	if k.DryRun || report.Enters+report.Exits == 0 {
		return report, nil
	}
	out, err := k.sender(a, &report, false)
	if err != nil {
		return report, err
	}
	now := k.now()
	err = k.Ledger.Compare(ctx, a.ID, listed, func(identity string, in bool, s state.Standing) error {
		if member, send := mode.decide(in, s); send {
			return out.add(ctx, destination.Change{Identity: identity, Member: member, At: later(now, s.At)})
		}
		return nil
	})
	return report, errors.Join(err, out.flush(ctx))
}

// Diff compares a file with the ledger: missing are members that the file does not list, extra is who it lists that is no
// member. Nothing is sent.
func (k *Keeper) Diff(ctx context.Context, id string, rows *Rows, tell func(kind, identity string) error) (Report, error) {
	report, err := k.begin(ctx, destination.Audience{ID: id})
	if err != nil {
		return report, err
	}
	err = k.compare(ctx, id, rows, &report, func(identity string, in bool, s state.Standing) error {
		switch {
		case in && !s.Member:
			return tell("extra", identity)
		case !in && s.Member:
			return tell("missing", identity)
		case in:
			report.Unchanged++
		}
		return nil
	})
	return report, err
}

// compare is a file against the ledger, user by user.
func (k *Keeper) compare(ctx context.Context, id string, rows *Rows, report *Report, f func(string, bool, state.Standing) error) error {
	listed, err := k.read(ctx, rows, report)
	if err != nil {
		return err
	}
	defer listed.Close()
	return k.Ledger.Compare(ctx, id, listed, f)
}

// Resync sends what the ledger says of an audience, whatever the remote may hold. With rows, only those are sent who differ
// from what the file lists. Without, it goes on where an earlier one was interrupted, unless restart says not to.
func (k *Keeper) Resync(ctx context.Context, a destination.Audience, rows *Rows, restart bool) (Report, error) {
	report, err := k.begin(ctx, a)
	if err != nil {
		return report, err
	}
	out, err := k.sender(a, &report, true)
	if err != nil {
		return report, err
	}
	send := func(identity string, s state.Standing) error {
		at := s.At
		if !s.Known {
			at = k.now()
		}
		if s.Member {
			report.Enters++
		} else {
			report.Exits++
		}
		return out.add(ctx, destination.Change{Identity: identity, Member: s.Member, At: at})
	}
	if rows == nil {
		err = k.resyncAll(ctx, a.ID, out, restart, send)
		return report, err
	}
	err = k.compare(ctx, a.ID, rows, &report, func(identity string, in bool, s state.Standing) error {
		if in == s.Member {
			return nil
		}
		return send(identity, s)
	})
	return report, errors.Join(err, out.flush(ctx))
}

// resyncAll sends everybody, and keeps how far it came.
func (k *Keeper) resyncAll(ctx context.Context, id string, out *sender, restart bool, send func(string, state.Standing) error) error {
	key, after := "resync/"+id, ""
	if !restart {
		var err error
		if after, _, err = k.Ledger.Get(ctx, key); err != nil {
			return err
		}
	}
	out.done = func(last string) error { return k.Ledger.Put(ctx, key, last) }
	err := k.Ledger.Each(ctx, id, after, func(s state.Standing) error {
		if !s.Known {
			return nil
		}
		return send(s.Identity, s)
	})
	err = errors.Join(err, out.flush(ctx))
	if err == nil && !k.DryRun && out.report.Failed == 0 {
		err = k.Ledger.Put(ctx, key, "")
	}
	return err
}

// Purge removes every known member, and everybody whose events are older than now for good.
func (k *Keeper) Purge(ctx context.Context, a destination.Audience) (Report, error) {
	report, err := k.begin(ctx, a)
	if err != nil {
		return report, err
	}
	out, err := k.sender(a, &report, true)
	if err != nil {
		return report, err
	}
	now := k.now()
	err = k.Ledger.Each(ctx, a.ID, "", func(s state.Standing) error {
		if !s.Member && !s.Doubt {
			return nil
		}
		report.Exits++
		return out.add(ctx, destination.Change{Identity: s.Identity, At: later(now, s.At)})
	})
	if err = errors.Join(err, out.flush(ctx)); err != nil || k.DryRun || report.Failed > 0 {
		return report, err
	}
	return report, k.Ledger.Purge(ctx, a, now)
}

// later keeps a change from being superseded by an event whose time lies ahead of the clock: who asks for it wants it.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (k *Keeper) now() time.Time {
	if k.Now != nil {
		return k.Now().UTC()
	}
	return time.Now().UTC()
}

func (k *Keeper) begin(ctx context.Context, a destination.Audience) (Report, error) {
	size, _, err := k.Ledger.Audience(ctx, a.ID)
	if a.Name == "" {
		a.Name = size.Name
	}
	return Report{Audience: a.ID, Name: a.Name, Members: size.Members, DryRun: k.DryRun}, err
}

// identity is that of a row.
func (k *Keeper) identity(rows *Rows) (identity string, ok bool) {
	if identity = rows.Value(Identity); identity == "" {
		return k.Audiences.Identity(rows.Value)
	}
	_, err := k.Audiences.Payload(destination.Audience{}, destination.Change{Identity: identity})
	return identity, err == nil
}

// unusable says why a row names no user.
func (k *Keeper) unusable(rows *Rows) string {
	var present []string
	for _, name := range append([]string{Identity}, k.Audiences.Identifiers...) {
		if rows.Value(name) != "" {
			present = append(present, name)
		}
	}
	if len(present) == 0 {
		return "the row names no user: " + strings.Join(k.Audiences.Identifiers, ", ") + " are all empty"
	}
	return "the row names no user: its " + strings.Join(present, " and ") + " cannot be used as an identifier"
}

// read puts the users of a file into a scratch.
func (k *Keeper) read(ctx context.Context, rows *Rows, report *Report) (*state.Scratch, error) {
	scratch, err := state.NewScratch(ctx)
	if err != nil {
		return nil, err
	}
	batch := make([]string, 0, batchSize)
	add := func() error {
		added, err := scratch.Add(ctx, batch)
		report.Duplicates += len(batch) - added
		batch = batch[:0]
		return err
	}
	for err == nil {
		if err = rows.Next(); err != nil {
			break
		}
		report.Rows++
		identity, ok := k.identity(rows)
		if !ok {
			report.Unusable++
			if k.Failed != nil {
				k.Failed(Failure{Identity: fmt.Sprintf("line %d", rows.Line()), Outcome: runtime.Refused, Reason: k.unusable(rows)})
			}
			continue
		}
		if batch = append(batch, identity); len(batch) == batchSize {
			err = add()
		}
	}
	if errors.Is(err, io.EOF) {
		err = add()
	}
	if err != nil {
		_ = scratch.Close()
		return nil, fmt.Errorf("reading the users: %w", err)
	}
	return scratch, nil
}
