package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestNonsensicalLimitsAreProblems(t *testing.T) {
	const text = "budgets: {crm: {requestsPerHour: 100}, web: BUDGET}\ndestinations:\n  - {id: a, destination: webhook, subscriptions: [], limits: LIMITS}\n"
	for _, c := range []struct{ budget, limits, want string }{
		{"{}", "{budget: crm, concurrency: 3}", ""},
		{"{background: 1}", "{requestsPerSecond: 5, requestsPerHour: 100, hourWindow: sliding, bytesPerSecond: 1, background: 0.1}", ""},
		{"{background: 1.5}", "{}", "landfall.yaml:1:58: /budgets/web/background"},
		{"{background: 0}", "{}", "/budgets/web/background"},
		{"{concurrency: 3}", "{}", "/budgets/web"},
		{"{hourWindow: clock}", "{}", "/budgets/web/hourWindow has no effect without requestsPerHour"},
		{"{}", "{budget: crn}", `landfall.yaml:3:71: /destinations/0/limits/budget there is no budget "crn" (did you mean "crm"?): define it in budgets`},
		{"{}", "{budget: crm, requestsPerHour: 5}", "/destinations/0/limits/requestsPerHour cannot be combined with budget: set it in budgets.crm"},
		{"{}", "{budget: crm, background: 0.2}", "/destinations/0/limits/background cannot be combined"},
		{"{}", "{hourWindow: sliding}", "/destinations/0/limits/hourWindow has no effect"},
		{"{}", "{requestsPerSecond: 0}", "/destinations/0/limits/requestsPerSecond"},
		{"{}", "{requestsPerSecond: 2.5}", "/destinations/0/limits/requestsPerSecond"},
		{"{}", "{concurrency: 1001}", "/destinations/0/limits/concurrency"},
		{"{}", "{requestsPerMinute: 3}", "/destinations/0/limits"},
	} {
		_, problems := config.Parse("landfall.yaml", []byte(strings.NewReplacer("BUDGET", c.budget, "LIMITS", c.limits).Replace(text)), config.Env{})
		if c.want == "" {
			assert.Empty(t, problems, c)
			continue
		}
		require.Len(t, problems, 1, "%v", c)
		assert.Contains(t, problems[0].String(), c.want)
	}
}

func TestLimitsReplaceTheDocumentedOnes(t *testing.T) {
	documented := []budget.Window{{Limit: 3000, Per: 3 * time.Second}, {Limit: 250000, Per: time.Hour, Aligned: true}}
	second, hour := budget.Window{Limit: 5, Per: time.Second}, budget.Window{Limit: 7, Per: time.Hour, Aligned: true}
	assert.Equal(t, documented, config.Limits{}.Resolve(documented).Windows)
	assert.Equal(t, []budget.Window{documented[1], second}, config.Limits{RequestsPerSecond: 5}.Resolve(documented).Windows)
	assert.Equal(t, []budget.Window{documented[0], hour}, config.Limits{RequestsPerHour: 7}.Resolve(documented).Windows)
	hour.Aligned = false
	assert.Equal(t, budget.Limits{Windows: []budget.Window{second, hour}, BytesPerSecond: 9, Background: 0.2},
		config.Limits{RequestsPerSecond: 5, RequestsPerHour: 7, Sliding: true, BytesPerSecond: 9, Background: 0.2}.Resolve(documented))
}
