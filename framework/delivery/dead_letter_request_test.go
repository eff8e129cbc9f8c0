package delivery_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answeringTransport returns a transport that answers each request body with a status.
func answeringTransport(status func(body string) int) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		code := status(string(body))
		return &http.Response{
			StatusCode: code, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"message":"answer %d"}`, code))),
		}, nil
	})
}

// lettersByUser returns the dead letters of a queue by the user of the event.
func lettersByUser(t *testing.T, q *delivery.Queue) map[string]*delivery.DeadLetter {
	letters := map[string]*delivery.DeadLetter{}
	require.NoError(t, q.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error {
		letters[delivery.UserOf(l.Key)] = l
		return nil
	}))
	return letters
}

// performOneByOne sends each change in a request of its own, and refuses changes of the group "none" without a request.
func performOneByOne(ctx context.Context, call destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
	ms := destination.NewMultiStatus(len(call.Payloads))
	for i, c := range call.Payloads {
		if c.n < 0 {
			ms.Fail(i, fault.Invalid("there is no identifier"))
			continue
		}
		_, err := call.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: "https://remote.example/" + c.id, Body: []byte(c.id)})
		if err != nil {
			ms.Fail(i, err)
			continue
		}
		ms.Deliver(i)
	}
	return ms, nil
}

// A dead letter shows the request that carried its event, not that of another event of the batch.
func TestLetterShowsItsOwnRequest(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
		Actions:    map[string]destination.Action{"send": destination.Handle(destination.Handler[change, change]{PerformBatch: performOneByOne})},
	}
	d, err := p.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\""}]}`))
	plan, err := runtime.New(p, d, in, runtime.Host{Transport: answeringTransport(func(body string) int {
		return map[string]int{"fine": 200, "poison": 422, "down": 503}[body]
	})})
	require.NoError(t, err)
	impatient := quick
	impatient.RetryFor = 300 * time.Millisecond
	runner := startRunner(t, q, impatient, delivery.Instance{Plan: plan})
	defer stopRunner(t, runner)
	same := `,"group":"g"`
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{
		newEvent("poison", 1, same), newEvent("anonymous", -1, same), newEvent("down", 1, same), newEvent("fine", 1, same),
	}))
	waitForCounts(t, runner, map[string]int64{"events": 4, "delivered": 1, "dead": 2, "parked": 1})
	letters := lettersByUser(t, q)
	assert.Nil(t, letters["anonymous"].Request)
	for user, status := range map[string]int{"poison": 422, "down": 503} {
		require.NotNil(t, letters[user].Request, user)
		assert.Equal(t, "https://remote.example/"+user, letters[user].Request.URL)
		assert.Equal(t, user, letters[user].Request.Body)
		assert.Equal(t, status, letters[user].Request.Status)
	}
	for _, v := range runner.Verdicts(10, func(*delivery.VerdictRecord) bool { return true }) {
		if v.Request != nil {
			assert.Equal(t, delivery.UserOf(v.Key), v.Request.Body)
		}
	}
}

// audiencePlan returns a plan of Braze Cohorts that uses a transport.
func audiencePlan(t *testing.T, transport http.RoundTripper) *runtime.Plan {
	plugin := brazecohorts.Plugin()
	d, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s3cret-1","partner_api_key":"p4rtner-1"},
		"subscriptions":[{"name":"all","action":"syncAudiences","subscribe":"type = \"track\"","mapping":{"personas_audience_key":"vip"}}]}`))
	plan, err := runtime.New(plugin, d, in, runtime.Host{Transport: transport, State: destination.NewMemoryState(), Members: destination.NewMemoryMembers()})
	require.NoError(t, err)
	return plan
}

// enteredEvent returns an event that adds a user to the audience vip. The user is anonymous and has no identifier if user is "".
func enteredEvent(user string, n int) delivery.NewEvent {
	who := fmt.Sprintf(`"userId":%q`, user)
	if strings.HasPrefix(user, "anonymous") {
		who = fmt.Sprintf(`"anonymousId":%q`, user)
	}
	raw := fmt.Sprintf(`{"type":"track","event":"Audience Entered","messageId":"%s-%d",%s,"timestamp":%q,"properties":{"audience_key":"vip","vip":%t},
		"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}`,
		user, n, who, time.Unix(1767323045+int64(n), 0).UTC().Format(time.RFC3339), n%2 == 0)
	e := event.MustParse(raw)
	return delivery.NewEvent{Source: "web", Key: event.OrderingKey(e), Raw: []byte(e.JSON())}
}

// Each dead letter of a halved audience batch shows the request that carried its user, or none.
func TestLetterOfHalvedBatchShowsItsOwnRequest(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	runner := startRunner(t, q, quick, delivery.Instance{Plan: audiencePlan(t, answeringTransport(func(body string) int {
		if strings.Contains(body, "poison") {
			return 400
		}
		return 201
	}))})
	defer stopRunner(t, runner)
	batch := []delivery.NewEvent{enteredEvent("poison", 0), enteredEvent("anonymous", 0)}
	for u := range 20 {
		batch = append(batch, enteredEvent(fmt.Sprintf("u%d", u), 0))
	}
	require.NoError(t, q.Append(t.Context(), batch))
	waitForCounts(t, runner, map[string]int64{"events": 22, "delivered": 20, "dead": 2})
	letters := lettersByUser(t, q)
	assert.Nil(t, letters["anonymous"].Request)
	assert.Contains(t, letters["anonymous"].Reason, "no identifier: ")
	require.NotNil(t, letters["poison"].Request)
	assert.Contains(t, letters["poison"].Request.Body, `{"user_ids":["poison"],`)
	assert.NotContains(t, letters["poison"].Request.Body, "s3cret-1")
}
