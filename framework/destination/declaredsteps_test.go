package destination_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
)

// stepsDefinition declares an action with a step that looks something up, one for each tag, and one that fails for some payloads.
const stepsDefinition = `
name: A
slug: a
mode: cloud
authentication: {scheme: none}
actions:
  a:
    title: A
    fields:
      id: {label: Id, type: string}
      tags: {label: Tags, type: string, multiple: true}
    request:
      refuse: [{when: {"@expr": "payload.id == 'bad'"}, message: "the id is {{payload.id}}"}]
      batch: {size: 10}
      steps:
        - name: found
          when: {"@expr": "payloads[0].id != 'none'"}
          url: https://api.example.com/find
          body: {"@path": $.items}
          response: {accept: [409], errors: {path: failed, match: "{{payload.id}}", key: id, message: why}}
        - when: {"@expr": "answers.found != nil"}
          each: {"@expr": "payloads[0].tags ?? []"}
          url: https://api.example.com/tag
          body: {tag: {"@path": $.item}, n: {"@path": $.index}, found: {"@path": $.answers.found.body.key}, left: {"@expr": "len(payloads)"}}
          response: {failures: [{when: {"@expr": "text == '0'"}, message: not taken, status: 503}]}
`

// runSteps performs payloads with stepsDefinition.
func runSteps(t *testing.T, answers []string, payloads ...string) (results, sent []string) {
	t.Helper()
	return runDeclared(t, stepsDefinition, answers, payloads...)
}

// runDeclared performs payloads with the action a of a definition and returns the results in words, and the requests.
func runDeclared(t *testing.T, definition string, answers []string, payloads ...string) (results, sent []string) {
	t.Helper()
	p := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(definition)}}}
	d, err := p.Load()
	require.NoError(t, err)
	transport := sandbox.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, r.URL.Path+" "+string(body))
		status, text := 200, answers[min(len(sent), len(answers))-1]
		if _, err := fmt.Sscanf(text, "%d ", &status); err == nil && status > 99 {
			text = text[4:]
		} else {
			status = 200
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	in := destination.Input{Deps: destination.Deps{Client: destination.NewClient(transport, func(text string) string { return text })}, Settings: event.NewObject(nil)}
	for _, text := range payloads {
		in.Payloads = append(in.Payloads, event.MustParse(text))
	}
	ms := p.Complete(d).Actions["a"].Perform(t.Context(), in)
	for i := range payloads {
		outcome, reason := ms.Result(i).Describe()
		results = append(results, outcome+": "+reason)
	}
	return results, sent
}

// TestStepsOfABatch checks that a payload that is refused, or fails in a step, takes no part in what follows.
func TestStepsOfABatch(t *testing.T) {
	results, sent := runSteps(t, []string{`{"failed":[{"id":"2","why":"unknown"}]}`, `1`}, `{"id":"1","tags":["x"]}`, `{"id":"bad"}`, `{"id":"2"}`, `{"id":"3"}`)
	assert.Equal(t, []string{"delivered: ", "refused: the id is bad", "refused: unknown", "delivered: "}, results)
	assert.Equal(t, []string{`/find [{"id":"1","tags":["x"]},{"id":"2"},{"id":"3"}]`, `/tag {"tag":"x","n":0,"left":2}`}, sent)
}

// TestStepsThatFail checks that nothing is sent after a failure, and nothing is called delivered.
func TestStepsThatFail(t *testing.T) {
	results, sent := runSteps(t, []string{`500 {"message":"down"}`}, `{"id":"1","tags":["x"]}`)
	assert.Equal(t, []string{"retry: down"}, results)
	assert.Len(t, sent, 1)
	results, sent = runSteps(t, []string{`{}`, `0`}, `{"id":"1","tags":["x","y"]}`)
	assert.Equal(t, []string{"retry: not taken"}, results)
	assert.Len(t, sent, 2)
	results, sent = runSteps(t, []string{`{}`}, `{"id":"none","tags":["x","y"]}`)
	assert.Equal(t, []string{"skipped: there is nothing to send: the event lacks what the action sends"}, results)
	assert.Empty(t, sent)
	results, sent = runSteps(t, []string{`{}`}, fmt.Sprintf(`{"id":"1","tags":["x"%s]}`, strings.Repeat(`,"y"`, 1000)))
	assert.Equal(t, []string{"refused: there are 1001 items to send one by one, but the limit is 1000"}, results)
	assert.Len(t, sent, 1)
}

func TestStepsAreSentInOrder(t *testing.T) {
	results, sent := runSteps(t, []string{`409 {"key":"k"}`, `1`}, `{"id":"1","tags":["x","y"]}`)
	assert.Equal(t, []string{"delivered: "}, results)
	assert.Equal(t, []string{`/find [{"id":"1","tags":["x","y"]}]`, `/tag {"tag":"x","n":0,"found":"k","left":1}`, `/tag {"tag":"y","n":1,"found":"k","left":1}`}, sent)
}

// TestAnswersOfAList checks that a later step reads each response to a step with a list.
func TestAnswersOfAList(t *testing.T) {
	const definition = `
name: A
slug: a
mode: cloud
authentication: {scheme: none}
actions:
  a:
    title: A
    fields:
      tags: {label: Tags, type: string, multiple: true}
    request:
      steps:
        - {name: found, each: {"@path": $.payload.tags}, url: "https://api.example.com/find/{{item}}"}
        - {url: https://api.example.com/tag, body: {ids: {"@expr": "map(answers.found.all, [.item, .body.id])"}, last: {"@expr": "answers.found.body.id"}}}
`
	results, sent := runDeclared(t, definition, []string{`{"id":1}`, `{"id":2}`, `{}`}, `{"tags":["x","y"]}`)
	assert.Equal(t, []string{"delivered: "}, results)
	assert.Equal(t, []string{`/find/x `, `/find/y `, `/tag {"ids":[["x",1],["y",2]],"last":2}`}, sent)
}
