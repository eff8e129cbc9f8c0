package erasure_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/state"
)

// letters returns the users of the dead letters.
func (w *world) letters() (users []string) {
	require.NoError(w.t, w.queue.DeadLetters(w.t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error {
		users = append(users, event.MustParse(string(l.Event)).Get("userId").Str())
		return nil
	}))
	return users
}

// refuse delivers an event of each user to a remote that refuses it.
func (w *world) refuse(users ...string) {
	w.refuses.Store(true)
	defer w.refuses.Store(false)
	runner := w.newRunner("other-hook", delivery.Settings{Linger: time.Millisecond})
	for _, user := range users {
		raw := fmt.Sprintf(`{"type":"track","event":"A","userId":%q,"messageId":"letter-%[1]s","receivedAt":%[2]q}`, user, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano))
		require.NoError(w.t, w.queue.Append(w.t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:" + user, Raw: []byte(raw)}}))
	}
	require.Eventually(w.t, func() bool { return len(w.letters()) == len(users) }, time.Minute, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), time.Minute)
	defer cancel()
	runner.Stop(ctx)
}

// TestDeadLettersOfOthersStay erases the dead letters of a user, and counts them.
func TestDeadLettersOfOthersStay(t *testing.T) {
	w := newWorld(t)
	w.refuse("gone-1", "stays-1", "stays-2")
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.ElementsMatch(t, []string{"stays-1", "stays-2"}, w.letters())
	letters := step(t, w.receipt(id), erasure.StepDeadLetters, "")
	assert.True(t, letters.Done, letters.Error)
	assert.Equal(t, map[string]int{"letters": 1}, letters.Counts)
}

// TestAStateThatFailsEndsTheErasure checks that no step follows one whose result cannot be stored: another process repeats it.
func TestAStateThatFailsEndsTheErasure(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1")
	w.request(gone)
	var steps []string
	err := erasure.RunUntil(t.Context(), w.config(), func(name string) error {
		if steps = append(steps, name); len(steps) == 2 {
			_ = w.store.Close()
		}
		return nil
	})
	require.Error(t, err)
	assert.Len(t, steps, 2)
}

// TestAClosedStateAcceptsNoOrders checks that no order is called accepted, and no list complete, without the state.
func TestAClosedStateAcceptsNoOrders(t *testing.T) {
	w := newWorld(t)
	id := w.request(gone)[0].ID
	require.NoError(t, w.store.Close())
	_, err := w.desk().Request(t.Context(), erasure.Order{Users: []erasure.User{gone}, By: "test"})
	assert.Error(t, err)
	_, err = w.desk().List(t.Context())
	assert.Error(t, err)
	_, err = w.desk().List(t.Context(), "gone-1")
	assert.Error(t, err)
	_, err = w.desk().Find(t.Context(), id)
	assert.Error(t, err)
	assert.Error(t, erasure.RunOnce(t.Context(), w.config()))
}

// TestAnEndedContextEndsTheErasure checks that a server which stops leaves the rest to another.
func TestAnEndedContextEndsTheErasure(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1")
	id := w.request(gone)[0].ID
	ctx, cancel := context.WithCancel(t.Context())
	err := erasure.RunUntil(ctx, w.config(), func(string) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	assert.NotEqual(t, "done", w.receipt(id).State())
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Equal(t, "done", w.receipt(id).State())
}

// TestBoundsOfOrders checks orders at the limits, and that a deletion event with too many identifiers is still an order.
func TestBoundsOfOrders(t *testing.T) {
	w := newWorld(t)
	request := func(ids ...string) error {
		_, err := w.desk().Request(t.Context(), erasure.Order{Users: []erasure.User{{Identifiers: ids}}, By: "test"})
		return err
	}
	assert.NoError(t, request(strings.Repeat("x", 64<<10)))
	assert.Error(t, request(strings.Repeat("x", 64<<10+1)))
	assert.NoError(t, request(numbers(50)...))
	assert.Error(t, request(numbers(51)...))
	var ids []string
	for _, n := range numbers(60) {
		ids = append(ids, `{"id":"x`+n+`"}`)
	}
	user := erasure.UserOf(event.MustParse(`{"type":"delete","userId":"u1","anonymousId":"a1","context":{"externalIds":[` + strings.Join(ids, ",") + `]}}`))
	assert.Equal(t, "u1", user.Identifiers[0])
	assert.Len(t, user.Identifiers, 49, "one place is for the anonymous id")
	_, err := w.desk().Request(t.Context(), erasure.Order{Users: []erasure.User{user}, By: "test"})
	assert.NoError(t, err)
	w.cfg.StateKey = "too short"
	assert.ErrorContains(t, request("u1"), "state.key")
}

// TestPartsOfTheStateThatFail checks that a step is not called done while nothing can be deleted from a table.
func TestPartsOfTheStateThatFail(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	id := w.request(gone)[0].ID
	db, err := sql.Open("sqlite", filepath.Join(w.dir, state.File(""))+"?_pragma=busy_timeout(60000)")
	require.NoError(t, err)
	defer db.Close()
	for _, table := range []string{"journal", "state"} {
		_, err = db.ExecContext(t.Context(), "CREATE TRIGGER kept BEFORE DELETE ON "+table+" BEGIN SELECT RAISE(ABORT, 'kept'); END")
		require.NoError(t, err)
		require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
		assert.False(t, step(t, w.receipt(id), erasure.StepHistory, "").Done, table)
		assert.Contains(t, step(t, w.receipt(id), erasure.StepHistory, "").Error, "kept", table)
		_, err = db.ExecContext(t.Context(), "DROP TRIGGER kept")
		require.NoError(t, err)
	}
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	require.Equal(t, "done", w.receipt(id).State(), "%+v", w.receipt(id).Steps)
	w.checkErased()
}

// TestUserOfADeletion checks which identifiers of an event of type delete name the user: those of its device may belong to others, too.
func TestUserOfADeletion(t *testing.T) {
	v := event.MustParse(`{"type":"delete","userId":"u1","anonymousId":"a1","traits":{"email":"ann@example.com"},"context":{"device":{"id":"d1","token":"t1"},"externalIds":[{"id":"x1"}]}}`)
	assert.Equal(t, erasure.User{Identifiers: []string{"u1", "ann@example.com", "x1"}, AnonymousIDs: []string{"a1"}}, erasure.UserOf(v))
}
