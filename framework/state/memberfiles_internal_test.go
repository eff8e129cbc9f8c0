package state

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// fileStore opens a store that keeps the members of every audience in files, once they are merged.
func fileStore(t *testing.T, dir string) *Store {
	t.Helper()
	s := unmergedStore(t, dir, 1<<20)
	s.limits.flush = 0
	return s
}

// record records that users entered an audience at a second.
func record(t *testing.T, s *Store, audience string, at int, users ...string) {
	t.Helper()
	var changes []destination.Change
	for _, user := range users {
		changes = append(changes, destination.Change{Identity: user, Member: true, At: second(at)})
	}
	require.NoError(t, s.Ledger("main").Record(t.Context(), destination.Audience{ID: audience}, changes))
}

// leave records that a user left an audience at a second.
func leave(t *testing.T, s *Store, audience string, at int, user string) {
	t.Helper()
	require.NoError(t, s.Ledger("main").Record(t.Context(), destination.Audience{ID: audience}, []destination.Change{{Identity: user, At: second(at)}}))
}

// settleAll merges the unmerged writes of the audiences of the instance main.
func settleAll(t *testing.T, s *Store, audiences ...string) {
	t.Helper()
	for _, id := range audiences {
		require.NoError(t, s.Ledger("main").settle(t.Context(), id))
	}
}

// countFiles returns the number of files in a PostgreSQL database.
func countFiles(t *testing.T, s *Store) (n int) {
	t.Helper()
	require.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT COUNT(DISTINCT file) FROM member_parts`).Scan(&n))
	return n
}

// contents describes the audiences of the instance main, with the history of each identity.
func contents(t *testing.T, s *Store, audiences ...string) (text string) {
	t.Helper()
	l := s.Ledger("main")
	for _, id := range audiences {
		var names []string
		require.NoError(t, l.Each(t.Context(), id, "", func(m Membership) error { names = append(names, m.Identity); return nil }))
		for _, name := range names {
			m, history, ok, err := l.Find(t.Context(), id, name)
			require.NoError(t, err)
			text += fmt.Sprintf("%s %q %v %+v %v %v:", id, name, ok, m.Record, m.Delivered.IsZero(), m.Confirmed.IsZero())
			for _, h := range history {
				text += fmt.Sprintf(" %v %v %s %s;", h.At, h.Member, h.Outcome, h.Reason)
			}
			text += "\n"
		}
	}
	return text
}

// users returns n identities.
func users(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("u%05d", i)
	}
	return list
}

// An audience that gets many writes moves from the tables to files, in the background and with its history, and stays readable meanwhile and afterwards.
func TestLargeAudiencesMoveToFiles(t *testing.T) {
	dir := t.TempDir()
	s := unmergedStore(t, dir, 1<<20)
	record(t, s, "vip", 1, users(3000)...)
	record(t, s, "small", 1, "u1")
	require.NoError(t, s.mergeAllWrites(t.Context()))
	for n := range 10 {
		leave(t, s, "vip", 2+2*n, "u00007")
		record(t, s, "vip", 3+2*n, "u00007")
	}
	require.NoError(t, s.mergeAllWrites(t.Context()))
	require.Equal(t, 3001, rowsOf(t, s, "members"))
	before := contents(t, s, "vip", "small")
	assert.Empty(t, filesIn(t, dir))

	s.limits.flush, s.limits.unmerged = 1000, 1000
	record(t, s, "vip", 1, users(500)...) // repeats what the ledger has
	leave(t, s, "vip", 0, "u00001")       // is older; the write before it is too large by now
	s.flusher.wait()
	require.Len(t, filesIn(t, dir), 1)
	assert.Equal(t, 1, rowsOf(t, s, "members"), "the small audience stays in the tables")
	assert.Zero(t, rowsOf(t, s, "history"))
	s.recent = map[recentKey]*recentRows{}
	after := contents(t, s, "vip", "small")
	assert.Equal(t, strings.Count(before, "\n"), strings.Count(after, "\n"))
	assert.Equal(t, line(before, "u00007"), line(after, "u00007"))
	assert.Equal(t, line(before, "small"), line(after, "small"))
	require.NoError(t, s.Close())

	s = fileStore(t, dir)
	assert.Equal(t, after, contents(t, s, "vip", "small"))
	record(t, s, "vip", 50, "new")
	records, err := s.Ledger("main").Lookup(t.Context(), "vip", []string{"zzz", "new", "u00007", "", "u02999"})
	require.NoError(t, err)
	assert.Equal(t, []bool{false, true, true, false, true}, []bool{records[0].Known, records[1].Known, records[2].Known, records[3].Known, records[4].Known})
}

// line returns the line of a text that has a word.
func line(text, word string) string {
	for l := range strings.Lines(text) {
		if strings.Contains(l, word) {
			return l
		}
	}
	return ""
}

// The sizes of an audience's files are a geometric series: a new file replaces those that are not much larger than all that is newer.
func TestFilesAreReplacedInTheOrderOfTheirSizes(t *testing.T) {
	for _, c := range []struct {
		files    []int64 // newest first
		n        int64
		replaced int
	}{
		{nil, 10, 0},
		{[]int64{1000}, 10, 0},
		{[]int64{30}, 10, 1},
		{[]int64{31}, 10, 0},
		{[]int64{30, 120}, 10, 2},
		{[]int64{30, 121}, 10, 1},
		{[]int64{5, 5, 5, 75, 300}, 10, 5},
		{[]int64{0}, 0, 1},
		{[]int64{0, 1}, 0, 1},
	} {
		var files []memberFile
		for i, n := range c.files {
			files = append(files, memberFile{id: int64(i), identities: n})
		}
		assert.Len(t, filesToReplace(files, c.n), c.replaced, "%v %d", c.files, c.n)
	}
	s := fileStore(t, t.TempDir())
	for n := range 100 {
		record(t, s, "vip", n, fmt.Sprintf("n%03d", n), "u1")
		settleAll(t, s, "vip")
	}
	assert.LessOrEqual(t, rowsOf(t, s, "member_files"), 4)
	assert.Greater(t, rowsOf(t, s, "member_files"), 1, "a few rows do not replace a large file")
	assert.Equal(t, rowsOf(t, s, "member_files"), len(filesIn(t, filepath.Dir(s.dir().path))))
	_, history, ok, err := s.Ledger("main").Find(t.Context(), "vip", "u1")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Len(t, history, MaxHistory, "of all files")
	assert.Equal(t, second(98).UTC(), history[MaxHistory-1].At)
}

// Identities of any bytes are kept in files, in the order of their bytes.
func TestFilesKeepAllIdentities(t *testing.T) {
	s := fileStore(t, t.TempDir())
	names := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x01", "\x01\x00", "a", "a\x00", "é", "\xff", strings.Repeat("x", 70_000)}
	record(t, s, "vip", 1, names...)
	settleAll(t, s, "vip")
	require.Equal(t, 1, rowsOf(t, s, "member_files"))
	s.recent = map[recentKey]*recentRows{}
	records, err := s.Ledger("main").Lookup(t.Context(), "vip", append([]string{"b"}, names...))
	require.NoError(t, err)
	for i, r := range records {
		assert.Equal(t, i > 0, r.Known, "%d", i)
	}
	var listed []string
	require.NoError(t, s.Ledger("main").Each(t.Context(), "vip", "\x00", func(m Membership) error { listed = append(listed, m.Identity); return nil }))
	assert.Equal(t, []string{"\x00\x00", "\x00\x01", "\x01", "\x01\x00", "a", "a\x00"}, listed[:6])
	require.NoError(t, s.Downgrade(t.Context()))
	assert.Equal(t, len(names), rowsOf(t, s, "members"))
	settleAll(t, s, "vip")
	record(t, s, "vip", 2, "b")
	settleAll(t, s, "vip")
	require.Equal(t, 1, rowsOf(t, s, "member_files"), "with the empty identity, which is first in the table")
	records, err = s.Ledger("main").Lookup(t.Context(), "vip", names)
	require.NoError(t, err)
	for i, r := range records {
		assert.True(t, r.Known, "%d", i)
	}
}

// The history in files is trimmed like that in the tables.
func TestHistoryInFilesIsTrimmed(t *testing.T) {
	s := fileStore(t, t.TempDir())
	record(t, s, "vip", 1, users(5)...)
	leave(t, s, "vip", 2, "u00001")
	settleAll(t, s, "vip")
	leave(t, s, "vip", 3, "u00002")
	deleted, err := s.TrimHistory(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	assert.Zero(t, deleted)
	for _, user := range []string{"u00001", "u00002"} {
		_, history, _, err := s.Ledger("main").Find(t.Context(), "vip", user)
		require.NoError(t, err)
		assert.Len(t, history, 1)
	}
	deleted, err = s.TrimHistory(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	assert.EqualValues(t, 2, deleted)
	for _, user := range []string{"u00001", "u00002"} {
		m, history, ok, err := s.Ledger("main").Find(t.Context(), "vip", user)
		require.NoError(t, err)
		assert.True(t, ok && !m.Member)
		assert.Empty(t, history)
	}
}

// After Downgrade, the members are in the tables and programs of earlier versions can open the file; before, they refuse it.
func TestDowngradeMovesMembersToTheTables(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	record(t, s, "vip", 1, users(2500)...)
	leave(t, s, "vip", 2, "u00001")
	settleAll(t, s, "vip")
	record(t, s, "vip", 3, "u00002")
	settleAll(t, s, "vip")
	want := contents(t, s, "vip")
	require.NoError(t, s.Close())
	s = unmergedStore(t, dir, 1<<20)
	assert.Equal(t, filesVersion, schemaVersion(t, s))
	can, err := s.CanDowngrade(t.Context())
	require.NoError(t, err)
	require.True(t, can)
	require.NoError(t, s.Downgrade(t.Context()))
	assert.Empty(t, filesIn(t, dir))
	assert.Equal(t, 2500, rowsOf(t, s, "members"))
	assert.Equal(t, 2, rowsOf(t, s, "history"))
	assert.Equal(t, want, contents(t, s, "vip"))
	s.limits.flush = 10
	record(t, s, "vip", 4, "u00002") // so much that it waits for a file
	require.NoError(t, s.mergeAllWrites(t.Context()))
	require.Equal(t, 1, rowsOf(t, s, "unmerged"))
	require.NoError(t, s.Downgrade(t.Context()))
	can, err = s.CanDowngrade(t.Context())
	require.NoError(t, err)
	assert.False(t, can)
	require.NoError(t, s.Close())
	assert.Equal(t, 2, schemaVersion(t, &Store{db: openFile(t, dir)}))
}

// Two processes write, read, copy and rewrite the same audiences at once, and the files are replaced all the time. Nothing is lost, and a user that was
// recorded is always known.
func TestFilesAreReplacedUnderReadersAndWriters(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { checkReplacing(t, t.TempDir()) })
	t.Run("postgres", func(t *testing.T) { checkReplacing(t, statetest.Postgres(t)) })
}

// checkReplacing is TestFilesAreReplacedUnderReadersAndWriters for a database.
func checkReplacing(t *testing.T, location string) {
	stores := []*Store{fileStore(t, location), fileStore(t, location)}
	for _, s := range stores {
		s.limits.unmerged = 300
	}
	const writers, rounds = 4, 60
	ctx, cancel := context.WithCancel(t.Context())
	var work, others sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			l := stores[w%2].Ledger("main")
			for n := range rounds {
				a := destination.Audience{ID: fmt.Sprintf("aud_%d", w/2)}
				changes := []destination.Change{{Identity: fmt.Sprintf("w%d-%d", w, n), Member: true, At: second(n)}, {Identity: "shared", Member: n%2 == 0, At: second(n)}}
				if !assert.NoError(t, l.MarkUncertain(ctx, a, changes)) || !assert.NoError(t, l.Record(ctx, a, changes)) {
					return
				}
				records, err := stores[n%2].Ledger("main").Lookup(ctx, a.ID, []string{fmt.Sprintf("w%d-%d", w, n), fmt.Sprintf("w%d-%d", w, n/2)})
				if !assert.NoError(t, err) || !assert.True(t, records[0].Member && records[1].Member, "%d %d", w, n) {
					return
				}
			}
		})
	}
	operation := func(do func(s *Store, n int) error) {
		others.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := do(stores[n%2], n); !errors.Is(err, errBusy) && ctx.Err() == nil {
					assert.NoError(t, err)
				}
			}
		})
	}
	operation(func(s *Store, n int) error {
		return s.Ledger("main").Each(ctx, fmt.Sprintf("aud_%d", n%2), "", func(Membership) error { return nil })
	})
	operation(func(s *Store, n int) error {
		_, err := s.TrimHistory(ctx, time.Now().Add(-time.Millisecond))
		return err
	})
	if copies := t.TempDir(); stores[0].IsLocal() {
		operation(func(s *Store, n int) error { return s.Backup(ctx, filepath.Join(copies, fmt.Sprint(n))) })
	}
	work.Wait()
	cancel()
	others.Wait()
	for w := range writers {
		var names []string
		for n := range rounds {
			names = append(names, fmt.Sprintf("w%d-%d", w, n))
		}
		for _, s := range stores {
			records, err := s.Ledger("main").Lookup(t.Context(), fmt.Sprintf("aud_%d", w/2), names)
			require.NoError(t, err)
			for i, r := range records {
				assert.True(t, r.Member && !r.Uncertain, names[i])
			}
		}
	}
	for _, s := range stores {
		s.flusher.wait()
	}
	settleAll(t, stores[0], "aud_0", "aud_1")
	require.NoError(t, stores[0].removeLeftOvers(t.Context()))
	if listed := rowsOf(t, stores[0], "member_files"); stores[0].IsLocal() {
		assert.Len(t, filesIn(t, location), listed)
	} else {
		assert.Equal(t, listed, countFiles(t, stores[0]))
	}
	size, _, err := stores[1].Ledger("main").Audience(t.Context(), "aud_1")
	require.NoError(t, err)
	assert.EqualValues(t, writers/2*rounds, size.Members, "the shared one has left last")
}

// Many unmerged writes do not delay Close. They are used at the next start, and Downgrade merges them.
func TestCloseLeavesManyUnmergedWrites(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	record(t, s, "vip", 1, users(300)...)
	require.NoError(t, s.Close())
	assert.Equal(t, 2, schemaVersion(t, &Store{db: openFile(t, dir)}), "few are merged")
	s = openLocal(t, dir)
	record(t, s, "vip", 2, users(10_000)...)
	require.NoError(t, s.Close())
	s = openLocal(t, dir)
	assert.Equal(t, 1, rowsOf(t, s, "unmerged"))
	records, err := s.Ledger("main").Lookup(t.Context(), "vip", users(10_000))
	require.NoError(t, err)
	for _, r := range records {
		require.Equal(t, second(2), r.At)
	}
	require.NoError(t, s.Downgrade(t.Context()))
	require.NoError(t, s.Close())
	assert.Equal(t, 2, schemaVersion(t, &Store{db: openFile(t, dir)}))
}
