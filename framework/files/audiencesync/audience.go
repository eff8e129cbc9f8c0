// Package audience brings audiences to destinations without events: from a file, or from the ledger. What it sends goes the
// way of an event's payload: the action's schema, its handler, the ledger, and retries in place.
//
// Files and ledgers of any size are read piece by piece. A Keeper is used by one goroutine at a time.
package audiencesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/state"
)

// Keeper works on the audiences of one instance.
type Keeper struct {
	Plan      *runtime.Plan
	Audiences *destination.Audiences
	Ledger    *state.Ledger
	DryRun    bool             // count and send nothing
	RemoveAll bool             // a mirror removes users also if rows of its file cannot be read
	Progress  func(done int)   // told after each batch; may be nil
	Failed    func(Failure)    // told of each change that was not delivered; may be nil
	Now       func() time.Time // time.Now by default
	Retry     stream.Retry
}

// Failure is a change that was not delivered, or a row of a file that cannot be read.
type Failure struct {
	Line     int             `json:"line,omitempty"` // of the file, if it is a row
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
	Unusable   int    `json:"unusable"`   // rows that cannot be read or name nobody
	Members    int    `json:"members"`    // before
	Enters     int    `json:"enters"`     // to be sent
	Exits      int    `json:"exits"`
	Unchanged  int    `json:"unchanged"`
	Delivered  int    `json:"delivered"`
	Skipped    int    `json:"skipped"`
	Refused    int    `json:"refused"`
	Failed     int    `json:"failed"` // tried to the end, though trying later may help
	DryRun     bool   `json:"dryRun"`

	Held     int      `json:"held,omitempty"`     // exits that were not sent, since rows of the file cannot be read
	Warnings []string `json:"warnings,omitempty"` // about the file
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

// Unreadable says that a mirror removed no users, since its file has rows that cannot be read: a user who seems to be missing may
// be in one of them.
type Unreadable struct{ Rows, Held int }

func (e *Unreadable) Error() string {
	return fmt.Sprintf("%s of the file cannot be read, so %s not in the rest of it %s not removed: correct the file, or give --yes to remove them",
		count(e.Rows, "row"), count(e.Held, "member"), pluralOf(e.Held, "was", "were"))
}

// NoUsers says that no row of a file names a user. Nothing is sent for such a file.
type NoUsers struct {
	Rows  int
	First *RowError
}

func (e *NoUsers) Error() string {
	return fmt.Sprintf("no user can be read from the file, so nothing was done: %v", e.First)
}

// Unwrap returns the error of the first row.
func (e *NoUsers) Unwrap() error { return e.First }

// Sync makes an audience what a file says. share is the largest part of the members that it may remove; 1 allows all. If rows of
// the file cannot be read, a mirror sends entries only, and the error is an *Unreadable unless k.RemoveAll is set.
func (k *Keeper) Sync(ctx context.Context, a destination.Audience, rows *Rows, mode Mode, share float64) (Report, error) {
	now := k.now() // reading a large file takes long, and events that arrive meanwhile are newer
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
	var held error
	if mode == Mirror && report.Unusable > 0 && report.Exits > 0 && !k.RemoveAll {
		held = &Unreadable{report.Unusable, report.Exits}
		report.Held, report.Exits = report.Exits, 0
	}
	if k.DryRun || report.Enters+report.Exits == 0 {
		return report, held
	}
	out, err := k.sender(a, &report, false)
	if err != nil {
		return report, err
	}
	err = k.Ledger.Compare(ctx, a.ID, listed, func(identity string, in bool, s state.Standing) error {
		if member, send := mode.decide(in, s); send && (member || held == nil) {
			return out.add(ctx, destination.Change{Identity: identity, Member: member, At: later(now, s.At)})
		}
		return nil
	})
	if err = errors.Join(err, out.flush(ctx)); err != nil {
		return report, err
	}
	return report, held
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
	now := k.now()
	report, err := k.begin(ctx, a)
	if err != nil {
		return report, err
	}
	out, err := k.sender(a, &report, true)
	if err != nil {
		return report, err
	}
	send := func(identity string, s state.Standing) error {
		if s.Member {
			report.Enters++
		} else {
			report.Exits++
		}
		return out.add(ctx, destination.Change{Identity: identity, Member: s.Member, At: later(now, s.At)})
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
	now := k.now()
	report, err := k.begin(ctx, a)
	if err != nil {
		return report, err
	}
	out, err := k.sender(a, &report, true)
	if err != nil {
		return report, err
	}
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
