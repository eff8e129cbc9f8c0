package state

import (
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
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
		n, err = execCount(ctx, s.db, `DELETE FROM history WHERE audience = $1 AND decided < $2`, audience, before.UnixMicro())
		deleted += n
	}
	if err != nil {
		return deleted, fault.StateUnavailable("trimming the history of the ledgers", err)
	}
	return deleted, nil
}
