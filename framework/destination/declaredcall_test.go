package destination_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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
