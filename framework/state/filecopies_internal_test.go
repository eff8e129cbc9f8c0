package state

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// A file in a copy has as many parts as it needs, and comes out of it byte by byte.
func TestLargeFilesAreCopiedInParts(t *testing.T) {
	from, s := t.TempDir(), fileStore(t, t.TempDir())
	_, err := s.db.ExecContext(t.Context(), createPackedFiles)
	require.NoError(t, err)
	want := map[string]string{}
	for name, size := range map[string]int{"a.members": 1, "b.members": packedPart, "c.members": 2*packedPart + 1, "d.members": packedPart - 1} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		want[name] = string(data)
		path := filepath.Join(from, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		require.NoError(t, packFile(t.Context(), s.db, path, name))
	}
	assert.Equal(t, 1+1+3+1, rowsOf(t, s, "packed_files"))
	require.NoError(t, s.inTransaction(t.Context(), func(tx *sql.Tx) error { return s.unpackMemberFiles(t.Context(), tx) }))
	got := map[string]string{}
	for _, name := range filesIn(t, filepath.Dir(s.dir().path)) {
		data, err := os.ReadFile(s.dir().file(name))
		require.NoError(t, err)
		got[name] = string(data)
		info, err := os.Stat(s.dir().file(name))
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), "only this user reads it")
	}
	assert.True(t, len(want) == len(got))
	for name, data := range want {
		assert.True(t, data == got[name], name)
	}
	require.NoError(t, s.inTransaction(t.Context(), func(tx *sql.Tx) error { return s.unpackMemberFiles(t.Context(), tx) }), "the table is gone")
}

// A copy of a ledger whose file is missing is refused at once, and leaves nothing behind: the file is not one that another process has replaced.
func TestCopiesOfALedgerThatLacksAFile(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	record(t, s, "vip", 1, users(10)...)
	settleAll(t, s, "vip")
	require.NoError(t, os.Remove(s.dir().file(filesIn(t, dir)[0])))
	copied := filepath.Join(t.TempDir(), "copy")
	err := s.Backup(t.Context(), copied)
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "one of the ledger's member files is missing or damaged: restore the ledger from a backup")
	assert.NoFileExists(t, copied)
}

// Changes by other processes end a rewrite of files after some attempts. An audience that does not exist, or has no files, is not rewritten.
func TestRewritesOfFilesEnd(t *testing.T) {
	s := fileStore(t, t.TempDir())
	record(t, s, "vip", 1, users(10)...)
	settleAll(t, s, "vip")
	var id int64
	require.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT id FROM audiences`).Scan(&id))
	attempts := 0
	change := func(before func()) func() changeRow {
		return func() changeRow {
			attempts++
			before()
			return func(e *memberRow) bool { return e.identity != "u00003" }
		}
	}
	ok, err := s.rewriteFiles(t.Context(), id, true, change(func() {
		_, err := s.db.ExecContext(t.Context(), `UPDATE audiences SET merged = merged + 1 WHERE id = $1`, id)
		require.NoError(t, err)
	}))
	assert.Equal(t, errBusy, err)
	assert.False(t, ok)
	assert.Equal(t, maxAttempts, attempts)
	ok, err = s.rewriteFiles(t.Context(), id+1, true, change(func() {}))
	assert.NoError(t, err)
	assert.False(t, ok)
	assert.Equal(t, maxAttempts, attempts)
	ok, err = s.rewriteFiles(t.Context(), id, true, change(func() {}))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, maxAttempts+1, attempts)
	s.recentOf("main", "vip").forget()
	text := contents(t, s, "vip")
	assert.Equal(t, 9, strings.Count(text, "\n"))
	assert.NotContains(t, text, "u00003")
}

// After a failure the flushes of an audience pause for a time, and those of other audiences do not.
func TestFailedFlushesPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flusher{}
		end := func(key recentKey, err error) {
			f.running, f.cancel = make(chan struct{}), func() {}
			running := f.current()
			f.finish(key, err)
			<-running
			assert.Nil(t, f.current())
		}
		full, one, other := errors.New("full"), recentKey{"main", "one"}, recentKey{"main", "other"}
		end(one, full)
		assert.Equal(t, map[recentKey]bool{one: true}, f.failing())
		assert.Equal(t, full, f.failureLocked(one))
		assert.NoError(t, f.failureLocked(other))
		time.Sleep(retryFlush)
		assert.Equal(t, map[recentKey]bool{one: false}, f.failing())
		assert.NoError(t, f.failureLocked(one))
		end(one, full)
		end(other, full)
		end(one, nil)
		assert.Equal(t, map[recentKey]bool{other: true}, f.failing())
		f.close()
		_, err := (&Store{flusher: flusher{closed: true}}).startFlush(one)
		assert.Equal(t, errClosed, err)
	})
}

// The keys of identities in a file are in their order, and none is empty.
func TestKeysInFiles(t *testing.T) {
	last := ""
	for _, identity := range []string{"", "\x00", "\x00\x00", "\x00a", "\x01", "a", "a\x00", "b"} {
		key := fileKey(identity)
		assert.Greater(t, key, last, "%q", identity)
		assert.Equal(t, identity, identityOf(key))
		last = key
	}
}

// Each error of a file says what to do about it.
func TestErrorsOfMemberFilesSayWhatToDo(t *testing.T) {
	for want, cause := range map[string]error{
		"restore the ledger from a backup": fs.ErrNotExist, "free disk space": syscall.ENOSPC, "make the server's user the owner": fs.ErrPermission, "": errors.New("other"),
	} {
		err := memberFileError(&fs.PathError{Op: "open", Path: "x.members", Err: cause})
		assert.ErrorIs(t, err, cause)
		assert.ErrorContains(t, err, want)
		if want == "" {
			assert.NotContains(t, err.Error(), "restore")
		}
	}
	assert.ErrorContains(t, memberFileError(sortedfile.ErrDamaged), "restore the ledger from a backup")
	assert.NoError(t, memberFileError(nil))
	assert.Equal(t, "x.members", missingFile(errors.Join(&fs.PathError{Op: "open", Path: "x.members", Err: fs.ErrNotExist})))
	assert.Empty(t, missingFile(&fs.PathError{Op: "open", Path: "x.members", Err: fs.ErrPermission}))
	assert.Empty(t, missingFile(fs.ErrNotExist))
}
