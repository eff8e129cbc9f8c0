package sortedfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writeMapped writes a file that is large enough to be mapped, and returns its path and its keys.
func writeMapped(t *testing.T) (path string, keys []string) {
	path = filepath.Join(t.TempDir(), "file")
	w, err := Create(path, nil)
	require.NoError(t, err)
	for i := range 2000 {
		keys = append(keys, fmt.Sprintf("key-%05d", i))
		require.NoError(t, w.Add(keys[i], []byte(strings.Repeat(keys[i], 100))))
	}
	info, err := w.Finish()
	require.NoError(t, err)
	require.Greater(t, info.Bytes, int64(minMapped))
	return path, keys
}

// getAll looks up keys, and requires all of them with their values.
func getAll(r *Reader, keys []string) error {
	next := 0
	err := r.Get(keys, func(i int, value string) error {
		if i != next || value != strings.Repeat(keys[i], 100) {
			return fmt.Errorf("key %d instead of %d, with %q", i, next, value)
		}
		next++
		return nil
	})
	if err == nil && next != len(keys) {
		return fmt.Errorf("%d of %d keys", next, len(keys))
	}
	return err
}

// TestLookupsCopyFromTheMapping checks that lookups in a large file make no system calls, and that they work without a mapping.
func TestLookupsCopyFromTheMapping(t *testing.T) {
	path, keys := writeMapped(t)
	r, err := Open(path)
	require.NoError(t, err)
	defer r.Close()
	m := &r.file.(*diskFile).mapping
	require.NotNil(t, m.data)

	m.waits.Store(1 << 62) // a slow machine waits for the disk
	require.NoError(t, r.file.(*diskFile).File.Close())
	require.NoError(t, getAll(r, keys))
	m.paused.Store(int64(sinceStart() + time.Hour))
	require.ErrorIs(t, getAll(r, keys), os.ErrClosed)
}

// TestLookupsPauseTheMapping checks that lookups read the file instead once a copy has waited for the disk, and only for a while.
func TestLookupsPauseTheMapping(t *testing.T) {
	path, keys := writeMapped(t)
	r, err := Open(path)
	require.NoError(t, err)
	defer r.Close()
	m := &r.file.(*diskFile).mapping

	now := sinceStart()
	m.waits.Store(pageWaits() - 1)
	m.noteSlow(now, true)
	assert.Equal(t, int64(now+copyPause), m.paused.Load())
	require.NoError(t, getAll(r, keys))

	m.paused.Store(0)
	m.waits.Store(1 << 62)
	m.noteSlow(now, true)
	assert.Zero(t, m.paused.Load(), "slow without a wait for the disk")
	m.noteSlow(now, false)
	assert.Equal(t, int64(now+copyPause), m.paused.Load(), "a failed copy")
}

// TestTruncatedMappingIsAnError checks that a file whose end has disappeared since it was mapped causes an error of the lookup, and no crash.
func TestTruncatedMappingIsAnError(t *testing.T) {
	path, keys := writeMapped(t)
	r, err := Open(path)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, getAll(r, keys))
	require.NoError(t, os.Truncate(path, 64<<10))
	require.NoError(t, getAll(r, keys[:20]), "what is left")
	for range 3 {
		require.ErrorContains(t, getAll(r, keys), "it ends early")
		r.file.(*diskFile).mapping.paused.Store(0)
	}
}

// TestChangedMappingIsNoticed checks that bytes which change in the file are noticed by lookups that copy from the mapping.
func TestChangedMappingIsNoticed(t *testing.T) {
	path, keys := writeMapped(t)
	r, err := Open(path)
	require.NoError(t, err)
	defer r.Close()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte{0xff}, 500_000)
	require.NoError(t, err)
	require.ErrorContains(t, getAll(r, keys), "has a wrong checksum")
}

// TestMappingsAreClosedDuringLookups closes files while lookups read them: each lookup succeeds or says that the file is closed.
func TestMappingsAreClosedDuringLookups(t *testing.T) {
	path, keys := writeMapped(t)
	for range 20 {
		r, err := Open(path)
		require.NoError(t, err)
		var lookups sync.WaitGroup
		for range 4 {
			lookups.Go(func() {
				for {
					if err := getAll(r, keys); err != nil {
						assert.ErrorIs(t, err, os.ErrClosed)
						return
					}
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		require.NoError(t, r.Close())
		lookups.Wait()
		require.Nil(t, r.file.(*diskFile).mapping.data)
	}
}

// TestSmallFilesAreNotMapped checks the bounds of what is mapped.
func TestSmallFilesAreNotMapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	w, err := Create(path, nil)
	require.NoError(t, err)
	require.NoError(t, w.Add("a", []byte("b")))
	_, err = w.Finish()
	require.NoError(t, err)
	r, err := Open(path)
	require.NoError(t, err)
	assert.Nil(t, r.file.(*diskFile).mapping.data)
	require.NoError(t, r.Close())
	require.Error(t, r.Get([]string{"a"}, func(int, string) error { return nil }))
}
