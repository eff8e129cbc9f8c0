package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// A merge in portions does not save rows in the tables once the audience is in files, where they would not count.
func TestPortionsDoNotReplaceFiles(t *testing.T) {
	s := fileStore(t, t.TempDir())
	key := recentKey{"main", "vip"}
	record(t, s, "vip", 1, users(5)...)
	settleAll(t, s, "vip")
	record(t, s, "vip", 2, "late")
	m, err := s.startMerge(t.Context(), key)
	require.NoError(t, err)
	require.NotNil(t, m)
	more, err := s.mergePortion(t.Context(), m, 100)
	require.NoError(t, err)
	assert.False(t, more)
	for range 2 {
		records, err := s.Ledger("main").Lookup(t.Context(), "vip", []string{"late", "u00001"})
		require.NoError(t, err)
		assert.True(t, records[0].Member && records[1].Member)
		s.recent = map[recentKey]*recentRows{}
	}
	assert.Zero(t, rowsOf(t, s, "members"))
	assert.Equal(t, 1, rowsOf(t, s, "unmerged"))
}

// An audience that grows while it is merged in portions goes to a file afterwards.
func TestPortionsEndBeforeAFlush(t *testing.T) {
	s := unmergedStore(t, t.TempDir(), 1000)
	record(t, s, "vip", 1, users(60)...)
	record(t, s, "vip", 2, "begins to merge")
	require.NotNil(t, s.merger.current)
	s.limits.flush = 0
	for n := range 100 {
		record(t, s, "vip", 3+n, users(10)...)
		require.Less(t, s.unmergedTotal.Load(), int64(5000), n)
	}
	s.flusher.wait()
	assert.Nil(t, s.merger.current)
	assert.NotZero(t, rowsOf(t, s, "member_files"))
	assert.Equal(t, 61, strings.Count(contents(t, s, "vip"), "\n"))
}

// The history of an identity has each row once when the audience moves to a file in the middle of a merge in portions, and back.
func TestHistoryOfPortionsIsKept(t *testing.T) {
	for name, location := range map[string]string{"sqlite": t.TempDir(), "postgres": statetest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			s := unmergedStore(t, location, 1<<20)
			for n := range 10 {
				if n == 8 {
					require.NoError(t, s.mergeAllWrites(t.Context()))
				}
				record(t, s, "vip", 2*n, "u1", "u2")
				leave(t, s, "vip", 2*n+1, "u1")
			}
			want := historyOf(t, s)
			m, err := s.startMerge(t.Context(), recentKey{"main", "vip"})
			require.NoError(t, err)
			more, err := s.mergePortion(t.Context(), m, 1)
			require.NoError(t, err)
			require.True(t, more)
			s.limits.flush = 0
			settleAll(t, s, "vip")
			require.Equal(t, 1, rowsOf(t, s, "member_files"))
			assert.Equal(t, want, historyOf(t, s))
			require.NoError(t, s.Downgrade(t.Context()))
			assert.Equal(t, want, historyOf(t, s))
			assert.Equal(t, 2*MaxHistory, rowsOf(t, s, "history"))
		})
	}
}

// historyOf describes u1 and u2 with their history.
func historyOf(t *testing.T, s *Store) (text string) {
	t.Helper()
	for _, name := range []string{"u1", "u2"} {
		m, history, ok, err := s.Ledger("main").Find(t.Context(), "vip", name)
		require.NoError(t, err)
		text += fmt.Sprintf("%v %+v %+v\n", ok, m, history)
	}
	return text
}

// A process that is flushing the writes that another one has changed meanwhile does not return the rows as they were.
func TestChangedRowsAreReadDuringAFlush(t *testing.T) {
	dir := t.TempDir()
	s, other := fileStore(t, dir), fileStore(t, dir)
	record(t, s, "vip", 1, users(5)...)
	settleAll(t, s, "vip")
	record(t, s, "vip", 2, "late")
	require.NotNil(t, s.recentOf("main", "vip").beginMerge())
	require.NoError(t, other.MarkAllUncertain(t.Context()))
	records, err := s.Ledger("main").Lookup(t.Context(), "vip", []string{"late", "u00001"})
	require.NoError(t, err)
	assert.True(t, records[0].Uncertain && records[1].Uncertain)
	record(t, s, "vip", 3, "late")
	records, err = other.Ledger("main").Lookup(t.Context(), "vip", []string{"late", "u00001"})
	require.NoError(t, err)
	assert.True(t, !records[0].Uncertain && records[1].Uncertain)
}

// A process that flushes the writes up to the same one as another process, which erases a user meanwhile, does not return the user.
func TestErasedRowsAreForgottenDuringAFlush(t *testing.T) {
	dir := t.TempDir()
	s, other := fileStore(t, dir), fileStore(t, dir)
	record(t, s, "vip", 1, users(5)...)
	settleAll(t, s, "vip")
	leave(t, s, "vip", 2, "gone")
	require.NotNil(t, s.recentOf("main", "vip").beginMerge())
	audiences, err := s.allAudiences(t.Context())
	require.NoError(t, err)
	written := false
	changed, err := other.rewriteFiles(t.Context(), audiences[0].row, false, func() changeRow {
		return func(e *memberRow) bool {
			if !written {
				record(t, other, "vip", 3, "later")
				written = true
			}
			return e.identity != "gone"
		}
	})
	require.NoError(t, err)
	require.True(t, changed)
	records, err := s.Ledger("main").Lookup(t.Context(), "vip", []string{"gone", "later", "u00001"})
	require.NoError(t, err)
	assert.Equal(t, []bool{false, true, true}, []bool{records[0].Known, records[1].Known, records[2].Known})
}

// What is written while the files of an audience are rewritten is kept.
func TestWritesDuringARewriteAreKept(t *testing.T) {
	for name, pending := range map[string]bool{"with unmerged writes": true, "without": false} {
		for _, alone := range []bool{false, true} {
			s := fileStore(t, t.TempDir())
			record(t, s, "vip", 1, users(10)...)
			settleAll(t, s, "vip")
			if pending {
				record(t, s, "vip", 2, "u00001")
			}
			audiences, err := s.allAudiences(t.Context())
			require.NoError(t, err)
			attempts := 0
			_, err = s.rewriteFiles(t.Context(), audiences[0].row, alone, func() changeRow {
				attempts++
				written := attempts > 1
				return func(e *memberRow) bool {
					if !written {
						record(t, s, "vip", 3, "late")
						written = true
					}
					e.doubt = true
					return e.identity != "u00002"
				}
			})
			require.NoError(t, err)
			s.recent = map[recentKey]*recentRows{}
			records, err := s.Ledger("main").Lookup(t.Context(), "vip", []string{"u00001", "u00002", "late"})
			require.NoError(t, err)
			assert.True(t, records[0].Uncertain, name)
			assert.False(t, records[1].Known, name)
			assert.True(t, records[2].Member, name)
			assert.Equal(t, alone || !pending, records[2].Uncertain, name) // it is in the file that was written again
		}
	}
}

// Rows that another process moves back to the tables are not deleted as rows that a file replaces.
func TestRowsMovedBackAreNotDeleted(t *testing.T) {
	s := fileStore(t, statetest.Postgres(t))
	record(t, s, "vip", 1, users(20)...)
	settleAll(t, s, "vip")
	audiences, err := s.allAudiences(t.Context())
	require.NoError(t, err)
	id := audiences[0].row
	for _, statement := range []string{ // left by an interrupted move to the file
		`INSERT INTO members (audience, identity, member, doubt, turns) VALUES ($1, 'u00009', 1, 0, 1)`,
		`INSERT INTO history (audience, identity, slot, decided, at, member, outcome, reason) VALUES ($1, 'u00009', 0, 1, 1, 1, 'delivered', '')`,
	} {
		_, err = s.db.ExecContext(t.Context(), statement, id)
		require.NoError(t, err)
	}
	deleted := make(chan error, 1)
	require.NoError(t, s.inTransaction(t.Context(), func(tx *sql.Tx) error {
		if err := s.mergeForUpdate(t.Context(), tx, []int64{id}); err != nil {
			return err
		}
		go func() { deleted <- s.deleteTableRows(context.WithoutCancel(t.Context()), id) }()
		waitForLock(t, s)
		return nil
	}))
	require.NoError(t, <-deleted)
	assert.Equal(t, 20, rowsOf(t, s, "members"))
	assert.Equal(t, 20, strings.Count(contents(t, s, "vip"), "\n"))
}

// An erasure also deletes rows that an interrupted move to a file has left in the tables.
func TestErasureDeletesRowsThatDoNotCount(t *testing.T) {
	s := fileStore(t, t.TempDir())
	record(t, s, "vip", 1, users(3)...)
	settleAll(t, s, "vip")
	_, err := s.db.ExecContext(t.Context(), `INSERT INTO members (audience, identity, member, doubt, turns) SELECT id, 'erase-me', 0, 0, 0 FROM audiences`)
	require.NoError(t, err)
	require.NoError(t, s.EraseMembers(t.Context(), func(identity string) bool { return identity == "erase-me" }, func(ErasedMember) {}))
	assert.Zero(t, rowsOf(t, s, "members"))
}

// A process closes the files that another one has replaced, so that they take no space.
func TestReplacedFilesAreClosed(t *testing.T) {
	dir := t.TempDir()
	s, other := fileStore(t, dir), fileStore(t, dir)
	for n := range 20 {
		record(t, s, "vip", n, "u1")
		settleAll(t, s, "vip")
		records, err := other.Ledger("main").Lookup(t.Context(), "vip", []string{"u1", fmt.Sprint(n)})
		require.NoError(t, err)
		require.True(t, records[0].Member)
		require.LessOrEqual(t, len(other.files.open), rowsOf(t, s, "member_files"))
	}
}

// An audience whose file is damaged does not prevent that the writes of others go to files.
func TestOtherAudiencesOutliveADamagedFile(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	s.limits.unmerged, s.limits.unmergedTotal = 2000, 3000
	record(t, s, "damaged", 1, users(10)...)
	settleAll(t, s, "damaged")
	path := s.dir().file(filesIn(t, dir)[0])
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[10] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	s.recent = map[recentKey]*recentRows{}
	for n := 0; s.recentOf("main", "damaged").unmergedSize() < 2000; n++ {
		a := destination.Audience{ID: "damaged"} // 2000 bytes of its own are not too much
		require.NoError(t, s.Ledger("main").Purge(t.Context(), a, second(n)))
		require.NoError(t, s.Ledger("main").Record(t.Context(), a, []destination.Change{{Identity: fmt.Sprintf("v%d", n), Member: true, At: second(n)}}))
	}
	for n := range 300 {
		record(t, s, fmt.Sprintf("aud_%d", n%30), n, users(10)...)
	}
	assert.Less(t, s.unmergedTotal.Load(), int64(2*3000+1000))
}

// Concurrent writers of many small audiences whose members are in files wait while there are far too many unmerged writes.
func TestWritesOfManyFilesAreBounded(t *testing.T) {
	s := fileStore(t, t.TempDir())
	s.limits.unmerged, s.limits.unmergedTotal = math.MaxInt64/4, 4000
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for n := range 40 {
				a := destination.Audience{ID: fmt.Sprintf("aud_%d_%d", w, n%5)}
				var changes []destination.Change
				for _, user := range users(20) {
					changes = append(changes, destination.Change{Identity: user, Member: n%2 == 0, At: second(n)})
				}
				if !assert.NoError(t, s.Ledger("main").Record(t.Context(), a, changes)) {
					return
				}
				assert.Less(t, s.unmergedTotal.Load(), int64(2*4000+8*1000))
			}
		})
	}
	writers.Wait()
	s.flusher.wait()
}

// Close ends a flush early, whose writes stay unmerged, and no flush starts afterwards.
func TestCloseEndsAFlush(t *testing.T) {
	s := fileStore(t, t.TempDir())
	s.limits.unmerged = 10
	s.flusher.writing.Lock()
	record(t, s, "vip", 1, "u1")
	running, err := s.startFlush(recentKey{"main", "vip"})
	require.NoError(t, err)
	closed := make(chan struct{})
	go func() {
		s.flusher.close()
		close(closed)
	}()
	require.Eventually(t, func() bool {
		s.flusher.mu.Lock()
		defer s.flusher.mu.Unlock()
		return s.flusher.closed
	}, time.Minute, time.Millisecond)
	s.flusher.writing.Unlock()
	<-running
	<-closed
	assert.Equal(t, 1, rowsOf(t, s, "unmerged"))
	assert.Zero(t, rowsOf(t, s, "member_files"))
	_, err = s.startFlush(recentKey{"main", "other"})
	require.ErrorIs(t, err, errClosed)
}

// A version that cannot be read stays the known one: otherwise the rows in memory are not used, and a merge that has failed is not taken back.
func TestVersionsAreKeptWhileTheDatabaseFails(t *testing.T) {
	s := fileStore(t, statetest.Postgres(t))
	_, err := s.db.ExecContext(t.Context(), `DELETE FROM migrations WHERE version = $1`, filesVersion)
	require.NoError(t, err)
	s.version.Store(unmergedVersion)
	record(t, s, "vip", 1, "u1")
	key := recentKey{"main", "vip"}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.flushes(canceled, key)
	require.ErrorIs(t, err, context.Canceled)
	require.NotNil(t, s.recentOf("main", "vip").beginMerge(), "the rows are still in memory")
	assert.EqualValues(t, unmergedVersion, s.version.Load())
}

// A rename locks the audiences in the order in which others do, so that none of two waits for the other.
func TestRenamesLockInOrder(t *testing.T) {
	s := fileStore(t, statetest.Postgres(t))
	for _, instance := range []string{"other", "main"} { // the second one has the higher id
		require.NoError(t, s.Ledger(instance).Record(t.Context(), vipAudience, []destination.Change{{Identity: instance, Member: true, At: second(1)}}))
	}
	audiences, err := s.allAudiences(t.Context())
	require.NoError(t, err)
	renamed := make(chan error, 1)
	require.NoError(t, s.inTransaction(t.Context(), func(tx *sql.Tx) error {
		for i, a := range audiences {
			if _, err := tx.ExecContext(t.Context(), lockByID, a.row); err != nil {
				return err
			}
			if i == 0 {
				go func() { renamed <- s.Ledger("main").Rename(context.WithoutCancel(t.Context()), "other") }()
				waitForLock(t, s)
			}
		}
		return nil
	}))
	require.NoError(t, <-renamed)
	size, _, err := s.Ledger("other").Audience(t.Context(), vipAudience.ID)
	require.NoError(t, err)
	assert.Equal(t, 2, size.Members)
}

// waitForLock waits until a statement waits for a lock.
func waitForLock(t *testing.T, s *Store) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waits bool
		err := s.db.QueryRowContext(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted
			AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database()))`).Scan(&waits)
		return err == nil && waits
	}, time.Minute, 20*time.Millisecond)
}

// A start does not wait for a file that another process is writing, and lookups do not wait for the start.
func TestStartsDoNotWaitForFiles(t *testing.T) {
	location := statetest.Postgres(t)
	s := fileStore(t, location)
	require.NoError(t, s.inTransaction(t.Context(), func(tx *sql.Tx) error {
		parts, _ := newPartsWriter(t.Context(), tx)
		if err := errors.Join(parts.add([]byte("block")), parts.flush()); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		other, err := Open(ctx, location)
		if err != nil {
			return err
		}
		return other.Close()
	}))
}
