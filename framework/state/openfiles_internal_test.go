package state

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// countedFiles is a fileStorage whose files are empty. It counts how often each was opened, closed and deleted.
type countedFiles struct {
	content                 []byte
	opened, closed, deleted map[string]int
	meanwhile               func() // called while a file is opened; may be nil
}

func newCountedFiles(t *testing.T) *countedFiles {
	c := &countedFiles{opened: map[string]int{}, closed: map[string]int{}, deleted: map[string]int{}}
	_, err := sortedfile.NewWriter(partSize, func(part []byte) error { c.content = append(c.content, part...); return nil }).Finish()
	require.NoError(t, err)
	return c
}

func (c *countedFiles) open(_ context.Context, _ querier, name string) (*sortedfile.Reader, error) {
	if name == "missing" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	c.opened[name]++
	if f := c.meanwhile; f != nil {
		c.meanwhile = nil
		f()
	}
	return sortedfile.NewReader(&countedFile{bytes.NewReader(c.content), c, name}, name)
}

func (c *countedFiles) bind(_ context.Context, _ querier, _ string, r *sortedfile.Reader) *sortedfile.Reader {
	return r
}

func (c *countedFiles) remove(name string) { c.deleted[name]++ }

type countedFile struct {
	*bytes.Reader
	files *countedFiles
	name  string
}

func (f *countedFile) Size() (int64, error) { return f.Reader.Size(), nil }

func (f *countedFile) Close() error {
	f.files.closed[f.name]++
	return errors.New(f.name + " cannot be closed")
}

// filesNamed returns rows of the table member_files.
func filesNamed(names ...string) (list []memberFile) {
	for i, name := range names {
		list = append(list, memberFile{id: int64(i), name: name})
	}
	return list
}

// Of many open files, the one that was used the longest time ago is closed before another is opened, but none that is in use.
func TestFewFilesStayOpen(t *testing.T) {
	storage := newCountedFiles(t)
	m := newMemberFiles(storage)
	acquire := func(names ...string) func() {
		readers, release, err := m.acquire(t.Context(), nil, filesNamed(names...))
		require.NoError(t, err)
		require.Len(t, readers, len(names))
		return release
	}
	release := acquire("held")
	for n := range maxOpenFiles - 1 {
		acquire(fmt.Sprint(n))()
	}
	assert.Empty(t, storage.closed)
	acquire("0", "1")()
	acquire("more")()
	assert.Equal(t, map[string]int{"2": 1}, storage.closed)
	acquire("3")()
	acquire("2")()
	assert.Equal(t, map[string]int{"2": 1, "4": 1}, storage.closed)
	assert.Equal(t, 2, storage.opened["2"])
	assert.Equal(t, 1, storage.opened["0"])
	release()
	assert.Zero(t, storage.closed["held"], "it stays open for the next use")

	_, _, err := m.acquire(t.Context(), nil, filesNamed("0", "missing"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	for n := range 2 * maxOpenFiles {
		acquire(fmt.Sprint("later", n))()
	}
	assert.Equal(t, 1, storage.closed["0"], "a file is not in use after another could not be opened")
	assert.Equal(t, 1, storage.closed["held"])
	require.Error(t, m.close())
	for name, n := range storage.opened {
		assert.Equal(t, n, storage.closed[name], name)
	}
}

// A file that is deleted while it is in use can be read to its end. It is closed after the last use, and not used again.
func TestDeletedFilesAreClosedAfterTheirUse(t *testing.T) {
	for name, forget := range map[string]func(*memberFiles){
		"removed":               func(m *memberFiles) { m.remove(filesNamed("a")) },
		"missing":               func(m *memberFiles) { m.drop("a") },
		"not listed":            func(m *memberFiles) { m.dropUnlisted([]string{"b", "c"}) },
		"replaced by a process": func(m *memberFiles) { m.remember(7, 1, filesNamed("a", "b")); m.remember(7, 2, filesNamed("c", "b")) },
	} {
		t.Run(name, func(t *testing.T) {
			storage := newCountedFiles(t)
			m := newMemberFiles(storage)
			_, first, err := m.acquire(t.Context(), nil, filesNamed("a", "b"))
			require.NoError(t, err)
			_, second, err := m.acquire(t.Context(), nil, filesNamed("a"))
			require.NoError(t, err)
			forget(m)
			first()
			assert.Empty(t, storage.closed)
			second()
			assert.Equal(t, map[string]int{"a": 1}, storage.closed)
			assert.Equal(t, name == "removed", storage.deleted["a"] == 1)
			_, third, err := m.acquire(t.Context(), nil, filesNamed("a", "b"))
			require.NoError(t, err)
			third()
			assert.Equal(t, map[string]int{"a": 2, "b": 1}, storage.opened)
			forget(m)
			assert.Equal(t, 2, storage.closed["a"], "it was not in use")
			assert.Zero(t, storage.closed["b"])
		})
	}
}

// If two callers open the same file at once, both use one of the two.
func TestFileThatIsOpenedTwice(t *testing.T) {
	storage := newCountedFiles(t)
	m := newMemberFiles(storage)
	var release func()
	storage.meanwhile = func() {
		var err error
		_, release, err = m.acquire(t.Context(), nil, filesNamed("a"))
		require.NoError(t, err)
	}
	_, other, err := m.acquire(t.Context(), nil, filesNamed("a"))
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"a": 1}, storage.closed)
	m.drop("a")
	release()
	assert.Equal(t, 1, storage.closed["a"])
	other()
	assert.Equal(t, 2, storage.closed["a"])
}

// The files of an audience are known until they are replaced; if it is not known when that was, they are listed again.
func TestListsOfFilesAreRemembered(t *testing.T) {
	m := newMemberFiles(newCountedFiles(t))
	list := filesNamed("a", "b")
	m.remember(7, 3, list)
	known, ok := m.listed(7, 3)
	assert.True(t, ok)
	assert.Equal(t, list, known)
	m.remember(8, unknownMerge, list)
	for _, other := range [][2]int64{{7, 4}, {7, 2}, {6, 3}, {8, unknownMerge}} {
		_, ok = m.listed(other[0], other[1])
		assert.False(t, ok, other)
	}
}

// A row that ends early is damage, wherever it ends.
func TestDamagedFileRows(t *testing.T) {
	whole := encodeFileRow(nil, &memberRow{turns: 1, at: sql.NullInt64{Int64: 5, Valid: true}, added: []historyRow{{decided: 5, at: 5, reason: "why"}}})
	for n := range whole {
		_, err := decodeVersions("u", []string{string(whole), string(whole[:n])})
		assert.ErrorIs(t, err, sortedfile.ErrDamaged, "%d bytes", n)
	}
	_, err := fileRowFlags("")
	assert.ErrorIs(t, err, sortedfile.ErrDamaged)
	_, err = decodeFileRow("")
	assert.ErrorIs(t, err, sortedfile.ErrDamaged)
	flags, err := fileRowFlags(string(whole))
	require.NoError(t, err)
	assert.Equal(t, whole[0], flags)
}
