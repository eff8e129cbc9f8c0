package natslog

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// stream returns the stream S.
func stream() []eventlog.StreamConfig {
	return []eventlog.StreamConfig{{Name: "S", Subjects: []string{"s.>"}}}
}

// newLog returns a log in this process with the stream S.
func newLog(t *testing.T) *Log {
	t.Helper()
	log := openLog(t, Config{Dir: t.TempDir()})
	require.NoError(t, log.Prepare(t.Context(), stream()))
	return log
}

// textsOf returns the sequences and data of all messages.
func textsOf(t *testing.T, log *Log) (texts []string) {
	t.Helper()
	require.NoError(t, log.Scan(t.Context(), "S", eventlog.Query{}, func(m eventlog.Message) (bool, error) {
		texts = append(texts, fmt.Sprint(m.Sequence, " ", m.Subject, " ", m.Header["Name"], " ", len(m.Data), " ", hex.EncodeToString(m.Data[:min(5, len(m.Data))])))
		return true, nil
	}))
	return texts
}

// brokenWriter fails after some bytes.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(p), nil
}

// TestSnapshots checks that a stream which is restored from a snapshot of several parts has the same messages, and that part of a snapshot makes
// none.
func TestSnapshots(t *testing.T) {
	log := newLog(t)
	random := rand.NewChaCha8([32]byte{})
	for i := range 3 {
		data := make([]byte, snapshotChunk) // which cannot be compressed
		_, _ = random.Read(data)
		_, err := log.Append(t.Context(), "S", []eventlog.Write{
			{Subject: fmt.Sprint("s.", i), Header: map[string]string{"Name": "value"}, Data: data}, {Subject: "s.x", Data: []byte("x")},
		})
		require.NoError(t, err)
	}
	require.NoError(t, log.Delete(t.Context(), "S", 2))
	var content bytes.Buffer
	taken, err := log.Snapshot(t.Context(), "S", &content)
	require.NoError(t, err)
	assert.Equal(t, "S", taken.Name)
	assert.Greater(t, content.Len(), 3*snapshotChunk)
	_, err = log.Snapshot(t.Context(), "UNKNOWN", io.Discard)
	require.ErrorIs(t, err, eventlog.ErrNoStream)
	_, err = log.Snapshot(t.Context(), "S", &brokenWriter{left: content.Len() / 2})
	require.ErrorContains(t, err, "the disk is full")
	assert.Error(t, log.Restore(t.Context(), taken, bytes.NewReader(content.Bytes())), "the stream exists")

	other := openLog(t, Config{Dir: t.TempDir()})
	require.Error(t, other.Restore(t.Context(), taken, bytes.NewReader(content.Bytes()[:content.Len()/2])), "half of it")
	_, err = other.Info(t.Context(), "S")
	require.ErrorIs(t, err, eventlog.ErrNoStream)
	third := openLog(t, Config{Dir: t.TempDir()})
	failed := io.MultiReader(bytes.NewReader(content.Bytes()[:10]), iotest.ErrReader(errors.New("the archive cannot be read")))
	require.ErrorContains(t, third.Restore(t.Context(), taken, failed), "the archive cannot be read")
	assert.Error(t, third.Restore(t.Context(), eventlog.Snapshot{Name: "S", Config: json.RawMessage("["), State: taken.State}, &content), "its config is damaged")

	restored := openLog(t, Config{Dir: t.TempDir()})
	require.NoError(t, restored.Restore(t.Context(), taken, bytes.NewReader(content.Bytes())))
	require.NoError(t, restored.Prepare(t.Context(), stream()))
	want := textsOf(t, log)
	assert.Len(t, want, 5)
	assert.Equal(t, want, textsOf(t, restored))
	last, err := restored.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.x"}})
	require.NoError(t, err)
	assert.EqualValues(t, 7, last)
}

// TestConfigsOfSnapshots checks that a restored stream has the copies that this log keeps, wherever the snapshot is from.
func TestConfigsOfSnapshots(t *testing.T) {
	raw := json.RawMessage(`{"name":"S","num_replicas":5,"placement":{"cluster":"a"},"max_bytes":7,"deny_delete":true,"allow_msg_ttl":true}`)
	for _, c := range []struct {
		log  *Log
		want float64
	}{{&Log{embedded: &embeddedServer{}, config: Config{Replicas: 3}}, 1}, {&Log{config: Config{Replicas: 3}}, 3}} {
		config, err := c.log.adaptConfig(raw)
		require.NoError(t, err)
		assert.EqualValues(t, c.want, config["num_replicas"])
		assert.NotContains(t, config, "placement")
		assert.Equal(t, c.log.embedded != nil, config["deny_delete"] == true, "messages of a cluster can be deleted")
		assert.Equal(t, true, config["allow_msg_ttl"], "servers of earlier versions cannot read compressed pages, wherever they are")
		assert.EqualValues(t, 7, config["max_bytes"])
	}
}

// TestAnswersOfTheAPI checks which answers of the server are errors.
func TestAnswersOfTheAPI(t *testing.T) {
	assert.NoError(t, apiError([]byte(`{"config":{}}`)))
	assert.NoError(t, apiError([]byte(`{"error":null}`)))
	assert.ErrorContains(t, apiError([]byte(`{"error":{"code":400,"err_code":1,"description":"no such thing"}}`)), "no such thing")
	assert.Error(t, apiError([]byte(`<html>`)))
}

// TestCopiesOfDamagedFilesAreErased checks that only copies with the user's data are deleted.
func TestCopiesOfDamagedFilesAreErased(t *testing.T) {
	dir := t.TempDir()
	has := func(stream string, content []byte) bool {
		assert.Equal(t, "S", stream)
		return strings.Contains(string(content), "erased-user")
	}
	deleted, err := Files(dir).EraseCopies(has)
	require.NoError(t, err)
	assert.Zero(t, deleted)
	folder := filepath.Join(dir, "damaged", "2026-01-02", "S")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	for name, text := range map[string]string{"1.blk": "of erased-user", "2.blk": "of another", "3.blk": "erased-user too"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	deleted, err = Files(dir).EraseCopies(has)
	require.NoError(t, err)
	assert.Equal(t, 2, deleted)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, "2.blk", left[0].Name())
	require.NoError(t, os.Mkdir(filepath.Join(folder, "0.blk"), 0o700))
	_, err = Files(dir).EraseCopies(has)
	assert.Error(t, err, "what cannot be read may have the user's data")
}

// TestPartsOfSnapshots checks how the parts of a snapshot end, and that a server which stops early is an error.
func TestPartsOfSnapshots(t *testing.T) {
	log := newLog(t)
	for _, c := range []struct {
		status, err string
	}{{"", ""}, {"204", ""}, {"408", "the server stopped with 408 No Flow Response"}} {
		parts, err := log.conn.SubscribeSync("parts")
		require.NoError(t, err)
		acknowledged, err := log.conn.SubscribeSync("acknowledged")
		require.NoError(t, err)
		require.NoError(t, log.conn.PublishRequest("parts", "acknowledged", []byte("one ")))
		require.NoError(t, log.conn.Publish("parts", []byte("two")))
		end := nats.NewMsg("parts")
		if c.status != "" {
			end.Header.Set("Status", c.status)
			end.Header.Set("Description", "No Flow Response")
		}
		require.NoError(t, log.conn.PublishMsg(end))
		var content bytes.Buffer
		err = log.copyParts(t.Context(), parts, &content)
		assert.Equal(t, "one two", content.String())
		if c.err == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, c.err)
		}
		_, err = acknowledged.NextMsgWithContext(t.Context())
		require.NoError(t, err)
		require.NoError(t, parts.Unsubscribe())
		require.NoError(t, acknowledged.Unsubscribe())
	}
	parts, err := log.conn.SubscribeSync("parts")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, log.copyParts(ctx, parts, io.Discard), context.Canceled)
}
