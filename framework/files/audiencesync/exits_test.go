package audiencesync_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/state"
)

// listRows is a file with the columns user_id and email of these rows.
func listRows(t *testing.T, k *audiencesync.Syncer, rows ...string) *audiencesync.Rows {
	t.Helper()
	r, err := audiencesync.NewRows(strings.NewReader("user_id,email\n"+strings.Join(rows, "\n")+"\n"), k.Audiences.Identifiers, nil)
	require.NoError(t, err)
	return r
}

// suppress makes users suppressed by these identifiers.
func suppress(k *audiencesync.Syncer, ids ...string) {
	key := identifier.NewKey("a key")
	var hashes []string
	for _, id := range ids {
		hashes = append(hashes, key.Hash(id))
	}
	k.Suppressed = identifier.NewSet(key, hashes)
}

// sortedSent returns what the remote got, and forgets it.
func sortedSent(remote *listRemote) []string {
	sent := remote.sent
	remote.sent = nil
	slices.Sort(sent)
	return sent
}

// TestLeave checks that exits are sent of the members whose identity matches and of those who may be members, and of no other user.
func TestLeave(t *testing.T) {
	remote := &listRemote{}
	k := newListSyncer(t, remote)
	now := time.Now().Add(-time.Hour)
	record(t, k, now, "user_id:a1", "user_id:a2", "-user_id:a3", "user_id:b1", "email:a@example.com")
	require.NoError(t, k.Ledger.MarkUncertain(t.Context(), vip, []destination.Change{{Identity: "user_id:a4", Member: true, At: now}, {Identity: "user_id:b2", Member: true, At: now}}))
	matches := func(identity string) bool { return strings.HasPrefix(identity, "user_id:a") }

	k.DryRun = true
	report, err := k.Leave(t.Context(), vip, matches)
	require.NoError(t, err)
	assert.Equal(t, []int{3, 0, 0}, []int{report.Exits, report.Delivered, len(sortedSent(remote))})
	k.DryRun = false
	report, err = k.Leave(t.Context(), vip, matches)
	require.NoError(t, err)
	assert.Equal(t, []int{3, 3}, []int{report.Exits, report.Delivered})
	assert.Equal(t, []string{"-a1", "-a2", "-a4"}, sortedSent(remote))
	report, err = k.Leave(t.Context(), vip, matches)
	require.NoError(t, err)
	assert.Zero(t, report.Exits)
	size, _, err := k.Ledger.Audience(t.Context(), vip.ID)
	require.NoError(t, err)
	assert.Equal(t, 2, size.Members, "the others stay")
}

// TestSuppressedUsers checks for each command that suppressed users do not enter, and that their exits are sent.
func TestSuppressedUsers(t *testing.T) {
	for name, c := range map[string]struct {
		run        func(k *audiencesync.Syncer, rows *audiencesync.Rows) (audiencesync.Report, error)
		rows       []string
		sent       []string
		suppressed int
	}{
		"mirror": {func(k *audiencesync.Syncer, rows *audiencesync.Rows) (audiencesync.Report, error) {
			return k.Sync(t.Context(), vip, rows, audiencesync.Mirror, 1)
		}, []string{"new,", "in,", "bad-in,", "bad-new,", "x,bad@example.com"}, []string{"+new", "-bad-in", "-bad-out-unsure"}, 3},
		"add": {func(k *audiencesync.Syncer, rows *audiencesync.Rows) (audiencesync.Report, error) {
			return k.Sync(t.Context(), vip, rows, audiencesync.Add, 1)
		}, []string{"new,", "bad-in,", "bad-new,"}, []string{"+new"}, 2},
		"remove": {func(k *audiencesync.Syncer, rows *audiencesync.Rows) (audiencesync.Report, error) {
			return k.Sync(t.Context(), vip, rows, audiencesync.Remove, 1)
		}, []string{"in,", "bad-in,"}, []string{"-bad-in", "-in"}, 0},
		"resync": {func(k *audiencesync.Syncer, _ *audiencesync.Rows) (audiencesync.Report, error) {
			return k.Resync(t.Context(), vip, nil, true)
		}, nil, []string{"+in", "-bad-out"}, 1},
		"resync of a file": {func(k *audiencesync.Syncer, rows *audiencesync.Rows) (audiencesync.Report, error) {
			return k.Resync(t.Context(), vip, rows, true)
		}, []string{"bad-out,"}, []string{"+in", "-bad-out", "-bad-out-unsure"}, 1},
		"repair": {func(k *audiencesync.Syncer, _ *audiencesync.Rows) (audiencesync.Report, error) {
			report, err := k.RepairRemote(t.Context(), vip, true)
			return report.Report, err
		}, nil, []string{"+in", "-bad-out", "-bad-x"}, 1},
		"purge": {func(k *audiencesync.Syncer, _ *audiencesync.Rows) (audiencesync.Report, error) {
			return k.Purge(t.Context(), vip)
		}, nil, []string{"-bad-in", "-bad-out-unsure", "-in"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			remote := &listRemote{users: []listedUser{{"user_id": "bad-out"}, {"user_id": "bad-x"}}}
			k := newListSyncer(t, remote)
			at := time.Now().Add(-time.Hour)
			record(t, k, at, "user_id:in", "user_id:bad-in", "-user_id:bad-out")
			require.NoError(t, k.Ledger.MarkUncertain(t.Context(), vip, []destination.Change{{Identity: "user_id:bad-out-unsure", At: at}}))
			suppress(k, "bad-in", "bad-new", "bad-out", "bad-out-unsure", "bad@example.com", "bad-x")
			var rows *audiencesync.Rows
			if c.rows != nil {
				rows = listRows(t, k, c.rows...)
			}
			report, err := c.run(k, rows)
			require.NoError(t, err)
			assert.Equal(t, c.sent, sortedSent(remote))
			assert.Equal(t, c.suppressed, report.Suppressed)
			assert.Zero(t, report.Unusable)
		})
	}
}

// TestWhatASyncAsksBeforeItRemoves checks what a program hears before the first change is sent, and that it can prevent it.
func TestWhatASyncAsksBeforeItRemoves(t *testing.T) {
	remote := &listRemote{}
	k := newListSyncer(t, remote)
	record(t, k, time.Now().Add(-time.Hour), "user_id:u1", "user_id:u2", "user_id:u3")
	var heard []string
	k.OnPlanned = func(identity string, member bool) {
		assert.Empty(t, remote.sent)
		heard = append(heard, map[bool]string{true: "+", false: "-"}[member]+identity)
	}
	stop := errors.New("stop")
	var refusal error
	k.OnRemovals = func(exits int) error {
		assert.Equal(t, 2, exits)
		assert.Empty(t, remote.sent)
		heard = append(heard, "removals")
		return refusal
	}
	mirror := func(share float64) (audiencesync.Report, error) {
		heard = nil
		return k.Sync(t.Context(), vip, listRows(t, k, "u1,", "u4,"), audiencesync.Mirror, share)
	}
	planned := []string{"-user_id:u2", "-user_id:u3", "+user_id:u4"}

	refusal = stop
	_, err := mirror(1)
	require.ErrorIs(t, err, stop)
	assert.Equal(t, append(planned[:3:3], "removals"), heard)
	assert.Empty(t, remote.sent)

	refusal = nil
	k.Guard = func(exits, members int) error {
		assert.Equal(t, []int{2, 3}, []int{exits, members})
		return stop
	}
	_, err = mirror(1)
	require.ErrorIs(t, err, stop, "the guard replaces the share")
	assert.Equal(t, planned, heard)
	assert.Empty(t, remote.sent)
	k.Guard = func(int, int) error { return nil }

	k.DryRun = true
	_, err = mirror(0)
	require.NoError(t, err)
	assert.Equal(t, planned, heard, "a dry run removes no members")
	k.DryRun = false
	report, err := mirror(0)
	require.NoError(t, err)
	assert.Equal(t, append(planned[:3:3], "removals"), heard)
	assert.Equal(t, 3, report.Delivered)
	_, err = mirror(0)
	assert.ErrorIs(t, err, nil)
	assert.Empty(t, heard, "nothing to remove")
}

// TestALedgerThatFailsLaterIsAnError closes the ledger at the moments of a command that a program or a remote can see: it must not be taken for
// the end of the work.
func TestALedgerThatFailsLaterIsAnError(t *testing.T) {
	type run = func(k *audiencesync.Syncer, ctx context.Context) (audiencesync.Report, error)
	sync := func(mode audiencesync.Mode) run {
		return func(k *audiencesync.Syncer, ctx context.Context) (audiencesync.Report, error) {
			return k.Sync(ctx, vip, listRows(t, k, "u1,", "new,"), mode, 1)
		}
	}
	commands := map[string]run{
		"mirror": sync(audiencesync.Mirror), "add": sync(audiencesync.Add), "remove": sync(audiencesync.Remove),
		"resync": func(k *audiencesync.Syncer, ctx context.Context) (audiencesync.Report, error) {
			return k.Resync(ctx, vip, nil, true)
		},
		"purge": func(k *audiencesync.Syncer, ctx context.Context) (audiencesync.Report, error) {
			return k.Purge(ctx, vip)
		},
		"leave": func(k *audiencesync.Syncer, ctx context.Context) (audiencesync.Report, error) {
			return k.Leave(ctx, vip, func(string) bool { return true })
		},
		"repair": func(k *audiencesync.Syncer, ctx context.Context) (audiencesync.Report, error) {
			report, err := k.RepairRemote(ctx, vip, true)
			return report.Report, err
		},
	}
	for moment, names := range map[string][]string{
		"planned": {"mirror", "add", "remove"}, "removals": {"mirror", "remove"}, "listed": {"repair"},
		"request":  {"mirror", "add", "remove", "resync", "purge", "leave", "repair"},
		"canceled": {"mirror", "add", "resync", "purge", "leave", "repair"},
	} {
		for _, name := range names {
			remote := &listRemote{users: []listedUser{{"user_id": "u9"}}}
			k, closeStore := newClosableListSyncer(t, remote)
			record(t, k, time.Now().Add(-time.Hour), "user_id:u1", "user_id:u2", "user_id:u3")
			k.Retry.Attempts = 1
			reached := false
			reach := func(now string) {
				if now == moment && !reached {
					reached = true
					closeStore()
				}
			}
			k.OnPlanned = func(string, bool) { reach("planned") }
			k.OnRemovals = func(int) error { reach("removals"); return nil }
			remote.before = func(string) (int, string) { reach("listed"); return 0, "" }
			remote.onChange = func() { reach("request") }
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if moment == "canceled" {
				cancel()
				reached = true
			}
			report, err := commands[name](k, ctx)
			assert.True(t, reached, "%s, %s", name, moment)
			assert.True(t, err != nil || report.Failed > 0, "%s, %s: %+v", name, moment, report)
		}
	}
}

// TestTimesAheadOfTheClockHoldNoChangeBack checks a user whose last event came from a clock that is ahead: what a command sends is not called older.
func TestTimesAheadOfTheClockHoldNoChangeBack(t *testing.T) {
	for name, run := range map[string]func(k *audiencesync.Syncer) (audiencesync.Report, error){
		"+u1": func(k *audiencesync.Syncer) (audiencesync.Report, error) {
			return k.Resync(t.Context(), vip, nil, true)
		},
		"-u1": func(k *audiencesync.Syncer) (audiencesync.Report, error) { return k.Purge(t.Context(), vip) },
	} {
		remote := &listRemote{}
		k := newListSyncer(t, remote)
		ahead := time.Now().Add(30 * time.Second)
		record(t, k, ahead, "user_id:u1")
		k.Now = func() time.Time { return time.Now().Add(time.Millisecond) }
		report, err := run(k)
		require.NoError(t, err)
		assert.Equal(t, 1, report.Delivered, name)
		assert.Equal(t, []string{name}, remote.sent)
	}
}

// TestUncertainMembersAreCompared checks a user whose entry the remote had accepted before a later change without a result.
func TestUncertainMembersAreCompared(t *testing.T) {
	k := newListSyncer(t, &listRemote{})
	at := time.Now().Add(-time.Hour)
	record(t, k, at, "user_id:u1")
	require.NoError(t, k.Ledger.MarkUncertain(t.Context(), vip, []destination.Change{{Identity: "user_id:u1", Member: false, At: at.Add(time.Minute)}}))
	var m state.Membership
	require.NoError(t, k.Ledger.Each(t.Context(), vip.ID, "", func(recorded state.Membership) error { m = recorded; return nil }))
	require.True(t, m.Uncertain)
	list, report := drifts(t, k)
	assert.Equal(t, []string{"missing user_id:u1"}, list)
	assert.Zero(t, report.Changing)
}

// TestIdentitiesThatTheDestinationDoesNotKnow checks a ledger with a user whom the destination cannot name, for example after its identifiers
// changed: the command ends with an error that names the user.
func TestIdentitiesThatTheDestinationDoesNotKnow(t *testing.T) {
	for name, run := range map[string]func(k *audiencesync.Syncer) error{
		"resync": func(k *audiencesync.Syncer) error { _, err := k.Resync(t.Context(), vip, nil, true); return err },
		"purge":  func(k *audiencesync.Syncer) error { _, err := k.Purge(t.Context(), vip); return err },
		"mirror": func(k *audiencesync.Syncer) error {
			_, err := k.Sync(t.Context(), vip, listRows(t, k, "u1,"), audiencesync.Mirror, 1)
			return err
		},
		"repair":      func(k *audiencesync.Syncer) error { _, err := k.RepairRemote(t.Context(), vip, true); return err },
		"diff remote": func(k *audiencesync.Syncer) error { _, err := k.DiffRemote(t.Context(), vip, nil); return err },
	} {
		k := newListSyncer(t, &listRemote{})
		record(t, k, time.Now().Add(-time.Hour), "phone:1")
		assert.ErrorContains(t, run(k), `phone:1`, name)
	}
}

// TestListsOfTheRemoteAreReported checks what a program hears while the remote lists its members, and that its error ends a comparison.
func TestListsOfTheRemoteAreReported(t *testing.T) {
	_, users := fillers(12)
	remote := &listRemote{users: append(users, listedUser{"user_id": strings.Repeat("x", destination.MaxIdentity)}, listedUser{"user_id": strings.Repeat("x", destination.MaxIdentity), "email": "a@example.com"})}
	k := newListSyncer(t, remote)
	record(t, k, time.Now().Add(-time.Hour), "user_id:f00", "user_id:missing", "-user_id:f01")
	var listed []int
	k.OnListed = func(n int) { listed = append(listed, n) }
	list, report := drifts(t, k)
	assert.Equal(t, []int{5, 10}, listed, "after each page but the last")
	assert.Equal(t, []int{14, 1, 11, 1}, []int{report.Listed, report.Nameless, report.Unknown, report.Extra}, "an identity that the ledger cannot have is not counted as a user")
	assert.Contains(t, list, "unknown email:a@example.com")
	for _, kind := range []audiencesync.Drift{audiencesync.DriftMissing, audiencesync.DriftExtra, audiencesync.DriftUnknown} {
		stop := errors.New("stop")
		_, err := k.DiffRemote(t.Context(), vip, func(d audiencesync.Drift, _ string) error {
			if d == kind {
				return stop
			}
			return nil
		})
		assert.ErrorIs(t, err, stop, kind)
	}
}
