package erasure_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
)

var gone = erasure.User{Identifiers: []string{"gone-1"}, AnonymousIDs: []string{"anon-1"}}

// TestErasedWhenTheRemoteIsBack erases a user while the remote is down: what is local is erased at once, the rest is listed with its cause, and
// done when the remote is back.
func TestErasedWhenTheRemoteIsBack(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	w.fails.Store(true)
	id := w.request(gone)[0].ID
	require.Equal(t, "pending", w.receipt(id).State())
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	r := w.receipt(id)
	assert.Equal(t, "failing", r.State())
	for _, s := range []erasure.Step{step(t, r, erasure.StepAudiences, "braze-main"), step(t, r, erasure.StepDestination, "braze-users"), step(t, r, erasure.StepLedger, "")} {
		assert.False(t, s.Done, s.Name)
		assert.NotEmpty(t, s.Error, s.Name)
		assert.NotContains(t, s.Error, "gone-1", s.Name)
	}
	for _, name := range []string{erasure.StepFind, erasure.StepDeadLetters, erasure.StepHistory, erasure.StepLog} {
		assert.True(t, step(t, r, name, "").Done, name)
	}
	assert.Equal(t, []string{"stays-1", "stays-2"}, w.events())
	w.fails.Store(false)
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	r = w.receipt(id)
	assert.Equal(t, "done", r.State(), "%+v", r.Steps)
	assert.Equal(t, 2, r.Attempts)
	assert.Equal(t, map[string]int{"events": 1}, step(t, r, erasure.StepFind, "").Counts)
	assert.Equal(t, map[string]int{"exits": 1}, step(t, r, erasure.StepAudiences, "braze-main").Counts)
	assert.Equal(t, map[string]int{"deletions": 1, "unsupported": 1}, step(t, r, erasure.StepDestination, "braze-users").Counts)
	assert.Equal(t, 1, step(t, r, erasure.StepLedger, "").Counts["memberships"])
	assert.Contains(t, w.paths, "/users/delete")
	assert.Equal(t, map[string]int{"deletions": 2}, step(t, r, erasure.StepDestination, "hook").Counts)
	for _, s := range r.Steps {
		assert.NotEqual(t, "other-hook", s.Instance)
	}
	w.checkErased()
	mine, err := w.desk().List(t.Context(), "anon-1")
	require.NoError(t, err)
	assert.Len(t, mine, 1)
	others, err := w.desk().List(t.Context(), "stays-1")
	require.NoError(t, err)
	assert.Empty(t, others)
}

var errEnded = errors.New("the process has ended")

// TestErasedByProcessesThatEnd ends the process after each step. The next one continues.
func TestErasedByProcessesThatEnd(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	id := w.request(gone)[0].ID
	ended := 0
	for w.receipt(id).DoneAt == nil {
		require.Less(t, ended, 30)
		err := erasure.RunUntil(t.Context(), w.config(), func(string) error { return errEnded })
		if err != nil {
			require.ErrorIs(t, err, errEnded)
			ended++
		}
	}
	assert.GreaterOrEqual(t, ended, 7, "after each step")
	w.checkErased()
}

// TestNumericIdentifier erases a user whose identifier is a number that is also a position, a count and a part of other texts.
func TestNumericIdentifier(t *testing.T) {
	w := newWorld(t)
	w.fill("1", "stays-1", "stays-2")
	require.NoError(t, history.AddAction(t.Context(), w.store, history.Action{At: time.Now(), Name: "letters.replay", Attributes: map[string]string{"count": "1"}}))
	require.NoError(t, w.store.Ledger("braze-users").Put(t.Context(), "operation", `{"page":1}`))
	id := w.request(erasure.User{Identifiers: []string{"1"}})[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	require.Equal(t, "done", w.receipt(id).State(), "%+v", w.receipt(id).Steps)
	assert.Equal(t, []string{"stays-1", "stays-2"}, w.events())
	actions, err := history.Actions(t.Context(), w.store, time.Time{}, 10)
	require.NoError(t, err)
	assert.Len(t, actions, 1)
	verdicts, err := history.Verdicts(t.Context(), w.store, []history.Position{{Seq: 1}})
	require.NoError(t, err)
	requests := 0
	for _, v := range verdicts[history.Position{Seq: 1}] {
		assert.NotContains(t, v.Reason, "user 1 ")
		if v.Batch != nil {
			requests += len(v.Batch.Requests)
		}
	}
	assert.Equal(t, 0+len(verdicts[history.Position{Seq: 1}])-1, requests, "those of others stay")
	n := 0
	require.NoError(t, history.Rejections(t.Context(), w.store, func(history.Rejection) bool { n++; return true }))
	assert.Equal(t, 2, n)
	_, ok, err := w.store.Ledger("braze-users").Get(t.Context(), "operation")
	require.NoError(t, err)
	assert.True(t, ok)
	value, _, err := w.store.Ledger("braze-main").Get(t.Context(), "resync/aud_1")
	require.NoError(t, err)
	assert.Empty(t, value, "an identity of the user")
}

// TestUserWhoComesBack keeps what is received after the request.
func TestUserWhoComesBack(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	id := w.request(gone)[0].ID
	later := time.Now().Add(time.Second).UTC()
	raw := fmt.Sprintf(`{"type":"identify","userId":"gone-1","messageId":"later","receivedAt":%q}`, later.Format(time.RFC3339Nano))
	require.NoError(t, w.queue.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:same", Raw: []byte(raw)}}))
	watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer watcher.Close()
	assert.False(t, watcher.HasEvent(event.MustParse(raw)))
	assert.True(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-1","receivedAt":"2026-01-02T03:04:05.000Z"}`)))
	assert.False(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-2"}`)))
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.NotNil(t, w.receipt(id).DoneAt)
	assert.Equal(t, []string{"stays-1", "stays-2", "gone-1"}, w.events())
}

// TestRemovedInstance lists an instance that can no longer send exits, until its data is deleted.
func TestRemovedInstance(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	w.removed["braze-main"] = true
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Contains(t, step(t, w.receipt(id), erasure.StepAudiences, "braze-main").Error, "landfall instances forget braze-main")
	require.NoError(t, w.store.Ledger("braze-main").Forget(t.Context()))
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Equal(t, "done", w.receipt(id).State(), "%+v", w.receipt(id).Steps)
	assert.True(t, step(t, w.receipt(id), erasure.StepAudiences, "braze-main").Done)
	assert.Empty(t, filesWith(t, w.dir, "gone-1"))
}

// TestReceiptsAndOrders checks what is stored of an order, what is refused, and how long receipts are kept.
func TestReceiptsAndOrders(t *testing.T) {
	w := newWorld(t)
	for reason, order := range map[string]erasure.Order{
		"1 to 1000 users":      {},
		"no identifier":        {Users: []erasure.User{{Identifiers: []string{" "}}}},
		"longer than":          {Users: []erasure.User{{Identifiers: []string{strings.Repeat("x", 70_000)}}}},
		"at most 50 are allow": {Users: []erasure.User{{Identifiers: strings.Split(strings.Repeat("a,b,c,d,e,f,g,h,i,j,", 3)+strings.Join(numbers(51), ","), ",")}}},
	} {
		_, err := w.desk().Request(t.Context(), order)
		var wrong *erasure.OrderError
		require.ErrorAs(t, err, &wrong, reason)
		assert.Contains(t, err.Error(), reason)
	}
	id := w.request(erasure.User{Identifiers: []string{"gone-1", "Ann@Example.com", "gone-1"}})[0].ID
	assert.Empty(t, filesWith(t, w.dir, "gone-1"), "the request is encrypted")
	assert.Len(t, w.receipt(id).Identifiers, 2)
	was := w.cfg.StateKey
	w.cfg.StateKey = "HB4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Contains(t, step(t, w.receipt(id), erasure.StepFind, "").Error, "restore state.key")
	w.cfg.StateKey = was
	require.NoError(t, w.store.TrimErasures(t.Context(), time.Now().Add(time.Hour)))
	require.Len(t, mustList(t, w), 1, "it is not done")
	_, err := w.desk().Find(t.Context(), "none")
	require.ErrorIs(t, err, erasure.ErrUnknown)
	second := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	require.NotNil(t, w.receipt(second).DoneAt)
	c := w.config()
	c.Retention, c.MayDeleteByAge = 1, func() bool { return false }
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Len(t, mustList(t, w), 2, "the clock was set ahead")
	c.MayDeleteByAge = nil
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Len(t, mustList(t, w), 1)
	assert.Equal(t, "1 erasure: 0 done, 1 failing, 0 pending", erasure.Summary(mustList(t, w)))
}
