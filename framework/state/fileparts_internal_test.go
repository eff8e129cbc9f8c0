package state

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// The space of replaced files is used again: a PostgreSQL database does not grow while the same users change again and again.
func TestSpaceOfReplacedFilesIsUsedAgain(t *testing.T) {
	s := fileStore(t, statetest.Postgres(t))
	s.limits.reuse = 2000
	for n := range 40 {
		record(t, s, "vip", n, users(1000)...)
		settleAll(t, s, "vip")
	}
	require.Equal(t, 1, rowsOf(t, s, "member_files"))
	var live, size int64
	require.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT SUM(LENGTH(data)), pg_total_relation_size('member_parts') FROM member_parts`).Scan(&live, &size))
	assert.Less(t, size, 8*live)
	s.flusher.wait()
	assert.LessOrEqual(t, s.flusher.replaced, int64(2000))
}
