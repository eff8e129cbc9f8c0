package state_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

func TestDecisions(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		for name, check := range map[string]func(t *testing.T, l *state.Ledger){
			"all, known or not": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5), exit("u2", 5), enter("u4", 12))
				require.NoError(t, l.MarkUncertain(t.Context(), vip, uncertain("u5")))
				require.NoError(t, l.DecideAll(t.Context(), vip, at(10)))
				require.NoError(t, l.DecideAll(t.Context(), vip, at(7)), "an earlier decision changes nothing")
				decided := []destination.Record{
					{Known: true, Member: true, At: at(10)}, {Known: true, At: at(10)}, {Known: true, At: at(10)}, {Known: true, Member: true, At: at(12)},
					{Known: true, At: at(10), Uncertain: true},
				}
				assert.Equal(t, decided, look(t, l, "u1", "u2", "u3", "u4", "u5"))
				write(t, l, exit("u1", 9), enter("u2", 9), enter("u3", 9), exit("u4", 11))
				assert.Equal(t, decided, look(t, l, "u1", "u2", "u3", "u4", "u5"), "older events have no effect")
				write(t, l, exit("u1", 10), enter("u2", 11), enter("u3", 10))
				assert.Equal(t, []destination.Record{{Known: true, At: at(10)}, {Known: true, Member: true, At: at(11)}, {Known: true, Member: true, At: at(10)}}, look(t, l, "u1", "u2", "u3"))
				each := []string{}
				require.NoError(t, l.Each(t.Context(), vip.ID, "", func(m state.Membership) error { each = append(each, m.Identity); return nil }))
				assert.Equal(t, []string{"u1", "u2", "u3", "u4", "u5"}, each)
				size, _, err := l.Audience(t.Context(), vip.ID)
				require.NoError(t, err)
				assert.Equal(t, destination.AudienceSize{Audience: vip, Members: 3}, size, "nothing was purged")
			},
			"after a purge": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5))
				require.NoError(t, l.Purge(t.Context(), vip, at(8)))
				require.NoError(t, l.DecideAll(t.Context(), vip, at(10)))
				assert.Equal(t, []destination.Record{{Known: true, At: at(10), Uncertain: true}, {Known: true, At: at(10)}}, look(t, l, "u1", "u2"))
			},
			"before a purge": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5))
				require.NoError(t, l.DecideAll(t.Context(), vip, at(6)))
				require.NoError(t, l.Purge(t.Context(), vip, at(8)))
				assert.Equal(t, []destination.Record{{Known: true, At: at(8), Uncertain: true}, {Known: true, At: at(8)}}, look(t, l, "u1", "u2"))
			},
			"of single users": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5), exit("u2", 5), enter("u3", 12), enter("u4", 5), enter("u5", 5))
				require.NoError(t, l.MarkUncertain(t.Context(), vip, uncertain("u5")))
				send, err := l.Decide(t.Context(), vip, []destination.Change{enter("u1", 10), exit("u2", 10), exit("u3", 10), exit("u4", 10), enter("u5", 10), exit("u6", 10), enter("u7", 10)})
				require.NoError(t, err)
				assert.Equal(t, []destination.Change{exit("u4", 10), enter("u5", 10), enter("u7", 10)}, send, "what the ledger does not have")
				assert.Equal(t, []destination.Record{
					{Known: true, Member: true, At: at(10)}, {Known: true, At: at(10)}, {Known: true, Member: true, At: at(12)}, {Known: true, Member: true, At: at(5)},
					{Known: true, Member: true, At: at(5), Uncertain: true}, {Known: true, At: at(10)}, {},
				}, look(t, l, "u1", "u2", "u3", "u4", "u5", "u6", "u7"))
				_, history, _, err := l.Find(t.Context(), vip.ID, "u1")
				require.NoError(t, err)
				assert.Empty(t, history, "a decision without a change is not a delivery")
				send, err = l.Decide(t.Context(), vip, nil)
				require.NoError(t, err)
				assert.Empty(t, send)
			},
		} {
			t.Run(name, func(t *testing.T) { check(t, open(t, location).Ledger(name)) })
		}
	})
}

// TestRenameKeepsDecisions checks that a decision about all users of one ledger does not decide the users of the ledger it is merged with.
func TestRenameKeepsDecisions(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		old, renamed := s.Ledger("old"), s.Ledger("new")
		write(t, old, enter("u1", 1), exit("u2", 1))
		write(t, renamed, exit("u1", 5), enter("u2", 5), enter("u3", 5))
		require.NoError(t, old.DecideAll(t.Context(), vip, at(10)))
		require.NoError(t, old.Rename(t.Context(), "new"))
		assert.Equal(t, []destination.Record{{Known: true, Member: true, At: at(10)}, {Known: true, At: at(10)}, {Known: true, Member: true, At: at(5)}, {}},
			look(t, renamed, "u1", "u2", "u3", "u4"))

		write(t, old, enter("u5", 1))
		require.NoError(t, old.DecideAll(t.Context(), vip, at(20)))
		require.NoError(t, renamed.DecideAll(t.Context(), vip, at(15)))
		require.NoError(t, old.Rename(t.Context(), "new"))
		assert.Equal(t, []destination.Record{{Known: true, Member: true, At: at(20)}, {Known: true, Member: true, At: at(15)}, {Known: true, At: at(15)}},
			look(t, renamed, "u5", "u1", "u4"), "both have decided the users that they do not know")
	})
}

// TestChangedIdentities lists the identities that were recorded or are uncertain.
func TestChangedIdentities(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		l := open(t, location).Ledger("main")
		changed := func(since time.Time) (list []string) {
			require.NoError(t, l.EachChanged(t.Context(), vip.ID, since, func(identity string) error {
				list = append(list, identity)
				return nil
			}))
			return list
		}
		now := time.Now()
		assert.Empty(t, changed(now), "the audience does not exist")
		var want []string
		var changes []destination.Change
		for i := range 2500 { // several pages
			want = append(want, fmt.Sprintf("u%04d", i))
			changes = append(changes, enter(want[i], 5))
		}
		write(t, l, changes...)
		require.NoError(t, l.MarkUncertain(t.Context(), vip, uncertain("u0007")))
		assert.Equal(t, want, changed(now))
		assert.Equal(t, []string{"u0007"}, changed(now.Add(time.Hour)))
		assert.ErrorContains(t, l.EachChanged(t.Context(), vip.ID, now, func(string) error { return errors.New("enough") }), "enough")
		same := enter("u0009", 6)
		same.Unchanged = true
		write(t, l, same)
		assert.Len(t, changed(now), 2500)
	})
}
