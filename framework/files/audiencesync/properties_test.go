package audiencesync_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	facebookcustomaudiences "github.com/landfall-dev/landfall/destinations/facebook-custom-audiences"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// facebookSyncer returns a Syncer of Facebook Custom Audiences, whose changes have more than an identifier, and the rows that were sent: method,
// external id and hash of the e-mail address.
func facebookSyncer(t *testing.T, subscriptions string) (k *audiencesync.Syncer, sent *[]string) {
	t.Helper()
	plugin := facebookcustomaudiences.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	plugin = plugin.Complete(definition)
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	k = &audiencesync.Syncer{Audiences: plugin.Audiences, Ledger: store.Ledger("main")}
	sent = new([]string)
	base := sandbox.Transport(plugin.Sandbox.New(nil))
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"retlAdAccountId":"1"},"subscriptions":` + subscriptions + `}`))
	k.Plan, err = runtime.New(plugin, definition, in, runtime.Host{
		State: k.Ledger, Members: k.Ledger, Token: func(context.Context, string, string) (string, error) { return "token", nil },
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			for _, row := range event.MustParse(string(body)).Get("payload").Get("data").Items() {
				*sent = append(*sent, fmt.Sprintf("%s %s %.8s", r.Method, row.Index(0).Str(), row.Index(1).Str()))
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			return base.RoundTrip(r)
		}),
	})
	require.NoError(t, err)
	return k, sent
}

// hashed is the beginning of a hash as it is sent.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:8]
}

func TestPropertiesAreSentWithChanges(t *testing.T) {
	const csv = "externalId,email,plan\nu1,Ann@example.com,gold\nu2,,\nu1,other@example.com,free\n"
	const ndjson = `{"externalId":"u1","email":"Ann@example.com","plan":{"name":"gold"}}` + "\n" + `{"externalId":"u2"}` + "\n" + `{"externalId":"u1","email":"other@example.com"}` + "\n"
	const unread = `a column has no effect as properties, since the mapping of sync does not read them: plan; a subscription's mapping reads them as {"@path": "$.properties.plan"}, for fields that the destination sends`
	own := `[{"name":"own","action":"sync","mapping":{"externalId":{"@path":"$.userId"},"email":{"@path":"$.context.traits.plan"},"external_audience_id":"1"}}]`
	for name, c := range map[string]struct {
		file, subscriptions string
		wanted              audiencesync.Properties
		entered, warning    string
	}{
		"CSV":                        {csv, `[]`, audiencesync.Properties{All: true}, hashed("ann@example.com"), unread},
		"NDJSON":                     {ndjson, `[]`, audiencesync.Properties{All: true}, hashed("ann@example.com"), unread},
		"a list of columns":          {csv, `[]`, audiencesync.Properties{Names: []string{"Email"}}, hashed("ann@example.com"), "a column is ignored, only externalId name users: plan"},
		"a column that is not there": {ndjson, `[]`, audiencesync.Properties{Names: []string{"email", "emial"}}, hashed("ann@example.com"), "no row has emial, to send as a property"},
		"the subscription's mapping": {csv, own, audiencesync.Properties{All: true}, hashed("gold"), "email; a subscription's mapping"},
		"properties of the event":    {csv, strings.Replace(own, "context.traits.plan", "properties.plan", 1), audiencesync.Properties{All: true}, hashed("gold"), "email; a subscription's mapping"},
		"spaces in the header":       {strings.Replace(csv, ",email,", ", email ,", 1), `[]`, audiencesync.Properties{Names: []string{"email"}}, hashed("ann@example.com"), "a column is ignored"},
		"a listed key of NDJSON":     {strings.Replace(ndjson, `{"name":"gold"}`, `"gold"`, 1), own, audiencesync.Properties{Names: []string{"plan"}}, hashed("gold"), ""},
		"a key that is not listed":   {strings.Replace(ndjson, `{"name":"gold"}`, `"gold"`, 1), own, audiencesync.Properties{Names: []string{"email"}}, "", "email; a subscription's mapping"},
		"none":                       {csv, `[]`, audiencesync.Properties{}, "", "columns are ignored"},
	} {
		t.Run(name, func(t *testing.T) {
			k, sent := facebookSyncer(t, c.subscriptions)
			a := destination.Audience{ID: "2384000", Name: "vip"}
			open := func(file string) *audiencesync.Rows {
				rows, err := audiencesync.OpenRows(strings.NewReader(file), audiencesync.Options{Identifiers: k.Audiences.Identifiers, Properties: c.wanted})
				require.NoError(t, err)
				return rows
			}
			report, err := k.Sync(t.Context(), a, open(c.file), audiencesync.Mirror, 1)
			require.NoError(t, err)
			assert.Equal(t, 2, report.Delivered)
			assert.Equal(t, 1, report.Duplicates)
			assert.Equal(t, []string{"POST u1 " + c.entered, "POST u2 "}, *sent, "the first row of a user counts")
			assert.Contains(t, strings.Join(report.Warnings, "\n"), c.warning)

			*sent = nil
			_, err = k.Sync(t.Context(), a, open(c.file), audiencesync.Remove, 1)
			require.NoError(t, err)
			assert.Equal(t, []string{"DELETE u1 " + c.entered, "DELETE u2 "}, *sent)
		})
	}
}

// TestMappingsSeeWhoEnters checks that a mapping can read the audience as a property, true for users who enter and false for those who leave.
func TestMappingsSeeWhoEnters(t *testing.T) {
	k, sent := facebookSyncer(t, `[{"name":"own","action":"sync","mapping":{"externalId":{"@path":"$.userId"},"email":{"@path":"$.properties.vip"},"external_audience_id":"1"}}]`)
	for _, mode := range []audiencesync.Mode{audiencesync.Mirror, audiencesync.Remove} {
		rows, err := audiencesync.OpenRows(strings.NewReader("externalId,plan\nu1,gold\n"), audiencesync.Options{Identifiers: k.Audiences.Identifiers, Properties: audiencesync.Properties{All: true}})
		require.NoError(t, err)
		_, err = k.Sync(t.Context(), destination.Audience{ID: "2384000", Name: "vip"}, rows, mode, 1)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"POST u1 " + hashed("true"), "DELETE u1 " + hashed("false")}, *sent)
}

func TestPropertiesOfADestinationThatSendsNone(t *testing.T) {
	k := syncer(t, func() error { return nil })
	k.DryRun = true
	rows, err := audiencesync.OpenRows(strings.NewReader("external_id,device_id,email\nu1,d1,a@example.com\n"), audiencesync.Options{Identifiers: k.Audiences.Identifiers, Properties: audiencesync.Properties{All: true}})
	require.NoError(t, err)
	report, err := k.Sync(t.Context(), vip, rows, audiencesync.Mirror, 1)
	require.NoError(t, err)
	assert.Equal(t, 1, report.Enters)
	assert.Contains(t, strings.Join(report.Warnings, "\n"), "has no effect as properties, since the mapping of syncAudiences does not read them: email;")
}

func TestPropertiesAreBounded(t *testing.T) {
	k := syncer(t, func() error { return nil })
	for file, want := range map[string]string{
		"external_id,note\nu1," + strings.Repeat("x", 40000) + "\nu2,\n": "its properties have 39 KB, more than 32 KB",
		"external_id,note,note\nu1,1,2\n":                                "the column note occurs twice",
	} {
		var reasons []string
		k.OnFailure = func(f audiencesync.Failure) { reasons = append(reasons, f.Reason) }
		rows, err := audiencesync.OpenRows(strings.NewReader(file), audiencesync.Options{Identifiers: k.Audiences.Identifiers, Properties: audiencesync.Properties{All: true}})
		if err == nil {
			_, err = k.Sync(t.Context(), vip, rows, audiencesync.Mirror, 1)
		}
		if err != nil {
			reasons = append(reasons, err.Error())
		}
		assert.Contains(t, strings.Join(reasons, "\n"), want)
	}
	_, err := audiencesync.OpenRows(strings.NewReader("external_id,note\n"), audiencesync.Options{Identifiers: k.Audiences.Identifiers, Properties: audiencesync.Properties{Names: []string{"notes"}}})
	assert.EqualError(t, err, `the file has no column "notes" to send as a property (did you mean "note"?): it has external_id, note`)
}

// TestRowsThatSayWhoLeaves checks the column of users who leave: of a user with several rows, one that stays counts.
func TestRowsThatSayWhoLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		mode       audiencesync.Mode
		file, want string
	}{
		"add":    {audiencesync.Add, "external_id,gone,at\nu00001,t,1\nu00002,TRUE,1\nu00002,,1\nu00009,yes,1\nu00010,no,1\n", "u00002 u00003 u00010"},
		"mirror": {audiencesync.Mirror, "external_id,gone,at\nu00001,1,1\nu00002,0,1\nu00010,false,1\nu00010,true,1\n", "u00002 u00010"},
		"NDJSON": {audiencesync.Add, `{"external_id":"u00001","gone":true,"at":1}` + "\n" + `{"external_id":"u00010","gone":false}` + "\n" + `{"external_id":"u00011","gone":null}` + "\n", "u00002 u00003 u00010 u00011"},
		"wrong":  {audiencesync.Add, "external_id,gone\nu00001,perhaps\nu00010,\n", "u00001 u00002 u00003 u00010"},
	} {
		t.Run(name, func(t *testing.T) {
			k := syncer(t, func() error { return nil })
			_, err := k.Sync(t.Context(), vip, users(t, k, 1, 3), audiencesync.Mirror, 1)
			require.NoError(t, err)
			rows, err := audiencesync.OpenRows(strings.NewReader(c.file), audiencesync.Options{Identifiers: k.Audiences.Identifiers, Removed: "gone", Reserved: []string{"at"}})
			require.NoError(t, err)
			report, err := k.Sync(t.Context(), vip, rows, c.mode, 1)
			require.NoError(t, err)
			assert.Empty(t, report.Warnings)
			var members []string
			require.NoError(t, k.Ledger.Each(t.Context(), vip.ID, "", func(m state.Membership) error {
				if m.Member {
					members = append(members, strings.TrimPrefix(m.Identity, "external_id:"))
				}
				return nil
			}))
			assert.Equal(t, c.want, strings.Join(members, " "))
		})
	}
}

// TestDeclaredDelimiterHolds checks that a delimiter that the file declares is used, although another one would fit.
func TestDeclaredDelimiterHolds(t *testing.T) {
	k := syncer(t, func() error { return nil })
	for file, ok := range map[string]bool{"sep=;\nexternal_id;a,b\nu1;2\n": true, "sep=,\nexternal_id;a,b\nu1;2\n": false, "external_id;a,b\nu1;2\n": true} {
		_, err := audiencesync.OpenRows(strings.NewReader(file), audiencesync.Options{Identifiers: k.Audiences.Identifiers})
		assert.Equal(t, ok, err == nil, "%q: %v", file, err)
	}
}

// TestFirstRowsAreChecked checks how many rows are compared to find the properties that have no effect.
func TestFirstRowsAreChecked(t *testing.T) {
	k := syncer(t, func() error { return nil })
	k.DryRun = true
	for row, named := range map[int]bool{20: true, 21: false} {
		var text strings.Builder
		for i := range 30 {
			extra := ""
			if i+1 == row {
				extra = `,"late":"x"`
			}
			fmt.Fprintf(&text, "{\"external_id\":\"u%d\"%s}\n", i, extra)
		}
		rows, err := audiencesync.OpenRows(strings.NewReader(text.String()), audiencesync.Options{Identifiers: k.Audiences.Identifiers, Properties: audiencesync.Properties{All: true}})
		require.NoError(t, err)
		report, err := k.Sync(t.Context(), vip, rows, audiencesync.Mirror, 1)
		require.NoError(t, err)
		assert.Equal(t, named, strings.Contains(strings.Join(report.Warnings, "\n"), "late"), row)
	}
}
