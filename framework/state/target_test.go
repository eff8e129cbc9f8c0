package state_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/state"
)

func targetAt(host string) state.Target {
	return state.Target{Destination: "braze-cohorts", Remote: map[string]string{"endpoint": host}}
}

func TestLedgerRemembersItsTarget(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		l := s.Ledger("main")
		adopted, err := l.Claim(t.Context(), targetAt("one"))
		require.NoError(t, err)
		assert.False(t, adopted, "it is empty")
		require.NoError(t, l.CheckTarget(t.Context(), targetAt("two")), "an empty ledger may go to another remote")
		_, err = l.Claim(t.Context(), targetAt("two"))
		require.NoError(t, err)

		write(t, l, enter("u1", 1))
		adopted, err = l.Claim(t.Context(), targetAt("two"))
		require.NoError(t, err)
		assert.False(t, adopted)
		for name, other := range map[string]state.Target{
			"endpoint": targetAt("one"), "destination": {Destination: "braze", Remote: map[string]string{"endpoint": "two"}},
			"sandbox": {Sandbox: "sandbox", Destination: "braze-cohorts", Remote: map[string]string{"endpoint": "two"}},
			"fewer":   {Destination: "braze-cohorts"},
		} {
			var wrong *state.TargetError
			require.ErrorAs(t, l.CheckTarget(t.Context(), other), &wrong, name)
			_, err := l.Claim(t.Context(), other)
			require.ErrorAs(t, err, &wrong, name)
			assert.Contains(t, err.Error(), "landfall state retarget main", name)
		}
		require.NoError(t, l.Retarget(t.Context(), targetAt("one")))
		require.NoError(t, l.CheckTarget(t.Context(), targetAt("one")))
		assert.True(t, look(t, l, "u1")[0].Member, "the members stay")

		require.NoError(t, l.Forget(t.Context()))
		_, marked, err := l.Target(t.Context())
		require.NoError(t, err)
		assert.False(t, marked)
		assert.False(t, look(t, l, "u1")[0].Known)
		ids, err := s.Instances(t.Context())
		require.NoError(t, err)
		assert.Empty(t, ids)
	})
}

func TestLedgerWithoutTargetIsAdoptedOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		l := open(t, location).Ledger("main")
		write(t, l, enter("u1", 1))
		adopted, err := l.Claim(t.Context(), targetAt("one"))
		require.NoError(t, err)
		assert.True(t, adopted)
		adopted, err = l.Claim(t.Context(), targetAt("one"))
		require.NoError(t, err)
		assert.False(t, adopted)
	})
}

// Values and tokens are content too: a cohort that was created at the old target must not be used at the new one.
func TestContentIncludesValuesAndTokens(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		require.NoError(t, s.Ledger("values").Put(t.Context(), "cohort", "made"))
		require.NoError(t, s.Tokens().Update(t.Context(), "token", func(_ context.Context, _ oauth.Record) (oauth.Record, error) {
			return oauth.Record{Sealed: "x", About: "{}"}, nil
		}))
		require.NoError(t, s.Tokens().Update(t.Context(), "logged out", func(_ context.Context, _ oauth.Record) (oauth.Record, error) {
			return oauth.Record{}, nil
		}))
		for id, empty := range map[string]bool{"values": false, "token": false, "logged out": true, "nothing": true} {
			content, err := s.Ledger(id).Content(t.Context())
			require.NoError(t, err)
			assert.Equal(t, empty, content.Empty(), id)
		}
	})
}

func TestSandboxesHaveSeparateState(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		names := []string{"", state.SandboxName(true, ""), state.SandboxName(false, "http://127.0.0.1:8900/"), state.SandboxName(false, "http://127.0.0.1:8901"),
			state.SandboxName(false, "http://a-very-long-name-of-a-machine-in-a-very-long-domain-of-a-company.example.com:8900")}
		for i, name := range names {
			s, err := state.OpenSandbox(t.Context(), location, name)
			require.NoError(t, err)
			t.Cleanup(func() { _ = s.Close() })
			l := s.Ledger("main")
			assert.False(t, look(t, l, "u1")[0].Known, "%q sees what another target was sent", name)
			write(t, l, enter("u1", i))
		}
		for i, name := range names {
			s, err := state.OpenSandbox(t.Context(), location, name)
			require.NoError(t, err)
			assert.Equal(t, destination.Record{Known: true, Member: true, At: at(i)}, look(t, s.Ledger("main"), "u1")[0])
			require.NoError(t, s.Close())
		}
	})
}

func TestRenameLedger(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		old, renamed := s.Ledger("old"), s.Ledger("new")
		_, err := old.Claim(t.Context(), targetAt("one"))
		require.NoError(t, err)
		write(t, old, enter("u1", 1), exit("u2", 1), enter("u3", 5))
		require.NoError(t, old.Put(t.Context(), "cohort", "made"))
		_, err = renamed.Claim(t.Context(), targetAt("one"))
		require.NoError(t, err)
		for range 2 { // a second time does nothing
			require.NoError(t, old.Rename(t.Context(), "new"))
			require.NoError(t, renamed.Rename(t.Context(), "new"))
			assert.Equal(t, []destination.Record{{Known: true, Member: true, At: at(1)}, {Known: true, At: at(1)}}, look(t, renamed, "u1", "u2"))
			value, ok, err := renamed.Get(t.Context(), "cohort")
			require.NoError(t, err)
			assert.True(t, ok && value == "made")
			ids, err := s.Instances(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{"new"}, ids)
		}
	})
}

// If the new id already has a ledger, the newer event of each user wins.
func TestRenameMergesLedgers(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		old, renamed := s.Ledger("old"), s.Ledger("new")
		write(t, old, enter("u1", 1), enter("u2", 5), enter("u3", 1))
		require.NoError(t, old.Record(t.Context(), destination.Audience{ID: "aud_2", Name: "gold"}, []destination.Change{enter("u1", 1)}))
		write(t, renamed, exit("u1", 3), exit("u2", 4), enter("u4", 1))
		require.NoError(t, renamed.Purge(t.Context(), vip, at(0)))
		require.NoError(t, old.Rename(t.Context(), "new"))
		assert.Equal(t, []destination.Record{
			{Known: true, At: at(3)}, {Known: true, Member: true, At: at(5)}, {Known: true, Member: true, At: at(1)}, {Known: true, Member: true, At: at(1)},
		}, look(t, renamed, "u1", "u2", "u3", "u4"))
		sizes, err := renamed.Sizes(t.Context())
		require.NoError(t, err)
		require.Len(t, sizes, 2)
		assert.Equal(t, 3, sizes[0].Members)
		assert.Equal(t, at(0), sizes[0].Purged)
		assert.Equal(t, 1, sizes[1].Members)

		write(t, old, enter("u9", 1))
		require.NoError(t, old.Retarget(t.Context(), targetAt("one")))
		require.NoError(t, renamed.Retarget(t.Context(), targetAt("two")))
		var wrong *state.TargetError
		require.ErrorAs(t, old.Rename(t.Context(), "new"), &wrong, "members of two targets are not mixed")
	})
}

// A row whose time is far ahead of the server's clock counts from when it was written: in lookups, and when ledgers are merged.
func TestTimesAheadOfTheClockAreClamped(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, place string) {
		s := open(t, place)
		change := func(identity string, at time.Time, member bool) destination.Change {
			return destination.Change{Identity: identity, Member: member, At: at.UTC()}
		}
		old, renamed, began := s.Ledger("old"), s.Ledger("new"), time.Now()
		write(t, old, change("u1", began.Add(1000*time.Hour), true), change("u2", began.Add(30*time.Second), true))
		time.Sleep(20 * time.Millisecond)
		write(t, old, change("u4", time.Now().Add(2*time.Minute), true))
		write(t, renamed, change("u1", time.Now(), false), change("u2", began, false), change("u4", began.Add(30*time.Second), false))
		assert.WithinDuration(t, time.Now(), look(t, old, "u1")[0].At, time.Minute)
		require.NoError(t, old.Rename(t.Context(), "new"))
		records := look(t, renamed, "u1", "u2")
		assert.False(t, records[0].Member, "the other one was written later")
		assert.True(t, records[1].Member, "within the tolerance the event's own time counts")
		assert.True(t, look(t, renamed, "u4")[0].Member, "beyond it, it counts as the tolerance ahead")

		s.WithMaxFuture(2000 * time.Hour)
		write(t, old, change("u3", time.Now().Add(1000*time.Hour), true))
		assert.True(t, look(t, old, "u3")[0].At.After(time.Now().Add(900*time.Hour)), "the tolerance is configured")
	})
}
