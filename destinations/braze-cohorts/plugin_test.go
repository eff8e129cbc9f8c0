package brazecohorts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/destinationtest"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestSuite(t *testing.T) { destinationtest.Run(t, brazecohorts.Plugin()) }

// remote is a sandbox behind a plan, and what was sent to it.
type remote struct {
	t        *testing.T
	plan     *runtime.Plan
	sandbox  http.Handler
	wire     http.RoundTripper
	requests []httpx.Exchange
	cohort   string
	ledger   *crashing
}

// crashing is a ledger at whose next record the process ends: before it is made, or after.
type crashing struct {
	destination.Members
	before, after, crashed bool
}

func (c *crashing) Record(ctx context.Context, a destination.Audience, changes []destination.Change) error {
	before, after := c.before, c.after
	c.before, c.after, c.crashed = false, false, c.crashed || before || after
	if before {
		panic("the process ends before the record")
	}
	err := c.Members.Record(ctx, a, changes)
	if after {
		panic("the process ends after the record")
	}
	return err
}

func newRemote(t *testing.T, poison ...string) *remote {
	return newRemoteOn(t, destination.NewMemoryMembers(), destination.NewMemoryState(), poison...)
}

func newRemoteOn(t *testing.T, members destination.Members, state destination.State, poison ...string) *remote {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	r := &remote{t: t, cohort: "aud_1", ledger: &crashing{Members: members}, sandbox: plugin.Sandbox.New(map[string][]string{"poison-users": poison})}
	r.wire = sandbox.Transport(r.sandbox)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"very-secret","partner_api_key":"partner-key"},
		"subscriptions":[{"name":"all","action":"syncAudiences","mapping":{"personas_audience_key":{"@path":"$.properties.audience_key"}}}]}`))
	r.plan, err = runtime.New(plugin, definition, in, runtime.Host{
		Transport: r.wire, Members: r.ledger, State: state, Observe: func(x httpx.Exchange) { r.requests = append(r.requests, x) },
	})
	require.NoError(t, err)
	return r
}

// run takes events "u1+10" (user u1 enters at 10 s) and "u1-12" (leaves at 12 s) through the plan as one batch.
func (r *remote) run(changes ...string) (outcomes []string) {
	events := make([]event.Event, len(changes))
	for i, c := range changes {
		at := strings.IndexAny(c, "+-")
		e, err := event.Parse([]byte(fmt.Sprintf(`{"type":"track","event":"Audience Entered","userId":%q,"timestamp":"2026-01-02T03:04:%sZ","properties":{"audience_key":"vip","vip":%v},
			"context":{"personas":{"computation_class":"audience","computation_id":%q,"computation_key":"vip"}}}`, c[:at], c[at+1:], c[at] == '+', r.cohort)))
		require.NoError(r.t, err)
		events[i] = e
	}
	for _, v := range r.plan.RunBatch(context.Background(), events) {
		outcomes = append(outcomes, string(v[0].Outcome))
	}
	return outcomes
}

// restart empties the sandbox and continues with a new cohort.
func (r *remote) restart(cohort string) {
	r.cohort, r.requests = cohort, nil
	r.control("reset", "")
}

func (r *remote) fault(text string) { r.control("faults", text) }

func (r *remote) control(name, body string) {
	request, err := http.NewRequest("POST", "http://sandbox/__sandbox/"+name, strings.NewReader(body))
	require.NoError(r.t, err)
	answer, err := r.wire.RoundTrip(request)
	require.NoError(r.t, err)
	require.Equal(r.t, 200, answer.StatusCode)
}

// members are the user ids that the sandbox holds.
func (r *remote) members() []string {
	request, err := http.NewRequest("GET", "http://sandbox/__sandbox/state", nil)
	require.NoError(r.t, err)
	answer, err := r.wire.RoundTrip(request)
	require.NoError(r.t, err)
	raw, err := io.ReadAll(answer.Body)
	require.NoError(r.t, err)
	var state struct {
		Cohorts map[string]struct {
			Members struct {
				Users []string `json:"user_ids"`
			}
		}
		Warnings []string
	}
	require.NoError(r.t, json.Unmarshal(raw, &state))
	assert.Empty(r.t, state.Warnings)
	return state.Cohorts[r.cohort].Members.Users
}

// sent are the paths of the requests so far, by their last word.
func (r *remote) sent() string {
	var words []string
	for _, x := range r.requests {
		words = append(words, x.URL[strings.LastIndexByte(x.URL, '/')+1:])
	}
	return strings.Join(words, " ")
}

func TestOlderEventsOfLaterBatchesAreSuperseded(t *testing.T) {
	r := newRemote(t)
	assert.Equal(t, []string{"delivered"}, r.run("u1-20"))
	assert.Equal(t, []string{"skipped"}, r.run("u1+10"))
	assert.Empty(t, r.members())
	assert.Equal(t, []string{"delivered"}, r.run("u1+20"), "of equal times the later arrival counts")
	assert.Equal(t, []string{"skipped"}, r.run("u1+30"), "nothing changes")
	assert.Equal(t, []string{"skipped"}, r.run("u1-25"), "older than what changed nothing")
	assert.Equal(t, []string{"u1"}, r.members())
	assert.Equal(t, "cohorts users users", r.sent())
}

func TestMoreThanAThousandIDsAreSplit(t *testing.T) {
	r := newRemote(t)
	changes := make([]string, 1000)
	for i := range changes {
		changes[i] = fmt.Sprintf("u%04d+10", i)
	}
	for _, o := range r.run(changes...) {
		require.Equal(t, "delivered", o)
	}
	assert.Equal(t, "cohorts users", r.sent())
	for i := range changes {
		changes[i] = fmt.Sprintf("v%04d+10", i)
	}
	r.run(append(changes, "w+10", "u0000-11")...)
	assert.Len(t, r.members(), 2000)
	assert.Equal(t, "cohorts users users users", r.sent())
}

func TestTheCohortIsRememberedOnlyAfterItsMembersAreIn(t *testing.T) {
	r := newRemote(t)
	r.fault(`{"path":"/partners/segment/cohorts/users","status":503}`)
	assert.Equal(t, []string{"retry"}, r.run("u1+10"))
	assert.Equal(t, []string{"delivered"}, r.run("u1+10"))
	assert.Equal(t, "cohorts users cohorts users", r.sent())
	assert.Equal(t, []string{"delivered"}, r.run("u2+10"))
	assert.Equal(t, "cohorts users cohorts users users", r.sent())
}

func TestARequestDroppedAfterItWasAppliedIsHarmlessTwice(t *testing.T) {
	r := newRemote(t)
	r.fault(`{"path":"/partners/segment/cohorts/users","drop":true,"after":true}`)
	assert.Equal(t, []string{"retry", "retry"}, r.run("u1+10", "u2-10"))
	assert.Equal(t, []string{"delivered", "delivered"}, r.run("u1+10", "u2-10"))
	assert.Equal(t, []string{"u1"}, r.members())
}

func TestAPoisonIdentifierFailsAlone(t *testing.T) {
	r := newRemote(t, "u037", "u611", "u612")
	changes, failed := make([]string, 1000), 0
	for i := range changes {
		changes[i] = fmt.Sprintf("u%03d+10", i)
	}
	for i, o := range r.run(changes...) {
		if i == 37 || i == 611 || i == 612 {
			require.Equal(t, "refused", o)
			failed++
		} else {
			require.Equal(t, "delivered", o, i)
		}
	}
	assert.Equal(t, 3, failed)
	assert.Len(t, r.members(), 997)
	assert.LessOrEqual(t, len(r.requests), 60)
}

func TestAChangeInDoubtIsSentAgain(t *testing.T) {
	r := newRemote(t)
	r.run("u1+10")
	r.fault(`{"path":"/partners/segment/cohorts/users","drop":true,"after":true}`)
	assert.Equal(t, []string{"retry"}, r.run("u1-20"), "Braze has removed u1, but its answer is lost")
	assert.Equal(t, []string{"delivered"}, r.run("u1+30"), "not taken for unchanged")
	assert.Equal(t, []string{"u1"}, r.members())
}

func TestSecretsDoNotShow(t *testing.T) {
	r := newRemote(t)
	r.fault(`{"times":2,"status":401,"body":{"message":"Partner not enabled for client with client secret: very-secret"}}`)
	e, err := event.Parse([]byte(`{"type":"track","event":"Audience Entered","userId":"u1","timestamp":"2026-01-02T03:04:05Z","properties":{"audience_key":"vip","vip":true},"context":{"personas":{"computation_id":"aud_1","computation_key":"vip"}}}`))
	require.NoError(t, err)
	verdict := r.plan.Run(context.Background(), e)[0]
	assert.Equal(t, 401, verdict.Status)
	assert.Equal(t, "Partner not enabled for client with client secret: [hidden]", verdict.Reason)
	seen, err := json.Marshal(r.requests)
	require.NoError(t, err)
	assert.NotContains(t, string(seen), "very-secret")
	assert.NotContains(t, string(seen), "partner-key")
	assert.EqualError(t, r.plan.Test(context.Background()), "Client Secret Key does not allow this partner: make a data import key for it on Braze's partner page, or check Partner Name (Braze says: "+verdict.Reason+")")
	assert.NoError(t, r.plan.Test(context.Background()))
}

func TestMoreThanFiftySubscriptionsAreRefused(t *testing.T) {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	var list []string
	for i := range 51 {
		list = append(list, fmt.Sprintf(`{"name":"s%d","action":"syncAudiences","mapping":{"personas_audience_key":"a%d"}}`, i, i))
	}
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"client_secret":"s","partner_api_key":"p"},"subscriptions":[` + strings.Join(list, ",") + `]}`))
	_, err = runtime.New(plugin, definition, in, runtime.Host{})
	assert.EqualError(t, err, "/subscriptions holds 51 enabled subscriptions, but an instance of Braze Cohorts may have 50 at most")
	in.Subscriptions[7].Enabled = false
	_, err = runtime.New(plugin, definition, in, runtime.Host{})
	assert.NoError(t, err)
}

func TestAPartnerKeyFromTheEnvironmentDoesNotShow(t *testing.T) {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"client_secret":"very-secret"},"subscriptions":[]}`))
	handler := plugin.Sandbox.New(nil)
	plan, err := runtime.New(plugin, definition, in, runtime.Host{
		Transport: sandbox.Transport(handler),
		Env:       func(name string) (string, bool) { return "partner-key-us", name == "BRAZE_COHORTS_PARTNER_API_KEY_US" },
	})
	require.NoError(t, err)
	request, err := http.NewRequest("POST", "http://sandbox/__sandbox/faults", strings.NewReader(`{"status":401,"body":{"message":"no such key: partner-key-us"}}`))
	require.NoError(t, err)
	_, err = sandbox.Transport(handler).RoundTrip(request)
	require.NoError(t, err)
	assert.EqualError(t, plan.Test(context.Background()), "Braze refuses the keys (Braze says: no such key: [hidden])")
}
