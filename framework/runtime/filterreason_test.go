package runtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// verdictOf returns the verdict of an event in the only subscription of an instance.
func verdictOf(t *testing.T, instance, e string) runtime.Verdict {
	p := (&acme{}).plugin()
	d, err := p.Load()
	require.NoError(t, err)
	plan, err := runtime.New(p, d, config.InstanceOf(event.MustParse(instance)), runtime.Host{})
	require.NoError(t, err)
	parsed, err := event.Parse([]byte(e))
	require.NoError(t, err)
	return plan.Run(t.Context(), parsed)[0]
}

func TestUsersWithoutConsentAreSkipped(t *testing.T) {
	in := `{"id":"i","settings":{"key":"k"},"consent":["Advertising","Analytics"],"subscriptions":[{"action":"single","subscribe":"type = \"track\""}]}`
	for preferences, reason := range map[string]string{
		`{"Advertising":true,"Analytics":true}`:  "",
		`{"Advertising":true}`:                   "",
		`{"Advertising":true,"Analytics":false}`: "the user has not consented to Analytics",
		`{"Advertising":false,"Other":true}`:     "the user has not consented to Advertising",
		`null`:                                   "",
	} {
		v := verdictOf(t, in, `{"type":"track","userId":"u","context":{"consent":{"categoryPreferences":`+preferences+`}}}`)
		assert.Equal(t, reason, v.Reason, preferences)
		assert.Equal(t, reason != "", v.Outcome == runtime.Skipped)
	}
	v := verdictOf(t, in, `{"type":"page","userId":"u","context":{"consent":{"categoryPreferences":{"Analytics":false}}}}`)
	assert.Equal(t, fault.CauseNotSubscribed, v.Cause, "what is not chosen is not asked about")
}

// A user who withdraws consent can still ask to be deleted.
func TestDeletionsIgnoreConsent(t *testing.T) {
	instance := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"consent":["Advertising"],"subscriptions":[{"action":"upsertUser","subscribe":"type = \"identify\""}]}`))
	plan, err := runtime.New(sample.Plugin(), sampleDefinition(t), instance, runtime.Host{})
	require.NoError(t, err)
	const refused = `"userId":"a","context":{"consent":{"categoryPreferences":{"Advertising":false}}}}`
	verdicts := plan.RunBatch(t.Context(), events(t, `{"type":"identify",`+refused, `{"type":"delete",`+refused))
	assert.Equal(t, runtime.Skipped, verdicts[0][0].Outcome)
	deletion := verdicts[1][len(verdicts[1])-1]
	assert.NotContains(t, deletion.Reason, "consent")
	assert.Equal(t, runtime.OnDelete, deletion.Subscription)
	assert.NotEqual(t, runtime.Skipped, deletion.Outcome)
}

func TestSamplingIsDeterministic(t *testing.T) {
	in := `{"id":"i","settings":{"key":"k"},"subscriptions":[{"action":"single","subscribe":"type = \"track\"","sampleRate":0.25}]}`
	taken, events := 0, testsize.Of(2000, 400)
	for i := range events {
		e := fmt.Sprintf(`{"type":"track","userId":"u","messageId":"m%d"}`, i)
		v := verdictOf(t, in, e)
		if i%50 == 0 {
			require.Equal(t, v.Outcome, verdictOf(t, in, e).Outcome)
		}
		if v.Outcome == runtime.Delivered {
			taken++
		} else {
			require.Equal(t, fault.CauseSampledOut, v.Cause)
		}
	}
	assert.InDelta(t, 0.25, float64(taken)/float64(events), 0.06)
}
