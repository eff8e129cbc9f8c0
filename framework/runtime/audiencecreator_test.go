package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// audiencePlan returns a plan that syncs audiences to a remote, with settings of the audience vip.
func audiencePlan(t testing.TB, remote *sample.Remote, state destination.State) *runtime.Plan {
	in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"audiences":{"vip":{"name":"Best","settings":{"owner":"anna"}},"own":{"settings":{"owner":"bo","days":7}}},
		"subscriptions":[{"name":"a","action":"syncAudience"}]}`))
	plan, err := runtime.New(sample.Plugin(), sampleDefinition(t), in, runtime.Host{Transport: sandbox.Transport(remote), State: state})
	require.NoError(t, err)
	return plan
}

func enters(user, audience string, more ...string) string {
	return fmt.Sprintf(`{"type":"track","event":"Audience Entered","userId":%q,"context":{"personas":{"computation_class":"audience","computation_key":%q,"computation_id":"c1"%s}}}`,
		user, audience, strings.Join(more, ""))
}

func TestAnAudienceIsCreatedOnceBeforeItsMembersAreSent(t *testing.T) {
	remote, state := sample.NewRemote(), destination.NewMemoryState()
	plan := audiencePlan(t, remote, state)
	got := plan.RunBatch(t.Context(), events(t, enters("u1", "vip"), enters("u2", "vip"), enters("u3", "own"),
		enters("u4", "other"), enters("u5", "other", `,"audience_settings":{"owner":"cy","days":900}`),
		enters("u6", "mine", `,"audience_settings":{"owner":"di"}`), enters("u7", "any", `,"external_audience_id":"aud9"`)))
	assert.Equal(t, []string{
		"create audience Best of anna for 30 days", "aud1: u1 u2", "create audience own of bo for 7 days", "aud2: u3",
		"create audience mine of di for 30 days", "aud3: u6", "aud9: u7",
	}, remote.Log())
	lines := outcomes(got)
	assert.Equal(t, "delivered 200", lines[0])
	assert.Equal(t, "refused 400 PAYLOAD_VALIDATION_FAILED the settings of the audience other: Owner is required but missing", lines[3])
	assert.Contains(t, got[0][0].Sent.JSON(), `"audience":"aud1","owner":"anna"`)

	plan.Run(t.Context(), events(t, enters("u8", "vip"))[0])
	audiencePlan(t, remote, state).Run(t.Context(), events(t, enters("u9", "vip"))[0]) // after a restart
	assert.Equal(t, []string{"aud1: u8", "aud1: u9"}, remote.Log()[7:])
}

func TestOnlyTheActionsThatNeedAudiencesCreateThem(t *testing.T) {
	for actions, want := range map[string][]string{"other": nil, "other syncAudience": {"create audience vip of anna for 30 days", "aud1: u1"}} {
		definition := *sampleDefinition(t)
		audience := *definition.Audience
		audience.Actions = strings.Fields(actions)
		definition.Audience = &audience
		remote := sample.NewRemote()
		in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"audiences":{"vip":{"settings":{"owner":"anna"}}},"subscriptions":[{"name":"a","action":"syncAudience"}]}`))
		plan, err := runtime.New(sample.Plugin(), &definition, in, runtime.Host{Transport: sandbox.Transport(remote)})
		require.NoError(t, err)
		v := plan.Run(t.Context(), events(t, enters("u1", "vip"))[0])[0]
		assert.Equal(t, want, remote.Log(), actions)
		assert.Equal(t, want != nil, v.Outcome == runtime.Delivered, v.Reason)
	}
}

func TestFailedAudienceCreationIsRetried(t *testing.T) {
	remote := sample.NewRemote()
	plan := audiencePlan(t, remote, destination.NewMemoryState())
	remote.FailNext(1)
	e := events(t, enters("u1", "vip"), enters("u2", "vip"))
	assert.Equal(t, []string{"retry 503 SERVICE_UNAVAILABLE down", "retry 503 SERVICE_UNAVAILABLE down"}, outcomes(plan.RunBatch(t.Context(), e)))
	assert.Equal(t, []string{"delivered 200", "delivered 200"}, outcomes(plan.RunBatch(t.Context(), e)))
	assert.Equal(t, []string{"create audience Best of anna for 30 days", "aud1: u1 u2"}, remote.Log())
}

// TestConcurrentProcessesCreateAnAudienceOnce creates an audience from many processes that share a state, each with many concurrent
// batches.
func TestConcurrentProcessesCreateAnAudienceOnce(t *testing.T) {
	remote, state := sample.NewRemote(), destination.NewMemoryState()
	var all sync.WaitGroup
	for p := range 4 {
		plan := audiencePlan(t, remote, state)
		for n := range 8 {
			e := events(t, enters(fmt.Sprintf("u%d-%d", p, n), "vip"))[0]
			all.Go(func() {
				for plan.Run(t.Context(), e)[0].Outcome == runtime.Retry { // until another process has created it
				}
			})
		}
	}
	all.Wait()
	created := 0
	for _, line := range remote.Log() {
		if strings.HasPrefix(line, "create") {
			created++
		}
	}
	assert.Equal(t, 1, created)
	assert.Len(t, remote.Log(), 33)
}

func TestAudiencesOfTheConfigAreChecked(t *testing.T) {
	in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"audiences":{"a":{"settings":{"ownr":"x"}},"b":{"settings":{"owner":"x","days":1000}}},"subscriptions":[]}`))
	_, err := runtime.New(sample.Plugin(), sampleDefinition(t), in, runtime.Host{})
	assert.Equal(t, []string{
		`/audiences/a/settings/ownr is not a setting of audiences of Sample (did you mean "owner"?)`,
		`/audiences/a/settings/owner Owner is required but missing`,
		`/audiences/b/settings/days Days should be at most 540 but is 1000`,
	}, problemLines(err))
	p := (&acme{}).plugin()
	d, err := p.Load()
	require.NoError(t, err)
	_, err = runtime.New(p, d, in, runtime.Host{})
	assert.ErrorContains(t, err, "have no effect: Acme creates no audiences")
	p.CreateAudience = sample.Plugin().CreateAudience
	_, err = p.Load()
	assert.ErrorContains(t, err, "audienceConfig does not have the mode synced")
	p = sample.Plugin()
	p.CreateAudience = nil
	_, err = p.Load()
	assert.ErrorContains(t, err, "Plugin.CreateAudience is not set")
}

func TestAudiencesAreCreatedInAdvance(t *testing.T) {
	remote := sample.NewRemote()
	plan := audiencePlan(t, remote, destination.NewMemoryState())
	_, err := plan.GetAudience(t.Context(), runtime.Audience{Key: "vip"})
	assert.ErrorContains(t, err, "it has not been created")
	for _, created := range []bool{true, false} {
		a, is, err := plan.CreateAudience(t.Context(), runtime.Audience{Key: "vip"})
		require.NoError(t, err)
		assert.Equal(t, created, is)
		assert.Equal(t, runtime.Audience{Key: "vip", Name: "Best", ExternalID: "aud1"}, a)
	}
	a, err := plan.GetAudience(t.Context(), runtime.Audience{Key: "vip"})
	require.NoError(t, err)
	assert.Equal(t, "aud1", a.ExternalID)
}

// TestAudiencesOfEvents checks for which events an audience is created.
func TestAudiencesOfEvents(t *testing.T) {
	for personas, want := range map[string]bool{
		`"computation_class":"audience","computation_key":"vip"`:                               true,
		`"computation_class":"journey_step","computation_key":"vip"`:                           true,
		`"computation_class":"trait","computation_key":"vip"`:                                  false,
		`"computation_key":"vip"`:                                                              false,
		`"computation_class":"audience","computation_key":""`:                                  false,
		`"computation_class":"audience","computation_key":"vip","external_audience_id":"aud9"`: false,
	} {
		remote := sample.NewRemote()
		audiencePlan(t, remote, nil).Run(t.Context(), events(t, `{"type":"track","event":"Audience Entered","userId":"u1","context":{"personas":{`+personas+`}}}`)[0])
		is := len(remote.Log()) > 0 && strings.HasPrefix(remote.Log()[0], "create audience")
		assert.Equal(t, want, is, personas)
	}
}

// TestClaimsAtTheSameTime checks that of two processes which find no audience, the one whose claim is later creates none and sends nothing yet.
func TestClaimsAtTheSameTime(t *testing.T) {
	remote, state := sample.NewRemote(), &faultyState{State: destination.NewMemoryState()}
	plan := audiencePlan(t, remote, state)
	state.beforeSwap = func() {
		state.beforeSwap = nil
		_, err := state.Swap(t.Context(), "landfall/audience/vip", "", fmt.Sprint("claim ", time.Now().Add(time.Minute).Unix()))
		require.NoError(t, err)
	}
	v := plan.Run(t.Context(), events(t, enters("u1", "vip"))[0])[0]
	assert.Equal(t, "retry 423 another process is creating the audience vip 1s", fmt.Sprint(v.Outcome, " ", v.Status, " ", v.Reason, " ", v.RetryAfter))
	_, created, err := plan.CreateAudience(t.Context(), runtime.Audience{Key: "vip"})
	require.ErrorContains(t, err, "another process")
	assert.False(t, created)
	assert.Empty(t, remote.Log())
}

// TestAudiencesAreLookedUp checks that an audience is looked up at the remote by the id that is given, or stored, with the settings of the config.
func TestAudiencesAreLookedUp(t *testing.T) {
	plugin := sample.Plugin()
	plugin.GetAudience = func(_ context.Context, in destination.AudienceInput) (string, error) {
		if in.ExternalID != "aud1" {
			return "", errors.New("unknown: " + in.ExternalID + " " + in.Name + " " + in.AudienceSettings.Get("owner").Str())
		}
		return in.ExternalID, nil
	}
	in := instanceOf(`{"id":"i","settings":{"key":"k"},"audiences":{"vip":{"name":"Best","settings":{"owner":"anna"}}},"subscriptions":[{"name":"a","action":"syncAudience"}]}`)
	host := runtime.Host{Transport: sandbox.Transport(sample.NewRemote()), State: destination.NewMemoryState()}
	plan, err := runtime.New(plugin, sampleDefinition(t), in, host)
	require.NoError(t, err)
	want := runtime.Audience{Key: "vip", Name: "Given", ExternalID: "aud1"}
	made, created, err := plan.CreateAudience(t.Context(), runtime.Audience{Key: "vip", Name: "Given"})
	require.NoError(t, err)
	assert.True(t, created)
	assert.Equal(t, want, made)
	found, err := plan.GetAudience(t.Context(), runtime.Audience{Key: "vip", Name: "Given"})
	require.NoError(t, err)
	assert.Equal(t, want, found)
	_, err = plan.GetAudience(t.Context(), runtime.Audience{Key: "vip", ExternalID: "aud8"})
	require.EqualError(t, err, "unknown: aud8 Best anna")
	_, err = plan.GetAudience(t.Context(), runtime.Audience{Key: "other", ExternalID: "aud1"})
	require.ErrorContains(t, err, "Owner is required")
	plugin.GetAudience = nil
	plan, err = runtime.New(plugin, sampleDefinition(t), in, host)
	require.NoError(t, err)
	found, err = plan.GetAudience(t.Context(), runtime.Audience{Key: "vip", ExternalID: "aud8"})
	require.NoError(t, err, "the remote cannot look it up")
	assert.Equal(t, "aud8", found.ExternalID)
}
