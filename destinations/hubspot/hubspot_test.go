package hubspot_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/hubspot"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/destination/sandbox/sandboxtest"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const instance = `{"id":"crm","settings":{},"subscriptions":[{"name":"contacts","action":"upsertContact","mapping":{"properties":{"@path":"$.traits.more"}}}]}`

// withToken returns a host that has one token.
func withToken(token string) runtime.Host {
	return runtime.Host{Token: func(context.Context, string, string) (string, error) { return token, nil }}
}

func identify(email, more string) string {
	return fmt.Sprintf(`{"type":"identify","traits":{"email":%q,"first_name":"Ana","more":%s}}`, email, more)
}

func TestContactsAreCreatedAndUpdated(t *testing.T) {
	r := sandboxtest.Start(t, hubspot.Plugin(), map[string][]string{"token": {"pat-very-secret"}, "property": {"plan"}})
	plan := r.Plan(instance, withToken("pat-very-secret"))
	assert.Equal(t, []string{"delivered", "delivered", "delivered"}, r.RunBatch(plan, identify("Ana@example.com", `{"plan":"free"}`), identify("bo@example.com", `{}`), identify("ana@example.com", `{"plan":"pro"}`)))
	assert.Equal(t, 2, r.Requests(), "the contacts are read and created; one contact is never twice in a request")
	assert.Equal(t, "pro", r.State().Get("contacts").Get("ana@example.com").Get("plan").Str())
	assert.NotContains(t, r.Transcript(), "pat-very-secret")
	assert.NoError(t, plan.Test(t.Context()))
}

func TestInvalidContactFailsAlone(t *testing.T) {
	r := sandboxtest.Start(t, hubspot.Plugin(), nil)
	plan := r.Plan(instance, withToken("t"))
	events := make([]string, 250)
	for i := range events {
		events[i] = identify(fmt.Sprintf("u%d@example.com", i), `{}`)
	}
	events[120] = identify("u120@example.com", `{"missing":1}`)
	events[249] = identify("u249@nowhere", `{}`)
	for i, outcome := range r.RunBatch(plan, events...) {
		switch i {
		case 120:
			assert.Contains(t, outcome, `refused: Property values were not valid: [{"error":"PROPERTY_DOESNT_EXIST"`)
		case 249:
			assert.Contains(t, outcome, `Email Address should be an email address`)
		default:
			require.Equal(t, "delivered", outcome, i)
		}
	}
	assert.Equal(t, 248, r.State().Get("contacts").Len())
}

func TestRateLimitIsRespected(t *testing.T) {
	r := sandboxtest.Start(t, hubspot.Plugin(), nil)
	plan := r.Plan(instance, withToken("t"))
	r.AddFault(`{"status":429,"headers":{"Retry-After":"20"},"body":{"status":"error","message":"You have reached your ten_secondly_rolling limit.","policyName":"TEN_SECONDLY_ROLLING"}}`)
	e, err := event.Parse([]byte(identify("a@example.com", `{}`)))
	require.NoError(t, err)
	v := plan.Run(t.Context(), e)[0]
	assert.Equal(t, runtime.Retry, v.Outcome)
	assert.Equal(t, "You have reached your ten_secondly_rolling limit.", v.Reason)
	assert.Equal(t, 20*time.Second, v.RetryAfter)
	v = plan.Run(t.Context(), e)[0]
	assert.Equal(t, 1, r.Requests()-1, "the second one is held back here")
	assert.Contains(t, v.Reason, "the request was not sent: the rate limit asks to wait")
	assert.Equal(t, 0, r.State().Get("contacts").Len())
}

func TestExhaustedRateLimitWindowDelaysRequests(t *testing.T) {
	r := sandboxtest.Start(t, hubspot.Plugin(), nil)
	plan := r.Plan(instance, withToken("t"))
	r.AddFault(`{"status":200,"headers":{"X-HubSpot-RateLimit-Remaining":"0","X-HubSpot-RateLimit-Interval-Milliseconds":"60000"},"body":{}}`)
	assert.Contains(t, r.RunBatch(plan, identify("a@example.com", `{}`))[0], "retry: the request was not sent: the rate limit asks to wait ")
}

func TestARefusedTokenIsRefreshedOnce(t *testing.T) {
	r := sandboxtest.Start(t, hubspot.Plugin(), map[string][]string{"token": {"fresh-token"}})
	var refreshed atomic.Int32
	plan := r.Plan(instance, runtime.Host{Token: func(_ context.Context, _ string, refused string) (string, error) {
		if refused == "stale-token" {
			refreshed.Add(1)
		}
		if refreshed.Load() > 0 {
			return "fresh-token", nil
		}
		return "stale-token", nil
	}})
	assert.Equal(t, []string{"delivered", "delivered"}, r.RunBatch(plan, identify("a@example.com", `{}`), identify("b@example.com", `{}`)))
	assert.EqualValues(t, 1, refreshed.Load())
	assert.Equal(t, 2, r.State().Get("contacts").Len())
	assert.NotContains(t, r.Transcript(), "stale-token")
	assert.NotContains(t, r.Transcript(), "fresh-token")
}

func TestChoicesComePageByPage(t *testing.T) {
	owners := make([]string, 230)
	for i := range owners {
		owners[i] = fmt.Sprintf("owner%03d@example.com", i)
	}
	r := sandboxtest.Start(t, hubspot.Plugin(), map[string][]string{"owner": owners})
	plan := r.Plan(instance, withToken("t"))
	assert.Equal(t, []string{"hubspot_owner_id", "properties"}, plan.DynamicFields("upsertContact"))
	page, found := "", 0
	for pages := 0; ; pages++ {
		got, err := plan.Choices(t.Context(), "upsertContact", "hubspot_owner_id", "", page, event.Value{})
		require.NoError(t, err)
		found += len(got.Choices)
		if page = got.NextPage; page == "" {
			assert.Equal(t, 2, pages)
			break
		}
	}
	assert.Equal(t, 230, found)
	got, err := plan.Choices(t.Context(), "upsertContact", "properties", "name", "", event.Value{})
	require.NoError(t, err)
	var names []string
	for _, c := range got.Choices {
		names = append(names, c.Value+" = "+c.Label)
	}
	assert.Equal(t, []string{"firstname = The firstname", "lastname = The lastname"}, names)
	r.AddFault(`{"status":403,"body":{"status":"error","message":"This app hasn't been granted all required scopes"}}`)
	_, err = plan.Choices(t.Context(), "upsertContact", "properties", "", "", event.Value{})
	assert.ErrorContains(t, err, "This app hasn't been granted all required scopes")
}

func TestCredentialsTestReportsTheCause(t *testing.T) {
	r := sandboxtest.Start(t, hubspot.Plugin(), map[string][]string{"token": {"good"}})
	assert.ErrorContains(t, r.Plan(instance, withToken("bad-token")).Test(t.Context()), "Authentication credentials not found")
}

// TestListedContactsHaveAllOfTheirAddresses checks that a contact of a list is known by each address: the ledger may have any of them, and a contact
// whom it does not know can be removed.
func TestListedContactsHaveAllOfTheirAddresses(t *testing.T) {
	account := http.NewServeMux()
	account.HandleFunc("GET /crm/v3/lists/7/memberships", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"results":[{"recordId":1},{"recordId":2},{"recordId":3}]}`)
	})
	account.HandleFunc("POST /crm/v3/objects/contacts/batch/read", func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		assert.JSONEq(t, `{"properties":["email","hs_additional_emails"],"inputs":[{"id":"1"},{"id":"2"},{"id":"3"}]}`, string(asked))
		_, _ = io.WriteString(w, `{"results":[{"id":"1","properties":{"email":"a@example.com","hs_additional_emails":"A2@example.com;a3@example.com"}},
			{"id":"2","properties":{"email":"b@example.com","hs_additional_emails":null}},{"id":"3","properties":{"email":null}}]}`)
	})
	p := hubspot.Plugin()
	d, err := p.Load()
	require.NoError(t, err)
	host := withToken("t")
	host.Transport = sandbox.Transport(account)
	plan, err := runtime.New(p.Complete(d), d, config.InstanceOf(event.MustParse(`{"id":"crm","settings":{},"subscriptions":[]}`)), host)
	require.NoError(t, err)
	var listed [][]string
	next, err := plan.ListMembers(t.Context(), destination.Audience{ID: "7", Name: "vip"}, "", func(identities []string) error {
		listed = append(listed, identities)
		return nil
	})
	require.NoError(t, err)
	assert.Empty(t, next)
	assert.Equal(t, [][]string{{"email:a@example.com", "email:A2@example.com", "email:a3@example.com"}, {"email:b@example.com"}, nil}, listed)
}
