package audiencesync_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/state"
)

// fileOf returns the rows of a file with some users.
func fileOf(t *testing.T, k *audiencesync.Syncer, ids ...string) *audiencesync.Rows {
	rows, err := audiencesync.NewRows(strings.NewReader("external_id\n"+strings.Join(ids, "\n")+"\n"), k.Audiences.Identifiers, nil)
	require.NoError(t, err)
	return rows
}

// TestCommandsDecideUnchangedUsers sends, after a command, events from before it and after it for every kind of user: members and others,
// in the file and not, known to the ledger and not. u1 is a member and u2 has left; u3 is unknown; u4 to u6 are the same and in the file.
func TestCommandsDecideUnchangedUsers(t *testing.T) {
	list := []string{"u4", "u5", "u6"}
	sync := func(mode audiencesync.Mode) func(*history) (audiencesync.Report, error) {
		return func(h *history) (audiencesync.Report, error) {
			return h.syncer.Sync(h.t.Context(), vip, fileOf(h.t, h.syncer, list...), mode, 1)
		}
	}
	for name, c := range map[string]struct {
		run     func(h *history) (audiencesync.Report, error)
		members []string // afterwards
		free    []string // users of whom the command says nothing
		sent    int
	}{
		"mirror": {sync(audiencesync.Mirror), []string{"u4", "u5", "u6"}, nil, 3},
		"mirror with an unreadable row": {func(h *history) (audiencesync.Report, error) {
			report, err := h.syncer.Sync(h.t.Context(), vip, fileOf(h.t, h.syncer, "u4", "u5", "u6", `""`), audiencesync.Mirror, 1)
			var withheld *audiencesync.UnreadableRowsError
			require.ErrorAs(h.t, err, &withheld)
			return report, nil
		}, []string{"u1", "u4", "u5", "u6"}, []string{"u1", "u2", "u3"}, 2},
		"add":    {sync(audiencesync.Add), []string{"u1", "u4", "u5", "u6"}, []string{"u1", "u2", "u3"}, 2},
		"remove": {sync(audiencesync.Remove), []string{"u1"}, []string{"u1", "u2", "u3"}, 1},
		"resync": {func(h *history) (audiencesync.Report, error) {
			return h.syncer.Resync(h.t.Context(), vip, nil, true)
		}, []string{"u1", "u4"}, []string{"u3", "u6"}, 4},
		"resync against a file": {func(h *history) (audiencesync.Report, error) {
			return h.syncer.Resync(h.t.Context(), vip, fileOf(h.t, h.syncer, "u4", "u5", "u6"), false)
		}, []string{"u1", "u4"}, []string{"u3"}, 3},
		"purge": {func(h *history) (audiencesync.Report, error) { return h.syncer.Purge(h.t.Context(), vip) }, nil, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t, 1)
			defer func() { require.NoError(t, h.store.Close()) }()
			hour := func(n int) time.Time { return h.now.Add(time.Duration(n) * time.Hour) }
			for _, id := range []string{"u1", "u2", "u4", "u5"} {
				h.deliverAt(id, true, hour(-9))
			}
			h.deliverAt("u2", false, hour(-8))
			h.deliverAt("u5", false, hour(-8))
			report, err := c.run(h)
			require.NoError(t, err)
			assert.Equal(t, c.sent, report.Delivered)
			assert.Equal(t, c.sent, report.Enters+report.Exits)
			require.ElementsMatch(t, c.members, h.members())
			for _, id := range []string{"u1", "u2", "u3", "u4", "u5", "u6"} {
				member := contains(c.members, id)
				outcome := h.deliverAt(id, !member, hour(-1))
				assert.Equal(t, member != contains(c.free, id), contains(h.members(), id), "%s: an event from before the command", id)
				assert.Equal(t, contains(c.free, id), outcome == runtime.Delivered, id)
				now := contains(h.members(), id)
				h.deliverAt(id, !now, hour(1))
				assert.Equal(t, !now, contains(h.members(), id), "%s: a newer event", id)
			}
		})
	}
}

func contains(list []string, id string) bool {
	return strings.Contains(" "+strings.Join(list, " ")+" ", " "+id+" ")
}

// TestNewerEventsWinDuringACommand records events while a command runs. A newer one wins, an older one does not.
func TestNewerEventsWinDuringACommand(t *testing.T) {
	for name, c := range map[string]struct {
		run           func(k *audiencesync.Syncer) (audiencesync.Report, error)
		newer, member bool // the newer event of u02400, and the state of the others afterwards
	}{
		"sync": {func(k *audiencesync.Syncer) (audiencesync.Report, error) {
			return k.Sync(t.Context(), vip, users(t, k, 0, 2500), audiencesync.Mirror, 1)
		}, false, true},
		"purge": {func(k *audiencesync.Syncer) (audiencesync.Report, error) { return k.Purge(t.Context(), vip) }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var k *audiencesync.Syncer
			during := func() error { return nil }
			k = syncer(t, func() error { return during() })
			if name == "purge" {
				_, err := k.Sync(t.Context(), vip, users(t, k, 0, 2500), audiencesync.Mirror, 1)
				require.NoError(t, err)
			}
			began := time.Now()
			during = func() error {
				during = func() error { return nil }
				return k.Ledger.Record(t.Context(), vip, []destination.Change{
					{Identity: "external_id:u02400", Member: c.newer, At: time.Now()}, {Identity: "external_id:u02401", Member: !c.member, At: began.Add(-time.Second)},
				})
			}
			report, err := c.run(k)
			require.NoError(t, err)
			assert.Zero(t, report.Failed)
			records, err := k.Ledger.Lookup(t.Context(), vip.ID, []string{"external_id:u00001", "external_id:u02400", "external_id:u02401"})
			require.NoError(t, err)
			assert.Equal(t, []bool{c.member, c.newer, c.member}, []bool{records[0].Member, records[1].Member, records[2].Member})
			for _, r := range records {
				assert.False(t, r.Uncertain)
			}
		})
	}
}

// TestUnsentExitsOfAPurgeAreSentLater interrupts a purge: its users count as removed at once, and the next command sends the exits.
func TestUnsentExitsOfAPurgeAreSentLater(t *testing.T) {
	for name, run := range map[string]func(k *audiencesync.Syncer) (audiencesync.Report, error){
		"purge": func(k *audiencesync.Syncer) (audiencesync.Report, error) { return k.Purge(t.Context(), vip) },
		"sync": func(k *audiencesync.Syncer) (audiencesync.Report, error) {
			return k.Sync(t.Context(), vip, fileOf(t, k, "other"), audiencesync.Mirror, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			down := false
			k := syncer(t, func() error {
				if down {
					return fmt.Errorf("down: %w", http.ErrServerClosed)
				}
				return nil
			})
			k.Retry = stream.Retry{Attempts: 1}
			_, err := k.Sync(t.Context(), vip, users(t, k, 0, 3), audiencesync.Mirror, 1)
			require.NoError(t, err)
			down = true
			report, err := k.Purge(t.Context(), vip)
			require.NoError(t, err)
			assert.Equal(t, 3, report.Failed)
			down = false
			report, err = run(k)
			require.NoError(t, err)
			assert.Equal(t, 3, report.Exits)
			assert.Zero(t, report.Failed)
			require.NoError(t, k.Ledger.Each(t.Context(), vip.ID, "external_id:p", func(m state.Membership) error {
				assert.False(t, m.Member || m.Uncertain, m.Identity)
				return nil
			}))
		})
	}
}
