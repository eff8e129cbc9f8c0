package request_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/schemas"
)

var fence = regexp.MustCompile("(?s)```yaml (example|refused)\n(.*?)```")

// TestReadme runs every example of the page.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := fence.FindAllStringSubmatch(string(page), -1)
	assert.Greater(t, len(blocks), 12)
	for _, block := range blocks {
		doc, err := yamldoc.Parse("README.md", []byte(block[2]))
		require.NoError(t, err, block[2])
		t.Run(block[1], func(t *testing.T) { example(t, block[1] == "refused", doc.Value()) })
	}
}

func namesOf(v event.Value) request.Names {
	names := request.Names{request.Settings: {}, request.Auth: {"accessToken"}, request.Payload: {}}
	for _, name := range []string{request.Settings, request.Payload} {
		for key := range v.Get(name).Members() {
			names[name] = append(names[name], key)
		}
	}
	for _, p := range v.Get("payloads").Items() {
		for key := range p.Members() {
			names[request.Payload] = append(names[request.Payload], key)
		}
	}
	if v.Get("choices").Exists() {
		names[request.Query], names[request.Page] = nil, nil
	}
	return names
}

func example(t *testing.T, refused bool, v event.Value) {
	assert.Empty(t, formOf(v), v.JSON())
	r, err := request.Compile(v.Get("request"), namesOf(v))
	if refused {
		require.Error(t, err)
		assert.Equal(t, v.Get("error").Str(), err.Error())
		return
	}
	require.NoError(t, err)
	base, err := request.CompileBase(v.Get("base"), namesOf(v))
	require.NoError(t, err)
	scope := scopeOf(t, r, v)
	if want := v.Get("refuses"); want.Exists() {
		assert.EqualError(t, r.Refusal(scope), want.Str())
		return
	}
	if len(r.Steps()) > 0 {
		steps(t, r, scope, v)
		return
	}
	built, err := r.Build(scope)
	if want := v.Get("error"); want.Exists() {
		assert.EqualError(t, err, want.Str())
		return
	}
	require.NoError(t, err)
	built, err = base.Extend(built, scope, exampleTime)
	require.NoError(t, err)
	if want := v.Get("gives"); want.Exists() {
		compare(t, want, built)
	}
	answer := v.Get("answer")
	switch want := v.Get("choices"); {
	case want.Exists():
		choices(t, r, v, answer.Get("body"))
	case answer.Exists():
		results(t, r, v, answer)
	}
}

// formOf validates an example with the schema of definitions.
func formOf(v event.Value) fault.Problems {
	base := v.Get("base")
	if !base.Exists() {
		base = event.NewObject(nil)
	}
	whole := event.MustParse(fmt.Sprintf(`{"name":"A","slug":"a","mode":"cloud","authentication":{"scheme":"none"},"request":%s,
		"actions":{"a":{"title":"A","fields":{},"request":%s}}}`, base.JSON(), v.Get("request").JSON()))
	return schemas.Check(schemas.Destination, whole)
}

// scopeOf returns the scope of an example, with the items of a batch.
func scopeOf(t *testing.T, r *request.Request, v event.Value) event.Value {
	member := func(key string, v event.Value) event.Member { return event.Member{Key: key, Value: v} }
	settings, auth, payload := v.Get("settings"), v.Get("auth"), v.Get("payload")
	if payloads := v.Get("payloads"); payloads.Exists() {
		payload = payloads.Index(0)
	}
	members := []event.Member{member("settings", settings), member("auth", auth), member("payload", payload), member("query", v.Get("query")), member("page", v.Get("page"))}
	if r.Batches() {
		var items []event.Value
		for i, p := range v.Get("payloads").Items() {
			item, err := r.BatchItem(event.NewObject([]event.Member{member("settings", settings), member("payload", p), member("index", event.NewInt(int64(i)))}))
			require.NoError(t, err)
			items = append(items, item)
		}
		members = append(members, member("payloads", v.Get("payloads")), member("items", event.NewArray(items)))
	}
	return event.NewObject(members)
}

// steps runs the steps of an example with its answers.
func steps(t *testing.T, r *request.Request, scope, v event.Value) {
	var answers []event.Member
	sent := 0
	for _, step := range r.Steps() {
		scopes, err := step.Scopes(scope, answers)
		require.NoError(t, err)
		for _, scope := range scopes {
			if err := step.Refusal(scope); err != nil {
				assert.EqualError(t, err, v.Get("refusedBy").Str())
				assert.Equal(t, v.Get("sends").Len(), sent)
				return
			}
			built, err := step.Build(scope)
			require.NoError(t, err)
			compare(t, v.Get("sends").Index(sent), built)
			answers = append(answers, event.Member{Key: step.Name, Value: v.Get("answers").Index(sent)})
			sent++
		}
	}
	assert.Equal(t, v.Get("sends").Len(), sent)
}

// exampleTime is the time at which the examples are signed.
var exampleTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func compare(t *testing.T, want event.Value, got request.Built) {
	assert.Equal(t, want.Get("method").Str(), got.Method)
	assert.Equal(t, want.Get("url").Str(), got.URL)
	assert.Equal(t, want.Get("body").Str(), string(httpx.PlainBody(got.Header, got.Body)))
	for name, value := range want.Get("headers").Members() {
		assert.Equal(t, value.Str(), got.Header.Get(name), name)
	}
}

func results(t *testing.T, r *request.Request, v, answer event.Value) {
	n := max(v.Get("payloads").Len(), 1)
	status := int(answer.Get("status").Int())
	scopeOf := func(i int) event.Value {
		payload := v.Get("payloads").Index(i)
		if !payload.Exists() {
			payload = v.Get("payload")
		}
		return event.NewObject([]event.Member{{Key: request.Settings, Value: v.Get("settings")}, {Key: request.Payload, Value: payload}})
	}
	a := request.Answer{Status: status, Body: answer.Get("body"), Text: answer.Get("body").JSON}
	errors, rest := r.PayloadErrors(a, n, scopeOf)
	for i := range n {
		got := "delivered"
		switch {
		case errors[i] != nil:
			got = words(errors[i])
		case status < 300 && r.Failure(a, v.Get("settings")) != nil:
			got = words(r.Failure(a, v.Get("settings")))
		case status >= 300 && !r.Accepts(status):
			whole := fault.FromStatus(status, r.ErrorMessage(answer.Get("body")))
			whole.Retry = whole.Retry || r.IsRetryable(status)
			got = words(whole)
		case rest != nil:
			got = words(rest)
		}
		assert.Equal(t, v.Get("results").Index(i).Str(), got)
	}
}

func choices(t *testing.T, r *request.Request, v, body event.Value) {
	got, next, err := r.Choices(body, v.Get("query").Str())
	require.NoError(t, err)
	require.Len(t, got, v.Get("choices").Len())
	for i, want := range v.Get("choices").Items() {
		assert.Equal(t, request.Choice{Label: want.Get("label").Str(), Value: want.Get("value").Str(), Description: want.Get("description").Str()}, got[i])
	}
	assert.Equal(t, v.Get("next").Str(), next)
}

func words(e *fault.Error) string {
	text := fmt.Sprintf("%d: %s", e.Status, e.Error())
	if e.Retry {
		text = "retry " + text
	}
	return text
}

// TestEveryKeyIsOnThePage compares the tables of README.md with the schema of definitions.
func TestEveryKeyIsOnThePage(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	definitions := event.MustParse(string(schemas.Text(schemas.Destination))).Get("$defs")
	for _, name := range []string{"request", "step", "base", "response", "payloadErrors", "sign", "memberRequests", "memberList", "audienceCall"} {
		keysOnPage(t, string(page), definitions.Get(name))
	}
}

func keysOnPage(t *testing.T, page string, object event.Value) {
	for key, property := range object.Get("properties").Members() {
		row := regexp.MustCompile("(?m)^\\| (`[a-zA-Z]+`, )*`" + key + "`")
		assert.True(t, row.MatchString(page), "%s has no row", key)
		assert.True(t, property.Get("$ref").Exists() || strings.HasSuffix(property.Get("description").Str(), "."), "%s is not described", key)
		keysOnPage(t, page, property)
	}
}
