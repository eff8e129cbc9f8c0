package state

import (
	"io"
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

// A file that lacks parts is one that was replaced, for every way to read it. Otherwise the members in these parts would not be known.
func TestFilesThatLackParts(t *testing.T) {
	s := fileStore(t, statetest.Postgres(t))
	tx, err := s.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	w, name := newPartsWriter(t.Context(), tx)
	for _, part := range []string{"aaa", "bbbb", "cc"} {
		require.NoError(t, w.add([]byte(part)))
	}
	require.NoError(t, w.flush())
	f := &partsFile{t.Context(), tx, name}
	readAt := func(offset int64, n int) (string, error) {
		b := make([]byte, n)
		n, err := f.ReadAt(b, offset)
		return string(b[:n]), err
	}
	readBlocks := func(offsets ...int64) (blocks string, err error) {
		err = f.ReadBlocks(offsets, func(block []byte) error { blocks += string(block) + " "; return nil })
		return blocks, err
	}
	size, err := f.Size()
	require.NoError(t, err)
	assert.Equal(t, int64(9), size)
	text, err := readAt(1, 7)
	require.NoError(t, err)
	assert.Equal(t, "aabbbbc", text)
	text, err = readAt(3, 4)
	require.NoError(t, err)
	assert.Equal(t, "bbbb", text)
	text, err = readAt(8, 5)
	assert.ErrorIs(t, err, io.EOF)
	assert.Equal(t, "c", text)
	blocks, err := readBlocks(0, 7)
	require.NoError(t, err)
	assert.Equal(t, "aaa cc ", blocks)

	_, err = tx.ExecContext(t.Context(), `DELETE FROM member_parts WHERE file = $1 AND start = 3`, f.id())
	require.NoError(t, err)
	for _, read := range []func() (string, error){
		func() (string, error) { return readBlocks(3) },
		func() (string, error) { return readBlocks(0, 3, 7) },
		func() (string, error) { return readAt(0, 9) },
		func() (string, error) { return readAt(4, 2) },
	} {
		_, err := read()
		assert.Equal(t, name, missingFile(err))
	}
	require.NoError(t, deleteParts(t.Context(), tx, []memberFile{{name: name}}))
	_, err = f.Size()
	assert.Equal(t, name, missingFile(err))
	_, err = readAt(0, 1)
	assert.Equal(t, name, missingFile(err))
}
