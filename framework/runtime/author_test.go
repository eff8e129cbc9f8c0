package runtime_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// sampled returns a plan of the sample destination with these subscriptions, and its remote.
func sampled(t testing.TB, subscriptions string, host runtime.Host) (*runtime.Plan, *sample.Remote) {
	remote := sample.NewRemote()
	host.Transport = sandbox.Transport(remote)
	plan, err := runtime.New(sample.Plugin(), sampleDefinition(t), sampleInstance(subscriptions), host)
	require.NoError(t, err)
	return plan, remote
}

func sampleDefinition(t testing.TB) *destination.Definition {
	d, err := sample.Plugin().Load()
	require.NoError(t, err)
	return d
}

func sampleInstance(subscriptions string) config.Instance {
	return config.InstanceOf(event.MustParse(`{"id":"i","destination":"sample","settings":{"key":"k"},"subscriptions":` + subscriptions + `}`))
}

func TestChoicesAreFetchedByQueryAndPage(t *testing.T) {
	plan, _ := sampled(t, `[]`, runtime.Host{})
	assert.Equal(t, []string{"address.city", "list"}, plan.DynamicFields("upsertUser"))
	for _, c := range []struct{ field, query, page, want string }{
		{"list", "", "", "Buyers=l1 Readers=l2, next 2"},
		{"list", "", "2", "Bystanders=l3"},
		{"list", "RS", "", "Buyers=l1 Readers=l2, next 2"},
		{"list", "read", "", "Readers=l2"},
		{"list", "nobody", "", ""},
		{"address.city", "", "", "Oslo=oslo (where most of l1 live)"},
	} {
		got, err := plan.Choices(t.Context(), "upsertUser", c.field, c.query, c.page, event.MustParse(`{"list":"l1"}`))
		require.NoError(t, err)
		var words []string
		for _, choice := range got.Choices {
			word := choice.Label + "=" + choice.Value
			if choice.Description != "" {
				word += " (" + choice.Description + ")"
			}
			words = append(words, word)
		}
		line := strings.Join(words, " ")
		if got.NextPage != "" {
			line += ", next " + got.NextPage
		}
		assert.Equal(t, c.want, line, "%s %q %q", c.field, c.query, c.page)
	}
	_, err := plan.Choices(t.Context(), "upsertUsr", "list", "", "", event.Value{})
	assert.EqualError(t, err, `Sample has no action "upsertUsr" (did you mean "upsertUser"?)`)
	_, err = plan.Choices(t.Context(), "upsertUser", "lst", "", "", event.Value{})
	assert.EqualError(t, err, `the field "lst" of upsertUser has no choices to fetch (did you mean "list"?)`)
}

func TestChoicesOfUndeclaredFieldsAreRefused(t *testing.T) {
	p := sample.Plugin()
	p.Choices = map[string]map[string]destination.ChoicesFunc{"upsertUser": {"address.town": nil}}
	_, err := p.Load()
	assert.EqualError(t, err, `sample: Plugin.Choices has the field "address.town" of upsertUser, which destination.yaml does not declare`)
	p.Choices = map[string]map[string]destination.ChoicesFunc{"nothing": nil}
	_, err = p.Load()
	assert.EqualError(t, err, `sample: Plugin.Choices has the action "nothing", which destination.yaml does not declare`)
}

func TestDeletionsKeepTheOrderOfTheUsersEvents(t *testing.T) {
	plan, remote := sampled(t, `[{"action":"upsertUser","subscribe":"userId != null"}]`, runtime.Host{})
	got := plan.RunBatch(t.Context(), events(t,
		`{"type":"identify","userId":"a"}`, `{"type":"identify","userId":"b"}`, `{"type":"delete","userId":"a"}`,
		`{"type":"delete"}`, `{"type":"identify","userId":"a"}`))
	assert.Equal(t, []string{"upsert a", "upsert b", "delete a", "upsert a"}, remote.Log())
	assert.Equal(t, []string{"delivered 200", "delivered 200", "delivered 200", "refused 400 PAYLOAD_VALIDATION_FAILED User ID is required but missing", "delivered 200"}, outcomes(got))
	assert.Equal(t, runtime.OnDelete, got[2][0].Subscription)
	assert.NotNil(t, plan.Subscription(runtime.OnDelete), "letters find it by its name")
}

func TestDeletionWithoutOnDeleteIsAnOrdinaryEvent(t *testing.T) {
	a := &acme{}
	plan := a.plan(t, `{"id":"i","settings":{"key":"k"},"subscriptions":[{"name":"s","action":"single","subscribe":"type = \"delete\""}]}`)
	got := plan.RunBatch(t.Context(), events(t, `{"type":"delete","userId":"a"}`))
	assert.Equal(t, "s", got[0][0].Subscription)
	assert.Equal(t, []string{"a"}, a.batches)
}

func TestNameOfDeletionsIsReserved(t *testing.T) {
	_, err := runtime.New(sample.Plugin(), sampleDefinition(t), sampleInstance(`[{"name":"onDelete","action":"upsertUser"}]`), runtime.Host{})
	assert.ErrorContains(t, err, `has the same name as another subscription of the instance: "onDelete"`)
}

func TestSyncModeMatchingKeyAndFlagsReachTheHandler(t *testing.T) {
	for _, c := range []struct{ subscription, want string }{
		{`{"action":"upsertUser"}`, "upsert a"},
		{`{"action":"upsertUser","syncMode":"upsert","mapping":{"__segment_internal_matching_key":"email"}}`, "upsert a (upsert by email)"},
		{`{"action":"upsertUser","mapping":{"__segment_internal_sync_mode":"add","list":"l1"}}`, "upsert a in l1 (add)"},
		{`{"action":"upsertUser","syncMode":"add","mapping":{"__segment_internal_sync_mode":"add","list":"l1"}}`, "upsert a in l1 (add)"},
	} {
		plan, remote := sampled(t, `[`+c.subscription+`]`, runtime.Host{})
		got := plan.Run(t.Context(), events(t, `{"type":"identify","userId":"a"}`)[0])
		assert.Equal(t, []string{c.want}, remote.Log())
		assert.NotContains(t, got[0].Sent.JSON(), "__segment", "neither is a field of the payload")
	}
	in := sampleInstance(`[{"id":"sub_1","name":"Users","action":"upsertUser"}]`)
	in.Features = map[string]bool{"tell": true}
	for _, host := range []runtime.Host{{}, {Features: map[string]bool{"tell": false, "other": true}}} {
		remote := sample.NewRemote()
		host.Transport = sandbox.Transport(remote)
		plan, err := runtime.New(sample.Plugin(), sampleDefinition(t), in, host)
		require.NoError(t, err)
		plan.Run(t.Context(), events(t, `{"type":"identify","userId":"a"}`)[0])
		assert.Equal(t, []string{"upsert a (upsert for sub_1 Users)"}, remote.Log())
	}
}

// TestConditionsOnTheSyncMode checks that conditions on the sync mode apply only to subscriptions with that mode.
func TestConditionsOnTheSyncMode(t *testing.T) {
	for mode, want := range map[string]string{"add": "refused 400 PAYLOAD_VALIDATION_FAILED List is required but missing", "upsert": "delivered 200"} {
		plan, _ := sampled(t, `[{"action":"upsertUser","syncMode":"`+mode+`"}]`, runtime.Host{})
		assert.Equal(t, []string{want}, outcomes(plan.RunBatch(t.Context(), events(t, `{"type":"identify","userId":"a"}`))))
	}
}

func TestUnknownSyncModesAreReportedWithPosition(t *testing.T) {
	_, err := runtime.New(sample.Plugin(), sampleDefinition(t), sampleInstance(`[
		{"name":"a","action":"upsertUser","syncMode":"mirror"},
		{"name":"b","action":"upsertUser","mapping":{"__segment_internal_sync_mode":"upsrt"}},
		{"name":"c","action":"upsertUser","mapping":{"__segment_internal_sync_mode":{"@path":"$.mode"},"__segment_internal_matching_key":5}},
		{"name":"d","action":"upsertUser","syncMode":"add","mapping":{"__segment_internal_sync_mode":"upsert"}}]`), runtime.Host{})
	assert.Equal(t, []string{
		`/subscriptions/0/syncMode is not a sync mode of upsertUser; its sync modes are upsert, add`,
		`/subscriptions/1/mapping/__segment_internal_sync_mode is not a sync mode of upsertUser (did you mean "upsert"?); its sync modes are upsert, add`,
		`/subscriptions/2/mapping/__segment_internal_matching_key should be a string but is a number: it cannot depend on the event`,
		`/subscriptions/2/mapping/__segment_internal_sync_mode should be a string but is an object: it cannot depend on the event`,
		`/subscriptions/3/syncMode is add but the mapping says upsert`,
	}, problemLines(err))
}

func problemLines(err error) (lines []string) {
	for _, p := range fault.ProblemsOf(err) {
		lines = append(lines, p.Pointer+" "+p.Message)
	}
	return lines
}

func TestConstantsOfAMapping(t *testing.T) {
	for mapping, want := range map[string]string{
		`{"object":{"type":"contact","id":{"@path":"$.userId"}},"mode":{"@literal":"read"},"on":true}`: `{"object":{"type":"contact"},"mode":"read","on":true}`,
		`{"a":{"@template":"{{userId}}"},"b":[{"@path":"$.x"}],"c":null}`:                              `{}`,
		`{"@path":"$.traits"}`: ``,
		`{}`:                   `{}`,
	} {
		assert.Equal(t, want, runtime.ConstantsOf(event.MustParse(mapping)).JSON(), mapping)
	}
}
