package state_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

func mark(t *testing.T, l *state.Ledger, changes ...destination.Change) {
	t.Helper()
	require.NoError(t, l.MarkUncertain(t.Context(), vip, changes))
}

func TestRequestsInFlight(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		for name, check := range map[string]func(t *testing.T, l *state.Ledger){
			"a change in flight supersedes older ones": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5))
				mark(t, l, exit("u1", 9), enter("u2", 9), enter("u2", 8))
				flying := []destination.Record{{Known: true, Member: true, At: at(9), Uncertain: true}, {At: at(8), Uncertain: true}}
				assert.Equal(t, flying, look(t, l, "u1", "u2"), "the last mark of an identity counts")
				write(t, l, enter("u1", 7))
				assert.Equal(t, flying, look(t, l, "u1", "u2"), "a record of an older change leaves the newer one in flight")
				write(t, l, exit("u1", 9), enter("u2", 9))
				assert.Equal(t, []destination.Record{{Known: true, At: at(9)}, {Known: true, Member: true, At: at(9)}}, look(t, l, "u1", "u2"))
			},
			"a refused change supersedes none": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5))
				mark(t, l, exit("u1", 9))
				mark(t, l, uncertain("u1")...)
				assert.Equal(t, []destination.Record{{Known: true, Member: true, At: at(5), Uncertain: true}}, look(t, l, "u1"))
				write(t, l, exit("u1", 6))
				assert.Equal(t, []destination.Record{{Known: true, At: at(6)}}, look(t, l, "u1"))
			},
			"a change in flight is listed, found and kept by notes and decisions": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5))
				mark(t, l, enter("u0", 9), exit("u1", 9))
				m, _, ok, err := l.Find(t.Context(), vip.ID, "u0")
				require.NoError(t, err)
				assert.True(t, ok)
				assert.Equal(t, destination.Record{At: at(9), Uncertain: true}, m.Record)
				require.NoError(t, l.Annotate(t.Context(), vip, []destination.Note{{Identity: "u0", At: at(9), Outcome: "retry"}}))
				send, err := l.Decide(t.Context(), vip, []destination.Change{enter("u1", 20)})
				require.NoError(t, err)
				assert.Equal(t, []destination.Change{enter("u1", 20)}, send)
				seen := map[string]destination.Record{}
				require.NoError(t, l.Each(t.Context(), vip.ID, "", func(m state.Membership) error { seen[m.Identity] = m.Record; return nil }))
				flying := destination.Record{Known: true, Member: true, At: at(9), Uncertain: true}
				assert.Equal(t, map[string]destination.Record{"u0": {At: at(9), Uncertain: true}, "u1": flying}, seen)
				assert.Equal(t, flying, look(t, l, "u1")[0])
			},
			"a purge does not end a request in flight": func(t *testing.T, l *state.Ledger) {
				mark(t, l, enter("u1", 5), enter("u2", 15))
				require.NoError(t, l.Purge(t.Context(), vip, at(10)))
				assert.Equal(t, []destination.Record{{Known: true, At: at(10), Uncertain: true}, {Known: true, At: at(15), Uncertain: true}}, look(t, l, "u1", "u2"))
			},
		} {
			t.Run(name, func(t *testing.T) { check(t, open(t, location).Ledger(name)) })
		}
	})
}

// A process that is killed between sending and recording leaves its requests in flight to the next one.
func TestRequestsInFlightOutliveTheirProcess(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		killed, next := open(t, location).Ledger("main"), open(t, location).Ledger("main")
		mark(t, killed, enter("u1", 5), enter("u2", 5))
		assert.Equal(t, []destination.Record{{At: at(5), Uncertain: true}, {At: at(5), Uncertain: true}, {}}, look(t, next, "u1", "u2", "u3"))
		mark(t, next, enter("u3", 6), exit("u1", 6))
		write(t, next, enter("u3", 6), exit("u1", 6))
		assert.Equal(t, []destination.Record{{Known: true, At: at(6)}, {At: at(5), Uncertain: true}}, look(t, next, "u1", "u2"))
		write(t, killed, enter("u1", 5), enter("u2", 5)) // it was only frozen
		assert.Equal(t, []destination.Record{{Known: true, At: at(6)}, {Known: true, Member: true, At: at(5)}}, look(t, next, "u1", "u2"))
	})
}

// Requests in flight move with their ledger, also into one that has some, and are deleted with it.
func TestRequestsInFlightMoveWithTheirLedger(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		old, renamed := s.Ledger("old"), s.Ledger("new")
		mark(t, old, enter("u1", 5))
		mark(t, renamed, enter("u2", 6))
		mark(t, renamed, enter("u3", 7))
		for range 2 {
			require.NoError(t, old.Rename(t.Context(), "new"))
			assert.Equal(t, []destination.Record{{At: at(5), Uncertain: true}, {At: at(6), Uncertain: true}, {At: at(7), Uncertain: true}}, look(t, renamed, "u1", "u2", "u3"))
		}
		require.NoError(t, renamed.Forget(t.Context()))
		assert.Equal(t, make([]destination.Record, 3), look(t, renamed, "u1", "u2", "u3"))
		write(t, renamed, enter("u1", 1))
		assert.False(t, look(t, renamed, "u1")[0].Uncertain)
	})
}
