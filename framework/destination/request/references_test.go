package request_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

func compileRequest(t *testing.T, text string) *request.Request {
	r, err := request.Compile(event.MustParse(text), request.Names{request.Settings: nil, request.Payload: {"id", "list"}, request.Page: nil, request.Query: nil})
	require.NoError(t, err)
	return r
}

func TestWhereAndUnlessSelectEntries(t *testing.T) {
	for _, c := range []struct {
		selects, entry string
		counts         bool
	}{
		{`"where": "bad"`, `{}`, false},
		{`"where": "bad"`, `{"bad": null}`, false},
		{`"where": "bad"`, `{"bad": false}`, false},
		{`"where": "bad"`, `{"bad": ""}`, false},
		{`"where": "bad"`, `{"bad": 0}`, true},
		{`"where": "bad"`, `{"bad": true}`, true},
		{`"where": "bad"`, `{"bad": "x"}`, true},
		{`"where": "bad"`, `{"bad": {}}`, true},
		{`"unless": "ok"`, `{}`, true},
		{`"unless": "ok"`, `{"ok": false}`, true},
		{`"unless": "ok"`, `{"ok": 0}`, true},
		{`"unless": "ok"`, `{"ok": true}`, false},
		{`"unless": "ok"`, `{"ok": "yes"}`, false},
		{`"where": "bad", "unless": "ok"`, `{"bad": 1, "ok": 1}`, false},
		{`"where": "bad", "unless": "ok"`, `{"bad": 1}`, true},
		{`"where": "bad", "unless": "ok"`, `{}`, false},
	} {
		r := compileRequest(t, `{"url": "https://api.example.com", "batch": {}, "response": {"errors": {"path": "list", `+c.selects+`}}}`)
		found, rest := r.PayloadErrors(request.Answer{Status: 200, Body: event.MustParse(`{"list": [` + c.entry + `]}`)}, 1, nil)
		assert.Equal(t, c.counts, found[0] != nil, "%s %s", c.selects, c.entry)
		assert.Nil(t, rest)
		r = compileRequest(t, `{"url": "https://api.example.com", "response": {"choices": {"path": "list", "value": "id", `+c.selects+`}}}`)
		choices, _, err := r.Choices(event.MustParse(`{"list": [`+c.entry+`]}`), "")
		require.NoError(t, err)
		assert.Equal(t, c.counts, len(choices) == 1, "%s %s", c.selects, c.entry)
	}
}

func TestRetryableErrorsOfPayloads(t *testing.T) {
	r := compileRequest(t, `{"url": "https://api.example.com", "batch": {}, "response": {"retry": [409, 423], "errors": {
		"path": "list", "status": "status", "code": "code", "message": "message", "retryCodes": ["BUSY"]}}}`)
	for _, c := range []struct {
		whole  int
		entry  string
		status int
		retry  bool
	}{
		{200, `{"status": 409}`, 409, true},
		{200, `{"status": "423"}`, 423, true},
		{200, `{"status": 422}`, 422, false},
		{200, `{"status": 429}`, 429, true},
		{200, `{"status": 503}`, 503, true},
		{200, `{"status": 400}`, 400, false},
		{200, `{"status": 399}`, 400, false},
		{200, `{"status": 600}`, 400, false},
		{200, `{"code": "BUSY"}`, 400, true},
		{200, `{"code": "BUSY", "status": 422}`, 422, true},
		{200, `{"code": "GONE"}`, 400, false},
		{200, `{"message": "BUSY"}`, 400, false},
		{409, `{}`, 409, true},
		{422, `{}`, 422, false},
		{399, `{}`, 400, false},
		{400, `{}`, 400, false},
	} {
		found, _ := r.PayloadErrors(request.Answer{Status: c.whole, Body: event.MustParse(`{"list": [` + c.entry + `, {"status": 422}]}`)}, 2, nil)
		if assert.NotNil(t, found[0], c.entry) {
			assert.Equal(t, c.status, found[0].Status, c.entry)
			assert.Equal(t, c.retry, found[0].Retry, "%d %s", c.whole, c.entry)
		}
		assert.False(t, found[1].Retry, c.entry)
	}
	assert.True(t, r.IsRetryable(409))
	assert.True(t, r.IsRetryable(423))
	assert.False(t, r.IsRetryable(400))
}

func TestRelativeURLs(t *testing.T) {
	for url, relative := range map[string]bool{
		`"/users"`: true, `"/{{payload.id}}"`: true, `"https://api.example.com/users"`: false, `"{{settings.host}}/users"`: false, `{"@path": "$.settings.host"}`: false,
	} {
		assert.Equal(t, relative, compileRequest(t, `{"url": `+url+`}`).IsRelative(), url)
	}
	names := request.Names{request.Settings: nil}
	base := func(text string) *request.Base {
		b, err := request.CompileBase(event.MustParse(text), names)
		require.NoError(t, err)
		return b
	}
	var none *request.Base
	assert.False(t, none.HasURL())
	assert.False(t, base(`{"headers": {"A": "b"}}`).HasURL())
	assert.True(t, base(`{"baseUrl": "https://api.example.com"}`).HasURL())
	_, err := request.CompileBase(event.MustParse(`{"baseUrl": "/v1"}`), names)
	assert.ErrorContains(t, err, "should be an absolute URL")
	_, err = request.Compile(event.MustParse(`{"url": "users"}`), names)
	assert.ErrorContains(t, err, "should begin with https://")

	scope := event.MustParse(`{"settings": {"host": "users"}}`)
	_, err = compileRequest(t, `{"url": "{{settings.host}}/x"}`).Build(scope)
	assert.ErrorContains(t, err, "is not an http or https URL")
	for address, want := range map[string]string{
		"https://ann:pass-word@api.example.com/x?token=very-secret": `"https://…@api.example.com/x?…" has a user or a password before its host: send them in a header`,
		"https://ann:p/w@api.example.com?token=very-secret":         `"https://…@api.example.com?…" is not an http or https URL`,
		"ann:pass-word@api.example.com/x":                           `"…@api.example.com/x" is not an http or https URL`,
		"https://ann:pass-word?@api.example.com/x":                  `"https://…?…" is not an http or https URL`,
		"ftp://example.com/a?email=ann@example.com":                 `"ftp://example.com/a?…" is not an http or https URL`,
		"ftp://ann:pass-word@example.com":                           `"ftp://…@example.com" has a user or a password`,
		"ftp://example.com/a?token=very-secret":                     `"ftp://example.com/a?…" is not an http or https URL`,
	} {
		_, err = compileRequest(t, `{"url": {"@path": "$.settings.host"}}`).Build(event.MustParse(`{"settings": {"host": "` + address + `"}}`))
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "very-secret")
		assert.NotContains(t, err.Error(), "pass-word")
	}
	for text, want := range map[string]string{`{"baseUrl": "https://api.example.com/v1/"}`: "https://api.example.com/v1/users", `{"headers": {"A": "b"}}`: "/users"} {
		built, err := compileRequest(t, `{"url": "/users"}`).Build(scope)
		require.NoError(t, err)
		built, err = base(text).Extend(built, scope, exampleTime)
		require.NoError(t, err)
		assert.Equal(t, want, built.URL)
	}
}

func TestReferencesInsideDirectivesAreChecked(t *testing.T) {
	for body, want := range map[string]string{
		`{"@path": "$.payloda.id"}`:                                                                         `/body/@path reads "payloda"`,
		`{"@path": "$.payload.di"}`:                                                                         `/body/@path reads payload.di`,
		`{"@arrayPath": ["$.payloda.list"]}`:                                                                `/body/@arrayPath/0 reads "payloda"`,
		`{"@arrayPath": ["$.payload.lsit", {"a": {"@path": "$.anything"}}]}`:                                `/body/@arrayPath/0 reads payload.lsit`,
		`{"@arrayPath": [{"@path": "$.payloda.list"}, {"a": {"@path": "$.anything"}}]}`:                     `/body/@arrayPath/0/@path reads "payloda"`,
		`{"@transform": {"apply": {"who": {"@path": "$.payloda.id"}}, "mapping": {"@path": "$.who"}}}`:      `/body/@transform/apply/who/@path reads "payloda"`,
		`{"@transform": {"apply": {"who": {"@path": "$.payload.id"}}, "mapping": {"@path": "$.woh"}}}`:      `/body/@transform/mapping/@path reads "woh"`,
		`{"@transform": {"apply": {"who": {"@path": "$.payload.id"}}, "mapping": {"@path": "$.settings"}}}`: `/body/@transform/mapping/@path reads "settings"`,
		`{"@if": {"exists": {"@path": "$.payloda"}, "then": 1}}`:                                            `/body/@if/exists/@path reads "payloda"`,
		`{"@template": {"@path": "$.payloda.id"}}`:                                                          `/body/@template/@path reads "payloda"`,
		`[{"a": {"@template": "{{payloda.id}}"}}]`:                                                          `/body/0/a/@template reads "payloda"`,
		`{"@arrayPath": ["$.payload.list", {"a": {"@path": "$.anything"}}]}`:                                "",
		`{"@transform": {"apply": {"who": {"@path": "$.payload.id"}}, "mapping": {"@path": "$.who"}}}`:      "",
		`{"@transform": {"apply": {"@path": "$.payload"}, "mapping": {"@path": "$.anything"}}}`:             "",
	} {
		_, err := request.Compile(event.MustParse(`{"url": "https://api.example.com", "body": `+body+`}`), request.Names{request.Settings: nil, request.Payload: {"id", "list"}})
		if want == "" {
			assert.NoError(t, err, body)
			continue
		}
		assert.ErrorContains(t, err, want, body)
	}
}
