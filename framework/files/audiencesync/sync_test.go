package audiencesync_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var vip = destination.Audience{ID: "aud_1", Name: "vip"}

// syncer returns a Syncer that sends to a sandbox. It calls before for each request.
func syncer(t *testing.T, before func() error) *audiencesync.Syncer {
	k, _ := syncerWithStore(t, before)
	return k
}

// closableSyncer returns a Syncer and a function that closes its ledger.
func closableSyncer(t *testing.T) (k *audiencesync.Syncer, closeStore func()) {
	k, store := syncerWithStore(t, func() error { return nil })
	return k, func() { _ = store.Close() }
}

// syncerWithStore is syncer with the store of the ledger.
func syncerWithStore(t *testing.T, before func() error) (*audiencesync.Syncer, *state.Store) {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	k := &audiencesync.Syncer{Audiences: plugin.Audiences, Ledger: store.Ledger("main")}
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"very-secret","partner_api_key":"partner-key"}}`))
	base := sandbox.Transport(plugin.Sandbox.New(nil))
	k.Plan, err = runtime.New(plugin, definition, in, runtime.Host{
		State: k.Ledger, Members: k.Ledger,
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if err := before(); err != nil {
				return nil, err
			}
			return base.RoundTrip(r)
		}),
	})
	require.NoError(t, err)
	return k, store
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// users is a file of n users from the one with number first.
func users(t *testing.T, k *audiencesync.Syncer, first, n int) *audiencesync.Rows {
	var text strings.Builder
	text.WriteString("external_id\n")
	for i := range n {
		fmt.Fprintf(&text, "u%05d\n", first+i)
	}
	rows, err := audiencesync.NewRows(strings.NewReader(text.String()), k.Audiences.Identifiers, nil)
	require.NoError(t, err)
	return rows
}

func TestMirrorMatchesTheFile(t *testing.T) {
	requests := 0
	k := syncer(t, func() error { requests++; return nil })
	report, err := k.Sync(t.Context(), vip, users(t, k, 0, 2500), audiencesync.Mirror, 0.1)
	require.NoError(t, err)
	assert.Equal(t, audiencesync.Report{Audience: "aud_1", Name: "vip", Rows: 2500, Enters: 2500, Delivered: 2500}, report)
	assert.Equal(t, 1+3, requests, "a creation, and three batches")

	report, err = k.Sync(t.Context(), vip, users(t, k, 300, 2500), audiencesync.Mirror, 0.1)
	var many *audiencesync.TooManyRemovalsError
	require.ErrorAs(t, err, &many)
	assert.Equal(t, 4, requests, "nothing is sent")
	assert.Equal(t, 300, report.Exits)

	report, err = k.Sync(t.Context(), vip, users(t, k, 300, 2500), audiencesync.Mirror, 0.12)
	require.NoError(t, err)
	assert.Equal(t, audiencesync.Report{Audience: "aud_1", Name: "vip", Rows: 2500, Members: 2500, Enters: 300, Exits: 300, Unchanged: 2200, Delivered: 600}, report)

	report, err = k.Sync(t.Context(), vip, users(t, k, 0, 400), audiencesync.Remove, 1)
	require.NoError(t, err)
	assert.Equal(t, 100, report.Exits, "only members leave")
	assert.Zero(t, report.Unchanged, "members who are not in the list do not count")
	report, err = k.Sync(t.Context(), vip, users(t, k, 0, 10), audiencesync.Add, 0)
	require.NoError(t, err)
	assert.Equal(t, 10, report.Delivered)
	report, err = k.Sync(t.Context(), vip, users(t, k, 5, 10), audiencesync.Add, 0)
	require.NoError(t, err)
	assert.Equal(t, []int{5, 5}, []int{report.Enters, report.Unchanged}, "members who are not in the list do not count")
	size, _, err := k.Ledger.Audience(t.Context(), "aud_1")
	require.NoError(t, err)
	assert.Equal(t, 2415, size.Members)
}

func TestResyncContinuesAfterInterruption(t *testing.T) {
	requests, ctx, interrupt := 0, t.Context(), func() {}
	k := syncer(t, func() error {
		if requests++; requests == 4+2 { // the second batch of the resync
			interrupt()
			return context.Canceled
		}
		return nil
	})
	_, err := k.Sync(ctx, vip, users(t, k, 0, 2500), audiencesync.Mirror, 0.1)
	require.NoError(t, err)
	interrupted, cancel := context.WithCancel(ctx)
	defer cancel()
	interrupt = cancel
	report, err := k.Resync(interrupted, vip, nil, false)
	require.Error(t, err)
	assert.Equal(t, 1000, report.Delivered)
	report, err = k.Resync(ctx, vip, nil, false)
	require.NoError(t, err)
	assert.Equal(t, 1500, report.Delivered, "the first batch is not sent again")
	report, err = k.Resync(ctx, vip, nil, false)
	require.NoError(t, err)
	assert.Equal(t, 2500, report.Delivered, "after a complete resync, the next one starts from the beginning")
}

func TestDryRunChangesNothing(t *testing.T) {
	k := syncer(t, func() error { t.Error("a request"); return nil })
	k.DryRun = true
	report, err := k.Sync(t.Context(), vip, users(t, k, 0, 5), audiencesync.Mirror, 0.1)
	require.NoError(t, err)
	assert.Equal(t, 5, report.Enters)
	_, ok, err := k.Ledger.Audience(t.Context(), "aud_1")
	require.NoError(t, err)
	assert.False(t, ok)
}

func FuzzRows(f *testing.F) {
	f.Add("external_id,device_id\nu1,\n,d1\n")
	f.Add("{\"external_id\":\"u1\"}\n{")
	f.Add("\xef\xbb\xbfexternal_id\n\"u\n1\"\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := audiencesync.NewRows(strings.NewReader(text), []string{"external_id", "device_id"}, nil)
		for n := 0; err == nil && n <= len(text); n++ {
			if err = rows.Next(); err == nil {
				_ = rows.Value("external_id")
			}
		}
		require.Error(t, err, "reading must end")
	})
}

func TestMembershipsByAnyIdentifier(t *testing.T) {
	k := syncer(t, func() error { return nil })
	_, err := k.Sync(t.Context(), vip, users(t, k, 0, 3), audiencesync.Add, 0)
	require.NoError(t, err)
	for _, name := range []string{"u00001", "external_id:u00001"} {
		list, err := k.Memberships(t.Context(), name)
		require.NoError(t, err)
		require.Len(t, list, 1, name)
		assert.True(t, list[0].Member)
		assert.Equal(t, vip, list[0].Audience)
	}
	list, err := k.Memberships(t.Context(), "nobody")
	require.NoError(t, err)
	assert.Empty(t, list)
	for _, name := range []string{"vip", "aud_1"} {
		size, err := k.Find(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, 3, size.Members)
	}
	_, err = k.Find(t.Context(), "viq")
	assert.ErrorContains(t, err, `the ledger has no audience "viq" (did you mean "vip"?)`)
}

// TestIncompleteAliasIsUnusable checks that a file can contain aliases without a name or label beside valid identifiers. Only rows
// that identify no user are refused, with the reason.
func TestIncompleteAliasIsUnusable(t *testing.T) {
	k := syncer(t, func() error { return nil })
	var failures []audiencesync.Failure
	k.OnFailure = func(f audiencesync.Failure) { failures = append(failures, f) }
	text := "external_id,device_id,alias_name,alias_label,identity\n" +
		"u1,,,email,\n,d1,a1,,\n,,a2,,\n,,,email,\n,,a3,email,\n,,,,\n,,,,external_id:\n,,,,user_alias:email:\n,,,,user_alias:email:a4\n"
	rows, err := audiencesync.NewRows(strings.NewReader(text), k.Audiences.Identifiers, nil)
	require.NoError(t, err)
	report, err := k.Sync(t.Context(), vip, rows, audiencesync.Mirror, 1)
	require.NoError(t, err)
	assert.Equal(t, audiencesync.Report{Audience: "aud_1", Name: "vip", Rows: 9, Unusable: 5, Enters: 4, Delivered: 4}, report)
	var reasons []string
	for _, f := range failures {
		reasons = append(reasons, f.Identity+": "+f.Reason)
	}
	assert.Equal(t, []string{
		"line 4: the row identifies no user: its alias_name cannot be used as an identifier",
		"line 5: the row identifies no user: its alias_label cannot be used as an identifier",
		"line 7: the row identifies no user: external_id, device_id, alias_name, alias_label are all empty",
		"line 8: the row identifies no user: its identity cannot be used as an identifier",
		"line 9: the row identifies no user: its identity cannot be used as an identifier",
	}, reasons)
}

// TestMirrorWithUnreadableRowsRemovesNoUsers checks that a mirror with unreadable rows removes no users, since a missing user may
// be in one of these rows.
func TestMirrorWithUnreadableRowsRemovesNoUsers(t *testing.T) {
	requests := 0
	k := syncer(t, func() error { requests++; return nil })
	_, err := k.Sync(t.Context(), vip, users(t, k, 0, 100), audiencesync.Mirror, 1)
	require.NoError(t, err)
	requests = 0
	open := func(text string) *audiencesync.Rows {
		rows, err := audiencesync.NewRows(strings.NewReader(text), k.Audiences.Identifiers, nil)
		require.NoError(t, err)
		return rows
	}
	file := "external_id,note\nu00001,a\nu0000\"2,b\nu99999,c\n"

	report, err := k.Sync(t.Context(), vip, open(file), audiencesync.Mirror, 1)
	var unreadable *audiencesync.UnreadableRowsError
	require.ErrorAs(t, err, &unreadable)
	assert.Equal(t, audiencesync.UnreadableRowsError{Rows: 1, Held: 99}, *unreadable)
	assert.Equal(t, "1 row of the file cannot be read, so 99 members missing from the other rows were not removed: correct the file, or use --yes to remove them", err.Error())
	assert.Equal(t, audiencesync.Report{Audience: "aud_1", Name: "vip", Rows: 3, Unusable: 1, Members: 100, Enters: 1, Held: 99, Unchanged: 1, Delivered: 1,
		Warnings: []string{"a column is ignored, only external_id, device_id, alias_name, alias_label name users: note"}}, report)
	assert.Equal(t, 1, requests, "the entry")

	_, err = k.Sync(t.Context(), vip, open(file), audiencesync.Mirror, 0.1)
	var many *audiencesync.TooManyRemovalsError
	require.ErrorAs(t, err, &many, "the guard against mass removal counts first")

	var none *audiencesync.NoUsersError
	k.RemoveAll = true
	_, err = k.Sync(t.Context(), vip, open("external_id,note\nu1\nu2\n"), audiencesync.Mirror, 1)
	require.ErrorAs(t, err, &none, "a file without users removes no users, whatever share is allowed")
	assert.ErrorContains(t, err, "line 2: the row has 1 column and the header has 2 columns")

	report, err = k.Sync(t.Context(), vip, open(file), audiencesync.Remove, 1)
	require.NoError(t, err)
	assert.Equal(t, 2, report.Exits, "readable rows are processed")
	report, err = k.Sync(t.Context(), vip, open(file), audiencesync.Mirror, 1)
	require.NoError(t, err)
	assert.Equal(t, 99, report.Exits, "with RemoveAll a mirror removes them")
	assert.Zero(t, report.Held)
}

func TestContradictoryRow(t *testing.T) {
	k := syncer(t, func() error { return nil })
	var failures []audiencesync.Failure
	k.OnFailure = func(f audiencesync.Failure) { failures = append(failures, f) }
	rows, err := audiencesync.NewRows(strings.NewReader("identity,external_id\nexternal_id:u1,u2\nexternal_id:u3,u3\nexternal_id:u4,\n"), k.Audiences.Identifiers, nil)
	require.NoError(t, err)
	report, err := k.Sync(t.Context(), vip, rows, audiencesync.Add, 1)
	require.NoError(t, err)
	assert.Equal(t, 2, report.Delivered)
	require.Len(t, failures, 1)
	assert.Equal(t, 2, failures[0].Line)
	assert.Contains(t, failures[0].Reason, "the row contradicts itself")
}
