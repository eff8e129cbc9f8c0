package instances

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestOnlyPlansThatDeliverChangeLimits loads a draft and a config with a mistake next to plans that deliver: the budgets of these keep
// their limits, until a config replaces the plans.
func TestOnlyPlansThatDeliverChangeLimits(t *testing.T) {
	budgets := NewBudgets(nil)
	load := func(use LedgerUse, limit, subscriptions string) ([]Instance, error) {
		text := `{budgets: {crm: {requestsPerHour: ` + limit + `}}, destinations: [{id: a, destination: webhook, limits: {requestsPerHour: ` + limit +
			`}, subscriptions: ` + subscriptions + `}, {id: b, destination: webhook, limits: {budget: crm}, subscriptions: []}]}`
		cfg, problems := config.Parse("landfall.yaml", []byte(text), config.Env{})
		return Load(cfg, problems, Options{Target: &Target{DryRun: true}, Catalog: Catalog{Plugins: []destination.Plugin{webhook.Plugin()}}, Budgets: budgets, Use: use})
	}
	running, err := load(ClaimLedgers, "10", "[]")
	require.NoError(t, err)
	limits := func() (list []int64) {
		for _, in := range running {
			list = append(list, in.Plan.Gate().Status().Budget.Windows[0].Limit)
		}
		return list
	}
	assert.Equal(t, []int64{10, 10}, limits())
	_, err = load(CheckLedgers, "99", "[]")
	require.NoError(t, err)
	assert.Equal(t, []int64{10, 10}, limits(), "a draft of the console")
	_, err = load(ClaimLedgers, "99", "[{action: none}]")
	require.Error(t, err)
	assert.Equal(t, []int64{10, 10}, limits(), "a config that is refused")
	_, err = load(ClaimLedgers, "20", "[]")
	require.NoError(t, err)
	assert.Equal(t, []int64{20, 20}, limits())
}
