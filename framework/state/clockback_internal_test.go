package state

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
)

// TestClocksThatAreSetBack checks what was recorded with a clock that was a year ahead: later events, purges and syncs count all the same, whether
// a member is in files or not yet, also after a restart.
func TestClocksThatAreSetBack(t *testing.T) {
	vip, marked := destination.Audience{ID: "vip"}, destination.Audience{ID: "marked"}
	enter := func(user string, at time.Time) []destination.Change {
		return []destination.Change{{Identity: user, Member: true, At: at}}
	}
	for name, inFiles := range map[string]bool{"in tables": false, "in files": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(365 * 24 * time.Hour) // the clock is ahead
				s := fileStore(t, dir)
				l, now := s.Ledger("main"), time.Now()
				for _, user := range []string{"u1", "u2", "u3", "u4"} {
					require.NoError(t, l.Record(t.Context(), vip, enter(user, now)))
				}
				require.NoError(t, l.MarkUncertain(t.Context(), vip, enter("u4", now)))
				require.NoError(t, l.Purge(t.Context(), marked, now))
				require.NoError(t, l.DecideAll(t.Context(), marked, now))
				if inFiles {
					settleAll(t, s, "vip")
				}
				require.NoError(t, s.Close())
			})
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Hour) // it is right
				s := fileStore(t, dir)
				l, now := s.Ledger("main"), time.Now()
				find := func(audience, user string) destination.Record {
					records, err := l.Lookup(t.Context(), audience, []string{user})
					require.NoError(t, err)
					return records[0]
				}
				r := find("vip", "u1")
				assert.True(t, r.Known && r.Member && !r.Uncertain, "what was recorded stays: %v", r)
				assert.True(t, r.At.Before(now), "an exit is newer: %s", r.At)

				exit := []destination.Change{{Identity: "u1", At: now}, {Identity: "u4", At: now}}
				require.NoError(t, l.Record(t.Context(), vip, exit))
				assert.Equal(t, destination.Record{Known: true, At: now.UTC()}, find("vip", "u1"))
				assert.Equal(t, destination.Record{Known: true, At: now.UTC()}, find("vip", "u4"), "its doubt has ended")
				require.NoError(t, l.Record(t.Context(), vip, enter("u1", now.Add(-time.Second))))
				assert.False(t, find("vip", "u1").Member, "an older event has no effect")
				send, err := l.Decide(t.Context(), vip, []destination.Change{{Identity: "u2", At: now}})
				require.NoError(t, err)
				assert.Len(t, send, 1, "a sync decides")

				require.NoError(t, l.Purge(t.Context(), vip, now))
				assert.Equal(t, destination.Record{Known: true, At: now.UTC(), Uncertain: true}, find("vip", "u3"), "a purge ends the membership")

				time.Sleep(time.Minute)
				require.NoError(t, l.Record(t.Context(), marked, enter("u9", time.Now())))
				assert.Equal(t, destination.Record{Known: true, Member: true, At: time.Now().UTC()}, find("marked", "u9"), "marks that are ahead are limited")
				require.NoError(t, s.Close())
			})
		})
	}
}

// TestMarksAheadOfTheClockAreReplaced checks that a purge and a sync count although a mark of a clock that was ahead is there.
func TestMarksAheadOfTheClockAreReplaced(t *testing.T) {
	s := fileStore(t, t.TempDir())
	l, vip, now := s.Ledger("main"), destination.Audience{ID: "vip"}, time.Now().Truncate(time.Microsecond).UTC()
	ahead := now.AddDate(1, 0, 0)
	require.NoError(t, l.Purge(t.Context(), vip, ahead))
	require.NoError(t, l.DecideAll(t.Context(), vip, ahead))
	require.NoError(t, l.Purge(t.Context(), vip, now))
	require.NoError(t, l.DecideAll(t.Context(), vip, now))
	a, err := l.findAudience(t.Context(), s.db, "vip", "")
	require.NoError(t, err)
	assert.Equal(t, now, timeOf(a.purged))
	assert.Equal(t, now, timeOf(a.decided))
	require.NoError(t, l.Purge(t.Context(), vip, now.Add(-time.Hour)))
	a, err = l.findAudience(t.Context(), s.db, "vip", "")
	require.NoError(t, err)
	assert.Equal(t, now, timeOf(a.purged), "an earlier one has no effect")
	require.NoError(t, s.Close())
}

// TestRenamesAfterTheClockWasSetBack checks that what was recorded with a clock that was ahead does not win over what happened since, when the
// audiences of two instances are merged.
func TestRenamesAfterTheClockWasSetBack(t *testing.T) {
	dir, vip, marked := t.TempDir(), destination.Audience{ID: "vip"}, destination.Audience{ID: "marked"}
	record := func(t *testing.T, l *Ledger, user string, member bool) {
		require.NoError(t, l.Record(t.Context(), vip, []destination.Change{{Identity: user, Member: member, At: time.Now()}}))
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(365 * 24 * time.Hour) // the clock is ahead
		s := fileStore(t, dir)
		record(t, s.Ledger("old"), "u1", true)
		record(t, s.Ledger("new"), "u2", true)
		require.NoError(t, s.Close())
	})
	synctest.Test(t, func(t *testing.T) {
		s := fileStore(t, dir) // it is right
		old, renamed, now := s.Ledger("old"), s.Ledger("new"), time.Now().UTC()
		record(t, renamed, "u1", false)
		record(t, old, "u2", false)
		require.NoError(t, old.Purge(t.Context(), marked, now.AddDate(1, 0, 0)))
		require.NoError(t, renamed.DecideAll(t.Context(), marked, now.AddDate(1, 0, 0)))
		require.NoError(t, old.Rename(t.Context(), "new"))

		records, err := renamed.Lookup(t.Context(), "vip", []string{"u1", "u2"})
		require.NoError(t, err)
		for i, r := range records {
			require.Equal(t, destination.Record{Known: true, At: now}, r, "the exit of u%d was recorded with the right clock", i+1)
		}
		a, err := renamed.findAudience(t.Context(), s.db, "marked", "")
		require.NoError(t, err)
		require.False(t, a.isFuture(a.purged) || a.isFuture(a.decided), "marks that are ahead are limited")
		require.NoError(t, s.Close())
	})
}
