package backup_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/server/backup"
	"github.com/landfall-dev/landfall/framework/state"
)

func queueName(string) string { return "queue" }

// filled creates a data directory with some events and returns an archive of its backup.
func filled(t *testing.T, n int) []byte {
	t.Helper()
	dir := t.TempDir()
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(dir, "queue")})
	require.NoError(t, err)
	defer q.Close()
	s, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	defer s.Close()
	for i := range n {
		raw := fmt.Sprintf(`{"type":"track","messageId":"m%d","userId":"u%d"}`, i, i)
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u", Raw: []byte(raw)}}))
	}
	vip := destination.Audience{ID: "vip", Name: "VIP"}
	require.NoError(t, s.Ledger("main").Record(t.Context(), vip, []destination.Change{{Identity: "u1", Member: true, At: time.Now()}}))
	var made bytes.Buffer
	require.NoError(t, backup.Write(t.Context(), &made, backup.Source{Queue: q, Ledger: s, Dir: dir}))
	return made.Bytes()
}

func events(t *testing.T, data string) []delivery.StoredEvent {
	t.Helper()
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(data, "queue")})
	require.NoError(t, err)
	defer q.Close()
	assert.Empty(t, q.Problems())
	list, _, err := q.Latest(t.Context(), "", 1000)
	require.NoError(t, err)
	return list
}

// A restored directory has the data that was backed up, and only this user can read it.
func TestBackupAndRestore(t *testing.T) {
	archive := filled(t, 30)
	dir := filepath.Join(t.TempDir(), "backup")
	m, err := backup.Save(bytes.NewReader(archive), dir)
	require.NoError(t, err)
	assert.True(t, m.HasLedger())
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, path)
		return nil
	}))
	_, err = backup.Save(bytes.NewReader(archive), dir)
	require.ErrorContains(t, err, "not empty")

	data := filepath.Join(t.TempDir(), "data")
	done, err := backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName})
	require.NoError(t, err)
	assert.Empty(t, done.Aside)
	list := events(t, data)
	require.Len(t, list, 30)
	assert.Contains(t, string(list[29].Raw), `"m0"`)
	assert.EqualValues(t, 1, list[29].Seq)
	s, err := state.Open(t.Context(), data)
	require.NoError(t, err)
	records, err := s.Ledger("main").Lookup(t.Context(), "vip", []string{"u1", "u2"})
	require.NoError(t, err)
	assert.True(t, records[0].Known && records[0].Member)
	assert.True(t, records[0].Uncertain, "the remote may have been sent more since")
	assert.False(t, records[1].Known)
	require.NoError(t, s.Close())

	_, err = backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName})
	require.ErrorIs(t, err, delivery.ErrNotEmpty)
	done, err = backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName, Replace: true})
	require.NoError(t, err)
	assert.Len(t, events(t, data), 30)
	assert.Len(t, events(t, done.Aside), 30)

	q, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(data, "queue")})
	require.NoError(t, err)
	defer q.Close()
	_, err = backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName, Replace: true})
	require.ErrorIs(t, err, delivery.ErrInUse)
}

// A damaged or incomplete backup is refused and leaves no files.
func TestDamagedBackupIsRefused(t *testing.T) {
	archive := filled(t, 5)
	good := filepath.Join(t.TempDir(), "backup")
	m, err := backup.Save(bytes.NewReader(archive), good)
	require.NoError(t, err)
	for _, cut := range []int{0, 100, len(archive) / 2, len(archive) - 4096} {
		dir := filepath.Join(t.TempDir(), "backup")
		_, err := backup.Save(bytes.NewReader(archive[:cut]), dir)
		require.ErrorContains(t, err, "the backup is incomplete: see the server's log", "cut at %d", cut)
		assert.NoDirExists(t, dir)
	}
	for _, f := range m.Files {
		if f.Size == 0 {
			continue
		}
		bad := filepath.Join(t.TempDir(), "backup")
		require.NoError(t, os.CopyFS(bad, os.DirFS(good)))
		path := filepath.Join(bad, f.Name)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		text[len(text)/2] ^= 1
		require.NoError(t, os.WriteFile(path, text, 0o600))
		parent := t.TempDir()
		_, err = backup.Restore(t.Context(), bad, backup.Target{Data: filepath.Join(parent, "data"), Queue: queueName})
		require.ErrorContains(t, err, f.Name)
		left, err := os.ReadDir(parent)
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}
