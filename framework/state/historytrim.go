package state

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// TrimHistory deletes the rows of the ledgers' history that were decided before a time. The current state of each identity, with its
// last delivery, stays. Each audience has its own transaction, so that others can be written meanwhile.
func (s *Store) TrimHistory(ctx context.Context, before time.Time) (deleted int64, err error) {
	if err := s.mergeAllWrites(ctx); err != nil {
		return 0, err
	}
	audiences, err := listNumbers(ctx, s.db, `SELECT id FROM audiences ORDER BY id`)
	for _, audience := range audiences {
		if err != nil {
			break
		}
		var n int64
		if inFiles, failed := hasMemberFiles(ctx, s.db, audience); inFiles || failed != nil {
			n, err = s.trimFiles(ctx, audience, before.UnixMicro())
			err = errors.Join(failed, err)
		} else {
			n, err = execCount(ctx, s.db, `DELETE FROM history WHERE audience = $1 AND decided < $2`, audience, before.UnixMicro())
		}
		deleted += n
	}
	if err != nil {
		return deleted, fault.StateUnavailable("trimming the history of the ledgers", err)
	}
	return deleted, nil
}

// trimFiles is TrimHistory for an audience whose rows are in files. It writes them anew if one of them has a history that is too old.
func (s *Store) trimFiles(ctx context.Context, audience, before int64) (deleted int64, err error) {
	if _, err := s.mergeToFile(ctx, audience); err != nil {
		return 0, err
	}
	tooOld := func(h historyRow) bool { return h.decided < before }
	found := false
	err = s.withMemberFiles(ctx, s.db, audience, unknownMerge, func(files []*sortedfile.Reader) error {
		return eachVersion(files, "", func(identity string, values []string) error {
			e, err := decodeVersions(identity, values)
			if found = err == nil && slices.ContainsFunc(e.added, tooOld); found {
				return errEnough
			}
			return err
		})
	})
	if err != nil || !found {
		return 0, err
	}
	_, err = s.rewriteFiles(ctx, audience, false, func() changeRow {
		deleted = 0
		return func(e *memberRow) bool {
			all := len(e.added)
			e.added = slices.DeleteFunc(e.added, tooOld)
			deleted += int64(all - len(e.added))
			return true
		}
	})
	return deleted, err
}
