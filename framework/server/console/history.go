package console

import (
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// Limits of the history, which starts with the process.
const (
	maxSnapshots       = 720  // per instance: an hour at 5 s
	maxCohortSizes     = 1440 // per cohort: 6 hours at 15 s
	maxTrackedCohorts  = 500  // cohorts with a history
	cohortSizeInterval = 15 * time.Second
)

// snapshot is the counts of an instance at one time.
type snapshot struct {
	at                                          time.Time
	accepted, delivered, skipped, retried, dead int64
}

func snapshotOf(s delivery.Status, at time.Time) snapshot {
	return snapshot{
		at: at, accepted: s.Counts["events"] + s.Counts["replayed"], delivered: s.Counts["delivered"], skipped: s.Counts["skipped"],
		retried: s.Retried, dead: s.Counts["dead"] + s.Counts["parked"],
	}
}

// cohortSize is the number of members at one time.
type cohortSize struct {
	at      time.Time
	members int
}

// chartHistory holds recent snapshots and cohort sizes, for the charts.
type chartHistory struct {
	mu        sync.Mutex
	snapshots map[string][]snapshot      // by instance, oldest first
	sizes     map[[2]string][]cohortSize // by instance and cohort id, oldest first
}

// recordHistory samples delivery counts and cohort sizes until the console is closed.
func (c *Console) recordHistory() {
	if c.Runner == nil {
		return
	}
	ticker := time.NewTicker(c.SampleInterval)
	defer ticker.Stop()
	var sizesAt time.Time
	for {
		now := time.Now()
		c.history.recordStatus(c.Runner.Status(), now)
		if now.Sub(sizesAt) >= cohortSizeInterval {
			sizesAt = now
			c.recordCohortSizes(now)
		}
		select {
		case <-ticker.C:
		case <-c.ctx.Done():
			return
		}
	}
}

func (h *chartHistory) recordStatus(list []delivery.Status, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	running := map[string]bool{}
	for _, s := range list {
		running[s.Instance] = true
		h.snapshots[s.Instance] = lastN(append(h.snapshots[s.Instance], snapshotOf(s, now)), maxSnapshots)
	}
	for id := range h.snapshots {
		if !running[id] {
			delete(h.snapshots, id)
		}
	}
}

// lastN returns the last n elements of a list, reusing its memory.
func lastN[T any](list []T, n int) []T {
	if len(list) <= n {
		return list
	}
	return append(list[:0], list[len(list)-n:]...)
}

func (c *Console) recordCohortSizes(now time.Time) {
	instances, err := c.Running()
	if err != nil {
		return
	}
	for _, in := range instances {
		if in.Ledger == nil || in.Plugin.Audiences == nil {
			continue
		}
		sizes, err := in.Ledger.Sizes(c.ctx)
		if err != nil {
			c.Log.Debug("cannot read cohort sizes", "error", err)
			continue
		}
		c.history.mu.Lock()
		for _, s := range sizes {
			key := [2]string{in.Plan.ID(), s.ID}
			if _, known := c.history.sizes[key]; known || len(c.history.sizes) < maxTrackedCohorts {
				c.history.sizes[key] = lastN(append(c.history.sizes[key], cohortSize{now, s.Members}), maxCohortSizes)
			}
		}
		c.history.mu.Unlock()
	}
}

// deliverySnapshots returns the snapshots of an instance, oldest first.
func (h *chartHistory) deliverySnapshots(instance string) []snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]snapshot(nil), h.snapshots[instance]...)
}

func (h *chartHistory) cohortSizes(instance, id string) []cohortSize {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]cohortSize(nil), h.sizes[[2]string{instance, id}]...)
}
