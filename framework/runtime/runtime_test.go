package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/ballast"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/memorylimit"
)

// TestMain gives benchmarks the same heap setting as landfall run. With GOGC=100 in the environment it is Go's default.
func TestMain(m *testing.M) {
	ballast.Reserve(ballast.DefaultSize)
	memorylimit.Detect().RelaxCollections() // until the process ends
	goleak.VerifyTestMain(m)
}

const definition = `
name: Acme
slug: acme
integrationNames: [Acme Cloud]
mode: cloud
authentication: {scheme: custom, fields: {key: {label: Key, type: password, required: true}, region: {label: Region, type: string, default: eu}}}
actions:
  batch:
    title: Batch
    defaultSubscription: type = "track"
    fields:
      id: {label: ID, type: string, required: true, default: {"@path": $.userId}}
      group: {label: Group, type: string, default: {"@path": $.group}}
      batch_keys: {label: Batch Keys, type: string, multiple: true, default: [group]}
      batch_size: {label: Batch Size, type: integer, default: {"@path": $.size}}
      enable_batching: {label: Batching, type: boolean, default: {"@path": $.batching}}
  single:
    title: Single
    fields:
      id: {label: ID, type: string, required: true, default: {"@path": $.userId}}
`

type settings struct{ key, region string }

func (s *settings) Decode(v event.Value) { s.key, s.region = v.Get("key").Str(), v.Get("region").Str() }

type payload struct{ id string }

func (p *payload) Decode(v event.Value) { p.id = v.Get("id").Str() }

// acme is a plugin that records its batches and answers them with a function.
type acme struct {
	batches []string
	answer  func(ids []string) (*destination.MultiStatus, error)
}

func (a *acme) plugin() destination.Plugin {
	return destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
		Actions: map[string]destination.Action{
			"batch": destination.Handle(destination.Handler[settings, payload]{
				PerformBatch: func(_ context.Context, call destination.BatchCall[settings, payload]) (*destination.MultiStatus, error) {
					ids := make([]string, len(call.Payloads))
					for i, p := range call.Payloads {
						ids[i] = p.id
					}
					a.batches = append(a.batches, call.Settings.region+":"+strings.Join(ids, ","))
					if a.answer == nil {
						return nil, nil
					}
					return a.answer(ids)
				},
			}),
			"single": destination.Handle(destination.Handler[settings, payload]{
				Perform: func(_ context.Context, call destination.Call[settings, payload]) (*destination.Response, error) {
					a.batches = append(a.batches, call.Payload.id)
					switch call.Payload.id {
					case "fails":
						return nil, fault.FromStatus(429, "slow down")
					case "panics":
						panic("oh")
					case "skips":
						return &destination.Response{Skipped: "nothing to do"}, nil
					}
					return &destination.Response{Status: 202, Body: event.MustParse(`{"ok":true}`)}, nil
				},
			}),
		},
	}
}

func (a *acme) plan(t testing.TB, instance string) *runtime.Plan {
	p := a.plugin()
	d, err := p.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(instance))
	plan, err := runtime.New(p, d, in, runtime.Host{})
	require.NoError(t, err)
	return plan
}

func events(t testing.TB, texts ...string) []event.Event {
	list := make([]event.Event, len(texts))
	for i, text := range texts {
		e, err := event.Parse([]byte(text))
		require.NoError(t, err)
		list[i] = e
	}
	return list
}

// outcomes returns the verdicts of one subscription, one per line.
func outcomes(verdicts [][]runtime.Verdict) []string {
	var lines []string
	for _, list := range verdicts {
		for _, v := range list {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %d %s %s", v.Outcome, v.Status, v.Code, v.Reason)))
		}
	}
	return lines
}

const oneBatch = `{"id":"i","settings":{"key":"k"},"subscriptions":[{"name":"s","action":"batch"}]}`

func TestBatchesRespectKeysAndLimits(t *testing.T) {
	a := &acme{}
	plan := a.plan(t, oneBatch)
	plan.RunBatch(context.Background(), events(t,
		`{"type":"track","userId":"1","group":"x"}`, `{"type":"track","userId":"2","group":"y"}`, `{"type":"page","userId":"3"}`,
		`{"type":"track","userId":"4","group":"x"}`, `{"type":"track","userId":"5","group":"z","size":1}`, `{"type":"track","userId":"6","group":"w","batching":false}`,
		`{"type":"track","userId":"7","group":"v","size":2}`, `{"type":"track","userId":"8","group":"v","size":2}`, `{"type":"track","userId":"9","group":"v","size":2}`))
	assert.Equal(t, []string{"eu:5", "eu:6", "eu:7,8", "eu:1,4", "eu:2", "eu:9"}, a.batches)
}

func TestVerdictsAreAlignedAndHaveReasons(t *testing.T) {
	a := &acme{answer: func(ids []string) (*destination.MultiStatus, error) {
		ms := destination.NewMultiStatus(len(ids))
		for i, id := range ids {
			switch id {
			case "ok":
				ms.Deliver(i)
			case "old":
				ms.Skip(i, "superseded")
			case "bad":
				ms.Fail(i, fault.FromStatus(404, "no such user"))
			case "busy":
				e := fault.FromStatus(423, "locked")
				e.RetryAfter = time.Second
				ms.Fail(i, e)
			}
		}
		return ms, nil
	}}
	plan := a.plan(t, oneBatch)
	got := plan.RunBatch(context.Background(), events(t,
		`{"type":"track","userId":"ok"}`, `{"type":"track"}`, `{"type":"page"}`, `{"type":"track","userId":"old"}`,
		`{"type":"track","userId":"bad"}`, `{"type":"track","userId":"busy"}`, `{"type":"track","userId":"forgotten"}`))
	assert.Equal(t, []string{
		"delivered 200",
		"refused 400 PAYLOAD_VALIDATION_FAILED ID is required but missing",
		"skipped 400 PAYLOAD_VALIDATION_FAILED the event does not match the subscription",
		"skipped 200  superseded",
		"refused 404 NOT_FOUND no such user",
		"retry 423 LOCKED locked",
		"refused 500 INTERNAL_ERROR the handler returned no result for this payload",
	}, outcomes(got))
	assert.Equal(t, time.Second, got[5][0].RetryAfter)
	assert.Equal(t, fault.ReporterIntegrations, got[1][0].Reporter)
	assert.Equal(t, fault.ReporterDestination, got[4][0].Reporter)
	assert.Equal(t, `{"id":"ok","batch_keys":["group"]}`, got[0][0].Sent.JSON())
}

func TestFailedBatchKeepsEarlierVerdicts(t *testing.T) {
	a := &acme{answer: func(ids []string) (*destination.MultiStatus, error) {
		ms := destination.NewMultiStatus(len(ids))
		ms.Deliver(0)
		return ms, fault.FromStatus(503, "down")
	}}
	got := a.plan(t, oneBatch).RunBatch(context.Background(), events(t, `{"type":"track","userId":"1"}`, `{"type":"track","userId":"2"}`, `{"type":"track","userId":"3"}`))
	assert.Equal(t, []string{"delivered 200", "retry 503 SERVICE_UNAVAILABLE down", "retry 503 SERVICE_UNAVAILABLE down"}, outcomes(got))
}

func TestAnErrorWhileMappingFailsOneEvent(t *testing.T) {
	a := &acme{}
	plan := a.plan(t, `{"id":"i","settings":{"key":"k"},"subscriptions":[{"name":"s","action":"batch","mapping":{"id":{"@path":{"@path":"$.pointer"}}}}]}`)
	got := plan.RunBatch(context.Background(), events(t, `{"type":"track","pointer":"a","a":"1"}`, `{"type":"track","pointer":5}`, `{"type":"track","pointer":"b","b":"2"}`))
	assert.Equal(t, []string{"delivered 200", "refused 400 PAYLOAD_VALIDATION_FAILED mapping /id/@path needs a string but got a number", "delivered 200"}, outcomes(got))
	assert.Equal(t, []string{"eu:1,2"}, a.batches)
}

func TestBrokenHandlersAreInternalErrors(t *testing.T) {
	for name, answer := range map[string]func([]string) (*destination.MultiStatus, error){
		"the handler panicked: oh": func([]string) (*destination.MultiStatus, error) { panic("oh") },
		"the handler did not return one result for each payload": func([]string) (*destination.MultiStatus, error) {
			return destination.NewMultiStatus(7), nil
		},
		"plain": func([]string) (*destination.MultiStatus, error) { return nil, errors.New("plain") },
	} {
		a := &acme{answer: answer}
		got := a.plan(t, oneBatch).Run(context.Background(), events(t, `{"type":"track","userId":"1"}`)[0])
		assert.Equal(t, "refused 500 INTERNAL_ERROR "+name, outcomes([][]runtime.Verdict{got})[0])
	}
}

func TestPerformAlone(t *testing.T) {
	a := &acme{}
	plan := a.plan(t, `{"id":"i","settings":{"key":"k"},"subscriptions":[{"name":"s","action":"single","subscribe":"type = \"track\""}]}`)
	got := plan.RunBatch(context.Background(), events(t, `{"type":"track","userId":"1"}`, `{"type":"track","userId":"fails"}`, `{"type":"track","userId":"panics"}`, `{"type":"track","userId":"skips"}`))
	assert.Equal(t, []string{"delivered 202", "retry 429 TOO_MANY_REQUESTS slow down", "refused 500 INTERNAL_ERROR the handler panicked: oh", "skipped 200  nothing to do"}, outcomes(got))
	assert.Equal(t, `{"ok":true}`, got[0][0].Body.JSON())
	assert.Equal(t, []string{"1", "fails", "panics", "skips"}, a.batches)
}

func TestNewReportsEveryMistakeWithItsPlace(t *testing.T) {
	p := (&acme{}).plugin()
	d, err := p.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"region":{}, "kye":1},"subscriptions":[{"name":"a","action":"bach","subscribe":"type == \"track\""},{"name":"b","action":"single"},
		{"name":"c","action":"batch","subscribe":"type = track and","mapping":{"id":{"@nope":1},"idd":"x"}},{"name":"c","action":"batch","enabled":false,"mapping":{"ids":1}}]}`))
	_, err = runtime.New(p, d, in, runtime.Host{})
	var lines []string
	for _, problem := range fault.ProblemsOf(err) {
		lines = append(lines, problem.Pointer+" "+problem.Message)
	}
	assert.Equal(t, []string{
		`/settings/kye is not a setting of Acme (did you mean "key"?)`,
		`/settings/key Key is required but missing`,
		`/settings/region Region should be a string but is an object`,
		`/subscriptions/0/action Acme has no action "bach" (did you mean "batch"?)`,
		`/subscriptions/0/subscribe write = instead of ==`,
		`/subscriptions/1/subscribe the query is empty: write a condition, such as type = "track"`,
		`/subscriptions/2/subscribe "track" without quotes is a field: write "track" for the text, $.track for the field`,
		`/subscriptions/2/mapping/id has an invalid directive: @nope`,
		`/subscriptions/3 has the same name as another subscription of the instance: "c"`,
	}, lines)
}

// TestPluginsCheckTheirSettings checks that an instance whose settings the code of its destination refuses is not loaded.
func TestPluginsCheckTheirSettings(t *testing.T) {
	for _, refusal := range []error{nil, errors.New("the key belongs to another region")} {
		p := (&acme{}).plugin()
		p.CheckSettings = func(event.Value, destination.Environment) error { return refusal }
		d, err := p.Load()
		require.NoError(t, err)
		_, err = runtime.New(p, d, config.InstanceOf(event.MustParse(oneBatch)), runtime.Host{})
		if refusal == nil {
			assert.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, "/settings the key belongs to another region")
	}
}

func TestDuplicatePluginNamesAreRefused(t *testing.T) {
	p := (&acme{}).plugin()
	_, err := destination.NewRegistry([]destination.Plugin{p, p})
	assert.EqualError(t, err, `two destinations have the name "acme": Acme and Acme`)
	p.Actions = map[string]destination.Action{"batch": p.Actions["batch"]}
	_, err = destination.NewRegistry([]destination.Plugin{p})
	assert.EqualError(t, err, `destination.yaml:18:5: /actions/single has neither a request nor a handler`)
}

// TestOneVerdictForEachEvent checks that every event gets one verdict at its index for any result of a handler, and that only
// retryable failures are marked as such.
func TestOneVerdictForEachEvent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		want := map[string]runtime.Outcome{}
		a := &acme{}
		a.answer = func(ids []string) (*destination.MultiStatus, error) {
			ms := destination.NewMultiStatus(len(ids))
			for i, id := range ids {
				switch random.IntN(4) {
				case 0:
					ms.Deliver(i)
					want[id] = runtime.Delivered
				case 1:
					ms.Skip(i, "no")
					want[id] = runtime.Skipped
				case 2:
					ms.Fail(i, fault.FromStatus(400, "bad"))
					want[id] = runtime.Refused
				default:
					want[id] = runtime.Retry
				}
			}
			return ms, fault.FromStatus(500, "down")
		}
		plan := a.plan(t, oneBatch)
		list := make([]string, random.IntN(60))
		for i := range list {
			list[i] = fmt.Sprintf(`{"type":"track","userId":"u%d","group":"g%d","size":%d}`, i, random.IntN(4), 1+random.IntN(9))
		}
		for i, verdicts := range plan.RunBatch(context.Background(), events(t, list...)) {
			require.Len(t, verdicts, 1)
			require.Equal(t, want[fmt.Sprintf("u%d", i)], verdicts[0].Outcome)
			require.Equal(t, fmt.Sprintf("u%d", i), verdicts[0].Sent.Get("id").Str())
		}
	}
}

func TestDirectiveAsMappingReplacesTheDefaults(t *testing.T) {
	a := &acme{}
	plan := a.plan(t, `{"id":"i","settings":{"key":"k"},"subscriptions":[{"name":"s","action":"batch","mapping":{"@transform":{"apply":{"who":{"@path":"$.userId"}},"mapping":{"id":{"@path":"$.who"},"stale":1}}}}]}`)
	got := plan.Run(context.Background(), events(t, `{"type":"track","userId":"1"}`)[0])
	assert.Equal(t, `{"id":"1"}`, got[0].Sent.JSON())
	assert.Empty(t, plan.Warnings())
}
