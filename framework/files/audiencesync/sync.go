// Package audiencesync sends audiences to destinations from a file or from the ledger, without events. Its changes take the same path
// as an event's payload: the action's schema, its handler and the ledger, with retries.
//
// A program makes a [Syncer] with a plan, its ledger and the audiences of its plugin. [NewRows] reads a file of users: CSV with a
// header of identifiers, or one JSON object per line. [Syncer.Sync] makes an audience match it, [Syncer.Resync] sends the recorded
// state again, [Syncer.Purge] empties an audience, and [Syncer.Diff] only compares.
//
// Files and ledgers of any size are processed in batches. A Syncer must not be used by several goroutines at the same time.
package audiencesync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/state"
)

// Syncer synchronizes the audiences of one instance.
type Syncer struct {
	Plan      *runtime.Plan
	Audiences *destination.Audiences
	Ledger    *state.Ledger
	DryRun    bool // count changes, but send nothing
	RemoveAll bool // let a mirror remove users even if rows of its file are unreadable
	Partial   bool // the rows are a part of the result: that none of them is readable does not mean that its columns are wrong
	// Suppressed has the users whose rows and entries are left out; exits are sent. nil if there are none.
	Suppressed *identifier.Set
	OnRemovals func(exits int) error              // called before the first change of a sync that removes members is sent; an error ends it. May be nil
	Guard      func(exits, members int) error     // refuses the removals of a sync in place of its share; may be nil
	OnPlanned  func(identity string, member bool) // called for each change that a sync would send, before the first is sent; may be nil
	OnListed   func(users int)                    // called after each page of users that a remote has listed; may be nil
	OnProgress func(done int)                     // called after each batch with the number of changes sent; may be nil
	OnFailure  func(Failure)                      // called for each change that was not delivered and each unreadable row; may be nil
	Now        func() time.Time                   // time.Now by default
	Retry      stream.Retry
}

// Failure is a change that was not delivered, or an unreadable row of a file.
type Failure struct {
	Line     int             `json:"line,omitempty"` // of the row in the file; 0 for a change
	File     string          `json:"file,omitempty"` // of the row, if there are several
	Identity string          `json:"identity"`
	Member   bool            `json:"member"`
	Outcome  runtime.Outcome `json:"outcome"`
	Reason   string          `json:"reason"`
}

// Report counts the results of one operation on an audience.
type Report struct {
	Audience   string `json:"audience"`
	Name       string `json:"name"`
	Rows       int    `json:"rows"`       // rows in the file
	Duplicates int    `json:"duplicates"` // rows with a user that an earlier row has
	Unusable   int    `json:"unusable"`   // rows that are unreadable or contain no identifier
	Members    int    `json:"members"`    // before the operation
	Enters     int    `json:"enters"`     // entries to send
	Exits      int    `json:"exits"`      // exits to send
	Unchanged  int    `json:"unchanged"`  // users of the list who stay members
	Delivered  int    `json:"delivered"`
	Skipped    int    `json:"skipped"`
	Refused    int    `json:"refused"`
	Failed     int    `json:"failed"` // failed after all retries; a later attempt may succeed
	DryRun     bool   `json:"dryRun"`

	// Suppressed is the number of rows and of entries that were left out, since their users are suppressed.
	Suppressed int `json:"suppressed,omitempty"`

	Held     int      `json:"held,omitempty"`     // exits that were withheld because the file has unreadable rows
	Warnings []string `json:"warnings,omitempty"` // about the file
}

// countChange counts an entry or exit to send.
func (r *Report) countChange(member bool) {
	if member {
		r.Enters++
	} else {
		r.Exits++
	}
}

// Mode says how a file changes an audience.
type Mode string

// The modes.
const (
	Mirror Mode = "mirror" // the audience becomes the file's users; all others leave
	Add    Mode = "add"    // the file's users enter
	Remove Mode = "remove" // the file's users leave
)

// desiredState returns whether a user should be a member, and whether a change must be sent.
func (mode Mode) desiredState(in listing, m state.MemberState) (member, send bool) {
	switch {
	case in == listed && mode != Remove:
		return true, !m.Member || m.Uncertain
	case in != notListed, mode == Mirror:
		return false, m.Member || m.Uncertain
	}
	return m.Member, false
}

// TooManyRemovalsError means that a sync would remove a larger share of the members than allowed. Nothing was sent.
type TooManyRemovalsError struct {
	Exits, Members int
	Share          float64
}

func (e *TooManyRemovalsError) Error() string {
	return fmt.Sprintf("%d of %d members would be removed, more than %g %%: nothing was sent; use --yes to remove them", e.Exits, e.Members, 100*e.Share)
}

// UnreadableRowsError means that a mirror removed no users because its file has unreadable rows: a user who seems to be missing may be
// in one of them.
type UnreadableRowsError struct {
	Rows, Held int
	Source     string // what the rows were read from; the file by default
}

func (e *UnreadableRowsError) Error() string {
	source := cmp.Or(e.Source, "the file")
	return fmt.Sprintf("%s of %s cannot be read, so %s missing from the other rows %s not removed: correct %s, or use --yes to remove them",
		fault.Count(e.Rows, "row"), source, fault.Count(e.Held, "member"), fault.Plural(e.Held, "was", "were"), source)
}

// NoUsersError means that no row of a file contains a user. Nothing was sent.
type NoUsersError struct {
	Rows   int
	First  *RowError
	Source string // what the rows were read from; the file by default
}

func (e *NoUsersError) Error() string {
	return fmt.Sprintf("%s has no readable user, so nothing was sent: %v", cmp.Or(e.Source, "the file"), e.First)
}

// Unwrap returns the error of the first row.
func (e *NoUsersError) Unwrap() error { return e.First }

// Sync changes an audience as the file and the mode say. share is the largest share of the members that it can remove, from 0 to 1.
// If the file has unreadable rows, a mirror sends only entries, and the error is an *UnreadableRowsError unless s.RemoveAll is set.
//
// It decides at the time when it starts, or at which the snapshot of a query was taken, also for users that it leaves unchanged: older events have no effect on the users of the file,
// and in a mirror, on any other user. A newer event that arrives while it runs wins.
func (s *Syncer) Sync(ctx context.Context, a destination.Audience, rows *Rows, mode Mode, share float64) (Report, error) {
	now := s.decisionTime(rows)
	report, err := s.newReport(ctx, a)
	if err == nil {
		err = s.checkShape(ctx, a.ID, rows)
	}
	if err != nil {
		return report, err
	}
	users, err := s.readUsers(ctx, rows, &report, mode != Remove)
	if err != nil {
		return report, err
	}
	defer users.Close()
	plan, err := s.newPlan(ctx)
	if err != nil {
		return report, err
	}
	defer plan.close()
	if err := plan.compare(ctx, a.ID, mode, users, &report); err != nil {
		return report, err
	}
	if err := s.checkRemovals(report.Exits, report.Members, share); err != nil {
		return report, err
	}
	withheld := s.withholdExits(mode, rows, &report)
	if s.DryRun {
		return report, withheld
	}
	if err := s.announce(ctx, a.ID, rows, report.Exits); err != nil {
		return report, err
	}
	out, err := s.newSender(a, &report, now, false)
	if err != nil {
		return report, err
	}
	err = out.sendDecided(ctx, mode, users, plan, withheld == nil)
	return report, cmp.Or(err, withheld)
}

// announce records what a sync is about to send.
func (s *Syncer) announce(ctx context.Context, id string, rows *Rows, exits int) error {
	if err := s.saveShape(ctx, id, rows); err != nil || s.OnRemovals == nil || exits == 0 {
		return err
	}
	return s.OnRemovals(exits)
}

// withholdExits returns an error if a mirror must not remove users, because rows cannot be read, and counts their exits as held.
func (s *Syncer) withholdExits(mode Mode, rows *Rows, report *Report) error {
	if mode != Mirror || report.Unusable == 0 || report.Exits == 0 || s.RemoveAll {
		return nil
	}
	report.Held, report.Exits = report.Exits, 0
	return &UnreadableRowsError{report.Unusable, report.Held, rows.words.other()}
}

// checkRemovals returns an error if a sync would remove more members than allowed.
func (s *Syncer) checkRemovals(exits, members int, share float64) error {
	switch {
	case s.Guard != nil:
		return s.Guard(exits, members)
	case float64(exits) > share*float64(members) && share < 1:
		return &TooManyRemovalsError{exits, members, share}
	}
	return nil
}

// Diff compares a file with the ledger and sends nothing. It calls found with "missing" for each member that the file does not list,
// and with "extra" for each listed user who is not a member.
func (s *Syncer) Diff(ctx context.Context, id string, rows *Rows, found func(kind, identity string) error) (Report, error) {
	report, err := s.newReport(ctx, destination.Audience{ID: id})
	if err != nil {
		return report, err
	}
	err = s.compareRows(ctx, id, rows, &report, func(identity string, in bool, m state.Membership) error {
		switch {
		case in && !m.Member:
			return found("extra", identity)
		case !in && m.Member:
			return found("missing", identity)
		case in:
			report.Unchanged++
		}
		return nil
	})
	return report, err
}

// compareRows compares a file with the ledger, user by user.
func (s *Syncer) compareRows(ctx context.Context, id string, rows *Rows, report *Report, f func(string, bool, state.Membership) error) error {
	users, err := s.readUsers(ctx, rows, report, false)
	if err != nil {
		return err
	}
	defer users.Close()
	err = s.Ledger.Compare(ctx, id, users, f)
	report.Duplicates = users.Duplicates()
	return err
}

// Resync sends the recorded state of an audience again. With rows, it sends only the users whose state differs from the file. Without
// rows, it continues an interrupted resync, unless restart is set. The recorded state of all known users then holds as of the time when it
// starts: older events have no effect on them.
func (s *Syncer) Resync(ctx context.Context, a destination.Audience, rows *Rows, restart bool) (Report, error) {
	now := s.decisionTime(rows)
	report, err := s.newReport(ctx, a)
	if err != nil {
		return report, err
	}
	out, err := s.newSender(a, &report, now, true)
	if err != nil {
		return report, err
	}
	send := func(identity string, m state.Membership) error {
		if m.Member && s.Suppressed.HasIdentity(identity) {
			report.Suppressed++
			return nil
		}
		report.countChange(m.Member)
		return out.addChange(ctx, destination.Change{Identity: identity, Member: m.Member, At: latestOf(now, m.At)}, "")
	}
	if rows == nil {
		err = s.resyncAll(ctx, a.ID, out, restart, send)
		return report, err
	}
	err = s.compareRows(ctx, a.ID, rows, &report, func(identity string, in bool, m state.Membership) error {
		if in == m.Member {
			return out.keepMember(ctx, identity, m.Member, m)
		}
		return send(identity, m)
	})
	return report, errors.Join(err, out.flush(ctx))
}

// resyncAll sends all known identities and records its progress in the ledger.
func (s *Syncer) resyncAll(ctx context.Context, id string, out *sender, restart bool, send func(string, state.Membership) error) error {
	key, after := "resync/"+id, ""
	if !restart {
		var err error
		if after, _, err = s.Ledger.Get(ctx, key); err != nil {
			return err
		}
	}
	out.onBatch = func(last string) error { return s.Ledger.Put(ctx, key, last) }
	err := s.Ledger.Each(ctx, id, after, func(m state.Membership) error {
		if !m.Known {
			return nil
		}
		return send(m.Identity, m)
	})
	err = errors.Join(err, out.flushBatch(ctx))
	if err == nil && !s.DryRun && out.report.Failed == 0 {
		err = s.Ledger.Put(ctx, key, "")
	}
	return err
}

func (s *Syncer) currentTime() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

// decisionTime returns the time as of which rows are valid: that of a query's snapshot, otherwise the present. It is taken before a file is
// read, because events that arrive meanwhile are newer. rows may be nil.
func (s *Syncer) decisionTime(rows *Rows) time.Time {
	if rows != nil && !rows.at.IsZero() {
		return rows.at.UTC()
	}
	return s.currentTime()
}

// newReport returns a report with the audience's name and current size.
func (s *Syncer) newReport(ctx context.Context, a destination.Audience) (Report, error) {
	size, _, err := s.Ledger.Audience(ctx, a.ID)
	if a.Name == "" {
		a.Name = size.Name
	}
	return Report{Audience: a.ID, Name: a.Name, Members: size.Members, DryRun: s.DryRun}, err
}
