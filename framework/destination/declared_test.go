package destination_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// declaredRemote is a plugin without code, and a remote that records its requests.
type declaredRemote struct {
	plugin     destination.Plugin
	definition *destination.Definition
	sent       []string // method, path and query, body, and the header Authorization-Token if it is set
	answer     func(r *http.Request) (status int, body string)
	header     http.Header // of responses
	now        time.Time
	token      func(context.Context) (string, error)
}

func newDeclaredRemote(t *testing.T, definition string) *declaredRemote {
	t.Helper()
	r := &declaredRemote{now: time.Unix(1000, 0), answer: func(*http.Request) (int, string) { return 200, "{}" }}
	p := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(definition)}}}
	var err error
	r.definition, err = p.Load()
	require.NoError(t, err)
	r.plugin = p.Complete(r.definition)
	return r
}

func (r *declaredRemote) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.sent = append(r.sent, strings.Join(strings.Fields(request.Method+" "+request.URL.RequestURI()+" "+string(body)+" "+request.Header.Get("Authorization-Token")), " "))
	status, text := r.answer(request)
	maps.Copy(w.Header(), r.header)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// deps returns what the handlers of the plugin get.
func (r *declaredRemote) deps() destination.Deps {
	client := destination.NewClient(sandbox.Transport(r), strings.Clone).Extend(r.definition, event.MustParse(`{"account":"acme"}`), r.token)
	return destination.Deps{Client: client.WithClock(func() time.Time { return r.now }), State: destination.NewMemoryState(), Members: destination.NewMemoryMembers(), Locks: &destination.Locks{}}
}

// takeSent returns the requests since it was called last.
func (r *declaredRemote) takeSent() []string {
	sent := r.sent
	r.sent = nil
	return sent
}

// everywhere is a definition with a request in each place that can have one. PLACE-n is in the request of place n.
const everywhere = `
name: A
slug: a
mode: cloud
request: {baseUrl: https://api.example.com, headers: {Authorization-Token: "PLACE-0"}}
authentication: {scheme: oauth-managed, fields: {account: {label: Account, type: string}}, test: {url: "/test?a={{settings.account}}&b=PLACE-1"}}
audienceConfig:
  mode: {type: synced}
  create: {request: {url: "/create?b=PLACE-2"}, id: {"@path": $.body.id}}
  find: {request: {url: "/find?b=PLACE-3"}, id: {"@path": $.body.id}}
onDelete: {request: {url: "/delete?b=PLACE-4"}}
actions:
  a:
    title: A
    fields: {id: {label: Id, type: string}}
    hooks: {onMappingSave: {label: Hook, request: {url: "/hook?b=PLACE-5"}}}
    dynamicFields: {id: {request: {method: GET, url: "/ids?b=PLACE-6", query: {q: {"@path": $.query}, p: {"@path": $.page}, c: {"@path": $.payload.id}}, response: {choices: {path: ids, next: next}}}}}
    request: {url: "/a?b=PLACE-7"}
  b:
    title: B
    fields: {id: {label: Id, type: string}, list: {label: List, type: string}, key: {label: Key, type: string}, properties: {label: Properties, type: object}, time: {label: Time, type: datetime}}
    audience:
      {id: list, key: key, properties: properties, time: time, identifiers: [id], add: {url: "/add?b=PLACE-8"}, remove: {url: "/remove?b=PLACE-9"}, list: {request: {method: GET, url: "/list?b=PLACE-10"}, line: {id: {"@path": $.line}}}}
`

// callEverything calls what the definition everywhere declares and returns the errors.
func (r *declaredRemote) callEverything(ctx context.Context) error {
	deps := r.deps()
	_, created := r.plugin.CreateAudience(ctx, destination.AudienceInput{Deps: deps})
	_, found := r.plugin.GetAudience(ctx, destination.AudienceInput{Deps: deps})
	_, hooked := r.plugin.Hooks["a"]["onMappingSave"](ctx, destination.HookInput{Deps: deps})
	_, chosen := r.plugin.Choices["a"]["id"](ctx, destination.ChoicesInput{Deps: deps})
	_, listed := r.plugin.Audiences.List.Fetch(ctx, destination.ListInput{Deps: deps}, func([]string) error { return nil })
	return errors.Join(r.plugin.Test(ctx, event.MustParse(`{"account":"acme"}`), deps), created, found, r.plugin.OnDelete(ctx, destination.DeleteInput{Deps: deps}), hooked, chosen, listed,
		r.perform(ctx, "a", deps, `{"id":"u1"}`), r.perform(ctx, "b", deps, `{"id":"u1","list":"l","key":"k","properties":{"k":true}}`), r.perform(ctx, "b", deps, `{"id":"u2","list":"l","key":"k","properties":{"k":false}}`))
}

func (r *declaredRemote) perform(ctx context.Context, action string, deps destination.Deps, payload string) error {
	in := destination.Input{Deps: deps, Settings: event.NewObject(nil), Payloads: []event.Value{event.MustParse(payload)}, Events: make([]event.Event, 1)}
	if e := r.plugin.Actions[action].Perform(ctx, in).Result(0).Err; e != nil {
		return e
	}
	return nil
}

// TestTokensOfRequests checks, for each place of a definition that can have a request, that it can use the token, that the definition says
// so, and that nothing is sent if there is no token to be had.
func TestTokensOfRequests(t *testing.T) {
	paths := []string{"", "POST /test", "POST /create", "POST /find", "POST /delete", "POST /hook", "GET /ids", "POST /a", "POST /add", "POST /remove", "GET /list"}
	for place, path := range paths {
		definition := everywhere
		for i := len(paths) - 1; i >= 0; i-- {
			definition = strings.Replace(definition, fmt.Sprint("PLACE-", i), map[bool]string{true: "{{auth.accessToken}}", false: "x"}[i == place], 1)
		}
		r := newDeclaredRemote(t, definition)
		assert.True(t, r.definition.PlacesToken(), place)
		r.token = func(context.Context) (string, error) { return "token-1", nil }
		require.NoError(t, r.callEverything(t.Context()))
		sent := r.takeSent()
		assert.Len(t, sent, 10, place)
		assert.Contains(t, strings.Join(sent, "\n"), "/test?a=acme&")
		for _, request := range sent {
			assert.Equal(t, path == "" || strings.HasPrefix(request, path+"?"), strings.Contains(request, "token-1"), request)
		}
		r.token = func(context.Context) (string, error) { return "", fault.Invalid("log in again") }
		err := r.callEverything(t.Context())
		assert.ErrorContains(t, err, "log in again", place)
		assert.Len(t, r.takeSent(), map[bool]int{true: 0, false: 9}[place == 0], place)
	}
	r := newDeclaredRemote(t, strings.ReplaceAll(everywhere, "PLACE", "x"))
	assert.False(t, r.definition.PlacesToken())
}

// TestFailuresOfDeclaredRequests checks that a response outside of 2xx is an error of each request that a definition declares.
func TestFailuresOfDeclaredRequests(t *testing.T) {
	r := newDeclaredRemote(t, strings.ReplaceAll(everywhere, "PLACE", "x"))
	r.answer = func(request *http.Request) (int, string) { return 400, `{"message":"no ` + request.URL.Path + `"}` }
	err := r.callEverything(t.Context())
	assert.EqualError(t, err, "no /test\nno /create\nno /find\nno /delete\nno /hook\nno /ids\nno /list\nno /a\nno /add\nno /remove")
}

func TestDeclaredChoices(t *testing.T) {
	r := newDeclaredRemote(t, strings.ReplaceAll(everywhere, "PLACE", "x"))
	r.answer = func(*http.Request) (int, string) { return 200, `{"ids":["one","two"],"next":"p2"}` }
	choices := r.plugin.Choices["a"]["id"]
	page, err := choices(t.Context(), destination.ChoicesInput{Deps: r.deps(), Payload: event.MustParse(`{"id":"DE"}`), Query: "o"})
	require.NoError(t, err)
	assert.Equal(t, destination.Choices{Choices: []destination.Choice{{Label: "one", Value: "one"}, {Label: "two", Value: "two"}}, NextPage: "p2"}, page)
	_, err = choices(t.Context(), destination.ChoicesInput{Deps: r.deps(), Page: "p2"})
	require.NoError(t, err)
	assert.Equal(t, []string{"GET /ids?b=x-6&c=DE&q=o x-0", "GET /ids?b=x-6&p=p2&q= x-0"}, r.takeSent())
}

// TestMembersInLines checks a list of members that is text: one user in each line, which may be long, and no page of HTML or JSON.
func TestMembersInLines(t *testing.T) {
	r := newDeclaredRemote(t, strings.ReplaceAll(everywhere, "PLACE", "x"))
	long := strings.Repeat("x", 60<<10)
	for _, c := range []struct {
		kind, body string
		status     int
		users      []string
		err        string
	}{
		{"text/plain", " u1 \r\n\n\t\nu2", 200, []string{"id:u1", "id:u2"}, ""},
		{"", "u1\n" + long + "\n", 200, []string{"id:u1", "id:" + long}, ""},
		{"text/plain", "", 200, nil, ""},
		{"text/plain", "u1\n" + strings.Repeat("x", 65<<10), 200, []string{"id:u1"}, "has a line of more than 65536 bytes"},
		{"text/html; charset=utf-8", "u1", 200, nil, "should be text with one user in each line, but is text/html"},
		{"application/json", "u1", 200, nil, "should be text with one user in each line, but is application/json"},
		{"text/plain", `gone`, 404, nil, "gone"},
	} {
		client := destination.NewClient(roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {c.kind}}, Body: io.NopCloser(strings.NewReader(c.body))}, nil
		}), strings.Clone)
		var users []string
		_, err := r.plugin.Audiences.List.Fetch(t.Context(), destination.ListInput{Deps: destination.Deps{Client: client}}, func(identities []string) error {
			users = append(users, identities...)
			return nil
		})
		assert.Equal(t, c.users, users)
		if c.err == "" {
			assert.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, c.err)
	}
}

// TestUsersThatCannotBeRead checks that a list of members ends with an error if an entry is no user.
func TestUsersThatCannotBeRead(t *testing.T) {
	for line, want := range map[string]string{
		`{"@path": $.line}`:        "a user in the response should be an object with identifiers, but is a string",
		`{idd: {"@path": $.line}}`: `"idd" of a user is not one of the identifiers (did you mean "id"?)`,
	} {
		definition := strings.Replace(strings.ReplaceAll(everywhere, "PLACE", "x"), `{id: {"@path": $.line}}`, line, 1)
		r := newDeclaredRemote(t, definition)
		r.answer = func(*http.Request) (int, string) { return 200, "u1\nu2\n" }
		calls := 0
		_, err := r.plugin.Audiences.List.Fetch(t.Context(), destination.ListInput{Deps: r.deps()}, func([]string) error { calls++; return nil })
		assert.ErrorContains(t, err, want)
		assert.Zero(t, calls)
	}
}

// rememberDefinition looks up a list, remembers it, and adds to it.
const rememberDefinition = `
name: A
slug: a
mode: cloud
authentication: {scheme: none}
actions:
  a:
    title: A
    fields: {list: {label: List, type: string}}
    request:
      steps:
        - {name: found, method: GET, url: "https://api.example.com/find?name={{payload.list}}", remember: {for: 1h, when: {"@expr": "body.id != nil"}}}
        - {url: "https://api.example.com/add", body: {to: {"@path": $.answers.found.body.id}, trace: {"@path": $.answers.found.headers.x-trace}}}
`

// TestRememberedAnswersOfSteps checks when the answer of a step is used again: until its time is over or a payload that used it failed.
func TestRememberedAnswersOfSteps(t *testing.T) {
	r := newDeclaredRemote(t, rememberDefinition)
	r.header = http.Header{"X-Trace": {"t1"}}
	deps := r.deps()
	id, status := `{"id":"l1"}`, 200
	r.answer = func(request *http.Request) (int, string) {
		if request.Method == "GET" {
			return 200, id
		}
		return status, `{}`
	}
	find, add := "GET /find?name=news", `POST /add {"to":"l1","trace":"t1"}`
	for i, step := range []struct {
		before func()
		sent   []string
	}{
		{nil, []string{find, add}},
		{nil, []string{add}},
		{func() { r.now = r.now.Add(time.Hour) }, []string{add}},
		{func() { r.now = r.now.Add(time.Second) }, []string{find, add}},
		{func() { status = 404 }, []string{add}},
		{func() { status = 200 }, []string{find, add}},
		{func() { deps, id = r.deps(), `{}` }, []string{find, `POST /add {"trace":"t1"}`}},
		{nil, []string{find, `POST /add {"trace":"t1"}`}},
	} {
		if step.before != nil {
			step.before()
		}
		err := r.perform(t.Context(), "a", deps, `{"list":"news"}`)
		assert.Equal(t, status == 200, err == nil, i)
		assert.Equal(t, step.sent, r.takeSent(), i)
	}
}
