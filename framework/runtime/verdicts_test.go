package runtime_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// TestSubscriptionsThatSendOneAudienceTwice checks the warning of subscriptions whose audiences overlap.
func TestSubscriptionsThatSendOneAudienceTwice(t *testing.T) {
	const any, vip, gold = `{"personas_audience_key":{"@path":"$.context.personas.computation_key"}}`, `{"personas_audience_key":"vip"}`, `{"personas_audience_key":"gold"}`
	const none = `{"personas_audience_key":{"@path":"$.context.personas.nothing"}}`
	for _, c := range []struct {
		first, second string // the query and the mapping of each
		want          string
	}{
		{`type = "track"|` + vip, `type = "track"|` + vip, `sends the audience "vip", which "first" also sends`},
		{`type = "track"|` + vip, `type = "track"|` + gold, ""},
		{`type = "track"|` + vip, `type = "identify"|` + vip, ""},
		{`type = "identify"|` + vip, `type = "identify"|` + vip, `sends the audience "vip"`},
		{`type = "track"|` + any, `type = "track"|` + any, `sends the audience of any event, which "first" also sends`},
		{`type = "track"|` + any, `type = "track"|` + vip, `sends the audience "vip"`},
		{`type = "track"|` + none, `type = "track"|` + none, `sends the audience of any event, which "first" also sends`},
		{`event = "Audience Entered"|` + vip, `event = "Audience Exited"|` + vip, ""},
		{`context.personas.computation_key = "vip"|` + any, `context.personas.computation_key = "gold"|` + any, ""},
		{`properties.vip = true|` + vip, `traits.vip = true|` + vip, ""},
		{`traits.vip = true|` + vip, `type = "identify"|` + vip, `sends the audience "vip"`},
		{`properties.audience_key = "vip"|` + vip, `type = "track"|` + any, `sends the audience "vip"`},
	} {
		plugin := brazecohorts.Plugin()
		d, err := plugin.Load()
		require.NoError(t, err)
		member := func(name, text string) string {
			query, mapping, _ := strings.Cut(text, "|")
			return `{"name":"` + name + `","action":"syncAudiences","subscribe":` + event.NewString(query).JSON() + `,"mapping":` + mapping + `}`
		}
		in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s","partner_api_key":"k"},"subscriptions":[` + member("first", c.first) + "," + member("second", c.second) + `]}`))
		plan, err := runtime.New(plugin, d, in, runtime.Host{})
		require.NoError(t, err)
		if c.want == "" {
			assert.Empty(t, plan.Warnings(), "%s and %s", c.first, c.second)
		} else if assert.Len(t, plan.Warnings(), 1, "%s and %s", c.first, c.second) {
			assert.Contains(t, plan.Warnings()[0].Message, c.want)
			assert.Equal(t, "/subscriptions/1", plan.Warnings()[0].Pointer)
		}
	}
}

// TestPlansOfMappingsThatFitNoEvent checks that a plan is made of a mapping which a config may not have: each event gets the reason.
func TestPlansOfMappingsThatFitNoEvent(t *testing.T) {
	plugin := brazecohorts.Plugin()
	d, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s","partner_api_key":"k"},
		"subscriptions":[{"action":"syncAudiences","subscribe":"type = \"track\"","mapping":{"external_id":{"a":1}}}]}`))
	plan, err := runtime.New(plugin, d, in, runtime.Host{})
	require.NoError(t, err)
	got := plan.RunBatch(t.Context(), events(t, `{"type":"track","userId":"a"}`))
	assert.Equal(t, runtime.Refused, got[0][0].Outcome)
}

// TestTokensThatCannotBeRenewed checks that items whose token is refused get the reason why there is no other, and the others theirs.
func TestTokensThatCannotBeRenewed(t *testing.T) {
	for _, failure := range []error{&fault.Error{Code: fault.CodeLogin, Status: 401, Retry: true, Message: "log in again"}, errors.New("the store is gone")} {
		c := &crm{good: []string{"one"}, refusing: []string{"b"}}
		plan := tokenPlan(t, c, func(_ context.Context, _, refused string) (string, error) {
			if refused != "" {
				return "", failure
			}
			return "one", nil
		})
		got := plan.RunBatch(t.Context(), events(t, `{"type":"track","userId":"a"}`, `{"type":"track","userId":"b"}`))
		assert.Equal(t, runtime.Delivered, got[0][0].Outcome)
		assert.NotEqual(t, runtime.Delivered, got[1][0].Outcome)
		assert.Contains(t, got[1][0].Reason, failure.Error())
		assert.Len(t, c.requests, 1, "nothing is sent without a token")
	}
	c := &crm{good: []string{"one"}, refusing: []string{"b"}}
	plan := tokenPlan(t, c, func(context.Context, string, string) (string, error) { return "one", nil })
	got := plan.RunBatch(t.Context(), events(t, `{"type":"track","userId":"b"}`))
	assert.Equal(t, "not you", got[0][0].Reason, "the same token is not tried again")
	assert.Len(t, c.requests, 1)
}

// TestHooksWhoseOutputsCannotBeRead checks that nothing is sent without the outputs of hooks: the events are retried.
func TestHooksWhoseOutputsCannotBeRead(t *testing.T) {
	remote, state := sample.NewRemote(), &faultyState{State: destination.NewMemoryState()}
	plan := hooked(t, remote, state, `{"name":"s","action":"upsertUser","hooks":{"onMappingSave":{"name":"Fans"}}}`)
	runHooks(t, plan, false)
	again := hooked(t, remote, state, `{"name":"s","action":"upsertUser","hooks":{"onMappingSave":{"name":"Fans"}}}`)
	state.failGet = errors.New("the disk is gone")
	before := len(remote.Log())
	got := again.Run(t.Context(), events(t, `{"type":"identify","userId":"a"}`)[0])[0]
	assert.NotEqual(t, runtime.Delivered, got.Outcome)
	assert.Contains(t, got.Reason, "the disk is gone")
	assert.Len(t, remote.Log(), before)
	state.failGet = nil
	assert.Equal(t, runtime.Delivered, again.Run(t.Context(), events(t, `{"type":"identify","userId":"a"}`)[0])[0].Outcome)
}

// TestOnlyRefusalsAreDivided checks which batches are divided to find the items that are refused: those that are refused as a whole with
// status 400.
func TestOnlyRefusalsAreDivided(t *testing.T) {
	for status, divided := range map[int]bool{400: true, 401: false, 404: false, 422: false, 429: false, 500: false, 503: false} {
		a := &acme{answer: func([]string) (*destination.MultiStatus, error) { return nil, fault.FromStatus(status, "no") }}
		got := isolating(t, a).RunBatch(t.Context(), fourUsers(t))
		assert.Equal(t, divided, len(a.batches) > 1, status)
		for _, v := range got {
			assert.NotEqual(t, runtime.Delivered, v[0].Outcome)
			assert.Equal(t, "no", v[0].Reason)
		}
	}
	a := &acme{answer: func(ids []string) (*destination.MultiStatus, error) {
		ms := destination.NewMultiStatus(len(ids))
		for i := range ids {
			ms.Fail(i, fault.FromStatus(400, "no"))
		}
		ms.Deliver(0)
		return ms, nil
	}}
	isolating(t, a).RunBatch(t.Context(), fourUsers(t))
	assert.Len(t, a.batches, 1, "the remote has accepted one of them")
}

// TestMultistatusOfEachVerdict checks the results in Segment's form.
func TestMultistatusOfEachVerdict(t *testing.T) {
	for want, v := range map[string]runtime.Verdict{
		`{"status":200,"sent":{"a":1},"body":"ok"}`: {Outcome: runtime.Delivered, Status: 200, Sent: event.MustParse(`{"a":1}`), Body: event.NewString("ok")},
		`{"status":200}`: {Outcome: runtime.Skipped, Status: 200, Reason: "no change"},
		`{"status":400,"errortype":"C","errormessage":"not subscribed","errorreporter":"INTEGRATIONS"}`:                   {Outcome: runtime.Skipped, Status: 400, Code: "C", Reason: "not subscribed", Reporter: fault.ReporterIntegrations},
		`{"status":400,"errortype":"","errormessage":"bad","errorreporter":"DESTINATION","sent":{"a":1}}`:                 {Outcome: runtime.Refused, Status: 400, Reason: "bad", Reporter: "DESTINATION", Sent: event.MustParse(`{"a":1}`)},
		`{"status":503,"errortype":"SERVICE_UNAVAILABLE","errormessage":"down","errorreporter":"DESTINATION","body":"x"}`: {Outcome: runtime.Retry, Status: 503, Code: "SERVICE_UNAVAILABLE", Reason: "down", Reporter: "DESTINATION", Body: event.NewString("x")},
		`{"status":500,"errortype":"","errormessage":"later","errorreporter":"DESTINATION"}`:                              {Outcome: runtime.Retry, Status: 500, Reason: "later", Reporter: "DESTINATION"},
	} {
		assert.Equal(t, want, v.Multistatus().JSON())
	}
}

// TestErrorsWithoutAStatus checks that an error of a handler which has no status counts as an internal error.
func TestErrorsWithoutAStatus(t *testing.T) {
	a := &acme{answer: func([]string) (*destination.MultiStatus, error) {
		return nil, &fault.Error{Code: "ODD", Message: "odd"}
	}}
	got := a.plan(t, oneBatch).Run(t.Context(), events(t, `{"type":"track","userId":"1"}`)[0])[0]
	assert.Equal(t, []any{runtime.Refused, 500, "odd"}, []any{got.Outcome, got.Status, got.Reason})
}

// TestInstancesThatNeedALogin checks which instances need one.
func TestInstancesThatNeedALogin(t *testing.T) {
	load := func(scheme string) *destination.Definition {
		d, err := destination.ParseDefinition("destination.yaml", []byte("name: A\nslug: a\nmode: cloud\nauthentication: "+scheme+"\nactions: {x: {title: X, fields: {}}}\n"))
		require.NoError(t, err)
		return d
	}
	login := `{scheme: oauth2, authorizeUrl: "https://a.example/a", tokenUrl: "https://a.example/t"}`
	auth, token := event.MustParse(`{"clientId":"c"}`), "t"
	for _, c := range []struct {
		scheme string
		in     config.Instance
		want   bool
	}{
		{login, config.Instance{}, true}, {login, config.Instance{Auth: auth}, true}, {login, config.Instance{AccessToken: token}, false}, {login, config.Instance{AccessToken: token, Auth: auth}, false},
		{`{scheme: oauth-managed}`, config.Instance{}, false}, {`{scheme: oauth-managed}`, config.Instance{Auth: auth}, true}, {`{scheme: none}`, config.Instance{Auth: auth}, false},
	} {
		assert.Equal(t, c.want, runtime.NeedsLogin(load(c.scheme), c.in), "%s %+v", c.scheme, c.in)
	}
}

// TestChoicesAreBounded checks the number of choices of a page, and a handler that panics.
func TestChoicesAreBounded(t *testing.T) {
	p := sample.Plugin()
	var action, field string
	for a, fields := range p.Choices {
		for f := range fields {
			action, field = a, f
		}
	}
	many := func(context.Context, destination.ChoicesInput) (destination.Choices, error) {
		return destination.Choices{Choices: make([]destination.Choice, runtime.MaxChoices+1), NextPage: "n"}, nil
	}
	for name, fetch := range map[string]destination.ChoicesFunc{"many": many, "panic": func(context.Context, destination.ChoicesInput) (destination.Choices, error) { panic("oh") }} {
		p.Choices = map[string]map[string]destination.ChoicesFunc{action: {field: fetch}}
		plan, err := runtime.New(p, sampleDefinition(t), sampleInstance(`[]`), runtime.Host{})
		require.NoError(t, err)
		got, err := plan.Choices(t.Context(), action, field, "", "", event.Value{})
		if name == "panic" {
			assert.EqualError(t, err, "fetching the choices of "+field+": the handler panicked: oh")
			assert.Empty(t, got.Choices)
			continue
		}
		require.NoError(t, err)
		assert.Len(t, got.Choices, runtime.MaxChoices)
		assert.Equal(t, "n", got.NextPage)
		assert.Equal(t, []string{field}, plan.DynamicFields(action))
		_, err = plan.Choices(t.Context(), "none", field, "", "", event.Value{})
		assert.ErrorContains(t, err, `has no action "none"`)
	}
}
