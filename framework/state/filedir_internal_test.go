package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// filesIn returns the names of the member files in a data directory.
func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, FileName+memberFilesSuffix))
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A directory that lacks a listed file is refused, and files that are not listed are deleted, but for unfinished ones while a process writes one.
func TestFilesAreCheckedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	record(t, s, "vip", 1, users(10)...)
	settleAll(t, s, "vip")
	replaced := filesIn(t, dir)
	record(t, s, "vip", 1, users(100)...)
	settleAll(t, s, "vip")
	listed := filesIn(t, dir)
	require.Len(t, listed, 1, "the second file has replaced the first")
	problems, err := s.verifyFilesNamed(t.Context(), append(replaced, listed...))
	require.NoError(t, err)
	assert.Empty(t, problems, "a file that was replaced meanwhile is not missing")
	require.NoError(t, s.Close())
	for _, name := range []string{"left.members", "killed.members.tmp", "notes.txt"} {
		require.NoError(t, os.WriteFile(s.dir().file(name), []byte("x"), 0o600))
	}
	name, unfinished, unlock, err := s.dir().create()
	require.NoError(t, err)
	s = fileStore(t, dir)
	assert.ElementsMatch(t, append(listed, name+".tmp", "killed.members.tmp", "notes.txt"), filesIn(t, dir))
	unlock()
	require.NoError(t, s.Scrub(t.Context()))
	assert.ElementsMatch(t, append(listed, "notes.txt"), filesIn(t, dir), "no process writes a file")
	require.Error(t, unfinished.Abort(), "its file is deleted")
	require.NoError(t, s.Close())

	require.NoError(t, os.WriteFile(s.dir().file("newer.members"), []byte("x"), 0o600))
	require.NoError(t, os.Rename(s.dir().file(listed[0]), s.dir().file("elsewhere")))
	_, err = Open(t.Context(), dir)
	require.ErrorContains(t, err, "the ledger's member file "+listed[0]+" is missing")
	problems, err = CheckFile(t.Context(), filepath.Join(dir, FileName))
	require.NoError(t, err)
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0], listed[0]+" is missing")
	assert.Contains(t, filesIn(t, dir), "newer.members", "nothing is deleted: the database may be an old copy")
}

// A database that replaces another one by mistake does not delete the files of the other one, which can be put back.
func TestFilesOfAnotherDatabaseAreKept(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	require.NoError(t, s.Close())
	file, empty, right := filepath.Join(dir, FileName), filepath.Join(dir, "empty"), filepath.Join(dir, "right")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(empty, data, 0o600))
	s = fileStore(t, dir)
	record(t, s, "vip", 1, users(100)...)
	settleAll(t, s, "vip")
	require.NoError(t, s.Close())
	names := filesIn(t, dir)
	require.NotEmpty(t, names)

	require.NoError(t, os.Rename(file, right))
	for range 2 {
		_, err = Open(t.Context(), dir)
		require.ErrorContains(t, err, "put that database back, or move the directory away as well")
		problems, err := CheckFile(t.Context(), file)
		require.NoError(t, err)
		require.Len(t, problems, 1)
	}
	require.NoError(t, os.Rename(empty, file))
	require.NoError(t, os.WriteFile(s.dir().file("killed.members.tmp"), nil, 0o600))
	s = fileStore(t, dir)
	require.NoError(t, s.Close())
	assert.Equal(t, names, filesIn(t, dir), "without what a killed process has left")
	require.NoError(t, os.Rename(right, file))
	s = fileStore(t, dir)
	records, err := s.Ledger("main").Lookup(t.Context(), "vip", users(100))
	require.NoError(t, err)
	for _, r := range records {
		assert.True(t, r.Member)
	}
	files, bytes := FileSizes(file)
	assert.Equal(t, 1, files)
	assert.Greater(t, bytes, int64(20_000))
	require.NoError(t, s.Scrub(t.Context()))
	require.NoError(t, s.Close())
	assert.Equal(t, names, filesIn(t, dir))
}

// Damage of a file is an error of every call that reads it, and found by checks.
func TestDamagedFilesAreReported(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	record(t, s, "vip", 1, users(1000)...)
	settleAll(t, s, "vip")
	require.NoError(t, s.Close())
	path := s.dir().file(filesIn(t, dir)[0])
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[100] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	s = fileStore(t, dir)
	l := s.Ledger("main")
	_, err = l.Lookup(t.Context(), "vip", []string{"u00001"})
	require.ErrorIs(t, err, sortedfile.ErrDamaged)
	assert.ErrorContains(t, err, "restore the ledger from a backup")
	require.ErrorIs(t, l.Record(t.Context(), destination.Audience{ID: "vip"}, []destination.Change{{Identity: "u00001", At: second(2)}}), sortedfile.ErrDamaged)
	require.ErrorIs(t, l.Each(t.Context(), "vip", "", func(Membership) error { return nil }), sortedfile.ErrDamaged)
	require.ErrorIs(t, s.MarkAllUncertain(t.Context()), sortedfile.ErrDamaged)
	problems, err := s.Check(t.Context())
	require.NoError(t, err)
	assert.Len(t, problems, 1)
	assert.Len(t, filesIn(t, dir), 1, "no unfinished file stays")
}

// While no file can be written, writes succeed until there are too many unmerged ones; afterwards all are in a file.
func TestWritesOutliveFilesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	s.limits.unmerged = 2000
	blocked := filepath.Join(dir, FileName+memberFilesSuffix)
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	var err error
	n := 0
	for ; n < 2000 && err == nil; n++ {
		err = s.Ledger("main").Record(t.Context(), vipAudience, []destination.Change{{Identity: fmt.Sprintf("u%05d", n), Member: true, At: second(n)}})
		s.flusher.wait()
	}
	require.Error(t, err)
	assert.Greater(t, n, 50)
	records, lookupErr := s.Ledger("main").Lookup(t.Context(), vipAudience.ID, []string{"u00000", fmt.Sprintf("u%05d", n-2), fmt.Sprintf("u%05d", n-1)})
	require.NoError(t, lookupErr)
	assert.Equal(t, []bool{true, true, false}, []bool{records[0].Member, records[1].Member, records[2].Member})
	require.NoError(t, os.Remove(blocked))
	require.Eventually(t, func() bool {
		err := s.Ledger("main").Record(t.Context(), vipAudience, []destination.Change{{Identity: "last", Member: true, At: second(n)}})
		s.flusher.wait()
		return err == nil && rowsOf(t, s, "member_files") == 1
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, s.Ledger("main").settle(t.Context(), vipAudience.ID))
	size, _, err := s.Ledger("main").Audience(t.Context(), vipAudience.ID)
	require.NoError(t, err)
	assert.EqualValues(t, n, size.Members)
}

// A copy by Backup is one file. The first program that opens it writes the member files beside it.
func TestBackupsHaveTheFiles(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	record(t, s, "vip", 1, users(2000)...)
	record(t, s, "other", 1, users(5)...)
	settleAll(t, s, "vip", "other")
	record(t, s, "vip", 2, users(10)...)
	settleAll(t, s, "vip")
	record(t, s, "vip", 3, "unmerged")
	to := t.TempDir()
	copied := filepath.Join(to, FileName)
	t.Chdir(to)
	require.NoError(t, s.Backup(t.Context(), FileName), "a relative path, as a data directory may have")
	entries, err := os.ReadDir(to)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	problems, err := CheckFile(t.Context(), copied)
	require.NoError(t, err)
	assert.Empty(t, problems)
	want := contents(t, s, "vip", "other")
	for range 2 {
		restored := fileStore(t, to)
		assert.Equal(t, want, contents(t, restored, "vip", "other"))
		require.NoError(t, restored.Close())
	}
	assert.NotEmpty(t, filesIn(t, to))
	problems, err = CheckFile(t.Context(), copied)
	require.NoError(t, err)
	assert.Empty(t, problems)
	require.ErrorIs(t, s.Backup(t.Context(), copied), fs.ErrExist)
}

// A copy that was changed by hand is refused, and writes no file outside of the directory of its files.
func TestHostileCopiesAreRefused(t *testing.T) {
	s := fileStore(t, t.TempDir())
	record(t, s, "vip", 1, users(10)...)
	settleAll(t, s, "vip")
	for name, statements := range map[string][]string{
		"a name with a path":      {`UPDATE packed_files SET file = '../../evil'`, `UPDATE member_files SET file = '../../evil'`},
		"the directory as a name": {`UPDATE packed_files SET file = '..'`},
		"no name":                 {`UPDATE packed_files SET file = ''`},
		"no first part":           {`UPDATE packed_files SET part = 1`},
		"no contents":             {`DELETE FROM packed_files`},
		"another file":            {`UPDATE member_files SET file = 'other.members'`},
	} {
		t.Run(name, func(t *testing.T) {
			outside := t.TempDir()
			dir := filepath.Join(outside, "deep", "data")
			require.NoError(t, os.MkdirAll(dir, 0o700))
			require.NoError(t, s.Backup(t.Context(), filepath.Join(dir, FileName)))
			db := openFile(t, dir)
			for _, statement := range statements {
				_, err := db.ExecContext(t.Context(), statement)
				require.NoError(t, err)
			}
			require.NoError(t, db.Close())
			_, err := Open(t.Context(), dir)
			require.Error(t, err)
			for _, parent := range []string{outside, filepath.Join(outside, "deep")} {
				entries, err := os.ReadDir(parent)
				require.NoError(t, err)
				assert.Len(t, entries, 1)
			}
		})
	}
}

// A copy is refused if one of its files cannot be written, and used once that is possible.
func TestCopiesThatCannotBeUnpacked(t *testing.T) {
	s, dir := fileStore(t, t.TempDir()), t.TempDir()
	for _, audience := range []string{"one", "two"} {
		record(t, s, audience, 1, users(10)...)
		settleAll(t, s, audience)
	}
	names, err := memberFileNames(t.Context(), s.db)
	require.NoError(t, err)
	require.Len(t, names, 2)
	require.NoError(t, s.Backup(t.Context(), filepath.Join(dir, FileName)))
	for _, name := range names {
		inTheWay := filepath.Join(dir, FileName+memberFilesSuffix, name)
		require.NoError(t, os.MkdirAll(inTheWay, 0o700))
		_, err = Open(t.Context(), dir)
		assert.ErrorContains(t, err, "unpacking the ledger's member files: rename ")
		require.NoError(t, os.Remove(inTheWay))
	}
	copied := fileStore(t, dir)
	assert.Equal(t, contents(t, s, "one", "two"), contents(t, copied, "one", "two"))
}

// No byte of an erased user stays in a file, and nothing else is lost.
func TestErasedUsersAreInNoFile(t *testing.T) {
	dir := t.TempDir()
	s := fileStore(t, dir)
	record(t, s, "vip", 1, append(users(100), "erase-me", "erase-me-not")...)
	settleAll(t, s, "vip")
	leave(t, s, "vip", 2, "erase-me")
	record(t, s, "other", 1, "u1")
	settleAll(t, s, "other")
	var erased []ErasedMember
	match := func(identity string) bool { return strings.HasPrefix(identity, "erase-me") }
	require.NoError(t, s.EraseMembers(t.Context(), match, func(e ErasedMember) { erased = append(erased, e) }))
	assert.Equal(t, []ErasedMember{{"main", "vip", "erase-me", 1}}, erased, "the other one is still a member")
	require.NoError(t, s.Scrub(t.Context()))
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		assert.NotContains(t, strings.ReplaceAll(string(data), "erase-me-not", ""), "erase-me", path)
		return err
	}))
	assert.Equal(t, 101, strings.Count(contents(t, s, "vip"), "\n"))
	require.NoError(t, s.Ledger("main").Forget(t.Context()))
	assert.Empty(t, filesIn(t, dir))
}
