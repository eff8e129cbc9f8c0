package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/backup"
	"github.com/landfall-dev/landfall/framework/state"
)

// saved saves a backup of n events and returns its directory and its manifest.
func saved(t *testing.T, n int) (string, *backup.Manifest) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	m, err := backup.Save(bytes.NewReader(filled(t, n)), dir)
	require.NoError(t, err)
	return dir, m
}

// rewriteManifest changes the manifest of a backup.
func rewriteManifest(t *testing.T, dir string, change func(*backup.Manifest)) {
	t.Helper()
	m, err := backup.Verify(dir)
	require.NoError(t, err)
	change(m)
	text, err := json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, backup.ManifestFile), text, 0o600))
}

// TestVerifyChecksEveryFile checks a backup in which one thing is wrong.
func TestVerifyChecksEveryFile(t *testing.T) {
	good, m := saved(t, 3)
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   string
	}{
		"nothing": {func(*testing.T, string) {}, ""},
		"no manifest": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, backup.ManifestFile)))
		}, "is not a backup"},
		"a manifest that is no JSON": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, backup.ManifestFile), []byte("{"), 0o600))
		}, "manifest.json is damaged: take the backup again"},
		"another format": {func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *backup.Manifest) { m.Version = 3 })
		}, "the backup has format 3 and this program reads formats 1 to 2"},
		"no format": {func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *backup.Manifest) { m.Version = 0 })
		}, "the backup has format 0 and this program reads formats 1 to 2"},
		"a file of another directory": {func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *backup.Manifest) { m.Files = append(m.Files, backup.File{Name: "../secret"}) })
		}, `the manifest has the invalid file name "../secret"`},
		"a missing file": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, state.FileName)))
		}, "no such file"},
		"a missing file that was empty": {func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *backup.Manifest) { m.Files = append(m.Files, backup.File{Name: "empty.snapshot"}) })
		}, ""},
		"a file that is longer": {func(t *testing.T, dir string) {
			f, err := os.OpenFile(filepath.Join(dir, state.FileName), os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteString("x")
			require.NoError(t, errors.Join(err, f.Close()))
		}, "is damaged"},
		"another size in the manifest": {func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *backup.Manifest) { m.Files[len(m.Files)-1].Size++ })
		}, "is damaged"},
		"another checksum in the manifest": {func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *backup.Manifest) { m.Files[len(m.Files)-1].SHA256 = m.Files[0].SHA256 })
		}, "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "backup")
			require.NoError(t, os.CopyFS(dir, os.DirFS(good)))
			c.damage(t, dir)
			got, err := backup.Verify(dir)
			if c.want == "" {
				require.NoError(t, err)
				assert.Len(t, got.Streams, len(m.Streams))
				return
			}
			assert.ErrorContains(t, err, c.want)
			assert.Nil(t, got)
			data := filepath.Join(t.TempDir(), "data")
			_, err = backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName})
			assert.ErrorContains(t, err, c.want)
			assert.NoDirExists(t, data)
		})
	}
}

// TestArchivesCannotWriteElsewhere checks names of files that would leave the directory of the backup.
func TestArchivesCannotWriteElsewhere(t *testing.T) {
	for _, name := range []string{"../outside", "/tmp/outside", "sub/inside", ".", "..", "./x"} {
		var text bytes.Buffer
		w := tar.NewWriter(&text)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Size: 1, Mode: 0o600}))
		_, err := w.Write([]byte("x"))
		require.NoError(t, errors.Join(err, w.Close()))
		parent := t.TempDir()
		_, err = backup.Save(&text, filepath.Join(parent, "backup"))
		assert.ErrorContains(t, err, "invalid name", name)
		left, err := os.ReadDir(parent)
		require.NoError(t, err)
		assert.Empty(t, left, name)
	}
}

// TestSaveUsesAnEmptyDirectory checks that Save makes an existing empty directory private, and leaves one that is used alone.
func TestSaveUsesAnEmptyDirectory(t *testing.T) {
	archive, dir := filled(t, 1), t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	_, err := backup.Save(bytes.NewReader(archive), dir)
	require.NoError(t, err)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	used := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(used, "mine"), nil, 0o600))
	_, err = backup.Save(bytes.NewReader(archive), used)
	require.ErrorContains(t, err, "is not empty: choose a new directory")
	assert.FileExists(t, filepath.Join(used, "mine"))
	file := filepath.Join(used, "mine")
	_, err = backup.Save(bytes.NewReader(archive), file)
	require.Error(t, err, "a file is no directory")
	assert.FileExists(t, file)
}

// limitedWriter fails after some bytes.
type limitedWriter struct{ left int }

var errFull = errors.New("no space left")

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestWriteReportsAFullDisk checks that a backup which cannot be written completely is an error, wherever it ends, and that no temporary
// file stays.
func TestWriteReportsAFullDisk(t *testing.T) {
	dir := t.TempDir()
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(dir, "queue")})
	require.NoError(t, err)
	defer q.Close()
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u", Raw: []byte(`{"type":"track","userId":"u"}`)}}))
	s, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	defer s.Close()
	temp := t.TempDir()
	from := backup.Source{Queue: q, Ledger: s, Dir: temp, Sandbox: "braze"}
	var whole bytes.Buffer
	require.NoError(t, backup.Write(t.Context(), &whole, from))
	for left := 0; left < whole.Len(); left += 512 {
		assert.ErrorIs(t, backup.Write(t.Context(), &limitedWriter{left}, from), errFull, "after %d bytes", left)
	}
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left)
	from.Dir = filepath.Join(temp, "missing")
	assert.Error(t, backup.Write(t.Context(), io.Discard, from), "the ledger is never left out silently")

	m, err := backup.Save(bytes.NewReader(whole.Bytes()), filepath.Join(t.TempDir(), "backup"))
	require.NoError(t, err)
	assert.Equal(t, []any{2, "braze", "sqlite"}, []any{m.Version, m.Sandbox, m.Ledger})
	assert.NotEmpty(t, m.Streams)
	var names []string
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	assert.Contains(t, strings.Join(names, " "), state.FileName)
}

// TestRestoreLeavesUsedDataAlone checks targets that cannot be replaced, and that a restore which fails changes nothing.
// TestWriteOfAClosedQueueFails checks that an archive without the events of the queue is not finished.
func TestWriteOfAClosedQueueFails(t *testing.T) {
	dir := t.TempDir()
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(dir, "queue"), Partitions: 1})
	require.NoError(t, err)
	ledger, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	defer ledger.Close()
	q.Close()
	var archive bytes.Buffer
	require.Error(t, backup.Write(t.Context(), &archive, backup.Source{Queue: q, Ledger: ledger, Dir: dir}))
	_, err = backup.Save(&archive, filepath.Join(dir, "saved"))
	assert.Error(t, err)
}

func TestRestoreLeavesUsedDataAlone(t *testing.T) {
	dir, _ := saved(t, 2)
	parent := t.TempDir()
	data := filepath.Join(parent, "data")
	require.NoError(t, os.WriteFile(data, []byte("mine"), 0o600))
	_, err := backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName, Replace: true})
	require.Error(t, err, "a file is no data directory")
	require.NoError(t, os.Remove(data))

	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(data, "mine"), []byte("mine"), 0o600))
	require.NoError(t, os.Truncate(filepath.Join(dir, state.FileName), 0))
	rewriteManifestSize(t, dir)
	_, err = backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName, Replace: true, State: "postgres://127.0.0.1:1/none?connect_timeout=1"})
	require.Error(t, err, "the ledger cannot be opened")
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	assert.Len(t, left, 1)
	assert.FileExists(t, filepath.Join(data, "mine"))
}

// rewriteManifestSize makes the manifest agree with an emptied ledger.
func rewriteManifestSize(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, backup.ManifestFile))
	require.NoError(t, err)
	var m backup.Manifest
	require.NoError(t, json.Unmarshal(text, &m))
	for i := range m.Files {
		if m.Files[i].Name == state.FileName {
			m.Files[i] = backup.File{Name: state.FileName, SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
		}
	}
	text, err = json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, backup.ManifestFile), text, 0o600))
}

// TestRestoreWithoutTheLedger checks a backup of a server whose ledger is in PostgreSQL: the queue is restored and no ledger is invented.
func TestRestoreWithoutTheLedger(t *testing.T) {
	dir, _ := saved(t, 2)
	rewriteManifest(t, dir, func(m *backup.Manifest) {
		m.Ledger = "postgres"
		m.Files = m.Files[:len(m.Files)-1]
	})
	require.NoError(t, os.Remove(filepath.Join(dir, state.FileName)))
	m, err := backup.Verify(dir)
	require.NoError(t, err)
	assert.False(t, m.HasLedger())
	data := t.TempDir() // empty
	done, err := backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName})
	require.NoError(t, err)
	assert.Empty(t, done.Aside)
	assert.Len(t, events(t, data), 2)
	s, err := state.Open(t.Context(), data)
	require.NoError(t, err)
	defer s.Close()
	records, err := s.Ledger("main").Lookup(t.Context(), "vip", []string{"u1"})
	require.NoError(t, err)
	assert.False(t, records[0].Known)
}

// TestRestoreWhileTheDataIsInUse checks both places of a queue: in the data directory and as it.
func TestRestoreWhileTheDataIsInUse(t *testing.T) {
	dir, _ := saved(t, 2)
	data := filepath.Join(t.TempDir(), "data")
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: data})
	require.NoError(t, err)
	_, err = backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName, Replace: true})
	require.ErrorIs(t, err, delivery.ErrInUse)
	assert.ErrorContains(t, err, data)
	q.Close()
	done, err := backup.Restore(t.Context(), dir, backup.Target{Data: data + "/", Queue: queueName, Replace: true})
	require.NoError(t, err)
	assert.DirExists(t, done.Aside)
	assert.Equal(t, filepath.Dir(data), filepath.Dir(done.Aside))
	left, err := os.ReadDir(filepath.Dir(data))
	require.NoError(t, err)
	assert.Len(t, left, 2, "the data and what was there before, no temporary directory")

	named := filepath.Join(t.TempDir(), "data [live]") // a pattern, if it were one
	q, err = delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(named, "queue")})
	require.NoError(t, err)
	defer q.Close()
	_, err = backup.Restore(t.Context(), dir, backup.Target{Data: named, Queue: queueName, Replace: true})
	require.ErrorIs(t, err, delivery.ErrInUse)
}

// TestQueuesThatCannotBeRestored checks that nothing is restored if the queue cannot be: its cluster is unreachable, or a snapshot is not one
// although its checksum is right.
func TestQueuesThatCannotBeRestored(t *testing.T) {
	dir, m := saved(t, 2)
	data := filepath.Join(t.TempDir(), "data")
	unreachable := backup.Target{Data: data, Queue: queueName, Cluster: delivery.Config{URL: "nats://127.0.0.1:1"}}
	_, err := backup.Restore(t.Context(), dir, unreachable)
	require.Error(t, err)
	assert.NoDirExists(t, data)
	for i, f := range m.Files {
		if f.Name == state.FileName || f.Size == 0 {
			continue
		}
		text := []byte("no snapshot")
		require.NoError(t, os.WriteFile(filepath.Join(dir, f.Name), text, 0o600))
		sum := sha256.Sum256(text)
		m.Files[i].Size, m.Files[i].SHA256 = int64(len(text)), hex.EncodeToString(sum[:])
	}
	text, err := json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, backup.ManifestFile), text, 0o600))
	_, err = backup.Restore(t.Context(), dir, backup.Target{Data: data, Queue: queueName})
	require.Error(t, err)
	left, err := os.ReadDir(filepath.Dir(data))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// TestRestoresThatFailLate checks restores that fail after the queue was restored: the data stays as it was, and nothing is left behind.
func TestRestoresThatFailLate(t *testing.T) {
	dir, _ := saved(t, 2)
	for name, c := range map[string]struct {
		target  backup.Target
		prepare func(t *testing.T, data string)
	}{
		"the ledger cannot be copied": {backup.Target{Queue: func(string) string { return state.FileName }}, func(*testing.T, string) {}},
		"the data cannot be moved aside": {backup.Target{Queue: queueName}, func(t *testing.T, data string) {
			for i := range 120 { // for each second that the restore may end in
				aside := data + ".before." + time.Now().Add(time.Duration(i)*time.Second).UTC().Format("20060102T150405Z")
				require.NoError(t, os.MkdirAll(filepath.Join(aside, "used"), 0o700))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			c.target.Data, c.target.Replace = filepath.Join(parent, "data"), true
			require.NoError(t, os.Mkdir(c.target.Data, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(c.target.Data, "mine"), nil, 0o600))
			c.prepare(t, c.target.Data)
			before, err := os.ReadDir(parent)
			require.NoError(t, err)
			_, err = backup.Restore(t.Context(), dir, c.target)
			require.Error(t, err)
			after, err := os.ReadDir(parent)
			require.NoError(t, err)
			assert.Len(t, after, len(before))
			assert.FileExists(t, filepath.Join(c.target.Data, "mine"))
		})
	}
	missing := filepath.Join(t.TempDir(), "missing", "data")
	_, err := backup.Restore(t.Context(), dir, backup.Target{Data: missing, Queue: queueName})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestInterruptedBackupsAndRestores checks that the end of the context is an error and not a smaller backup.
func TestInterruptedBackupsAndRestores(t *testing.T) {
	dir, _ := saved(t, 2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	parent := t.TempDir()
	_, err := backup.Restore(ended, dir, backup.Target{Data: filepath.Join(parent, "data"), Queue: queueName})
	require.Error(t, err)
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	assert.Empty(t, left)
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(parent, "queue")})
	require.NoError(t, err)
	defer q.Close()
	s, err := state.Open(t.Context(), parent)
	require.NoError(t, err)
	var text bytes.Buffer
	assert.Error(t, backup.Write(ended, &text, backup.Source{Queue: q, Ledger: s, Dir: parent}))
	require.NoError(t, s.Close())
	text.Reset()
	assert.Error(t, backup.Write(t.Context(), &text, backup.Source{Queue: q, Ledger: s, Dir: parent}), "a ledger that is closed")
}
