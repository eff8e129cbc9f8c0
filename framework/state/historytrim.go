package state

import (
	"context"
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
	audiences, err := listColumn[int64](ctx, s.db, `SELECT id FROM audiences ORDER BY id`)
	for _, audience := range audiences {
		if err != nil {
			break
		}
		var n int64
		n, err = s.trimAudience(ctx, audience, before.UnixMicro())
		deleted += n
	}
	if err != nil {
		return deleted, fault.StateUnavailable("trimming the history of the ledgers", err)
	}
	return deleted, nil
}

// trimAudience is TrimHistory for an audience, whose unmerged writes are merged first.
func (s *Store) trimAudience(ctx context.Context, audience, before int64) (deleted int64, err error) {
	toFile, err := s.mergesToFile(ctx, s.db, audience)
	if err == nil && toFile {
		_, err = s.mergeToFile(ctx, audience)
	}
	inFiles := false
	if err == nil {
		inFiles, err = hasMemberFiles(ctx, s.db, audience)
	}
	switch {
	case err != nil:
		return 0, err
	case inFiles:
		return s.trimFiles(ctx, audience, before)
	}
	return execCount(ctx, s.db, `DELETE FROM history WHERE audience = $1 AND decided < $2`, audience, before)
}

// trimFiles is trimAudience for an audience whose rows are in files. It rewrites them if one of them has history that is too old.
func (s *Store) trimFiles(ctx context.Context, audience, before int64) (deleted int64, err error) {
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
