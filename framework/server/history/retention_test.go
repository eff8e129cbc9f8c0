package history_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestRetentionIsASetting checks that entries and the history of members are deleted after the times of the Config, not before.
func TestRetentionIsASetting(t *testing.T) {
	store := openStore(t)
	ledger, a, start := store.Ledger("main"), destination.Audience{ID: "a", Name: "a"}, time.Now()
	for i := range 3 {
		change := destination.Change{Identity: "external_id:u1", Member: i%2 == 0, At: start.Add(time.Duration(i) * time.Millisecond)}
		require.NoError(t, ledger.MarkUncertain(t.Context(), a, []destination.Change{change}))
		require.NoError(t, ledger.Record(t.Context(), a, []destination.Change{change}))
	}
	rejections := func() (n int) {
		require.NoError(t, history.Rejections(t.Context(), store, func(history.Rejection) bool { n++; return true }))
		return n
	}
	changes := func() int {
		s, list, ok, err := ledger.Find(t.Context(), "a", "external_id:u1")
		require.NoError(t, err)
		require.True(t, ok && s.Member, "the state of the member stays")
		return len(list)
	}
	require.Positive(t, changes())
	at := func(age time.Duration, c history.Config) {
		c.Store, c.Now = store, func() time.Time { return start.Add(age) }
		history.TrimOnce(t.Context(), c)
	}
	r := history.New(history.Config{Store: store, Now: func() time.Time { return start }})
	r.AddRejection("web", event.MustParse(`{"userId":"u1"}`), "no type")
	r.Close()
	at(time.Hour, history.Config{Retention: 2 * time.Hour, LedgerRetention: 2 * time.Hour})
	assert.Equal(t, 1, rejections())
	assert.Positive(t, changes())
	at(3*time.Hour, history.Config{Retention: 4 * time.Hour})
	assert.Equal(t, 1, rejections())
	assert.Positive(t, changes(), "without a limit, it stays")
	at(3*time.Hour, history.Config{Retention: 2 * time.Hour, LedgerRetention: 2 * time.Hour})
	assert.Zero(t, rejections())
	assert.Zero(t, changes())
}

// TestNothingExpiresByADoubtfulClock checks that entries and the history of members stay while the clock cannot be trusted, and expire afterwards.
func TestNothingExpiresByADoubtfulClock(t *testing.T) {
	store, now, trusted := openStore(t), time.Now(), true
	ledger, a := store.Ledger("main"), destination.Audience{ID: "a", Name: "a"}
	for i := range 3 {
		change := destination.Change{Identity: "external_id:u1", Member: i%2 == 0, At: now.Add(time.Duration(i) * time.Millisecond)}
		require.NoError(t, ledger.MarkUncertain(t.Context(), a, []destination.Change{change}))
		require.NoError(t, ledger.Record(t.Context(), a, []destination.Change{change}))
	}
	r := history.NewIdle(history.Config{
		Store: store, Now: func() time.Time { return now }, Retention: time.Hour, LedgerRetention: time.Hour, MayDeleteByAge: func() bool { return trusted },
	})
	kept := func() (n int, changes int) {
		r.Tick(t.Context())
		require.NoError(t, history.Rejections(t.Context(), store, func(history.Rejection) bool { n++; return true }))
		_, list, _, err := ledger.Find(t.Context(), "a", "external_id:u1")
		require.NoError(t, err)
		return n, len(list)
	}
	r.AddRejection("web", event.MustParse(`{"userId":"u1"}`), "no type")
	n, changes := kept()
	assert.Equal(t, 1, n)
	require.Positive(t, changes)
	now, trusted = now.AddDate(20, 0, 0), false
	n, left := kept()
	assert.Equal(t, []int{1, changes}, []int{n, left})
	now, trusted = now.Add(2*time.Minute), true
	n, left = kept()
	assert.Equal(t, []int{0, 0}, []int{n, left})
}

// TestRunningRecorderTrims checks that a Recorder deletes what is too old without being asked.
func TestRunningRecorderTrims(t *testing.T) {
	store, now := openStore(t), time.Now()
	r := history.NewIdle(history.Config{Store: store, Now: func() time.Time { return now }, Retention: time.Hour})
	kept := func() (n int) {
		r.Tick(t.Context())
		require.NoError(t, history.Rejections(t.Context(), store, func(history.Rejection) bool { n++; return true }))
		return n
	}
	r.AddRejection("web", event.MustParse(`{"userId":"u1"}`), "no type")
	assert.Equal(t, 1, kept())
	now = now.Add(time.Hour)
	assert.Equal(t, 1, kept())
	now = now.Add(2 * time.Minute)
	assert.Zero(t, kept())
}
