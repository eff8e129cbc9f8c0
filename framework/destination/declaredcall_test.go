package destination_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// actionA is the beginning of a definition whose action a follows, from its fields on.
const actionA = `
name: A
slug: a
mode: cloud
authentication: {scheme: none}
actions:
  a:
    title: A
`

// TestErrorsOfOtherPayloads checks that others: retry retries the payloads that a refused request does not name, and only those.
func TestErrorsOfOtherPayloads(t *testing.T) {
	const definition = actionA + `    fields: {id: {label: Id, type: string}}
    request:
      batch: {size: 10}
      url: https://api.example.com/users
      body: {"@path": $.items}
      response: {errors: {path: failed, index: at, message: why, others: retry}}
`
	const named, unnamed = `{"message":"bad batch","failed":[{"at":1,"why":"unknown"}]}`, `{"message":"bad batch","failed":[]}`
	const unclear = `{"message":"bad batch","failed":[{"at":7,"why":"unknown"}]}`
	const retry = "retry: the remote refused the request because of other events: bad batch"
	without := strings.Replace(definition, ", others: retry", "", 1)
	for _, c := range []struct {
		definition, answer string
		want               []string
	}{
		{definition, "400 " + named, []string{retry, "refused: unknown", retry}},
		{definition, "200 " + named, []string{"delivered: ", "refused: unknown", "delivered: "}},
		{definition, "400 " + unnamed, []string{"refused: bad batch", "refused: bad batch", "refused: bad batch"}},
		{definition, "400 " + unclear, []string{"refused: bad batch", "refused: bad batch", "refused: bad batch"}},
		{without, "400 " + named, []string{"refused: bad batch", "refused: unknown", "refused: bad batch"}},
	} {
		results, sent := runDeclared(t, c.definition, []string{c.answer}, `{"id":"1"}`, `{"id":"2"}`, `{"id":"3"}`)
		assert.Equal(t, c.want, results, c.answer)
		assert.Len(t, sent, 1, c.answer)
	}
}

// TestGatheredPayloads checks that payloads which agree in what the request reads share a request, even if others are between them.
func TestGatheredPayloads(t *testing.T) {
	const definition = actionA + `    fields: {list: {label: List, type: string}, id: {label: Id, type: string}}
    request:
      batch: {size: 2, gather: true, item: {"@path": $.payload.id}}
      url: https://api.example.com/lists/{{payload.list}}
      body: {"@path": $.items}
`
	payloads := []string{`{"list":"a","id":"1"}`, `{"list":"b","id":"2"}`, `{"list":"a","id":"3"}`, `{"list":"a","id":"4"}`}
	results, sent := runDeclared(t, definition, []string{`{}`, `400 {"message":"no such list"}`}, payloads...)
	assert.Equal(t, []string{`/lists/a ["1","3"]`, `/lists/a ["4"]`, `/lists/b ["2"]`}, sent)
	assert.Equal(t, []string{"delivered: ", "refused: no such list", "delivered: ", "refused: no such list"}, results)
	_, sent = runDeclared(t, strings.Replace(definition, "gather: true, ", "", 1), []string{`{}`}, payloads...)
	assert.Equal(t, []string{`/lists/a ["1"]`, `/lists/b ["2"]`, `/lists/a ["3","4"]`}, sent)
}

// TestStepsThatRefuse checks that a step without a request refuses the payloads that are left, after what was sent before.
func TestStepsThatRefuse(t *testing.T) {
	const definition = actionA + `    fields: {id: {label: Id, type: string}}
    request:
      steps:
        - {name: found, url: https://api.example.com/find, body: {"@path": $.payload}}
        - {when: {"@expr": "len(answers.found.body.data) == 0"}, refuse: "there is no {{payload.id}}"}
        - {url: https://api.example.com/change, body: {"@path": $.payload}}
`
	results, sent := runDeclared(t, definition, []string{`{"data":[]}`}, `{"id":"1"}`)
	assert.Equal(t, []string{"refused: there is no 1"}, results)
	assert.Len(t, sent, 1)
	results, sent = runDeclared(t, definition, []string{`{"data":[1]}`}, `{"id":"1"}`)
	assert.Equal(t, []string{"delivered: "}, results)
	assert.Len(t, sent, 2)
}

// TestPayloadsThatCannotBeSent checks that a payload from which nothing can be built, or that is too large, fails alone: the others are sent, with
// indexes that count only them.
func TestPayloadsThatCannotBeSent(t *testing.T) {
	const definition = actionA + `    fields: {id: {label: Id, type: string}, key: {label: Key, type: string}}
    request:
      batch: {size: 10, bytes: 150, unique: {"@path": $.payload.key}, item: {id: {"@expr": "payload.id == 'odd' ? fromJSON(payload.id) : payload.id"}, n: {"@path": $.index}}}
      url: https://api.example.com/users
      body: {"@path": $.items}
`
	results, sent := runDeclared(t, definition, []string{`{}`}, `{"id":"1"}`, `{"id":"odd"}`, `{"id":"2"}`, `{"id":"`+strings.Repeat("x", 200)+`"}`, `{"id":"3"}`)
	assert.Equal(t, "delivered: ", results[0])
	assert.Contains(t, results[1], "refused: ")
	assert.Equal(t, "refused: the request is larger than 150 bytes, the limit of https://api.example.com/users", results[3])
	assert.Equal(t, []string{"delivered: ", "delivered: "}, []string{results[2], results[4]})
	assert.NotContains(t, strings.Join(sent, ""), "xxx")
	assert.Equal(t, []string{`/users [{"id":"1","n":0},{"id":"2","n":1}]`, `/users [{"id":"3","n":0}]`}, sent)

	results, sent = runDeclared(t, definition, []string{`{}`}, `{"id":"odd"}`, `{"id":"odd"}`)
	assert.Contains(t, results[1], "refused: ")
	assert.Empty(t, sent)

	_, sent = runDeclared(t, definition, []string{`{}`}, `{"id":"1","key":"a"}`, `{"id":"2","key":"b"}`, `{"id":"3","key":"a"}`, `{"id":"4","key":"b"}`, `{"id":"5"}`, `{"id":"6"}`)
	assert.Equal(t, []string{`/users [{"id":"1","n":0},{"id":"2","n":1}]`, `/users [{"id":"3","n":0},{"id":"4","n":1},{"id":"5","n":2},{"id":"6","n":3}]`}, sent)
}

// TestErrorsThatNameNoPayload checks that such an error is that of each payload without its own, and that Retry-After holds for named ones.
func TestErrorsThatNameNoPayload(t *testing.T) {
	const definition = actionA + `    fields: {id: {label: Id, type: string}}
    request:
      batch: {size: 10}
      url: https://api.example.com/users
      body: {"@path": $.items}
      response: {errors: {path: failed, index: at, message: why, code: code, retryCodes: [BUSY]}}
`
	results, _ := runDeclared(t, definition, []string{`{"failed":[{"at":"?","why":"broken"},{"at":1,"why":"later","code":"BUSY"}]}`}, `{"id":"1"}`, `{"id":"2"}`)
	assert.Equal(t, []string{"refused: broken", "retry: BUSY: later"}, results)

	r := newDeclaredRemote(t, definition)
	r.answer = func(*http.Request) (int, string) {
		return 429, `{"failed":[{"at":0,"why":"later","code":"BUSY"},{"at":1,"why":"never"}]}`
	}
	r.header = http.Header{"Retry-After": {"7"}}
	ms := r.plugin.Actions["a"].Perform(t.Context(), destination.Input{Deps: r.deps(), Payloads: []event.Value{event.MustParse(`{"id":"1"}`), event.MustParse(`{"id":"2"}`)}})
	assert.Equal(t, 7*time.Second, ms.Result(0).Err.RetryAfter)
	for i := range 2 {
		var refusal *destination.Refusal
		assert.ErrorAs(t, ms.Result(i).Err, &refusal, "each shows the response")
	}
}

// TestActionsOfOneDirection checks that an action which only adds, or only removes, need not be told which.
func TestActionsOfOneDirection(t *testing.T) {
	const definition = actionA + `    fields: {id: {label: Id, type: string}, list: {label: List, type: string}, key: {label: Key, type: string}, properties: {label: Properties, type: object}, time: {label: Time, type: datetime}}
    audience: {id: list, key: key, properties: properties, time: time, identifiers: [id], %s: {url: https://api.example.com/change}}
`
	for direction, member := range map[string]bool{"add": true, "remove": false} {
		r := newDeclaredRemote(t, strings.Replace(definition, "%s", direction, 1))
		deps := r.deps()
		assert.NoError(t, r.perform(t.Context(), "a", deps, `{"id":"u1","list":"l"}`), direction)
		assert.Equal(t, []string{"POST /change"}, r.takeSent(), direction)
		records, err := deps.Members.Lookup(t.Context(), "l", []string{"id:u1"})
		assert.NoError(t, err)
		assert.Equal(t, []bool{true, member}, []bool{records[0].Known, records[0].Member}, direction)
		assert.Nil(t, r.plugin.Audiences, "files need both directions")
	}
}
