package destination_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Settings and ContactPayload are what landfall generate makes of a definition.
type Settings struct{ Key string }

func (s *Settings) Decode(v event.Value) { s.Key = v.Get("key").Str() }

type ContactPayload struct{ Email, List string }

func (c *ContactPayload) Decode(v event.Value) {
	c.Email, c.List = v.Get("email").Str(), v.Get("list").Str()
}

const crm = "https://api.crm.test"

// remote answers the examples' requests, and prints them.
func remote(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Println(strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body)))
	switch {
	case r.URL.Path == "/imports" && r.Method == http.MethodPost:
		_, _ = io.WriteString(w, `{"id":"imp7"}`)
	case r.URL.Path == "/strict" && strings.Count(string(body), "@") <= strings.Count(string(body), " "):
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"message":"invalid address"}`)
	case r.URL.Path == "/contacts/gone":
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = io.WriteString(w, `{"id":"l1","items":[{"name":"News","id":"l1"}],"next":"2","state":"done"}`)
	}
}

// planOf makes a plan of a plugin whose definition is one action called contact, with more in it.
func planOf(p destination.Plugin, further, subscription, instance string) *runtime.Plan {
	text := `
name: CRM
slug: crm
mode: cloud
authentication: {scheme: custom, fields: {key: {label: Key, type: password}}}
` + strings.ReplaceAll(further, "\nactions:\n", "\nactions:\n  contact:\n    title: Contact\n    defaultSubscription: type = \"identify\"\n")
	if !strings.Contains(text, "\nactions:") {
		text += "\nactions:\n  contact:\n    title: Contact\n    defaultSubscription: type = \"identify\"\n"
	}
	if !strings.Contains(text, "fields:\n") {
		text += "    fields:\n      email: {label: Email, type: string, required: true, default: {\"@path\": $.traits.email}}\n      list: {label: List, type: string, dynamic: true, default: {\"@path\": $.context.personas.external_audience_id}}\n"
	}
	return loadPlan(p, text, "contact", subscription, instance)
}

// planFor makes a plan of a plugin with one action, whose definition is the rest of the text.
func planFor(p destination.Plugin, action, definition string) *runtime.Plan {
	const begin = "name: CRM\nslug: crm\nmode: cloud\nauthentication: {scheme: custom, fields: {key: {label: Key, type: password}}}\n"
	return loadPlan(p, begin+definition, action, "", "")
}

func loadPlan(p destination.Plugin, definition, action, subscription, instance string) *runtime.Plan {
	p.Definition = fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}}
	d, err := p.Load()
	if err != nil {
		panic(err)
	}
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"key":"k"},"subscriptions":[{"name":"all","action":"` + action + `"` + subscription + `}]` + instance + `}`))
	plan, err := runtime.New(p, d, in, runtime.Host{Transport: sandbox.Transport(http.HandlerFunc(remote))})
	if err != nil {
		panic(err)
	}
	return plan
}

// send runs events through a plan and prints the verdicts.
func send(plan *runtime.Plan, texts ...string) {
	var list []event.Event
	for _, text := range texts {
		e, err := event.Parse([]byte(text))
		if err != nil {
			panic(err)
		}
		list = append(list, e)
	}
	for _, verdicts := range plan.RunBatch(context.Background(), list) {
		for _, v := range verdicts {
			fmt.Println(strings.TrimSpace(fmt.Sprintf("→ %s %s", v.Outcome, v.Reason)))
		}
	}
}

const ada, bob = `{"type":"identify","userId":"1","traits":{"email":"ada@x.test"}}`, `{"type":"identify","userId":"2","traits":{"email":"bob@x.test"}}`

func createContact(ctx context.Context, call destination.Call[Settings, ContactPayload]) (*destination.Response, error) {
	return call.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: crm + "/contacts", JSON: email(call.Payload.Email),
	})
}

func email(address string) event.Value {
	return event.NewObject([]event.Member{{Key: "email", Value: event.NewString(address)}})
}

func contacts(h destination.Handler[Settings, ContactPayload]) map[string]destination.Action {
	return map[string]destination.Action{"contact": destination.Handle(h)}
}

func ExampleHandler() {
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{Perform: createContact})}
	send(planOf(plugin, "", "", ""), ada)
	// Output:
	// POST /contacts {"email":"ada@x.test"}
	// → delivered
}

func createContacts(ctx context.Context, call destination.BatchCall[Settings, ContactPayload]) (*destination.MultiStatus, error) {
	ms := destination.NewMultiStatus(len(call.Payloads))
	var lines []string
	for i, p := range call.Payloads {
		if !strings.Contains(p.Email, "@") {
			ms.Fail(i, fault.Invalid("%s is no address", p.Email))
			continue
		}
		lines = append(lines, p.Email)
		ms.Deliver(i)
	}
	_, err := call.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: crm + "/contacts", Text: strings.Join(lines, " ")})
	if err != nil {
		return nil, err // the result of every payload
	}
	return ms, nil
}

func ExampleHandler_batch() {
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{PerformBatch: createContacts})}
	send(planOf(plugin, "", "", ""), ada, `{"type":"identify","userId":"3","traits":{"email":"nobody"}}`, bob)
	// Output:
	// POST /contacts ada@x.test bob@x.test
	// → delivered
	// → refused nobody is no address
	// → delivered
}

func findContact(ctx context.Context, call destination.Call[Settings, ContactPayload]) (*destination.Response, error) {
	found, err := call.Client.Do(ctx, destination.Request{Method: http.MethodGet, URL: crm + "/contacts/gone", AllowErrorStatus: true})
	if err != nil {
		return nil, err // no answer came
	}
	if found.Status == http.StatusNotFound {
		return &destination.Response{Skipped: "there is no such contact"}, nil
	}
	return call.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: crm + "/contacts", Query: url.Values{"notify": {"no"}}, Form: url.Values{"email": {call.Payload.Email}},
	})
}

func ExampleClient_Do() {
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{Perform: findContact})}
	send(planOf(plugin, "", "", ""), ada)
	// Output:
	// GET /contacts/gone
	// → skipped there is no such contact
}

func ExampleOrigin() {
	perform := func(_ context.Context, call destination.Call[Settings, ContactPayload]) (*destination.Response, error) {
		fmt.Printf("%s by %s, quick is %v, for %s\n", call.SyncMode, call.MatchingKey, call.Features["quick"], call.Metadata.Name)
		return nil, nil
	}
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{Perform: perform})}
	plan := planOf(plugin, `
actions:
    syncMode: {label: How to sync, default: upsert, choices: [{label: Insert and update, value: upsert}, {label: Only insert, value: add}]}
`, `,"syncMode":"add","mapping":{"__segment_internal_matching_key":"email"}`, `,"features":{"quick":true}`)
	send(plan, ada)
	// Output:
	// add by email, quick is true, for all
	// → delivered
}

func forget(ctx context.Context, in destination.DeleteInput) error {
	_, err := in.Client.Do(ctx, destination.Request{Method: http.MethodDelete, URL: crm + "/users", Query: url.Values{"id": {in.UserID}}})
	return err
}

func ExamplePlugin_onDelete() {
	plugin := destination.Plugin{
		Actions:  contacts(destination.Handler[Settings, ContactPayload]{Perform: createContact}),
		OnDelete: forget,
	}
	send(planOf(plugin, "", "", ""), ada, `{"type":"delete","userId":"1"}`)
	// Output:
	// POST /contacts {"email":"ada@x.test"}
	// DELETE /users?id=1
	// → delivered
	// → delivered
}

func lists(ctx context.Context, in destination.ChoicesInput) (destination.Choices, error) {
	response, err := in.Client.Do(ctx, destination.Request{
		Method: http.MethodGet, URL: crm + "/lists", Query: url.Values{"like": {in.Query}, "page": {in.Page}},
	})
	if err != nil {
		return destination.Choices{}, err
	}
	page := destination.Choices{NextPage: response.Body.Get("next").Str()}
	for _, list := range response.Body.Get("items").Items() {
		page.Choices = append(page.Choices, destination.Choice{Label: list.Get("name").Str(), Value: list.Get("id").Str()})
	}
	return page, nil
}

func ExamplePlugin_choices() {
	plugin := destination.Plugin{
		Actions: contacts(destination.Handler[Settings, ContactPayload]{Perform: createContact}),
		Choices: map[string]map[string]destination.ChoicesFunc{"contact": {"list": lists}},
	}
	page, err := planOf(plugin, "", "", "").Choices(context.Background(), "contact", "list", "ne", "", event.Value{})
	fmt.Println(page, err)
	// Output:
	// GET /lists?like=ne&page=
	// {[{News l1 }] 2} <nil>
}

func makeList(ctx context.Context, in destination.HookInput) (destination.HookOutput, error) {
	response, err := in.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: crm + "/lists", Text: in.Inputs.Get("name").Str()})
	if err != nil {
		return destination.HookOutput{}, err
	}
	id := event.Member{Key: "list", Value: response.Body.Get("id")}
	return destination.HookOutput{Message: "the list is there", Outputs: event.NewObject([]event.Member{id})}, nil
}

func ExamplePlugin_hooks() {
	perform := func(_ context.Context, call destination.Call[Settings, ContactPayload]) (*destination.Response, error) {
		fmt.Println("to the list", call.HookOutputs.Get(destination.OnMappingSave).Get("list").Str())
		return nil, nil
	}
	plugin := destination.Plugin{
		Actions: contacts(destination.Handler[Settings, ContactPayload]{Perform: perform}),
		Hooks:   map[string]map[string]destination.HookFunc{"contact": {destination.OnMappingSave: makeList}},
	}
	plan := planOf(plugin, `
actions:
    hooks:
      onMappingSave:
        label: Make a list
        inputFields: {name: {label: Name, type: string, required: true}}
        outputTypes: {list: {label: List, type: string, required: true}}
`, `,"hooks":{"onMappingSave":{"name":"News"}}`, "")
	for range 2 {
		reports, err := plan.RunHooks(context.Background(), plan.Subscriptions()[0], false)
		fmt.Println(reports[0].Ran, reports[0].Message, err)
	}
	send(plan, ada)
	// Output:
	// POST /lists News
	// true the list is there <nil>
	// false  <nil>
	// to the list l1
	// → delivered
}

func createAudience(ctx context.Context, in destination.AudienceInput) (string, error) {
	response, err := in.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: crm + "/audiences", Text: in.Name + " of " + in.AudienceSettings.Get("owner").Str()})
	if err != nil {
		return "", err
	}
	return response.Body.Get("id").Str(), nil
}

func ExamplePlugin_createAudience() {
	perform := func(_ context.Context, call destination.Call[Settings, ContactPayload]) (*destination.Response, error) {
		fmt.Println(call.Payload.Email, "to the audience", call.Payload.List)
		return nil, nil
	}
	plugin := destination.Plugin{
		Actions:        contacts(destination.Handler[Settings, ContactPayload]{Perform: perform}),
		CreateAudience: createAudience,
	}
	plan := planOf(plugin, `
audienceConfig: {mode: {type: synced, full_audience_sync: false}}
audienceFields: {owner: {label: Owner, type: string, required: true}}
`, "", `,"audiences":{"vip":{"name":"Best","settings":{"owner":"eve"}}}`)
	const vip = `,"context":{"personas":{"computation_class":"audience","computation_key":"vip"}}}`
	send(plan, strings.TrimSuffix(ada, "}")+vip, strings.TrimSuffix(bob, "}")+vip)
	// Output:
	// POST /audiences Best of eve
	// ada@x.test to the audience l1
	// bob@x.test to the audience l1
	// → delivered
	// → delivered
}

func beginImport(ctx context.Context, call destination.BatchCall[Settings, ContactPayload]) (*destination.MultiStatus, error) {
	response, err := call.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: crm + "/imports"})
	if err != nil {
		return nil, err
	}
	ms := destination.NewMultiStatus(len(call.Payloads))
	for i := range call.Payloads {
		ms.Pend(i, response.Body.Get("id").Str())
	}
	return ms, nil
}

func askForImports(ctx context.Context, call destination.PollCall[Settings]) (*destination.MultiStatus, error) {
	ms := destination.NewMultiStatus(len(call.Operations))
	for i, id := range call.Operations {
		response, err := call.Client.Do(ctx, destination.Request{Method: http.MethodGet, URL: crm + "/imports/" + id})
		switch {
		case err != nil:
			ms.Fail(i, err) // one that may be retried: it is asked again
		case response.Body.Get("state").Str() == "done":
			ms.Deliver(i)
		default:
			ms.Pend(i, id)
		}
	}
	return ms, nil
}

func ExampleHandler_poll() {
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{PerformBatch: beginImport, Poll: askForImports})}
	plan := planOf(plugin, "", "", "")
	send(plan, ada) // a delivery does this again by itself
	send(plan, ada)
	// Output:
	// POST /imports
	// → pending the destination is processing it; its operation is imp7
	// GET /imports/imp7
	// → delivered
}

// The Go that README.md shows is that of the examples, which are compiled and run.
func TestTheREADMEShowsTheExamples(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	files, err := filepath.Glob("*example_test.go")
	require.NoError(t, err)
	var squeezed string
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		squeezed += strings.Join(strings.Fields(string(source)), " ")
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	assert.Greater(t, len(blocks), 7)
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		assert.Contains(t, squeezed, strings.Join(strings.Fields(code), " "))
	}
}
