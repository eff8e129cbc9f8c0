package audiencesync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/state"
)

// rowIdentity returns the ledger identity of the current row; ok is false if the row has no usable identifier.
func (s *Syncer) rowIdentity(rows *Rows) (identity string, ok bool) {
	if identity = rows.Value(Identity); identity == "" {
		return s.Audiences.Identity(rows.Value)
	}
	_, err := s.Audiences.Payload(destination.Audience{}, destination.Change{Identity: identity})
	return identity, err == nil
}

// unusableReason says why the current row has no usable identifier.
func (s *Syncer) unusableReason(rows *Rows) string {
	var present []string
	for _, name := range append([]string{Identity}, s.Audiences.Identifiers...) {
		if rows.Value(name) != "" {
			present = append(present, name)
		}
	}
	if len(present) == 0 {
		return "the row identifies no user: " + strings.Join(s.Audiences.Identifiers, ", ") + " are all empty"
	}
	return "the row identifies no user: its " + strings.Join(present, " and ") + " cannot be used as an identifier"
}

// readUsers stores the users of a file in a scratch set and reports unreadable rows. If refuse is set, it leaves out suppressed users. The
// error is a *NoUsersError if all rows are unreadable, unless they are a part of the result.
func (s *Syncer) readUsers(ctx context.Context, rows *Rows, report *Report, refuse bool) (*state.Scratch, error) {
	noted, err := s.newNoter(rows, report)
	if err != nil {
		return nil, err
	}
	scratch, err := state.NewScratch(ctx)
	if err != nil {
		return nil, err
	}
	r := userReader{syncer: s, rows: rows, report: report, refuse: refuse, noted: noted, scratch: scratch, batch: make([]string, 0, batchSize)}
	for err == nil {
		err = r.readRow(ctx)
	}
	if errors.Is(err, io.EOF) {
		err = r.addBatch(ctx)
	}
	report.Warnings = rows.Warnings()
	if err == nil && !s.Partial && report.Rows > 0 && report.Unusable == report.Rows {
		_ = scratch.Close()
		return nil, &NoUsersError{report.Rows, r.first, rows.words.other()}
	}
	if err != nil {
		_ = scratch.Close()
		return nil, fmt.Errorf("reading the users: %w", err)
	}
	return scratch, nil
}

// userReader stores the users of rows in a scratch set.
type userReader struct {
	syncer  *Syncer
	rows    *Rows
	report  *Report
	refuse  bool // leave out suppressed users
	noted   func(identity string) (note string, err error)
	scratch *state.Scratch
	batch   []string  // users without notes who are not in the set yet
	first   *RowError // of the first unreadable row
}

// readRow reads and stores the next user. An unreadable row is no error.
func (r *userReader) readRow(ctx context.Context) error {
	identity, err := r.syncer.readIdentity(r.rows)
	note := ""
	if err == nil {
		note, err = r.noted(identity)
	}
	var bad *RowError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	r.report.Rows++
	switch {
	case bad != nil:
		r.reportUnreadable(bad)
		return nil
	case r.refuse && r.syncer.isSuppressed(r.rows, identity):
		r.report.Suppressed++
		return nil
	case note != "":
		return r.scratch.AddNoted(ctx, identity, note)
	}
	if r.batch = append(r.batch, identity); len(r.batch) < batchSize {
		return nil
	}
	return r.addBatch(ctx)
}

// addBatch stores the users of the batch.
func (r *userReader) addBatch(ctx context.Context) error {
	err := r.scratch.Add(ctx, r.batch)
	r.batch = r.batch[:0]
	return err
}

// reportUnreadable counts and reports an unreadable row.
func (r *userReader) reportUnreadable(bad *RowError) {
	r.report.Unusable++
	if r.first == nil {
		r.first = bad
	}
	if r.syncer.OnFailure != nil {
		r.syncer.OnFailure(Failure{Line: bad.Line, File: bad.File, Identity: bad.Place(), Outcome: runtime.Refused, Reason: bad.Reason})
	}
}

// newNoter returns a function that makes the note of a user who was read. The note is "" unless the rows have properties, or say who leaves.
func (s *Syncer) newNoter(rows *Rows, report *Report) (func(identity string) (string, error), error) {
	if !rows.properties.isUsed() {
		return func(string) (string, error) { return "", nil }, nil
	}
	mapper, err := s.newPropertyMapper(destination.Audience{ID: report.Audience, Name: report.Name})
	if err != nil {
		return nil, err
	}
	return func(identity string) (string, error) {
		properties, leaves, err := rows.readProperties()
		if err != nil {
			return "", err
		}
		mapper.checkRead(rows, identity, properties)
		return encodeNote(report.Rows, leaves, properties), nil
	}, nil
}

// isSuppressed reports whether the user of the current row is suppressed, by any identifier of the row.
func (s *Syncer) isSuppressed(rows *Rows, identity string) bool {
	if s.Suppressed.HasIdentity(identity) {
		return true
	}
	return slices.ContainsFunc(s.Audiences.Identifiers, func(name string) bool { return s.Suppressed.Has(rows.Value(name)) })
}

// readIdentity returns the identity of the next row.
func (s *Syncer) readIdentity(rows *Rows) (string, error) {
	if err := rows.Next(); err != nil {
		return "", err
	}
	identity, ok := s.rowIdentity(rows)
	if !ok {
		return "", rows.rowErrorf("%s", s.unusableReason(rows))
	}
	if named, ok := s.Audiences.Identity(rows.Value); ok && named != identity {
		return "", rows.rowErrorf("the row contradicts itself: its %s is another user than its %s", Identity, strings.Join(s.Audiences.Identifiers, ", "))
	}
	return identity, nil
}
