package natslog_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog/logfiles"
)

// filesWith returns the files of a directory that have a text.
func filesWith(t *testing.T, dir, text string) (list []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			list = append(list, path)
		}
		return err
	}))
	return list
}

// eraseUser is a logfiles.Rewrite that erases one user.
func eraseUser(_, _ string, data []byte) []byte {
	if !bytes.Contains(data, []byte("erased-user")) {
		return nil
	}
	return append([]byte("{}"), bytes.Repeat([]byte{' '}, len(data)-2)...)
}

// TestErasedWhileInUse erases data through a Log whose clients write all the time. Every write succeeds, and nothing of others changes. Erasing
// again does not stop the server.
func TestErasedWhileInUse(t *testing.T) {
	dir := t.TempDir()
	errors := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	log, err := natslog.Open(natslog.Config{Dir: dir, Logger: errors})
	require.NoError(t, err)
	defer log.Close()
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}}}))
	stop, written := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { written <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			user := []string{"erased-user", "other"}[n%2]
			if n > 50 {
				user = "other"
			}
			if _, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{{Subject: "ev.web.1", Data: fmt.Appendf(nil, `{"userId":%q,"n":%d}`, user, n)}}); !assert.NoError(t, err) {
				return
			}
			n++
		}
	}()
	count := func() uint64 {
		info, err := log.Info(t.Context(), "EVENTS")
		require.NoError(t, err)
		return info.LastSeq
	}
	require.Eventually(t, func() bool { return count() > 60 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "msgs", ".1.blk.12345"), []byte("erased-user"), 0o600)) // of an interrupted one
	require.NoError(t, log.Erase(t.Context(), eraseUser))
	assert.Empty(t, filesWith(t, dir, "erased-user"))
	before := count()
	require.Eventually(t, func() bool { return count() > before+10 }, time.Minute, 10*time.Millisecond, "it accepts writes again")
	close(stop)
	n := <-written
	require.EqualValues(t, n, count())
	require.NoError(t, log.Scan(t.Context(), "EVENTS", eventlog.Query{}, func(m eventlog.Message) (bool, error) {
		i := m.Sequence - 1
		if i > 50 || i%2 == 1 {
			assert.Equal(t, fmt.Sprintf(`{"userId":"other","n":%d}`, i), string(m.Data))
		}
		return true, nil
	}))
	stopped, err := os.Stat(filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "msgs", "index.db"))
	require.NoError(t, err)
	require.NoError(t, log.Erase(t.Context(), eraseUser))
	again, err := os.Stat(filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "msgs", "index.db"))
	require.NoError(t, err)
	assert.Equal(t, stopped.ModTime(), again.ModTime(), "nothing is to be erased, so the server was not stopped")
}

// TestErasedDataIsGone erases data of messages that are there, were deleted and were replaced, and opens the log again: all messages of
// others are unchanged and have their sequences.
func TestErasedDataIsGone(t *testing.T) {
	dir := t.TempDir()
	streams := []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}}, {Name: "DEAD", Subjects: []string{"dead.>"}, NewestOnly: true}}
	open := func() *natslog.Log {
		log, err := natslog.Open(natslog.Config{Dir: dir})
		require.NoError(t, err)
		require.NoError(t, log.Prepare(t.Context(), streams))
		return log
	}
	log := open()
	for i := range 300 {
		user := "other"
		if i%3 == 0 || i == 299 {
			user = "erased-user"
		}
		data := fmt.Appendf(nil, `{"userId":%q,"n":%d}`, user, i)
		w := []eventlog.Write{{Subject: "ev.web.1", Data: data, Header: map[string]string{"A": "b"}}}
		_, err := log.Append(t.Context(), "EVENTS", w)
		require.NoError(t, err)
		_, err = log.Append(t.Context(), "DEAD", []eventlog.Write{{Subject: fmt.Sprintf("dead.main.%d", i%7), Data: data}})
		require.NoError(t, err)
	}
	require.NoError(t, log.Delete(t.Context(), "EVENTS", 4))
	log.Close()
	require.NotEmpty(t, filesWith(t, dir, "erased-user"))
	require.NoError(t, logfiles.Erase(t.Context(), dir, nil, eraseUser))
	assert.Empty(t, filesWith(t, dir, "erased-user"))
	damage, err := logfiles.Check(t.Context(), dir, nil, 0)
	require.NoError(t, err)
	assert.Empty(t, damage)
	log = open()
	defer log.Close()
	info, err := log.Info(t.Context(), "EVENTS")
	require.NoError(t, err)
	assert.Equal(t, []uint64{1, 300, 299}, []uint64{info.FirstSeq, info.LastSeq, info.Messages})
	require.NoError(t, log.Scan(t.Context(), "EVENTS", eventlog.Query{}, func(m eventlog.Message) (bool, error) {
		i := m.Sequence - 1
		want := fmt.Sprintf(`{"userId":"other","n":%d}`, i)
		if i%3 == 0 || i == 299 {
			want = "{}"
		}
		assert.Equal(t, want, string(bytes.TrimRight(m.Data, " ")))
		assert.Equal(t, map[string]string{"A": "b"}, m.Header)
		return true, nil
	}))
	last, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{{Subject: "ev.web.1", Data: []byte(`{}`)}})
	require.NoError(t, err)
	assert.Equal(t, uint64(301), last)
}

// TestErasureThatFails checks that data which cannot be erased is not called erased, and that the log accepts writes afterwards.
func TestErasureThatFails(t *testing.T) {
	dir := t.TempDir()
	log, err := natslog.Open(natslog.Config{Dir: dir})
	require.NoError(t, err)
	defer log.Close()
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}}}))
	write := []eventlog.Write{{Subject: "ev.web.1", Data: []byte("{}")}}
	_, err = log.Append(t.Context(), "EVENTS", write)
	require.NoError(t, err)
	other := filepath.Join(dir, "jetstream", "$G", "streams", "OTHER", "msgs")
	require.NoError(t, os.MkdirAll(other, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(other, "1.blk"), []byte("erased-user"), 0o600))
	require.ErrorIs(t, log.Erase(t.Context(), eraseUser), logfiles.ErrDamaged)
	_, err = log.Append(t.Context(), "EVENTS", write)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, log.Erase(ctx, eraseUser), context.Canceled)
	require.NoError(t, os.MkdirAll(filepath.Join(other, ".1.blk.5", "x"), 0o700))
	require.ErrorContains(t, log.Erase(t.Context(), eraseUser), ".1.blk.5", "it may have something")
	require.NoError(t, os.RemoveAll(other))

	_, err = log.Append(t.Context(), "EVENTS", []eventlog.Write{{Subject: "ev.web.1", Data: []byte("{erased-user}")}})
	require.NoError(t, err)
	log.Close()
	require.ErrorIs(t, log.Erase(t.Context(), eraseUser), eventlog.ErrClosed)
	assert.NotEmpty(t, filesWith(t, dir, "erased-user"), "a server that was closed is not started again")
}
