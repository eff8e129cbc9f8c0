package runtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const tokenDefinition = `
name: Crm
slug: crm
mode: cloud
authentication: {scheme: oauth-managed}
actions:
  send:
    title: Send
    fields: {id: {label: ID, type: string, required: true, default: {"@path": $.userId}}}
`

// crm is a remote that accepts some tokens, and answers with a status for each id.
type crm struct {
	good     []string // tokens
	refusing []string // ids that are answered 401 on their own, once for each time that they stand here
	requests []string // token and ids of each
}

func (c *crm) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c.requests = append(c.requests, r.Header.Get("Authorization")+" "+string(text))
	answer := &http.Response{StatusCode: 200, Header: http.Header{}, Request: r}
	if token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !slices.Contains(c.good, token) {
		answer.StatusCode = 401
	}
	var ids []string
	if err := json.Unmarshal(text, &ids); err != nil {
		return nil, err
	}
	statuses := make([]int, len(ids))
	for i, id := range ids {
		statuses[i] = 200
		if at := slices.Index(c.refusing, id); at >= 0 {
			statuses[i], c.refusing = 401, slices.Delete(c.refusing, at, at+1)
		}
	}
	body, err := json.Marshal(statuses)
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, err
}

func (c *crm) send(ctx context.Context, call destination.BatchCall[settings, payload]) (*destination.MultiStatus, error) {
	ids := make([]string, len(call.Payloads))
	for i, p := range call.Payloads {
		ids[i] = p.id
	}
	body, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	answer, err := call.Client.Do(ctx, destination.Request{Method: "POST", URL: "https://crm.example/send", Body: body})
	if err != nil {
		return nil, err
	}
	ms := destination.NewMultiStatus(len(ids))
	for i, status := range answer.Body.Items() {
		if ms.Deliver(i); status.Float() != 200 {
			ms.Fail(i, fault.FromStatus(int(status.Float()), "not you"))
		}
	}
	return ms, nil
}

// tokenPlan returns a plan that sends to a remote with the tokens of a host.
func tokenPlan(t *testing.T, c *crm, token func(ctx context.Context, instance, refused string) (string, error)) *runtime.Plan {
	plugin := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(tokenDefinition)}},
		Actions:    map[string]destination.Action{"send": destination.Handle(destination.Handler[settings, payload]{PerformBatch: c.send})},
	}
	d, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"crm","subscriptions":[{"action":"send","subscribe":"type = \"track\""}]}`))
	plan, err := runtime.New(plugin, d, in, runtime.Host{Transport: c, Token: token})
	require.NoError(t, err)
	return plan
}

// run delivers events of users, with a token that is refreshed.
func (c *crm) run(t *testing.T, tokens []string, users ...string) (outcomes []runtime.Outcome, renewals int) {
	plan := tokenPlan(t, c, func(_ context.Context, instance, refused string) (string, error) {
		assert.Equal(t, "crm", instance)
		if refused != "" {
			require.Equal(t, tokens[0], refused)
			renewals++
			if len(tokens) > 1 {
				tokens = tokens[1:]
			}
		}
		return tokens[0], nil
	})
	var texts []string
	for _, user := range users {
		texts = append(texts, `{"type":"track","userId":"`+user+`"}`)
	}
	for _, v := range plan.RunBatch(t.Context(), events(t, texts...)) {
		outcomes = append(outcomes, v[0].Outcome)
	}
	return outcomes, renewals
}

func TestOnlyItemsRefusedForTheTokenAreRetried(t *testing.T) {
	good, bad := runtime.Delivered, runtime.Refused
	for name, c := range map[string]struct {
		remote   crm
		tokens   []string
		want     []runtime.Outcome
		renewals int
		requests []string
	}{
		"a good token": {
			crm{good: []string{"one"}}, []string{"one"}, []runtime.Outcome{good, good, good}, 0, []string{`Bearer one ["a","b","c"]`},
		},
		"a request that is refused is made again": {
			crm{good: []string{"two"}}, []string{"one", "two"}, []runtime.Outcome{good, good, good}, 1, []string{`Bearer one ["a","b","c"]`, `Bearer two ["a","b","c"]`},
		},
		"items that are refused go again without the others": {
			crm{good: []string{"one", "two"}, refusing: []string{"a", "c"}}, []string{"one", "two"}, []runtime.Outcome{good, good, good}, 1,
			[]string{`Bearer one ["a","b","c"]`, `Bearer two ["a","c"]`},
		},
		"items that are refused once more stay so": {
			crm{good: []string{"one", "two"}, refusing: []string{"b", "b"}}, []string{"one", "two"}, []runtime.Outcome{good, bad, good}, 1,
			[]string{`Bearer one ["a","b","c"]`, `Bearer two ["b"]`},
		},
		"no other token": {
			crm{good: []string{"two"}}, []string{"one"}, []runtime.Outcome{bad, bad, bad}, 1, []string{`Bearer one ["a","b","c"]`},
		},
		"one try only": {
			crm{good: []string{"three"}}, []string{"one", "two", "three"}, []runtime.Outcome{bad, bad, bad}, 1, []string{`Bearer one ["a","b","c"]`, `Bearer two ["a","b","c"]`},
		},
		"a token that was fresh a moment ago is not renewed for an item": {
			crm{good: []string{"two"}, refusing: []string{"b", "b"}}, []string{"one", "two"}, []runtime.Outcome{good, bad, good}, 1,
			[]string{`Bearer one ["a","b","c"]`, `Bearer two ["a","b","c"]`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, renewals := c.remote.run(t, c.tokens, "a", "b", "c")
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.renewals, renewals)
			assert.Equal(t, c.requests, c.remote.requests)
		})
	}
}

// TestClientIsASetting checks that a definition takes the OAuth client from its settings, and that auth takes precedence.
func TestClientIsASetting(t *testing.T) {
	const definition = `
name: Crm
slug: crm
mode: cloud
authentication:
  scheme: oauth2
  grant: client_credentials
  tokenUrl: {"@expr": "substitute(settings.endpoint, '/rest$', '') + '/token'"}
  clientId: "{{settings.client}}"
  clientSecret: "{{settings.secret}}"
  fields:
    endpoint: {label: Endpoint, type: string, required: true}
    client: {label: Client, type: string}
    secret: {label: Secret, type: password}
actions: {send: {title: Send, fields: {}, request: {url: https://crm.example}}}
`
	plugin := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(definition)}}}
	d, err := plugin.Load()
	require.NoError(t, err)
	for _, c := range []struct{ settings, auth, id, secret, says string }{
		{settings: `"client":"c1","secret":"s {{1}}"`, id: "c1", secret: "s {{1}}"},
		{settings: `"client":"c1","secret":"s1"`, auth: `{"clientId":"c2","clientSecret":"{{settings.secret}}"}`, id: "c2", secret: "{{settings.secret}}"},
		{settings: `"secret":"s1"`, says: "the settings have none"},
	} {
		instance := config.InstanceOf(event.MustParse(`{"id":"a","destination":"crm","settings":{"endpoint":"https://eu.crm.example/rest",` + c.settings + `},"subscriptions":[]}`))
		if c.auth != "" {
			instance.Auth = event.MustParse(c.auth)
		}
		plan, err := runtime.New(plugin, d, instance, runtime.Host{})
		if c.says != "" {
			assert.ErrorContains(t, err, c.says)
			continue
		}
		require.NoError(t, err)
		login := plan.Login()
		hosted, err := runtime.New(plugin, d, instance, runtime.Host{Token: func(context.Context, string, string) (string, error) { return "t", nil }})
		require.NoError(t, err)
		assert.Equal(t, c.auth != "", hosted.Login() != nil, "the host has tokens, unless the config says how to log in")
		assert.Equal(t, []string{c.id, c.secret, "https://eu.crm.example/token"}, []string{login.ClientID, login.ClientSecret, login.Spec.TokenURL})
	}
}

// TestAuthThatDoesNotFit checks that a token which is missing, or which the destination does not use, is a problem of the config.
func TestAuthThatDoesNotFit(t *testing.T) {
	load := func(scheme, instance string, host runtime.Host) error {
		plugin := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(strings.Replace(tokenDefinition, "oauth-managed", scheme, 1) + "    request: {url: https://crm.example}\n")}}}
		d, err := plugin.Load()
		require.NoError(t, err)
		v := event.MustParse(instance)
		in := config.InstanceOf(v)
		in.Auth, in.AccessToken = v.Get("auth"), v.Get("auth").Get("accessToken").Str()
		_, err = runtime.New(plugin, d, in, host)
		return err
	}
	assert.ErrorContains(t, load("oauth-managed", `{"id":"a","subscriptions":[]}`, runtime.Host{}), `needs a token: set auth: {accessToken: "${TOKEN}"}`)
	assert.NoError(t, load("oauth-managed", `{"id":"a","auth":{"accessToken":"t"},"subscriptions":[]}`, runtime.Host{}))
	assert.NoError(t, load("oauth-managed", `{"id":"a","subscriptions":[]}`, runtime.Host{Token: func(context.Context, string, string) (string, error) { return "t", nil }}))
	assert.NoError(t, load("custom", `{"id":"a","subscriptions":[]}`, runtime.Host{}))
	const oauth = `oauth2, authorizeUrl: "https://crm.example/a", tokenUrl: "https://crm.example/t"`
	for _, auth := range []string{"", `"auth":{"clientSecret":"s"},`} {
		assert.ErrorContains(t, load(oauth, `{"id":"a",`+auth+`"subscriptions":[]}`, runtime.Host{}), "needs the OAuth client that you have registered with Crm: auth: {clientId: …")
	}
	assert.NoError(t, load(oauth, `{"id":"a","auth":{"clientId":"c"},"subscriptions":[]}`, runtime.Host{}))
	assert.ErrorContains(t, load("custom", `{"id":"a","auth":{"clientId":"c"},"subscriptions":[]}`, runtime.Host{}), "/auth Crm does not use an access token: remove auth")
}

// TestHostsWithoutATokenSendNone checks that a request has no empty credentials, which some remotes take for another user.
func TestHostsWithoutATokenSendNone(t *testing.T) {
	c := &crm{good: []string{""}}
	tokenPlan(t, c, func(context.Context, string, string) (string, error) { return "", nil }).RunBatch(t.Context(), events(t, `{"type":"track","userId":"a"}`))
	assert.Equal(t, []string{` ["a"]`}, c.requests)
}

// TestTokensInTemplates checks that a request whose template places the token is not sent without one.
func TestTokensInTemplates(t *testing.T) {
	plugin := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(tokenDefinition + "    request: {url: https://crm.example, headers: {X-Token: \"{{auth.accessToken}}\"}}\n")}}}
	d, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"crm","subscriptions":[{"action":"send","subscribe":"type = \"track\""}]}`))
	for name, failure := range map[string]error{"": nil, "the store is gone": errors.New("the store is gone")} {
		var sent []string
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Header.Get("X-Token"))
			return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, Body: http.NoBody}, nil
		})
		plan, err := runtime.New(plugin, d, in, runtime.Host{Transport: transport, Token: func(context.Context, string, string) (string, error) { return "t1", failure }})
		require.NoError(t, err)
		got := plan.RunBatch(t.Context(), events(t, `{"type":"track","userId":"a"}`))
		if failure == nil {
			assert.Equal(t, []string{"t1"}, sent)
			continue
		}
		assert.Empty(t, sent)
		assert.Contains(t, got[0][0].Reason, name)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestListMembers checks pages of a remote's members, a remote that cannot list them, and a handler that panics.
func TestListMembers(t *testing.T) {
	load := func(list *destination.MemberList) *runtime.Plan {
		plugin := brazecohorts.Plugin()
		audiences := *plugin.Audiences
		audiences.List = list
		plugin.Audiences = &audiences
		d, err := plugin.Load()
		require.NoError(t, err)
		in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s","partner_api_key":"k"},"subscriptions":[]}`))
		plan, err := runtime.New(plugin, d, in, runtime.Host{})
		require.NoError(t, err)
		return plan
	}
	vip := destination.Audience{ID: "aud_1", Name: "vip"}
	var users []string
	each := func(identities []string) error { users = append(users, identities...); return nil }
	plan := load(&destination.MemberList{Fetch: func(_ context.Context, in destination.ListInput, each func([]string) error) (string, error) {
		return in.Page + "2", each([]string{in.Audience.Name})
	}})
	assert.True(t, plan.ListsMembers())
	next, err := plan.ListMembers(t.Context(), vip, "p", each)
	require.NoError(t, err)
	assert.Equal(t, []string{"p2", "vip"}, append([]string{next}, users...))
	plan = load(&destination.MemberList{Fetch: func(context.Context, destination.ListInput, func([]string) error) (string, error) { panic("oops") }})
	_, err = plan.ListMembers(t.Context(), vip, "", each)
	assert.EqualError(t, err, "listing the members of aud_1: the handler panicked: oops")
	plan = load(nil)
	assert.False(t, plan.ListsMembers())
	_, err = plan.ListMembers(t.Context(), vip, "", each)
	assert.EqualError(t, err, "the destination cannot list the members of an audience")
}
