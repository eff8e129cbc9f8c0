package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// faultyState is a state whose calls fail as a test says.
type faultyState struct {
	destination.State
	failGet, failPut, failSwap error
	beforeSwap                 func() // may be nil
}

func (s *faultyState) Get(ctx context.Context, key string) (string, bool, error) {
	if s.failGet != nil {
		return "", false, s.failGet
	}
	return s.State.Get(ctx, key)
}

func (s *faultyState) Put(ctx context.Context, key, value string) error {
	if s.failPut != nil {
		return s.failPut
	}
	return s.State.Put(ctx, key, value)
}

func (s *faultyState) Swap(ctx context.Context, key, old, value string) (bool, error) {
	if s.failSwap != nil {
		return false, s.failSwap
	}
	if s.beforeSwap != nil {
		s.beforeSwap()
	}
	return s.State.Swap(ctx, key, old, value)
}

// TestAudiencesAreNotCalledCreated checks creations that fail: at the state, before and after the remote was asked, and at the remote.
func TestAudiencesAreNotCalledCreated(t *testing.T) {
	disk := errors.New("the disk is gone")
	for name, c := range map[string]struct {
		prepare func(*faultyState, *destination.Plugin)
		says    string
	}{
		"the state cannot be read":   {func(s *faultyState, _ *destination.Plugin) { s.failGet = disk }, "the disk is gone"},
		"the claim cannot be stored": {func(s *faultyState, _ *destination.Plugin) { s.failSwap = disk }, "the disk is gone"},
		"the id cannot be stored":    {func(s *faultyState, _ *destination.Plugin) { s.failPut = disk }, "the disk is gone"},
		"the remote returns no id": {func(_ *faultyState, p *destination.Plugin) {
			p.CreateAudience = func(context.Context, destination.AudienceInput) (string, error) { return "", nil }
		}, "the destination returned no id for the audience vip"},
		"the remote refuses": {func(_ *faultyState, p *destination.Plugin) {
			p.CreateAudience = func(context.Context, destination.AudienceInput) (string, error) {
				return "id", fault.FromStatus(400, "no more")
			}
		}, "no more"},
		"the handler panics": {func(_ *faultyState, p *destination.Plugin) {
			p.CreateAudience = func(context.Context, destination.AudienceInput) (string, error) { panic("oh") }
		}, "the handler panicked: oh"},
	} {
		t.Run(name, func(t *testing.T) {
			state, plugin, remote := &faultyState{State: destination.NewMemoryState()}, sample.Plugin(), sample.NewRemote()
			c.prepare(state, &plugin)
			in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"audiences":{"vip":{"settings":{"owner":"anna"}}},"subscriptions":[{"name":"a","action":"syncAudience"}]}`))
			plan, err := runtime.New(plugin, sampleDefinition(t), in, runtime.Host{Transport: sandbox.Transport(remote), State: state})
			require.NoError(t, err)
			_, created, err := plan.CreateAudience(t.Context(), runtime.Audience{Key: "vip"})
			require.ErrorContains(t, err, c.says)
			assert.False(t, created)
			got := plan.Run(t.Context(), events(t, enters("u1", "vip"))[0])[0]
			assert.NotEqual(t, runtime.Delivered, got.Outcome)
			if state.failPut == nil { // otherwise the claim is still valid
				assert.Contains(t, got.Reason, c.says)
			}
			assert.NotContains(t, strings.Join(remote.Log(), " "), "u1", "no member is sent to an audience that does not exist")
			*state = faultyState{State: state.State}
			if _, err := plan.GetAudience(t.Context(), runtime.Audience{Key: "vip"}); !strings.HasPrefix(name, "the id") {
				assert.ErrorContains(t, err, "it has not been created")
			}
		})
	}
}

// TestClaimsOfCreatorsExpire checks the claim of a process that creates an audience: others wait as long as it is valid, and create the
// audience themselves afterwards.
func TestClaimsOfCreatorsExpire(t *testing.T) {
	remote, state, now := sample.NewRemote(), destination.NewMemoryState(), time.Unix(1_000_000, 0)
	in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"audiences":{"vip":{"settings":{"owner":"anna"}}},"subscriptions":[{"name":"a","action":"syncAudience"}]}`))
	newPlan := func(p destination.Plugin) *runtime.Plan {
		plan, err := runtime.New(p, sampleDefinition(t), in, runtime.Host{Transport: sandbox.Transport(remote), State: state, Now: func() time.Time { return now }})
		require.NoError(t, err)
		return plan
	}
	crashed, entered, crash := sample.Plugin(), make(chan struct{}), make(chan struct{})
	crashed.CreateAudience = func(context.Context, destination.AudienceInput) (string, error) {
		close(entered)
		<-crash
		return "", context.Canceled
	}
	ended := make(chan error)
	go func() {
		_, _, err := newPlan(crashed).CreateAudience(t.Context(), runtime.Audience{Key: "vip"})
		ended <- err
	}()
	<-entered
	other := newPlan(sample.Plugin())
	for _, passed := range []time.Duration{0, 10 * time.Second} {
		now = now.Add(passed)
		got := other.Run(t.Context(), events(t, enters("u1", "vip"))[0])[0]
		assert.Equal(t, []any{runtime.Retry, 423}, []any{got.Outcome, got.Status})
		assert.Contains(t, got.Reason, "another process is creating the audience vip")
		assert.Positive(t, got.RetryAfter)
	}
	now = now.Add(time.Hour)
	assert.Equal(t, runtime.Delivered, other.Run(t.Context(), events(t, enters("u1", "vip"))[0])[0].Outcome)
	close(crash)
	require.Error(t, <-ended)
	again := newPlan(sample.Plugin())
	assert.Equal(t, runtime.Delivered, again.Run(t.Context(), events(t, enters("u2", "vip"))[0])[0].Outcome)
	assert.Equal(t, []string{"create audience vip of anna for 30 days", "aud1: u1", "aud1: u2"}, remote.Log(), "the failure of the first process does not remove the id")
}

// TestCredentialsAreTested checks the result of the test of an instance's settings.
func TestCredentialsAreTested(t *testing.T) {
	wrong := errors.New("the key is wrong")
	for want, test := range map[error]func(context.Context, event.Value, destination.Deps) error{
		nil:                  func(context.Context, event.Value, destination.Deps) error { return nil },
		wrong:                func(context.Context, event.Value, destination.Deps) error { return wrong },
		runtime.ErrNotTested: nil,
	} {
		p := (&acme{}).plugin()
		p.Test = test
		d, err := p.Load()
		require.NoError(t, err)
		plan, err := runtime.New(p, d, config.InstanceOf(event.MustParse(oneBatch)), runtime.Host{})
		require.NoError(t, err)
		assert.Equal(t, want, plan.Test(t.Context()))
	}
}

// TestCheckLogin checks that only a missing login is reported: a token endpoint that does not answer may do so later.
func TestCheckLogin(t *testing.T) {
	login := &fault.Error{Code: fault.CodeLogin, Status: 401, Retry: true, Message: "log in"}
	for _, given := range []error{nil, login, &fault.Error{Code: fault.CodeConnection, Status: 503, Retry: true, Message: "later"}, errors.New("other")} {
		plan := newBulk(t, "", runtime.Host{Token: func(context.Context, string, string) (string, error) { return "token", given }}, nil)
		err := plan.CheckLogin(t.Context())
		if given == login {
			assert.ErrorIs(t, err, login)
		} else {
			assert.NoError(t, err)
		}
	}
	assert.NoError(t, (&acme{}).plan(t, oneBatch).CheckLogin(t.Context()), "an instance without tokens needs no login")
}

// TestBatchKeysOfNumbersDiffer checks that the values of several batch keys are not run together.
func TestBatchKeysOfNumbersDiffer(t *testing.T) {
	a := &acme{}
	plan := a.plan(t, `{"id":"i","settings":{"key":"k"},"subscriptions":[{"name":"s","action":"batch","mapping":{"id":{"@path":"$.userId"},"group":{"@path":"$.group"},"batch_keys":["id","group"]}}]}`)
	keys := map[string]bool{}
	for _, text := range []string{`{"type":"track","userId":"1","group":"23"}`, `{"type":"track","userId":"12","group":"3"}`, `{"type":"track","userId":"1,2","group":"3"}`, `{"type":"track","userId":"123"}`} {
		item, verdict := plan.Prepare(plan.Subscriptions()[0], events(t, text)[0], 0)
		require.Nil(t, verdict)
		assert.False(t, keys[item.BatchKey], item.BatchKey)
		keys[item.BatchKey] = true
		assert.Equal(t, 2, strings.Count(item.BatchKey, ",")-strings.Count(item.BatchKey, "1,2"))
	}
}

// TestHandlersWithoutBatchesGetOneItem checks the size of the batches of a handler that takes single payloads.
func TestHandlersWithoutBatchesGetOneItem(t *testing.T) {
	plan := (&acme{}).plan(t, `{"id":"i","settings":{"key":"k"},"subscriptions":[{"name":"s","action":"single","subscribe":"type = \"track\""},{"name":"b","action":"batch"}]}`)
	for i, want := range []int{1, runtime.MaxBatch} {
		item, verdict := plan.Prepare(plan.Subscriptions()[i], events(t, `{"type":"track","userId":"u"}`)[0], 0)
		require.Nil(t, verdict)
		assert.Equal(t, want, item.BatchSize)
	}
}

// TestURLsInsideAMappingAreTrusted checks that a URL which the operator wrote at any depth of a mapping may name this machine, and that
// one from an event may not.
func TestURLsInsideAMappingAreTrusted(t *testing.T) {
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for mapping, trusted := range map[string]bool{
		`{"@if":{"exists":{"@path":"$.userId"},"then":"` + server.URL + `","else":"https://else.example"}}`: true,
		`"` + server.URL + `"`: true,
		`{"@path":"$.url"}`:    false,
	} {
		plugin := webhook.Plugin()
		definition, err := plugin.Load()
		require.NoError(t, err)
		in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{},"subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\"","mapping":{"url":` + mapping + `}}]}`))
		plan, err := runtime.New(plugin, definition, in, runtime.Host{Transport: transport})
		require.NoError(t, err)
		hits.Store(0)
		got := plan.Run(t.Context(), events(t, `{"type":"track","userId":"u","url":"`+server.URL+`"}`)[0])[0]
		assert.Equal(t, trusted, got.Outcome == runtime.Delivered, "%s: %s", mapping, got.Reason)
		assert.Equal(t, trusted, hits.Load() == 1)
		if !trusted {
			assert.Equal(t, fault.CauseEgressDenied, got.Cause)
		}
	}
}

// TestSyncModesWithoutEffect checks the warning of a mode for an action that has none.
func TestSyncModesWithoutEffect(t *testing.T) {
	for _, subscription := range []string{`"syncMode":"add"`, `"mapping":{"__segment_internal_sync_mode":"add"}`} {
		plan := (&acme{}).plan(t, `{"id":"i","settings":{"key":"k"},"subscriptions":[{"name":"s","action":"batch",`+subscription+`}]}`)
		require.Len(t, plan.Warnings(), 1)
		assert.Contains(t, plan.Warnings()[0].Message, "has no effect: batch has no sync modes")
	}
	assert.Empty(t, (&acme{}).plan(t, oneBatch).Warnings())
}

// TestHooksWhoseStateFails checks that hooks are not run, and not called done, if the state cannot be read or written.
func TestHooksWhoseStateFails(t *testing.T) {
	disk := errors.New("the disk is gone")
	remote, state := sample.NewRemote(), &faultyState{State: destination.NewMemoryState()}
	plan := hooked(t, remote, state, `{"name":"s","action":"upsertUser","hooks":{"onMappingSave":{"name":"Fans"}}}`)
	s := plan.Subscriptions()[0]
	state.failGet = disk
	_, err := plan.RunHooks(t.Context(), s, false)
	require.ErrorIs(t, err, disk)
	_, err = plan.DueHooks(t.Context(), s)
	require.ErrorIs(t, err, disk)
	assert.Empty(t, remote.Log())
	state.failGet, state.failPut = nil, disk
	_, err = plan.RunHooks(t.Context(), s, false)
	require.ErrorIs(t, err, disk)
	state.failPut = nil
	due, err := plan.DueHooks(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, []string{"onMappingSave"}, due)
	assert.Equal(t, []*runtime.Subscription{s}, plan.HookedSubscriptions())
	assert.Empty(t, hooked(t, remote, state, `{"name":"s","action":"upsertUser"}`).HookedSubscriptions())
}

// TestClaimsOfAWrongClock checks that a claim which a process made while its clock was ahead, and did not end, stops no other process.
func TestClaimsOfAWrongClock(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for left, created := range map[time.Duration]bool{0: true, time.Second: false, time.Hour + 2*time.Minute: false, time.Hour + 2*time.Minute + time.Second: true, 90_000 * time.Hour: true} {
		state := destination.NewMemoryState()
		require.NoError(t, state.Put(t.Context(), "landfall/audience/vip", fmt.Sprint("claim ", now.Add(left).Unix())))
		plan, err := runtime.New(sample.Plugin(), sampleDefinition(t), instanceOf(`{"id":"i","settings":{"key":"k"},"audiences":{"vip":{"settings":{"owner":"anna"}}},"subscriptions":[{"name":"a","action":"syncAudience"}]}`),
			runtime.Host{Transport: sandbox.Transport(sample.NewRemote()), State: state, Now: func() time.Time { return now }})
		require.NoError(t, err)
		got := plan.Run(t.Context(), events(t, enters("u1", "vip"))[0])[0]
		assert.Equal(t, created, got.Outcome == runtime.Delivered, "%v: %s", left, got.Reason)
	}
}
