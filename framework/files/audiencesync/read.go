package audiencesync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/state"
)

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

// read puts the users of a file into a scratch set, and reports the rows that it cannot read. The error is a *NoUsers if that is
// all of them.
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
	var first *RowError
	for err == nil {
		identity, readErr := k.readIdentity(rows)
		var bad *RowError
		if readErr != nil && !errors.As(readErr, &bad) {
			err = readErr
			break
		}
		report.Rows++
		if bad != nil {
			report.Unusable++
			if first == nil {
				first = bad
			}
			if k.Failed != nil {
				k.Failed(Failure{Line: bad.Line, Identity: fmt.Sprintf("line %d", bad.Line), Outcome: runtime.Refused, Reason: bad.Reason})
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
	report.Warnings = rows.Warnings()
	if err == nil && report.Rows > 0 && report.Unusable == report.Rows {
		_ = scratch.Close()
		return nil, &NoUsers{report.Rows, first}
	}
	if err != nil {
		_ = scratch.Close()
		return nil, fmt.Errorf("reading the users: %w", err)
	}
	return scratch, nil
}

// readIdentity returns the identity of the next row.
func (k *Keeper) readIdentity(rows *Rows) (string, error) {
	if err := rows.Next(); err != nil {
		return "", err
	}
	identity, ok := k.identity(rows)
	if !ok {
		return "", &RowError{rows.Line(), k.unusable(rows)}
	}
	if named, ok := k.Audiences.Identity(rows.Value); ok && named != identity {
		return "", rowErrorf(rows.Line(), "the row contradicts itself: its %s is another user than its %s", Identity, strings.Join(k.Audiences.Identifiers, ", "))
	}
	return identity, nil
}
