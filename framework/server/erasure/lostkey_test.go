package erasure_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestNothingFollowsWhatCannotBeStored checks that an erasure ends with the first step whose result cannot be stored, as its key is lost: no later
// step sends or deletes anything, since it could not be known afterwards.
func TestNothingFollowsWhatCannotBeStored(t *testing.T) {
	order := []string{erasure.StepFind, erasure.StepAudiences, erasure.StepDestination, erasure.StepLedger, erasure.StepDeadLetters, erasure.StepHistory, erasure.StepLog, erasure.StepFiles}
	for i, last := range order[:len(order)-1] {
		w := newWorld(t)
		w.fill("gone-1", "stays-1", "stays-2")
		w.refuse("gone-1", "stays-1", "stays-2")
		w.request(gone)
		var steps []string
		err := erasure.RunUntil(t.Context(), w.config(), func(name string) error {
			if steps = append(steps, name); name == last {
				w.cfg.StateKey = "no key"
			}
			return nil
		})
		require.Error(t, err, last)
		assert.Equal(t, last, steps[len(steps)-1])
		untouched := func(name string) bool { return slices.Index(order, name) > i+1 }
		if untouched(erasure.StepDestination) {
			assert.NotContains(t, w.paths, "/users/delete", last)
		}
		if last == erasure.StepDestination {
			assert.Len(t, steps, 3, "the next destination was not asked either")
		}
		_, _, ok, err := w.store.Ledger("braze-main").Find(t.Context(), "aud_1", "external_id:gone-1")
		require.NoError(t, err)
		assert.True(t, ok || !untouched(erasure.StepLedger), last)
		assert.Equal(t, untouched(erasure.StepDeadLetters), len(w.letters()) == 3, last)
		rejected := 0
		require.NoError(t, history.Rejections(t.Context(), w.store, func(history.Rejection) bool { rejected++; return true }))
		assert.Equal(t, untouched(erasure.StepHistory), rejected == 3, last)
		assert.Equal(t, untouched(erasure.StepLog), slices.Contains(w.events(), "gone-1"), last)
	}
}

// TestListsNeedTheKey checks that a list of a user's erasures is not called empty if it cannot be known whose they are.
func TestListsNeedTheKey(t *testing.T) {
	w := newWorld(t)
	w.request(gone)
	list, err := w.desk().List(t.Context(), "gone-1")
	require.NoError(t, err)
	assert.Len(t, list, 1)
	w.cfg.StateKey = ""
	_, err = w.desk().List(t.Context(), "gone-1")
	assert.Error(t, err)
	list, err = w.desk().List(t.Context())
	require.NoError(t, err, "all of them need no key")
	assert.Len(t, list, 1)
}

// TestErasuresArePending checks how many erasures wait, and that an order beyond that stores none of its users.
func TestErasuresArePending(t *testing.T) {
	w := newWorld(t)
	users := make([]erasure.User, erasure.MaxUsers)
	for i := range users {
		users[i] = erasure.User{Identifiers: []string{fmt.Sprint("u", i)}}
	}
	for range 9 {
		w.request(users...)
	}
	w.request(users[1:]...)
	_, err := w.desk().Request(t.Context(), erasure.Order{Users: users[:2], By: "test"})
	require.ErrorIs(t, err, erasure.ErrTooMany)
	w.request(users[0])
	_, err = w.desk().Request(t.Context(), erasure.Order{Users: users[:1], By: "test"})
	require.ErrorIs(t, err, erasure.ErrTooMany)
	list, err := w.desk().Latest(t.Context(), 10_002)
	require.NoError(t, err)
	assert.Len(t, list, 10_000)
}
