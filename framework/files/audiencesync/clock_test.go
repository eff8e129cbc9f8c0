package audiencesync_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/state"
)

// TestTimeFarAheadDoesNotBlockLaterEvents checks that an entry with a time far ahead counts from the time at which it was written,
// for operators and for later events.
func TestTimeFarAheadDoesNotBlockLaterEvents(t *testing.T) {
	k := syncer(t, func() error { return nil })
	far := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(at time.Time, member bool) {
		require.NoError(t, k.Ledger.Record(t.Context(), vip, []destination.Change{{Identity: "external_id:u00000", Member: member, At: at}}))
	}
	look := func() destination.Record {
		records, err := k.Ledger.Lookup(t.Context(), vip.ID, []string{"external_id:u00000"})
		require.NoError(t, err)
		return records[0]
	}
	write(far, true)
	assert.WithinDuration(t, time.Now(), look().At, 10*time.Minute)
	write(time.Now().Add(time.Second), false)
	assert.False(t, look().Member, "a later exit wins")
}

// TestOperationsTakeEffectFromTheirStart checks that an operator's command counts from the time at which it began.
func TestOperationsTakeEffectFromTheirStart(t *testing.T) {
	for name, act := range map[string]func(*audiencesync.Syncer) error{
		"sync": func(k *audiencesync.Syncer) error {
			_, err := k.Sync(t.Context(), vip, users(t, k, 1, 1), audiencesync.Mirror, 1)
			return err
		},
		"resync": func(k *audiencesync.Syncer) error {
			_, err := k.Resync(t.Context(), vip, nil, true)
			return err
		},
		"purge": func(k *audiencesync.Syncer) error {
			_, err := k.Purge(t.Context(), vip)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := syncer(t, func() error { return nil })
			_, err := k.Sync(t.Context(), vip, users(t, k, 0, 1), audiencesync.Mirror, 1)
			require.NoError(t, err)
			identity := ""
			require.NoError(t, eachIdentity(t, k, &identity))
			calls := 0
			begun := time.Now().UTC().Truncate(time.Microsecond).Add(time.Minute / 2) // after the sync
			k.Now = func() time.Time { calls++; return begun.Add(time.Duration(calls-1) * time.Second) }
			require.NoError(t, act(k))
			look := func() destination.Record {
				records, err := k.Ledger.Lookup(t.Context(), vip.ID, []string{identity})
				require.NoError(t, err)
				return records[0]
			}
			decided := look()
			assert.Equal(t, begun, decided.At)
			assert.Equal(t, name == "resync", decided.Member)
			write := func(at time.Time) {
				require.NoError(t, k.Ledger.Record(t.Context(), vip, []destination.Change{{Identity: identity, Member: !decided.Member, At: at}}))
			}
			write(begun.Add(-time.Microsecond))
			assert.Equal(t, decided.Member, look().Member, "an earlier event loses")
			write(begun.Add(time.Microsecond))
			assert.Equal(t, !decided.Member, look().Member, "a later event wins")
		})
	}
}

// eachIdentity calls a function with the identity of the audience's only member.
func eachIdentity(t *testing.T, k *audiencesync.Syncer, identity *string) error {
	return k.Ledger.Each(t.Context(), vip.ID, "", func(s state.Membership) error {
		*identity = s.Identity
		return nil
	})
}
