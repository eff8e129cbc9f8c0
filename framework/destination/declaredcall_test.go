package destination_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestErrorsOfOtherPayloads checks that others: retry retries the payloads that a refused request does not name, and only those.
func TestErrorsOfOtherPayloads(t *testing.T) {
	const definition = `
name: A
slug: a
mode: cloud
authentication: {scheme: none}
actions:
  a:
    title: A
    fields: {id: {label: Id, type: string}}
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
