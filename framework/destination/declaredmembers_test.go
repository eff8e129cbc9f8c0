package destination_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
)

// declaredLists returns a definition with the examples of request/README.md, and with a hook.
func declaredLists(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("request/README.md")
	require.NoError(t, err)
	block := func(start string) string {
		_, rest, ok := strings.Cut(string(page), "```yaml\n"+start)
		require.True(t, ok, start)
		text, _, _ := strings.Cut(rest, "```")
		return start + text
	}
	list := strings.ReplaceAll(strings.TrimSpace(block("list:")), "\n", "\n      ")
	hooks := strings.ReplaceAll(strings.TrimSpace(block("hooks:")), "\n", "\n    ")
	return "name: Lists\nslug: lists\nmode: cloud\nauthentication: {scheme: none}\nrequest: {baseUrl: https://api.example.com}\n" +
		block("audienceConfig:") + block("onDelete:") + block("actions:") + "      " + list + "\n    " + hooks + "\n"
}

// listsOfYAML is a destination that the definition declares, with a ledger and a remote.
type listsOfYAML struct {
	plugin  destination.Plugin
	deps    destination.Deps
	sent    []string
	outputs event.Value // of hooks
	events  []string    // the events of the payloads as JSON; an empty event for those that have none
	answer  func(request string) (int, string)
}

func newLists(t *testing.T, definition string) *listsOfYAML {
	t.Helper()
	l := &listsOfYAML{answer: func(string) (int, string) { return 200, "{}" }}
	p := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(definition)}}}
	d, err := p.Load()
	require.NoError(t, err)
	l.plugin = p.Complete(d)
	transport := sandbox.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request := strings.TrimSpace(r.Method + " " + r.URL.Path + " " + string(body))
		l.sent = append(l.sent, request)
		status, text := l.answer(request)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	l.deps = destination.Deps{
		Client: destination.NewClient(transport, func(text string) string { return text }), State: destination.NewMemoryState(),
		Members: destination.NewMemoryMembers(), Locks: &destination.Locks{}, Now: time.Now,
	}
	return l
}

// run performs payloads that are given as JSON and returns the results in words.
func (l *listsOfYAML) run(t *testing.T, payloads ...string) (results []string) {
	t.Helper()
	l.sent = nil
	in := destination.Input{Deps: l.deps, Settings: event.NewObject(nil), Origin: destination.Origin{HookOutputs: l.outputs}}
	for i, text := range payloads {
		var e event.Event
		if i < len(l.events) {
			var err error
			e, err = event.Parse([]byte(l.events[i]))
			require.NoError(t, err)
		}
		in.Payloads, in.Events = append(in.Payloads, event.MustParse(text)), append(in.Events, e)
	}
	ms := l.plugin.Actions["syncList"].Perform(t.Context(), in)
	for i := range payloads {
		outcome, reason := ms.Result(i).Describe()
		results = append(results, strings.TrimSuffix(outcome+": "+reason, ": "))
	}
	return results
}

func listPayload(list, email, member, at string) string {
	return `{"list_id":"` + list + `","list_key":"vip","email":"` + email + `","properties":{"vip":` + member + `},"time":"2026-01-02T03:04:` + at + `Z"}`
}

// TestDeclaredAudience checks that an action without code keeps audiences as SyncAudience does.
func TestDeclaredAudience(t *testing.T) {
	l := newLists(t, declaredLists(t))
	results := l.run(t, listPayload("1", "a@x.de", "true", "05"), listPayload("1", "b@x.de", "false", "05"), listPayload("1", "a@x.de", "false", "04"),
		listPayload("2", "c@x.de", "true", "05"), listPayload("1", "d@x.de", `"perhaps"`, "05"), listPayload("1", "", "true", "05"), listPayload("", "e@x.de", "true", "05"))
	assert.Equal(t, []string{
		"delivered", "delivered", "skipped: superseded by a newer event of the same user", "delivered",
		`refused: Properties should have true or false at "vip" but has a string`, "refused: no identifier: E-mail is absent",
		"refused: List ID is missing: it says which audience the event is about",
	}, results)
	assert.Equal(t, []string{`POST /lists/1/members {"emails":["a@x.de"]}`, `POST /lists/2/members {"emails":["c@x.de"]}`, `DELETE /lists/1/members {"emails":["b@x.de"]}`}, l.sent)

	results = l.run(t, listPayload("1", "a@x.de", "true", "06"))
	assert.Contains(t, results[0], "skipped: no change")
	assert.Empty(t, l.sent)

	l.answer = func(string) (int, string) { return 200, `{"unknown":["f@x.de"]}` }
	assert.Equal(t, []string{"delivered", "refused: f@x.de"}, l.run(t, listPayload("1", "e@x.de", "true", "05"), listPayload("1", "f@x.de", "true", "05")))
	l.answer = func(string) (int, string) { return 400, `{"message":"no such list"}` }
	assert.Equal(t, []string{"refused: no such list", "refused: no such list"}, l.run(t, listPayload("1", "g@x.de", "true", "05"), listPayload("1", "a@x.de", "false", "07")))
	assert.Len(t, l.sent, 2)
	assert.Equal(t, []string{"refused: no such list", "refused: no such list"}, l.run(t, listPayload("1", "h@x.de", "true", "05"), listPayload("1", "i@x.de", "true", "05")))
	assert.Len(t, l.sent, 1, "a refused request is not divided: only its answer says which users it is about")
	l.answer = func(string) (int, string) { return 503, `{"message":"down"}` }
	assert.Equal(t, []string{"retry: down", "retry: down"}, l.run(t, listPayload("1", "g@x.de", "true", "05"), listPayload("1", "a@x.de", "false", "07")))
	assert.Len(t, l.sent, 2)
	l.answer = func(string) (int, string) { return 200, `{}` }
	assert.Equal(t, []string{"delivered"}, l.run(t, listPayload("1", "a@x.de", "true", "08"))) // the removal may have been made
}

// TestRepeatedMembers checks that events of a user which agree are all sent, and that the ledger has the user once.
func TestRepeatedMembers(t *testing.T) {
	l := newLists(t, strings.Replace(declaredLists(t), "item: {\"@path\": $.payload.email}", "item: {\"@path\": $.payload.time}", 1))
	assert.Equal(t, []string{"delivered", "skipped: superseded by a newer event of the same user", "delivered"},
		l.run(t, listPayload("1", "a@x.de", "true", "05"), listPayload("1", "a@x.de", "false", "04"), listPayload("1", "a@x.de", "true", "06")))
	assert.Equal(t, []string{`POST /lists/1/members {"emails":["2026-01-02T03:04:05Z","2026-01-02T03:04:06Z"]}`}, l.sent)
	sizes, err := l.deps.Members.Sizes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, sizes[0].Members)
	assert.Contains(t, l.run(t, listPayload("1", "a@x.de", "false", "05"))[0], "superseded")
	assert.Equal(t, []string{"delivered", "delivered"}, l.run(t, listPayload("1", "b@x.de", "true", "05"), listPayload("1", "b@x.de", "false", "06"))) // the addition is sent first
	assert.Len(t, l.sent, 2)
	assert.Contains(t, l.run(t, listPayload("1", "b@x.de", "false", "07"))[0], "no change")
}

// TestDeclaredAudienceWithoutEvents checks that members can be synced without events.
func TestDeclaredAudienceWithoutEvents(t *testing.T) {
	l := newLists(t, declaredLists(t))
	a := l.plugin.Audiences
	require.NotNil(t, a)
	identity, ok := a.Identity(func(name string) string { return map[string]string{"email": "a@x.de"}[name] })
	require.True(t, ok)
	payload, err := a.Payload(destination.Audience{ID: "1", Name: "vip"}, destination.Change{Identity: identity, Member: true, At: time.Unix(1, 0)})
	require.NoError(t, err)
	assert.Equal(t, []string{"delivered"}, l.run(t, payload.JSON()))
	assert.Equal(t, []string{`POST /lists/1/members {"emails":["a@x.de"]}`}, l.sent)

	l = newLists(t, strings.NewReplacer("      email: {label", "      send: {label: Send, type: boolean, default: true}\n      email: {label",
		`item: {"@path": $.payload.email}`, `item: {send: {"@path": $.payload.send}}`).Replace(declaredLists(t)))
	assert.Equal(t, []string{"delivered"}, l.run(t, payload.JSON()))
	assert.Equal(t, []string{`POST /lists/1/members {"emails":[{"send":true}]}`}, l.sent, "no mapping has made the payload")
	l.events = []string{`{"type":"track"}`}
	l.run(t, strings.Replace(payload.JSON(), "a@x.de", "b@x.de", 1))
	assert.Equal(t, []string{`POST /lists/1/members {"emails":[{}]}`}, l.sent, "the mapping leaves it out")
}

// TestDeclaredAudienceIsCreated checks that an audience is looked up by its name before it is created.
func TestDeclaredAudienceIsCreated(t *testing.T) {
	l := newLists(t, declaredLists(t))
	in := destination.AudienceInput{Deps: l.deps, Key: "vip", Name: "Best", ExternalID: "7"}
	l.answer = func(request string) (int, string) {
		return 200, map[string]string{"GET /lists": `{"lists":[{"name":"Other","id":3}]}`, "GET /lists/7": `{"id":7}`}[request] + map[bool]string{true: `{"id":9}`}[strings.HasPrefix(request, "POST")]
	}
	id, err := l.plugin.CreateAudience(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, "9", id)
	assert.Equal(t, []string{"GET /lists", `POST /lists {"name":"Best"}`}, l.sent)
	in.Name = "Other"
	id, err = l.plugin.CreateAudience(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, "3", id)
	id, err = l.plugin.GetAudience(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, "7", id)
	l.answer = func(string) (int, string) { return 404, `{"message":"gone"}` }
	_, err = l.plugin.GetAudience(t.Context(), in)
	assert.ErrorContains(t, err, "gone")
}

func TestDeclaredDeletion(t *testing.T) {
	l := newLists(t, declaredLists(t))
	l.answer = func(string) (int, string) { return 404, `{}` }
	require.NoError(t, l.plugin.OnDelete(t.Context(), destination.DeleteInput{Deps: l.deps, UserID: "u1"}))
	assert.Equal(t, []string{"DELETE /users/u1"}, l.sent)
	assert.EqualError(t, l.plugin.OnDelete(t.Context(), destination.DeleteInput{Deps: l.deps, AnonymousID: "a"}), "The event has no user ID.")
	assert.Len(t, l.sent, 1)
}

func TestDeclaredHook(t *testing.T) {
	l := newLists(t, declaredLists(t))
	l.answer = func(string) (int, string) { return 200, `{"id":"L1"}` }
	out, err := l.plugin.Hooks["syncList"]["retlOnMappingSave"](t.Context(), destination.HookInput{Deps: l.deps, Inputs: event.MustParse(`{"name":"News"}`)})
	require.NoError(t, err)
	assert.Equal(t, `{"id":"L1"}`, out.Outputs.JSON())
	assert.Equal(t, []string{`POST /lists {"name":"News"}`}, l.sent)
}

// TestAudienceOfAHook checks that the output of a hook is the audience's id if the hook has run.
func TestAudienceOfAHook(t *testing.T) {
	l := newLists(t, strings.Replace(declaredLists(t), "identifiers: [email]", "identifiers: [email]\n      idFromHook: retlOnMappingSave.id", 1))
	assert.Equal(t, []string{"delivered"}, l.run(t, listPayload("1", "a@x.de", "true", "05")))
	assert.Equal(t, []string{`POST /lists/1/members {"emails":["a@x.de"]}`}, l.sent)
	l.outputs = event.MustParse(`{"retlOnMappingSave":{"id":"L1"}}`)
	assert.Equal(t, []string{"delivered"}, l.run(t, listPayload("1", "a@x.de", "true", "05")))
	assert.Equal(t, []string{`POST /lists/L1/members {"emails":["a@x.de"]}`}, l.sent)
}

// TestOneRequestThatAddsAndRemoves checks that change gets both directions in one request, split by the settings of the audience.
func TestOneRequestThatAddsAndRemoves(t *testing.T) {
	text := declaredLists(t)
	before, rest, _ := strings.Cut(text, "      add: &change")
	_, after, _ := strings.Cut(rest, "method: DELETE}\n")
	l := newLists(t, before+`      change:
        url: /lists/{{audience.id}}
        batch: {item: {email: {"@path": $.payload.email}, add: {"@path": $.member}}}
        body: {changes: {"@path": $.items}}
`+after)
	assert.Equal(t, []string{"delivered", "delivered"}, l.run(t, listPayload("1", "a@x.de", "true", "05"), listPayload("1", "b@x.de", "false", "05")))
	assert.Equal(t, []string{`POST /lists/1 {"changes":[{"email":"a@x.de","add":true},{"email":"b@x.de","add":false}]}`}, l.sent)
	assert.Equal(t, []string{"delivered", "delivered", "skipped: superseded by a newer event of the same user"},
		l.run(t, listPayload("1", "c@x.de", "false", "05"), listPayload("1", "c@x.de", "true", "06"), listPayload("1", "c@x.de", "false", "04")))
	assert.Equal(t, []string{`POST /lists/1 {"changes":[{"email":"c@x.de","add":false},{"email":"c@x.de","add":true}]}`}, l.sent)
}

// TestSharedRequests checks that a request holds changes of several audiences, but not of audiences with different settings, and that it cannot
// read which audience it is for.
func TestSharedRequests(t *testing.T) {
	text := strings.NewReplacer("identifiers: [email]", "identifiers: [email]\n      sharesRequests: true", "url: /lists/{{audience.id}}/members", "url: /members/{{audience.settings.owner}}",
		`item: {"@path": $.payload.email}`, `item: {list: {"@path": $.payload.list_id}, email: {"@path": $.payload.email}}`).Replace(declaredLists(t))
	l := newLists(t, text)
	settings := func(owner string) string {
		return `{"type":"track","context":{"personas":{"audience_settings":{"owner":"` + owner + `"}}}}`
	}
	l.events = []string{settings("eve"), settings("bob"), `{"type":"track"}`, settings("bob"), settings("eve")}
	l.answer = func(request string) (int, string) {
		if strings.Contains(request, "bob") {
			return 400, `{"message":"no such owner"}`
		}
		return 200, "{}"
	}
	assert.Equal(t, []string{"delivered", "refused: no such owner", "delivered", "refused: no such owner", "delivered"}, l.run(t, listPayload("1", "a@x.de", "true", "05"), listPayload("2", "a@x.de", "true", "05"),
		listPayload("3", "b@x.de", "true", "05"), listPayload("4", "c@x.de", "true", "05"), listPayload("5", "d@x.de", "false", "05")))
	assert.Equal(t, []string{
		`POST /members/eve {"emails":[{"list":"1","email":"a@x.de"},{"list":"3","email":"b@x.de"}]}`, `POST /members/bob {"emails":[{"list":"2","email":"a@x.de"},{"list":"4","email":"c@x.de"}]}`,
		`DELETE /members/eve {"emails":[{"list":"5","email":"d@x.de"}]}`,
	}, l.sent)
	l.answer = func(request string) (int, string) {
		if strings.Contains(request, "bob") {
			return 400, `{"message":"no such owner"}`
		}
		return 503, `{"message":"down"}`
	}
	l.events = []string{settings("bob"), settings("eve")}
	assert.Equal(t, []string{"refused: no such owner", "retry: down"}, l.run(t, listPayload("6", "a@x.de", "true", "05"), listPayload("7", "a@x.de", "true", "05")), "each keeps its own error")
	_, err := destination.ParseDefinition("d.yaml", []byte(strings.Replace(text, "{{audience.settings.owner}}", "{{audience.id}}", 1)))
	assert.ErrorContains(t, err, `/actions/syncList/audience/add/url reads audience.id, which does not exist`)
}

// TestUnclearMembership checks that the error of an event that does not say whether its user is in the audience names the place.
func TestUnclearMembership(t *testing.T) {
	const payload = `{"list_id":"1","list_key":"vip","email":"a@x.de","time":"2026-01-02T03:04:05Z"}`
	for text, want := range map[string]string{
		`{"type":"track","properties":{"vip":"true"},"context":{"personas":{"computation_class":"audience","computation_key":"vip"}}}`: `refused: properties should have true or false at "vip", the audience's key, but has a string`,
		`{"type":"identify","context":{"personas":{"computation_class":"audience","computation_key":"vip"}}}`:                          `refused: traits should have true or false at "vip", the audience's key, but has nothing`,
		`{"type":"group","context":{"personas":{"computation_class":"audience","computation_key":"vip"}}}`:                             `refused: the event does not say whether the user is in the audience: only track and identify calls do, but it is of the type "group"`,
		`{"type":"track","event":"Audience Entered"}`:                                                                                  `refused: the event does not say whether the user is in the audience: context.personas.computation_class is neither audience nor journey_step, and with the sync mode "" only the events new, updated and deleted say it`,
		`{"type":"track","properties":{"vip":true},"context":{"personas":{"computation_class":"audience","computation_key":"vip"}}}`:   "delivered",
		`{"type":"track","context":{"personas":{"computation_class":"journey_step","computation_key":"vip"}}}`:                         "delivered",
	} {
		l := newLists(t, declaredLists(t))
		l.events = []string{text}
		assert.Equal(t, []string{want}, l.run(t, payload), text)
	}
}

// TestMistakesInAudiences checks that names which do not exist are mistakes with places.
func TestMistakesInAudiences(t *testing.T) {
	text := declaredLists(t)
	for change, want := range map[[2]string]string{
		{"id: list_id", "id: list_ids"}:                                                      `/actions/syncList/audience/id is not a field of syncList: "list_ids" (did you mean "list_id"?)`,
		{"identifiers: [email]", "identifiers: [emial]"}:                                     `/actions/syncList/audience/identifiers/0 is not a field of syncList: "emial" (did you mean "email"?)`,
		{"{{audience.id}}/members", "{{audience.ids}}/members"}:                              `/actions/syncList/audience/add/url reads audience.ids, which does not exist (did you mean "id"?)`,
		{`{"@path": $.audience.name}`, `{"@path": $.audience.nam}`}:                          `/audienceConfig/create/request/steps/1/body/name/@path reads audience.nam, which does not exist (did you mean "name"?)`,
		{`outputs: {id: {"@path": $.body.id}}`, "outputs: {id: {\"@path\": $.bdy.id}}"}:      `/actions/syncList/hooks/retlOnMappingSave/outputs/id/@path reads "bdy"`,
		{"identifiers: [email]", "identifiers: [email]\n      idFromHook: onMappingSave.id"}: `/actions/syncList/audience/idFromHook should be an output of a hook`,
		{"$.inputs.name", "$.inputs.nme"}:                                                    `reads inputs.nme, which does not exist (did you mean "name"?)`,
		{"/users/{{user.id}}", "/users/{{user.name}}"}:                                       `/onDelete/request/steps/1/url reads user.name, which does not exist`,
		{"type: synced", "type: realtime"}:                                                   "/audienceConfig/create is only allowed with the mode synced",
		{"    audience:\n", "    request: {url: /x}\n    audience:\n"}:                       "/actions/syncList/audience cannot go with request: the action has either",
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		require.NotEqual(t, text, changed, change[0])
		_, err := destination.ParseDefinition("d.yaml", []byte(changed))
		assert.ErrorContains(t, err, want)
	}
}

func TestMembersOfTheRemoteAreListed(t *testing.T) {
	l := newLists(t, declaredLists(t))
	l.answer = func(request string) (int, string) {
		return 200, `{"people":[{"email":"Ann@example.com","age":30},{"email":""}],"paging":{"next":"c2"}}`
	}
	var users [][]string
	in := destination.ListInput{Deps: l.deps, Settings: event.NewObject(nil), Audience: destination.Audience{ID: "L 1", Name: "vip"}, Page: "c1"}
	next, err := l.plugin.Audiences.List.Fetch(t.Context(), in, func(identities []string) error {
		users = append(users, identities)
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, "c2", next)
	assert.Equal(t, [][]string{{"email:Ann@example.com"}, nil}, users)
	assert.Equal(t, []string{"GET /lists/L 1/members"}, l.sent)
	stop := errors.New("stop")
	_, err = l.plugin.Audiences.List.Fetch(t.Context(), in, func([]string) error { return stop })
	require.ErrorIs(t, err, stop)
	form, err := l.plugin.Audiences.List.CompareAs(event.NewObject(nil), "email:Ann@example.com")
	require.NoError(t, err)
	assert.Equal(t, "email:ann@example.com", form)
}

func TestMistakesInListsOfMembers(t *testing.T) {
	for change, want := range map[string]string{
		`users: {"@expr": "map(body.people, pick(#, ['email']))"}=`:                                  "/list needs users, or line if the response is text",
		`  next: {"@path": $.body.paging.next}` + "=  line: {\"@path\": $.line}":                     "/list needs users, or line if the response is text",
		`users: {"@expr": "map(body.people, pick(#, ['email']))"}` + `=line: {"@path": $.line}`:      "/list/line cannot go with next and steps: the text has all users",
		"compareAs: {email:" + "=compareAs: {mail:":                                                  `"mail" (did you mean "email"?)`,
		`"lower(value)"` + `="lower(payload)"`:                                                       "payload",
		`$.body.paging.next` + `=$.payload.next`:                                                     "payload",
		`query: {after: {"@path": $.page}}` + `=query: {after: {"@path": $.page}}, batch: {size: 1}`: "/list/request/batch is only allowed in requests for payloads",
	} {
		before, after, _ := strings.Cut(change, "=")
		text := declaredLists(t)
		require.Contains(t, text, before)
		_, err := destination.ParseDefinition("destination.yaml", []byte(strings.Replace(text, before, after, 1)))
		assert.ErrorContains(t, err, want, change)
	}
}

// TestTimesOfChanges checks which time a change has: that of the payload, otherwise that of the event, otherwise now. The ledger decides by it.
func TestTimesOfChanges(t *testing.T) {
	now := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		payload, event string
		want           time.Time
	}{
		{`"time":"2026-01-01T00:00:00Z",`, `{"type":"track","timestamp":"2026-01-02T00:00:00Z"}`, now.AddDate(0, 0, -2)},
		{`"time":"",`, `{"type":"track","timestamp":"2026-01-02T00:00:00Z"}`, now.AddDate(0, 0, -1)},
		{"", `{"type":"track","timestamp":"2026-01-02T00:00:00Z"}`, now.AddDate(0, 0, -1)},
		{"", `{"type":"track","timestamp":""}`, now},
		{"", `{"type":"track"}`, now},
	} {
		l := newLists(t, declaredLists(t))
		l.deps.Now = func() time.Time { return now }
		l.events = []string{c.event}
		require.Equal(t, []string{"delivered"}, l.run(t, `{"list_id":"1","list_key":"vip","email":"a@x.de",`+c.payload+`"properties":{"vip":true}}`))
		records, err := l.deps.Members.Lookup(t.Context(), "1", []string{"email:a@x.de"})
		require.NoError(t, err)
		assert.True(t, c.want.Equal(records[0].At), "%v %v", c, records[0].At)
	}
	l := newLists(t, declaredLists(t))
	results := l.run(t, `{"list_id":"1","list_key":"vip","email":"a@x.de","time":"soon","properties":{"vip":true}}`)
	assert.Contains(t, results[0], "refused: Time ")
	assert.Empty(t, l.sent)
}

// TestUsersWithSeveralIdentifiers checks that the first identifier which a payload has counts, and what is said if there is none.
func TestUsersWithSeveralIdentifiers(t *testing.T) {
	l := newLists(t, strings.NewReplacer("identifiers: [email]", "identifiers: [email, phone, ref]",
		"      email: {label", "      phone: {label: Phone, type: string}\n      ref: {label: Ref, type: string}\n      email: {label").Replace(declaredLists(t)))
	payload := func(user string) string {
		return `{"list_id":"1","list_key":"vip",` + user + `"properties":{"vip":true}}`
	}
	assert.Equal(t, []string{"delivered", "delivered", "refused: no identifier: E-mail, Phone and Ref are all absent"},
		l.run(t, payload(`"email":"a@x.de","phone":"1",`), payload(`"email":" ","phone":"2","ref":"r",`), payload(`"email":"",`)))
	records, err := l.deps.Members.Lookup(t.Context(), "1", []string{"email:a@x.de", "phone:2", "phone:1", "ref:r"})
	require.NoError(t, err)
	assert.Equal(t, []bool{true, true, false, false}, []bool{records[0].Member, records[1].Member, records[2].Member, records[3].Member})
}

// TestMemberMapping checks that a mapping may say whether the user is a member, and that properties count if it says nothing.
func TestMemberMapping(t *testing.T) {
	l := newLists(t, strings.NewReplacer("identifiers: [email]", "identifiers: [email]\n      member: {\"@path\": $.payload.in}",
		"      email: {label", "      in: {label: In, type: string}\n      email: {label").Replace(declaredLists(t)))
	payload := func(email, in string) string {
		return strings.Replace(listPayload("1", email, "true", "05"), "{", `{"in":`+in+`,`, 1)
	}
	l.run(t, payload("a@x.de", "true"), payload("b@x.de", "false"), payload("c@x.de", "null"))
	assert.Equal(t, []string{`POST /lists/1/members {"emails":["a@x.de","c@x.de"]}`, `DELETE /lists/1/members {"emails":["b@x.de"]}`}, l.sent)
}
