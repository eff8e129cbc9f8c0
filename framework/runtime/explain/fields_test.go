package explain_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
)

const acme = `
name: Acme
slug: acme
mode: cloud
authentication: {scheme: none}
actions:
  send:
    title: Send
    fields:
      id: {label: ID, type: string, required: true}
      n: {label: N, type: number}
      note: {label: Note, type: string}
      other: {label: Other, type: string}
`

// none is the payload and the settings of a handler that reads neither.
type none struct{}

func (*none) Decode(event.Value) {}

// acmePlan returns a plan that maps fields as given and sends nothing.
func acmePlan(t *testing.T, mapping string, failure error) *runtime.Plan {
	return acmePlanFor(t, `type = "track"`, mapping, failure)
}

// acmePlanFor is acmePlan with a query.
func acmePlanFor(t *testing.T, query, mapping string, failure error) *runtime.Plan {
	plugin := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(acme)}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[none, none]{
			Perform: func(context.Context, destination.Call[none, none]) (*destination.Response, error) {
				return nil, failure
			},
		})},
	}
	d, err := plugin.Load()
	require.NoError(t, err)
	p, err := runtime.New(plugin, d, config.InstanceOf(event.MustParse(`{"id":"i","subscriptions":[{"name":"s","action":"send","subscribe":`+event.NewString(query).JSON()+`,"mapping":`+mapping+`}]}`)), runtime.Host{})
	require.NoError(t, err)
	return p
}

func deliver(t *testing.T, p *runtime.Plan, text string) explain.Trace {
	e, err := event.Parse([]byte(text))
	require.NoError(t, err)
	return explain.DryRun(t.Context(), p, p.Subscriptions()[0], e, &explain.Recorder{})
}

// TestFieldsSayWhereTheirValuesComeFrom checks the note of each field that is absent, changed or invalid.
func TestFieldsSayWhereTheirValuesComeFrom(t *testing.T) {
	const mapping = `{"id":{"@path":"$.userId"},"n":{"@path":"$.n"},"note":{"@expr":"1 / int(properties.zero)"},"unknown":"x"}`
	for _, c := range []struct {
		event, outcome string
		notes          map[string]string
	}{
		{`{"type":"track","userId":"u","n":"5","properties":{"zero":1}}`, explain.WouldDeliver,
			map[string]string{"id": "", "n": "converted from a string to a number", "other": "not mapped", "unknown": "dropped: the action has no such field"}},
		{`{"type":"track","userId":"u","properties":{"zero":1}}`, explain.WouldDeliver, map[string]string{"n": "nothing at this path", "other": "not mapped"}},
		{`{"type":"track","n":1,"properties":{"zero":1}}`, "refused", map[string]string{"id": "ID is required but missing", "n": ""}},
	} {
		st := deliver(t, acmePlan(t, mapping, nil), c.event)
		assert.Equal(t, c.outcome, st.Outcome, c.event)
		notes := map[string]string{}
		for _, f := range st.Fields {
			assert.NotContains(t, notes, f.Field, "each field is listed once")
			notes[f.Field] = f.Note
		}
		for field, want := range c.notes {
			assert.Equal(t, want, notes[field], "%s of %s", field, c.event)
		}
	}
	st := deliver(t, acmePlan(t, mapping, nil), `{"type":"track","userId":"u","properties":{"zero":0}}`)
	assert.Equal(t, "refused", st.Outcome)
	require.NotEmpty(t, st.Fields)
	assert.Contains(t, st.Fields[2].Note, "which is not a number in JSON")
	assert.Nil(t, st.Batch)
	text, err := json.Marshal(st)
	require.NoError(t, err)
	assert.NotContains(t, string(text), `"mapped":null`)
}

// TestVerdictsSayWhatToDo checks the outcome, the cause and the next step of events that are not delivered.
func TestVerdictsSayWhatToDo(t *testing.T) {
	const mapping = `{"id":{"@path":"$.userId"}}`
	st := deliver(t, acmePlan(t, mapping, fault.FromStatus(503, "down")), `{"type":"track","userId":"u"}`)
	assert.Equal(t, []any{"retry", 503, fault.CauseRemoteUnavailable, "down", fault.CauseRemoteUnavailable.Next()}, []any{st.Outcome, st.Status, st.Cause, st.Reason, st.Next})
	assert.True(t, st.Matched)
	assert.Equal(t, "u", st.Payload.Get("id").Str())
	st = deliver(t, acmePlan(t, mapping, nil), `{"type":"page","userId":"u"}`)
	assert.False(t, st.Matched)
	assert.Equal(t, []any{"skipped", fault.CauseNotSubscribed, fault.CauseNotSubscribed.Next()}, []any{st.Outcome, st.Cause, st.Next})
	assert.Equal(t, event.Absent, st.Payload.Kind())
}

// TestRequestsBeforeTheEventAreNotItsOwn checks that requests that were recorded before, such as those of a test of credentials, are not
// shown.
func TestRequestsBeforeTheEventAreNotItsOwn(t *testing.T) {
	requests := &explain.Recorder{}
	p := plan(t, nil, requests)
	requests.Observe(httpx.Exchange{Method: "GET", URL: "https://before.example"})
	e, err := event.Parse([]byte(entered))
	require.NoError(t, err)
	st := explain.DryRun(t.Context(), p, p.Subscriptions()[0], e, requests)
	assert.Equal(t, explain.WouldDeliver, st.Outcome)
	require.Len(t, st.Requests, 2)
	assert.NotContains(t, st.Requests[0].URL, "before.example")
}

// The values of fields hide secrets by their names, as requests do.
func TestFieldsHideSecrets(t *testing.T) {
	st := deliver(t, acmePlan(t, `{"id":{"@path":"$.userId"},"auth_token":"very-secret","note":{"@json":{"mode":"encode","value":{"a":1}}},"data":{"password":"very-secret","list":[{"apiKey":"very-secret","n":9007199254740993}]}}`, nil), `{"type":"track","userId":"u"}`)
	assert.Equal(t, explain.WouldDeliver, st.Outcome)
	mapped := map[string]string{}
	for _, f := range st.Fields {
		mapped[f.Field] = string(f.Mapped)
	}
	from := map[string]string{}
	for _, f := range st.Fields {
		from[f.Field] = f.From
	}
	assert.Equal(t, map[string]string{
		"id": "@path $.userId", "auth_token": `literal "[hidden]"`, "note": "@json of literal {\"a\":1}", "data": "literal " + `{"password":"[hidden]","list":[{"apiKey":"[hidden]","n":9007…`, "n": "", "other": "",
	}, from)
	assert.Equal(t, map[string]string{
		"id": `"u"`, "auth_token": `"[hidden]"`, "note": `"{\"a\":1}"`, "data": `{"password":"[hidden]","list":[{"apiKey":"[hidden]","n":9007199254740993}]}`, "n": "", "other": "",
	}, mapped)
}

// TestTracesHideSecrets checks that neither the origin of a value, nor a condition, nor the key of a batch shows a secret.
func TestTracesHideSecrets(t *testing.T) {
	const mapping = `{"id":{"@if":{"exists":{"@path":"$.none"},"then":"a","else":{"@template":"{{userId}}"}}},
		"data":{"@if":{"exists":{"@path":"$.none"},"then":"a","else":{"url":"https://ann:pa55word@h.example/x","password":"hunter-two-and-more-characters-than-are-shown-of-it"}}},
		"api_key":{"@template":"key-{{userId}}-sesame"},"other":"https://h.example/?token=t0ps3cret&a=1#access_token=fr4gm3nt","batch_keys":["api_key","other"]}`
	p := acmePlanFor(t, `properties.link != "" and properties.password != "gu3ss"`, mapping, nil)
	st := deliver(t, p, `{"type":"track","userId":"u","properties":{"password":"s3same","link":"https://h/?token=t0ken4"}}`)
	require.Equal(t, explain.WouldDeliver, st.Outcome)
	require.NotEmpty(t, st.Conditions.Parts)
	st.Query, st.Words = "", "" // they are of the config
	text, err := json.Marshal(st)
	require.NoError(t, err)
	for _, secret := range []string{"s3same", "gu3ss", "t0ken4", "pa55word", "hunter-two", "sesame", "t0ps3cret", "fr4gm3nt"} {
		assert.NotContains(t, string(text), secret)
	}
	assert.Contains(t, string(text), "a=1", "the rest of a URL stays")
}
