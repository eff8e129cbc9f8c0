package erasure

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

const testKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// newTestPass returns a pass over the erasures of users from an empty state and queue.
func newTestPass(t *testing.T, users ...string) *pass {
	t.Helper()
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	queue, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(t.TempDir(), "queue")})
	require.NoError(t, err)
	t.Cleanup(queue.Close)
	e := newEraser(Config{Store: store, Queue: queue, StateKey: func() string { return testKey }, Log: slog.New(slog.DiscardHandler), Settle: 1})
	var order Order
	for _, user := range users {
		order.Users = append(order.Users, User{Identifiers: []string{user}})
	}
	_, err = Desk{Store: store, Config: func() *config.Config { return &config.Config{StateKey: testKey} }}.Request(t.Context(), order)
	require.NoError(t, err)
	_, err = e.dueErasures(t.Context()) // it only sees them
	require.NoError(t, err)
	due, err := e.dueErasures(t.Context())
	require.NoError(t, err)
	require.Len(t, due, len(users))
	return e.newPass(due)
}

// TestLogIsNotRewrittenAgainAtOnce checks that the log, which accepts no events meanwhile, is rewritten for a small share of the time only.
func TestLogIsNotRewrittenAgainAtOnce(t *testing.T) {
	p := newTestPass(t, "u1")
	p.nextRewrite = time.Now().Add(time.Hour)
	require.NoError(t, p.eraseLog(t.Context()))
	s := p.items[0].step(StepLog, "")
	assert.False(t, s.Done)
	assert.Contains(t, s.Error, "the log was rewritten a moment ago: again in ")
	p.nextRewrite = time.Now().Add(-time.Hour)
	began := time.Now()
	require.NoError(t, p.eraseLog(t.Context()))
	assert.True(t, s.Done, s.Error)
	assert.Empty(t, s.Error)
	assert.WithinDuration(t, time.Now(), p.nextRewrite, rewriteShare*time.Since(began))
	assert.True(t, p.nextRewrite.After(began))
}

// TestResultsOfSteps checks what is stored of a step that fails for all erasures or for one, and that no reason names a user.
func TestResultsOfSteps(t *testing.T) {
	p := newTestPass(t, "gone-1", "gone-2")
	one, two := p.items[0], p.items[1]
	try := func(run func(*attempt) error) {
		t.Helper()
		require.NoError(t, p.tryStep(t.Context(), StepDeadLetters, "", run))
	}
	try(func(*attempt) error { return errors.New("cannot delete gone-2") })
	for _, it := range p.items {
		assert.False(t, it.step(StepDeadLetters, "").Done)
		assert.Contains(t, it.step(StepDeadLetters, "").Error, "it failed with a reason that names the user")
	}
	try(func(a *attempt) error {
		assert.Len(t, a.todo, 2)
		a.fail(one, "the first reason")
		a.fail(one, "another reason")
		a.count(two, "letters", 1)
		a.count(two, "letters", 2)
		return nil
	})
	assert.Equal(t, "the first reason", one.step(StepDeadLetters, "").Error)
	assert.Equal(t, map[string]int{"letters": 3}, two.step(StepDeadLetters, "").Counts)
	assert.True(t, two.step(StepDeadLetters, "").Done)
	try(func(a *attempt) error {
		assert.Equal(t, []*item{one}, a.todo, "the other one is done")
		return nil
	})
	try(func(*attempt) error { assert.Fail(t, "nothing is left to do"); return nil })
	assert.WithinDuration(t, time.Now(), one.step(StepDeadLetters, "").At, time.Minute)
}

// TestOwnersOfEvents checks whose event is whose: that of each user, unless it was received after the request.
func TestOwnersOfEvents(t *testing.T) {
	p := newTestPass(t, "u1", "u2")
	owners := func(text string) (ids []string) {
		for _, it := range p.ownersOf(event.MustParse(text)) {
			ids = append(ids, it.secret.Identifiers...)
		}
		return ids
	}
	assert.Equal(t, []string{"u1"}, owners(`{"userId":"u1"}`))
	assert.Equal(t, []string{"u2"}, owners(`{"userId":"u2","receivedAt":"2020-01-01T00:00:00Z"}`))
	assert.Empty(t, owners(`{"userId":"u3"}`))
	for _, text := range []string{`{"userId":"u3","anonymousId":"u1"}`, `{"userId":"u1","anonymousId":"u3"}`, `{"userId":"u3","context":{"device":{"id":"u1"}}}`} {
		assert.Equal(t, []string{"u1"}, owners(text), "any identifier counts: %s", text)
	}
	later := time.Now().Add(storedtime.MaxLead - time.Minute).UTC().Format(time.RFC3339)
	assert.Empty(t, owners(`{"userId":"u1","receivedAt":"`+later+`"}`))
	for _, ahead := range []time.Duration{storedtime.MaxLead + time.Minute, 90_000 * time.Hour} {
		at := time.Now().Add(ahead).UTC().Format(time.RFC3339)
		assert.Equal(t, []string{"u1"}, owners(`{"userId":"u1","receivedAt":"`+at+`"}`), "the clock of the server was ahead")
	}
	first := p.items[slices.IndexFunc(p.items, func(it *item) bool { return it.secret.Identifiers[0] == "u1" })]
	first.RequestedAt, p.newest = time.Now().Add(2*time.Hour), time.Now().Add(2*time.Hour)
	assert.Equal(t, []string{"u1"}, owners(`{"userId":"u1","receivedAt":"`+later+`"}`))
	assert.Empty(t, owners(`{"userId":"u2","receivedAt":"`+later+`"}`), "another user's request is older")
	assert.True(t, p.hasIdentity("external_id:u1"))
	assert.False(t, p.hasIdentity("external_id:u3"))
	assert.Equal(t, identifier.NewKey(testKey).ID(), p.items[0].Key)
}

// TestWatcherReadsAgain checks that a watcher reads the erasures when they change, and once an hour to forget old ones, but not in between.
func TestWatcherReadsAgain(t *testing.T) {
	p := newTestPass(t, "u1")
	w, err := NewWatcher(t.Context(), p.Store, p.StateKey, p.Log)
	require.NoError(t, err)
	w.Close() // it no longer reads by itself
	known := w.users.Load()
	require.NoError(t, w.refresh(t.Context()))
	assert.Same(t, known, w.users.Load())
	w.readAt = time.Now().Add(-time.Hour)
	require.NoError(t, w.refresh(t.Context()))
	assert.NotSame(t, known, w.users.Load())
	known = w.users.Load()
	require.NoError(t, p.save(t.Context(), p.items[0]))
	require.NoError(t, w.refresh(t.Context()))
	assert.NotSame(t, known, w.users.Load(), "an erasure has changed")
	assert.True(t, w.HasEvent(event.MustParse(`{"userId":"u1","receivedAt":"2020-01-01T00:00:00Z"}`)))
	require.NoError(t, p.Store.Close())
	require.Error(t, w.refresh(t.Context()))
	assert.True(t, w.HasEvent(event.MustParse(`{"userId":"u1","receivedAt":"2020-01-01T00:00:00Z"}`)), "who is known stays known")
}

// TestRequestsOfAWrongClock checks that a request which was made while the clock was ahead erases what was received until now, and no later events.
func TestRequestsOfAWrongClock(t *testing.T) {
	p := newTestPass(t, "u1")
	it := p.items[0]
	it.RequestedAt = time.Now().Add(90_000 * time.Hour)
	require.NoError(t, p.save(t.Context(), it))
	w, err := NewWatcher(t.Context(), p.Store, p.StateKey, p.Log)
	require.NoError(t, err)
	w.Close()
	has := func(after time.Duration) bool {
		return w.HasEvent(event.MustParse(`{"userId":"u1","receivedAt":"` + time.Now().Add(after).UTC().Format(time.RFC3339) + `"}`))
	}
	assert.Equal(t, []bool{true, false}, []bool{has(-time.Minute), has(time.Minute)})
	due, err := p.dueErasures(t.Context())
	require.NoError(t, err)
	require.Len(t, due, 1)
	assert.WithinDuration(t, time.Now(), due[0].RequestedAt, time.Minute)
	done := time.Now()
	it.DoneAt = &done
	require.NoError(t, p.save(t.Context(), it))
	require.NoError(t, w.refresh(t.Context()))
	assert.False(t, has(-time.Minute), "it is done")
}

// TestErasuresThatWereDoneByAWrongClock checks that an erasure which ended while the clock was ahead is not carried out again: its identifiers are gone.
func TestErasuresThatWereDoneByAWrongClock(t *testing.T) {
	p := newTestPass(t, "u1", "u2")
	done := time.Now().Add(90_000 * time.Hour)
	p.items[0].DoneAt = &done
	require.NoError(t, p.save(t.Context(), p.items[0]))
	var log strings.Builder
	p.Log = slog.New(slog.NewTextHandler(&log, nil))
	due, err := p.dueErasures(t.Context())
	require.NoError(t, err)
	require.Len(t, due, 1)
	assert.Equal(t, p.items[1].ID, due[0].ID)
	assert.Empty(t, log.String())
}

// TestIdentifiersThatAreCollected checks which other identifiers of a user's events are used to find requests with the user's data.
func TestIdentifiersThatAreCollected(t *testing.T) {
	s := secret{User: User{Identifiers: []string{"u1"}, AnonymousIDs: []string{"a1"}}}
	collect := func(user, anonymous string) int {
		s.collect(event.NewObject([]event.Member{{Key: "userId", Value: event.NewString(user)}, {Key: "anonymousId", Value: event.NewString(anonymous)}}))
		return len(s.Also)
	}
	assert.Zero(t, collect("u1", "a1"), "they are known")
	assert.Equal(t, 1, collect("u1", "a2"))
	assert.Equal(t, 1, collect("u1", "a2"))
	assert.Equal(t, 1, collect("u1", strings.Repeat("x", maxIdentifier+1)))
	assert.Equal(t, 2, collect("u1", strings.Repeat("x", maxIdentifier)))
	for i := range maxAlso {
		collect("u1", fmt.Sprint("b", i))
	}
	assert.Equal(t, maxAlso, collect("u1", "one more"))
}
