package eventlogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

func testDelete(t *testing.T, log eventlog.Log) {
	appendAll(t, log, pages, "page.a", "page.b", "page.a", "page.b", "page.a")
	for _, seq := range []uint64{2, 4, 5, 4, 99} {
		require.NoError(t, log.Delete(t.Context(), pages, seq), "deleting a deleted message is no error")
	}
	assert.Equal(t, []uint64{1, 3}, scanned(t, log, pages, eventlog.Query{Filters: []string{">"}}))
	_, err := log.Get(t.Context(), pages, 2)
	require.ErrorIs(t, err, eventlog.ErrNotFound)
	_, err = log.Last(t.Context(), pages, "page.b")
	require.ErrorIs(t, err, eventlog.ErrNotFound)
	m, err := log.Last(t.Context(), pages, "page.a")
	require.NoError(t, err)
	assert.EqualValues(t, 3, m.Sequence)
	require.EqualValues(t, 6, appendAll(t, log, pages, "page.b"))
	info, err := log.Info(t.Context(), pages)
	require.NoError(t, err)
	assert.EqualValues(t, 3, info.Messages)
	assert.Equal(t, 3, info.Missing)
	missing, err := log.Missing(t.Context(), pages)
	require.NoError(t, err)
	assert.Equal(t, []uint64{2, 4, 5}, missing)
	require.NoError(t, log.Delete(t.Context(), pages, 1))
	info, err = log.Info(t.Context(), pages)
	require.NoError(t, err)
	assert.EqualValues(t, 3, info.FirstSeq)
	assert.Equal(t, 2, info.Missing)
}

func testPurge(t *testing.T, log eventlog.Log) {
	appendAll(t, log, pages, "page.a", "page.b", "page.a", "page.b", "page.a")
	require.NoError(t, log.PurgeBefore(t.Context(), pages, 3))
	assert.Equal(t, []uint64{3, 4, 5}, scanned(t, log, pages, eventlog.Query{Filters: []string{">"}}))
	info, err := log.Info(t.Context(), pages)
	require.NoError(t, err)
	assert.EqualValues(t, 3, info.FirstSeq)
	assert.Zero(t, info.Missing, "what is purged at the start does not count")
	require.NoError(t, log.PurgeBefore(t.Context(), pages, 2))
	require.NoError(t, log.PurgeSubjects(t.Context(), pages, "page.b"))
	require.NoError(t, log.PurgeSubjects(t.Context(), pages, "page.b"))
	assert.Equal(t, []uint64{3, 5}, scanned(t, log, pages, eventlog.Query{Filters: []string{">"}}))
	appendAll(t, log, values, "value.a.1", "value.a.2", "value.b.1")
	require.NoError(t, log.PurgeSubjects(t.Context(), values, "value.a.>"))
	subjects, err := log.Subjects(t.Context(), values, ">")
	require.NoError(t, err)
	assert.Equal(t, []string{"value.b.1"}, subjects)
}

func testSequencesAfterPurge(t *testing.T, log eventlog.Log) {
	empty, err := log.Info(t.Context(), pages)
	require.NoError(t, err)
	assert.EqualValues(t, 1, empty.FirstSeq)
	assert.Zero(t, empty.LastSeq)
	appendAll(t, log, pages, "page.a", "page.a", "page.a")
	require.NoError(t, log.PurgeSubjects(t.Context(), pages, ">"))
	info, err := log.Info(t.Context(), pages)
	require.NoError(t, err)
	assert.Zero(t, info.Messages)
	assert.EqualValues(t, 4, info.FirstSeq)
	assert.EqualValues(t, 3, info.LastSeq)
	assert.Equal(t, empty.Created, info.Created)
	assert.Zero(t, info.Bytes)
	require.EqualValues(t, 4, appendAll(t, log, pages, "page.a"))
	require.NoError(t, log.PurgeBefore(t.Context(), pages, 5))
	require.EqualValues(t, 5, appendAll(t, log, pages, "page.a"))
}

func testLabels(t *testing.T, log eventlog.Log) {
	labeled := func(f func(*eventlog.Info) (map[string]string, error)) error {
		return log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "LABELED", Subjects: []string{"labeled.>"}, Labels: f}})
	}
	require.NoError(t, labeled(func(stored *eventlog.Info) (map[string]string, error) {
		assert.Nil(t, stored)
		return map[string]string{"a": "1"}, nil
	}))
	appendAll(t, log, "LABELED", "labeled.x")
	require.NoError(t, labeled(func(stored *eventlog.Info) (map[string]string, error) {
		if assert.NotNil(t, stored) {
			assert.Equal(t, "1", stored.Labels["a"])
			assert.EqualValues(t, 1, stored.LastSeq)
		}
		return map[string]string{"a": "2", "b": "3"}, nil
	}))
	failed := errors.New("failed")
	require.ErrorIs(t, labeled(func(*eventlog.Info) (map[string]string, error) { return nil, failed }), failed)
	info, err := log.Info(t.Context(), "LABELED")
	require.NoError(t, err)
	assert.Equal(t, "2", info.Labels["a"])
	assert.Equal(t, "3", info.Labels["b"])
	assert.EqualValues(t, 1, info.Messages)
	require.NoError(t, labeled(func(*eventlog.Info) (map[string]string, error) { return map[string]string{"b": "4"}, nil }))
	info, err = log.Info(t.Context(), "LABELED")
	require.NoError(t, err)
	assert.NotContains(t, info.Labels, "a")
	assert.Equal(t, "4", info.Labels["b"])
}

// operations are the methods that use a stream, without those that write.
func operations(log eventlog.Log) map[string]func(ctx context.Context, stream string) error {
	all := eventlog.Query{Filters: []string{">"}}
	return map[string]func(ctx context.Context, stream string) error{
		"Get":           func(ctx context.Context, stream string) error { _, err := log.Get(ctx, stream, 1); return err },
		"First":         func(ctx context.Context, stream string) error { _, err := log.First(ctx, stream, ">", 0); return err },
		"Last":          func(ctx context.Context, stream string) error { _, err := log.Last(ctx, stream, "page.a"); return err },
		"Count":         func(ctx context.Context, stream string) error { _, err := log.Count(ctx, stream, all); return err },
		"Read":          func(ctx context.Context, stream string) error { _, err := log.Read(ctx, stream, all); return err },
		"Subjects":      func(ctx context.Context, stream string) error { _, err := log.Subjects(ctx, stream, ">"); return err },
		"Delete":        func(ctx context.Context, stream string) error { return log.Delete(ctx, stream, 1) },
		"PurgeBefore":   func(ctx context.Context, stream string) error { return log.PurgeBefore(ctx, stream, 2) },
		"PurgeSubjects": func(ctx context.Context, stream string) error { return log.PurgeSubjects(ctx, stream, ">") },
		"Info":          func(ctx context.Context, stream string) error { _, err := log.Info(ctx, stream); return err },
		"Missing":       func(ctx context.Context, stream string) error { _, err := log.Missing(ctx, stream); return err },
		"Scan": func(ctx context.Context, stream string) error {
			return log.Scan(ctx, stream, all, func(eventlog.Message) (bool, error) { return true, nil })
		},
	}
}

// requireFailures calls every method of a log and checks its error.
func requireFailures(t *testing.T, log eventlog.Log, ctx context.Context, stream string, want error) {
	t.Helper()
	for name, call := range operations(log) {
		require.ErrorIs(t, call(ctx, stream), want, name)
	}
}

func testUnknownStream(t *testing.T, log eventlog.Log) {
	requireFailures(t, log, t.Context(), "UNKNOWN", eventlog.ErrNoStream)
	info, err := log.Info(t.Context(), pages)
	require.NoError(t, err)
	assert.False(t, info.Created.IsZero())
	for _, writes := range [][]eventlog.Write{{{Subject: "other.a"}}, {{Subject: "other.a"}, {Subject: "other.b"}}} {
		_, err = log.Append(t.Context(), pages, writes)
		require.ErrorIs(t, err, eventlog.ErrUnavailable, "no stream has the subject")
	}
}

// testCanceled checks that no method does anything if its context has ended.
func testCanceled(t *testing.T, log eventlog.Log) {
	appendAll(t, log, pages, "page.a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	requireFailures(t, log, ctx, pages, context.Canceled)
	require.ErrorIs(t, log.Prepare(ctx, streams()), context.Canceled)
	_, err := log.Append(ctx, pages, []eventlog.Write{{Subject: "page.a"}})
	require.ErrorIs(t, err, context.Canceled)
	n, err := log.Count(t.Context(), pages, eventlog.Query{Filters: []string{"page.a"}})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

func testClosedLog(t *testing.T, log eventlog.Log) {
	assert.True(t, log.Connected())
	_, err := log.WriteFailure(pages)
	require.NoError(t, err)
	appendAll(t, log, pages, "page.a")
	log.Close()
	assert.False(t, log.Connected())
	ctx := context.WithoutCancel(t.Context())
	for _, writes := range [][]eventlog.Write{{{Subject: "page.a"}}, {{Subject: "page.a"}, {Subject: "page.b"}}} {
		_, err = log.Append(ctx, pages, writes)
		require.ErrorIs(t, err, eventlog.ErrClosed)
	}
	requireFailures(t, log, ctx, pages, eventlog.ErrClosed)
	require.ErrorIs(t, log.Prepare(ctx, streams()), eventlog.ErrClosed)
	log.Close() // again
}
