package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// TestSnapshotsOfAQueueInUse checks that a snapshot has a message of each subject although all of them are replaced while it is
// taken, that the messages are whole, and that those of one subject are not older than the snapshot.
func TestSnapshotsOfAQueueInUse(t *testing.T) {
	t.Parallel()
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	const subjects = 60
	bytesEach := testsize.Of(100_000, 20_000)
	random := make([]byte, bytesEach) // does not shrink when compressed
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	streams := map[string]string{checkpointsStream: "book.i.%d", parkStream: "park.i.%d", deadStream: "dead.i.%d"}
	replace := func(ctx context.Context, stream string, n, version int) error {
		subject := fmt.Sprintf(streams[stream], n)
		data := append(fmt.Appendf(nil, "%s %d ", subject, version), random...)
		_, err := q.store.Append(ctx, stream, []eventlog.Write{{Subject: subject, Header: map[string]string{"Version": fmt.Sprint(version)}, Data: data}})
		return err
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for stream := range streams {
		for n := range subjects {
			require.NoError(t, replace(ctx, stream, n, 0))
		}
		writers.Go(func() {
			for version := 1; ctx.Err() == nil; version++ {
				for n := 0; n < subjects && ctx.Err() == nil; n++ {
					_ = replace(ctx, stream, n, version)
				}
			}
		})
	}
	files := map[string]*bytes.Buffer{}
	list, err := q.Snapshots(t.Context(), func(name string) (io.Writer, error) {
		files[name] = &bytes.Buffer{}
		return slowWriter{files[name]}, nil
	})
	stop()
	writers.Wait()
	require.NoError(t, err)

	dir := t.TempDir()
	open := func(name string) (io.ReadCloser, error) { return io.NopCloser(files[name]), nil }
	require.NoError(t, RestoreSnapshots(t.Context(), Config{Dir: dir}, list, open))
	restored, err := Open(t.Context(), Config{Dir: dir, Partitions: 1})
	require.NoError(t, err)
	defer restored.Close()
	for stream, pattern := range streams {
		for n := range subjects {
			m, err := restored.store.Last(t.Context(), stream, fmt.Sprintf(pattern, n))
			if assert.NoError(t, err, pattern, n) {
				assert.Equal(t, fmt.Sprintf(pattern, n)+" "+m.Header["Version"]+" ", string(m.Data[:len(m.Data)-bytesEach]))
				assert.Equal(t, random, m.Data[len(m.Data)-bytesEach:])
			}
		}
	}
}

// slowWriter is as slow as a connection, so that messages are replaced between the parts of a snapshot.
type slowWriter struct{ to io.Writer }

func (w slowWriter) Write(part []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return w.to.Write(part)
}

// TestSnapshotsOfEarlierVersions checks that snapshots that NATS has made of all streams are restored, and that those of a later
// version are refused.
func TestSnapshotsOfEarlierVersions(t *testing.T) {
	t.Parallel()
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	_, err = q.store.Append(t.Context(), checkpointsStream, []eventlog.Write{{Subject: "book.i.0", Data: []byte("{}")}})
	require.NoError(t, err)
	files := map[string]*bytes.Buffer{}
	var list []StreamSnapshot
	for _, name := range []string{checkpointsStream, parkStream, deadStream, eventsStream} {
		files[name] = &bytes.Buffer{}
		s, err := q.store.(eventlog.Snapshotter).Snapshot(t.Context(), name, files[name])
		require.NoError(t, err)
		list = append(list, StreamSnapshot{Name: s.Name, Config: s.Config, State: s.State})
	}
	open := func(name string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files[name].Bytes())), nil
	}
	dir := t.TempDir()
	require.NoError(t, RestoreSnapshots(t.Context(), Config{Dir: dir}, list, open))
	restored, err := Open(t.Context(), Config{Dir: dir, Partitions: 1})
	require.NoError(t, err)
	defer restored.Close()
	m, err := restored.store.Last(t.Context(), checkpointsStream, "book.i.0")
	require.NoError(t, err)
	assert.Equal(t, "{}", string(m.Data))

	list[3].Format = "shards"
	assert.ErrorContains(t, RestoreSnapshots(t.Context(), Config{Dir: t.TempDir()}, list, open), `the format "shards" needs a later version`)
}

// snapshotLog is a log in memory with empty snapshots. It may not know what is in the stream of rewritten pages, and may refuse writes.
type snapshotLog struct {
	*memlog.Log
	unknown, refused error
}

func (l *snapshotLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	if l.refused != nil {
		return 0, l.refused
	}
	return l.Log.Append(ctx, stream, writes)
}

func (l *snapshotLog) Info(ctx context.Context, stream string) (eventlog.Info, error) {
	if stream == rewrittenStream && l.unknown != nil {
		return eventlog.Info{}, l.unknown
	}
	return l.Log.Info(ctx, stream)
}

func (l *snapshotLog) Snapshot(_ context.Context, stream string, _ io.Writer) (eventlog.Snapshot, error) {
	return eventlog.Snapshot{Name: stream}, nil
}

func (l *snapshotLog) Restore(context.Context, eventlog.Snapshot, io.Reader) error { return nil }

// TestSnapshotsOfRewrittenPages checks that a backup has the rewritten pages unless there are none, also if it is not known whether there are any.
func TestSnapshotsOfRewrittenPages(t *testing.T) {
	log := &snapshotLog{Log: memlog.New(memlog.Options{}).Connect()}
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1}.On(log))
	require.NoError(t, err)
	defer q.Close()
	others := []string{checkpointsStream, parkStream, deadStream, eventsStream}
	check := func(want ...string) {
		t.Helper()
		list, err := q.Snapshots(t.Context(), func(string) (io.Writer, error) { return io.Discard, nil })
		require.NoError(t, err)
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		assert.Equal(t, append(others, want...), names)
	}
	check()
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{rewrittenConfig()}))
	check()
	log.unknown = errLogFails
	check(rewrittenStream)
	log.unknown = nil
	_, err = log.Append(t.Context(), rewrittenStream, []eventlog.Write{rewrittenWrite(eventlog.Message{Subject: "ev.web.0", Sequence: 1}, []byte("{}"))})
	require.NoError(t, err)
	check(rewrittenStream)
}

// TestNothingIsCopiedWhileEventsMayBeTrimmed checks that a backup fails if it cannot record that events must not be trimmed meanwhile.
func TestNothingIsCopiedWhileEventsMayBeTrimmed(t *testing.T) {
	log := &snapshotLog{Log: memlog.New(memlog.Options{}).Connect()}
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1}.On(log))
	require.NoError(t, err)
	defer q.Close()
	log.refused = errLogFails
	list, err := q.Snapshots(t.Context(), func(string) (io.Writer, error) { return io.Discard, nil })
	require.ErrorIs(t, err, errLogFails)
	assert.ErrorContains(t, err, "keeping events from being trimmed")
	assert.Empty(t, list)
}

// TestSnapshotsOfALogThatCannotBeWritten checks that the reason is said why a snapshot cannot keep events from being trimmed.
func TestSnapshotsOfALogThatCannotBeWritten(t *testing.T) {
	log := &unansweredLog{Log: memlog.New(memlog.Options{}).Connect()}
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1}.On(log))
	require.NoError(t, err)
	defer q.Close()
	log.full.Store(true)
	_, err = q.Snapshots(t.Context(), func(string) (io.Writer, error) { return io.Discard, nil })
	assert.EqualError(t, err, "keeping events from being trimmed: the log accepts no writes")
}

// unansweredLog is a log whose writes are not answered once its disk is full.
type unansweredLog struct {
	eventlog.Log
	eventlog.Snapshotter
	full atomic.Bool
}

func (l *unansweredLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	if l.full.Load() {
		return 0, context.DeadlineExceeded
	}
	return l.Log.Append(ctx, stream, writes)
}

func (l *unansweredLog) WriteFailure(stream string) (time.Time, error) {
	if l.full.Load() {
		return time.Now(), eventlog.ErrUnwritable
	}
	return l.Log.WriteFailure(stream)
}
