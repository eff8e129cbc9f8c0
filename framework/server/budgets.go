package server

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// budgetStore is the store of the queue, which is opened after the plans have been made.
type budgetStore struct {
	server *server
	shared bool
}

var errNoQueue = errors.New("the queue is not open")

// Load implements budget.Store.
func (s budgetStore) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	if s.server.queue == nil {
		return nil, 0, errNoQueue
	}
	return s.server.queue.BudgetStore().Load(ctx, name)
}

// Save implements budget.Store.
func (s budgetStore) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	if s.server.queue == nil {
		return 0, errNoQueue
	}
	return s.server.queue.BudgetStore().Save(ctx, name, data, revision)
}

// Shared implements budget.Store.
func (s budgetStore) Shared() bool { return s.shared }

var (
	budgetLimitDesc = newBudgetDesc("budget_limit", "The limit of a window, in requests or bytes.")
	budgetUsedDesc  = newBudgetDesc("budget_used", "What is used of a window, by all processes.")
	budgetResetDesc = newBudgetDesc("budget_reset_seconds", "The time until nothing of a window is used, if no more is sent.")
	concurrencyDesc = newGaugeDesc("concurrency_limit", "How many requests may be in flight at present.")
	downDesc        = newGaugeDesc("down_seconds", "For how long the remote has been down; 0 if it is not.")
	remainingDesc   = newGaugeDesc("remaining_seconds", "The estimated time until the waiting events are finished; 0 if none wait or it is unknown.")
)

func newBudgetDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("landfall_"+name, help, []string{"instance", "budget", "unit", "per"}, nil)
}

// giveLimits reports the limits of an instance.
func giveLimits(to chan<- prometheus.Metric, s delivery.Status) {
	give := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	give(remainingDesc, secondsUntil(s.ExpectedEnd), s.Instance)
	if s.Limits == nil {
		return
	}
	give(concurrencyDesc, float64(s.Limits.Concurrency), s.Instance)
	down := 0.0
	if since := s.Limits.DownSince; !since.IsZero() {
		down = time.Since(since).Seconds()
	}
	give(downDesc, down, s.Instance)
	for _, w := range s.Limits.Budget.Windows {
		labels := []string{s.Instance, s.Limits.Budget.Name, w.Unit, budget.PerText(w.Per)}
		give(budgetLimitDesc, float64(w.Limit), labels...)
		give(budgetUsedDesc, float64(w.Used), labels...)
		give(budgetResetDesc, secondsUntil(w.Resets), labels...)
	}
}

// secondsUntil returns the time until a moment; 0 if it has passed or is zero.
func secondsUntil(at time.Time) float64 { return max(time.Until(at).Seconds(), 0) }
