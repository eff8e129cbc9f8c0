package erasure_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
)

// TestSuppressedUsers checks that only an order which says so refuses the users' events from then on.
func TestSuppressedUsers(t *testing.T) {
	w := newWorld(t)
	assert.False(t, w.request(gone)[0].Suppressed)
	list, err := w.store.Suppressed(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
	receipts, err := w.desk().Request(t.Context(), erasure.Order{Users: []erasure.User{gone}, Suppress: true, By: "test"})
	require.NoError(t, err)
	assert.True(t, receipts[0].Suppressed)
	list, err = w.store.Suppressed(t.Context())
	require.NoError(t, err)
	var hashes []string
	for _, s := range list {
		hashes = append(hashes, s.Hash)
		assert.Equal(t, receipts[0].Key, s.Key)
	}
	assert.ElementsMatch(t, receipts[0].Identifiers, hashes)
}

// TestChecksOfUsers checks that users are refused before anything is stored, with the error of a request.
func TestChecksOfUsers(t *testing.T) {
	w := newWorld(t)
	assert.NoError(t, w.desk().Check([]erasure.User{gone}))
	assert.ErrorContains(t, w.desk().Check([]erasure.User{gone, {}}), "no identifier")
	_, err := w.desk().Request(t.Context(), erasure.Order{Users: []erasure.User{gone, {}}})
	require.Error(t, err)
	assert.Empty(t, mustList(t, w), "all or none")
	many := make([]erasure.User, erasure.MaxUsers+1)
	for i := range many {
		many[i] = erasure.User{Identifiers: []string{fmt.Sprint("u", i)}}
	}
	_, err = w.desk().Request(t.Context(), erasure.Order{Users: many})
	assert.ErrorContains(t, err, "names 1001")
	_, err = w.desk().Request(t.Context(), erasure.Order{Users: many[1:]})
	assert.NoError(t, err)
	w.cfg.StateKey = ""
	assert.ErrorContains(t, w.desk().Check([]erasure.User{gone}), "landfall auth key")
}

// TestListsOfErasures checks the order of the lists of erasures, and which of them are in them.
func TestListsOfErasures(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for _, user := range []string{"first", "second", "third"} {
		ids = append(ids, w.request(erasure.User{Identifiers: []string{user}})[0].ID)
		if user == "second" {
			require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
		}
	}
	ids = append(ids, w.request(erasure.User{Identifiers: []string{"fourth", "first"}})[0].ID)
	idsOf := func(list []erasure.Receipt, err error) (ids []string) {
		require.NoError(t, err)
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		return ids
	}
	assert.Equal(t, []string{ids[3], ids[2], ids[1]}, idsOf(w.desk().Latest(t.Context(), 3)), "first those that are not done")
	assert.Equal(t, []string{ids[3], ids[2], ids[1], ids[0]}, idsOf(w.desk().List(t.Context())))
	assert.Equal(t, []string{ids[3], ids[0]}, idsOf(w.desk().List(t.Context(), "first")))
	assert.Equal(t, []string{ids[2], ids[3]}, idsOf(erasure.Inspect(t.Context(), w.dir, "")), "those that are not done, the oldest first")
	assert.Equal(t, "4 erasures: 2 done, 0 failing, 2 pending", erasure.Summary(mustList(t, w)))
}

// TestInstancesThatAreOff checks that a user who may be in an audience of an instance that is turned off is not called erased.
func TestInstancesThatAreOff(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1")
	ledger := w.store.Ledger("braze-main")
	require.NoError(t, ledger.Record(t.Context(), vip, []destination.Change{{Identity: "external_id:left-1", At: time.Now().Add(-time.Minute)}}))
	w.removed["braze-main"] = true
	c := w.config()
	c.HasConfig = func(string) bool { return true }
	list := w.request(gone, erasure.User{Identifiers: []string{"left-1"}})
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Contains(t, step(t, w.receipt(list[0].ID), erasure.StepAudiences, "braze-main").Error, "the instance is turned off: turn it on")
	assert.Contains(t, step(t, w.receipt(list[0].ID), erasure.StepFiles, "").Error, "the ledger and the history are first")
	assert.Equal(t, "done", w.receipt(list[1].ID).State(), "a user who is no member needs no exit")
	_, _, ok, err := ledger.Find(t.Context(), "aud_1", "external_id:gone-1")
	require.NoError(t, err)
	assert.True(t, ok, "the ledger knows whom to take out")
	delete(w.removed, "braze-main")
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Equal(t, "done", w.receipt(list[0].ID).State())
}

// TestWaitsBetweenAttempts checks when an erasure begins, and when it is tried again.
func TestWaitsBetweenAttempts(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1")
	w.fails.Store(true)
	id := w.request(gone)[0].ID
	c := w.config()
	c.Settle = time.Hour
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Zero(t, w.receipt(id).Attempts, "other servers may not know it yet")
	c = w.config()
	wait := 90_000 * time.Hour // the clock is ahead
	c.Backoff = func(attempt int) time.Duration { return wait }
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Equal(t, 1, w.receipt(id).Attempts)
	wait = time.Hour
	for range 2 {
		require.NoError(t, erasure.RunOnce(t.Context(), c))
		r := w.receipt(id)
		assert.Equal(t, 2, r.Attempts)
		require.NotNil(t, r.NextAttempt)
		assert.WithinRange(t, *r.NextAttempt, time.Now().Add(50*time.Minute), time.Now().Add(time.Hour))
	}
}

// TestReceiptsExpire checks that the receipts of erasures that are done are deleted after their time, and no others.
func TestReceiptsExpire(t *testing.T) {
	w := newWorld(t)
	w.request(gone)
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	c := w.config()
	c.Retention = time.Hour
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Len(t, mustList(t, w), 1)
	pending := w.request(erasure.User{Identifiers: []string{"u2"}})[0].ID
	c.Retention, c.Settle = time.Nanosecond, time.Hour
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	list := mustList(t, w)
	require.Len(t, list, 1)
	assert.Equal(t, pending, list[0].ID)
}

// TestRunningEraser checks that an Eraser carries out what is requested while it runs, and reports how long the oldest erasure waits.
func TestRunningEraser(t *testing.T) {
	w := newWorld(t)
	w.fails.Store(true)
	w.fill("gone-1", "stays-1")
	c := w.config()
	metrics := prometheus.NewRegistry()
	c.Metrics = metrics
	e := erasure.Start(c)
	defer e.Close()
	oldest := func() float64 {
		list, err := metrics.Gather()
		require.NoError(t, err)
		require.Len(t, list, 1)
		return list[0].GetMetric()[0].GetGauge().GetValue()
	}
	id := w.request(gone)[0].ID
	watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer watcher.Close()
	require.Eventually(t, func() bool { return w.receipt(id).State() == "failing" && oldest() > 0 }, time.Minute, 20*time.Millisecond)
	w.fails.Store(false)
	require.Eventually(t, func() bool { return w.receipt(id).State() == "done" && oldest() == 0 }, time.Minute, 20*time.Millisecond)
	w.request(erasure.User{Identifiers: []string{"u2"}})
	require.Eventually(t, func() bool { return watcher.HasEvent(event.MustParse(`{"userId":"u2"}`)) }, time.Minute, 20*time.Millisecond)
	assert.True(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-1"}`)), "events of a user who was erased lately may wait in a server")
}

// TestLateResults checks that a user whom the result of an earlier request adds to a ledger while the erasure runs is erased there too, unless the
// user has come back.
func TestLateResults(t *testing.T) {
	for at, erased := range map[time.Duration]bool{-time.Minute: true, time.Hour: false} {
		w := newWorld(t)
		w.fill("gone-1", "stays-1")
		id := w.request(gone)[0].ID
		ledger := w.store.Ledger("braze-main")
		require.NoError(t, erasure.RunUntil(t.Context(), w.config(), func(name string) error {
			if name != erasure.StepFiles || w.receipt(id).Attempts > 1 {
				return nil
			}
			return ledger.Record(t.Context(), vip, []destination.Change{{Identity: "external_id:gone-1", Member: true, At: time.Now().Add(at)}})
		}))
		r := w.receipt(id)
		if erased {
			require.Nil(t, r.DoneAt)
			assert.False(t, step(t, r, erasure.StepAudiences, "braze-main").Done)
			require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
		}
		assert.Equal(t, "done", w.receipt(id).State())
		_, _, ok, err := ledger.Find(t.Context(), "aud_1", "external_id:gone-1")
		require.NoError(t, err)
		assert.Equal(t, !erased, ok)
	}
}

// TestInspectedErasures checks that the erasures of a state that is in no use can be listed, and that one that cannot be read is not called empty.
func TestInspectedErasures(t *testing.T) {
	w := newWorld(t)
	id := w.request(gone)[0].ID
	list, err := erasure.Inspect(t.Context(), w.dir, "")
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, id, list[0].ID)
	damaged := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(damaged, state.File("")), []byte(strings.Repeat("no database", 1000)), 0o600))
	_, err = erasure.Inspect(t.Context(), damaged, "")
	assert.Error(t, err)
}

// TestLateDoubts checks that a user whose membership became uncertain while the erasure ran, as an exit may not have arrived, is not called erased.
func TestLateDoubts(t *testing.T) {
	w := newWorld(t)
	w.fill("stays-1")
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunUntil(t.Context(), w.config(), func(name string) error {
		if name != erasure.StepFiles || w.receipt(id).Attempts > 1 {
			return nil
		}
		return w.store.Ledger("braze-main").MarkUncertain(t.Context(), vip, []destination.Change{{Identity: "external_id:gone-1", Member: true, At: time.Now().Add(time.Hour)}})
	}))
	assert.Nil(t, w.receipt(id).DoneAt)
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Equal(t, "done", w.receipt(id).State())
}

// TestRequestsInFlightAreAwaited checks that an erasure begins when the requests with the user's events have ended, since their results are
// recorded then.
func TestRequestsInFlightAreAwaited(t *testing.T) {
	w := newWorld(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	hold := func() { close(arrived); <-release }
	w.hold.Store(&hold)
	watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer watcher.Close()
	runner := w.newRunner("braze-users", delivery.Settings{Linger: time.Millisecond, Erased: watcher.HasEvent})
	defer runner.Stop(t.Context())
	w.fill("gone-1")
	<-arrived
	w.request(gone)
	require.Eventually(t, runner.IsSendingErased, time.Minute, 5*time.Millisecond)
	c := w.config()
	c.Runner = runner
	var released atomic.Bool
	ended := make(chan error, 1)
	go func() {
		ended <- erasure.RunUntil(t.Context(), c, func(string) error { assert.True(t, released.Load()); return errEnded })
	}()
	time.Sleep(200 * time.Millisecond) // in which it would begin
	released.Store(true)
	close(release)
	assert.ErrorIs(t, <-ended, errEnded)

	remembered := func() (users []string) {
		for _, v := range runner.Verdicts(10, func(*delivery.VerdictRecord) bool { return true }) {
			users = append(users, v.User())
		}
		return users
	}
	require.Eventually(t, func() bool { return len(remembered()) == 1 }, time.Minute, 5*time.Millisecond)
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Equal(t, []string{"erased"}, remembered(), "the process forgets the user as well")
}

// TestRefusedDeletions checks that a user whom a destination refuses to delete is not called erased.
func TestRefusedDeletions(t *testing.T) {
	w := newWorld(t)
	w.refuses.Store(true)
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	for _, instance := range []string{"braze-users", "hook"} {
		assert.Contains(t, step(t, w.receipt(id), erasure.StepDestination, instance).Error, "the user was not deleted: ")
	}
	w.refuses.Store(false)
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Equal(t, "done", w.receipt(id).State())
	assert.Equal(t, map[string]int{"deletions": 2}, step(t, w.receipt(id), erasure.StepDestination, "hook").Counts)
}

// TestOtherIdentifiersOfTheUser checks that what is recorded under another identifier of the user's events is erased, and only that.
func TestOtherIdentifiersOfTheUser(t *testing.T) {
	w := newWorld(t)
	raw := `{"type":"identify","userId":"gone-1","messageId":"m1","traits":{"email":"ann@example.com"}}`
	require.NoError(t, w.queue.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:gone-1", Raw: []byte(raw)}}))
	h := history.New(history.Config{Store: w.store})
	for _, email := range []string{"ann@example.com", "joann@example.com"} {
		h.AddVerdict(delivery.VerdictRecord{At: time.Now(), Instance: "braze-users", Outcome: "dead", Seq: 7, Key: "x", Reason: email + " is unknown", Request: &delivery.Exchange{Method: http.MethodPost, Body: email}})
	}
	h.Close()
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	require.Equal(t, "done", w.receipt(id).State())
	assert.Positive(t, step(t, w.receipt(id), erasure.StepHistory, "").Counts["texts"])
	verdicts, err := history.Verdicts(t.Context(), w.store, []history.Position{{Seq: 7}})
	require.NoError(t, err)
	var texts []string
	for _, v := range verdicts[history.Position{Seq: 7}] {
		if texts = append(texts, v.Reason); v.Batch != nil {
			for _, x := range v.Batch.Requests {
				texts = append(texts, x.Body)
			}
		}
	}
	text := strings.Join(texts, "\n")
	assert.Equal(t, 2, strings.Count(text, "joann@example.com"), text)
	assert.Equal(t, 2, strings.Count(text, "ann@example.com"), text)
	stored, err := w.store.Erasures(t.Context(), time.Time{})
	require.NoError(t, err)
	assert.Empty(t, stored[0].Sealed, "only hashes are left")
}

// TestWatchersOfAnotherKey checks that a server with another key takes no other user for one of those to erase.
func TestWatchersOfAnotherKey(t *testing.T) {
	w := newWorld(t)
	w.request(gone)
	for _, other := range []string{"", "HB4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="} {
		watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return other }, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		assert.False(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-1"}`)))
		watcher.Close()
	}
	require.NoError(t, w.store.Close())
	_, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, slog.New(slog.DiscardHandler))
	assert.Error(t, err, "without the state it is not known whom to erase")
}

// TestNoInstances checks that users are erased without any destination.
func TestNoInstances(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Instances = func() []instances.Instance { return nil }
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Equal(t, "done", w.receipt(id).State())
	assert.Empty(t, w.paths)
}

// TestAudiencesOfAnotherDestination checks that members whom an instance has from the time when it was of another destination are not called erased: the
// present one cannot take them out.
func TestAudiencesOfAnotherDestination(t *testing.T) {
	w := newWorld(t)
	members := []destination.Change{{Identity: "external_id:gone-1", Member: true, At: time.Now().Add(-time.Minute)}}
	require.NoError(t, w.store.Ledger("hook").Record(t.Context(), vip, members))
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Contains(t, step(t, w.receipt(id), erasure.StepAudiences, "hook").Error, "the user is in an audience")
	require.NoError(t, w.store.Ledger("hook").Forget(t.Context()))
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Equal(t, "done", w.receipt(id).State())
}
