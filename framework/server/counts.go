package server

import (
	"context"
	"sync"

	"github.com/landfall-dev/landfall/framework/server/history"
)

// receivedCounts are the numbers of events that clients sent, by source and by outcome. It is safe for concurrent use.
type receivedCounts struct {
	mu      sync.Mutex
	numbers history.Outcomes
}

func (c *receivedCounts) count(source, outcome string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.numbers == nil {
		c.numbers = history.Outcomes{}
	}
	c.numbers.Add(source, outcome, int64(n))
}

// eventCounts returns what this process has counted since its start, for the history.
func (v *server) eventCounts() history.Counts {
	counts := history.Counts{Instances: history.Outcomes{}, Sources: history.Outcomes{}}
	v.delivered.Totals(counts.Instances.Add)
	v.received.mu.Lock()
	defer v.received.mu.Unlock()
	counts.Sources.AddAll(v.received.numbers)
	return counts
}

// audienceSizes returns the sizes of the audiences of all running instances, for the history.
func (v *server) audienceSizes(ctx context.Context) (history.Sizes, error) {
	sizes := history.Sizes{}
	for _, in := range v.runningInstances() {
		if !in.KeepsAudiences() {
			continue
		}
		list, err := in.Ledger.Sizes(ctx)
		if err != nil {
			return nil, err
		}
		audiences := map[string]int{}
		for _, s := range list {
			audiences[s.ID] = s.Members
		}
		sizes[in.Plan.ID()] = audiences
	}
	return sizes, nil
}
