package console

import (
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// How much is remembered of the past, since this process began.
const (
	maxSamplesKept = 720  // looks at the deliveries: an hour at 5 s
	maxSizesKept   = 1440 // looks at the cohorts: 6 hours at 15 s
	maxCohortsKept = 500  // cohorts whose sizes are remembered
	sizesEvery     = 15 * time.Second
)

// tally is how far an instance was at a moment.
type tally struct {
	at                                          time.Time
	accepted, delivered, skipped, retried, dead int64
}

func tallyOf(s delivery.Status, at time.Time) tally {
	return tally{
		at: at, accepted: s.Counts["events"] + s.Counts["replayed"], delivered: s.Counts["delivered"], skipped: s.Counts["skipped"],
		retried: s.Retried, dead: s.Counts["dead"] + s.Counts["parked"],
	}
}

// size is how many were in a cohort at a moment.
type size struct {
	at      time.Time
	members int
}

// history is what was seen at the last looks.
type history struct {
	mu      sync.Mutex
	tallies map[string][]tally // by instance, the oldest first
	sizes   map[[2]string][]size
}

// watch looks at the deliveries and the cohorts until the console ends.
func (c *Console) watch() {
	if c.Runner == nil {
		return
	}
	ticker := time.NewTicker(c.Every)
	defer ticker.Stop()
	var counted time.Time
	for {
		now := time.Now()
		c.history.look(c.Runner.Status(), now)
		if now.Sub(counted) >= sizesEvery {
			counted = now
			c.lookAtCohorts(now)
		}
		select {
		case <-ticker.C:
		case <-c.ctx.Done():
			return
		}
	}
}

func (h *history) look(list []delivery.Status, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	running := map[string]bool{}
	for _, s := range list {
		running[s.Instance] = true
		h.tallies[s.Instance] = kept(append(h.tallies[s.Instance], tallyOf(s, now)), maxSamplesKept)
	}
	for id := range h.tallies {
		if !running[id] {
			delete(h.tallies, id)
		}
	}
}

// kept is the end of a list that has room for some more.
func kept[T any](list []T, most int) []T {
	if len(list) <= most {
		return list
	}
	return append(list[:0], list[len(list)-most:]...)
}

func (c *Console) lookAtCohorts(now time.Time) {
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
			c.Log.Debug("looking at the cohorts", "error", err)
			continue
		}
		c.history.mu.Lock()
		for _, s := range sizes {
			key := [2]string{in.Plan.ID(), s.ID}
			if _, known := c.history.sizes[key]; known || len(c.history.sizes) < maxCohortsKept {
				c.history.sizes[key] = kept(append(c.history.sizes[key], size{now, s.Members}), maxSizesKept)
			}
		}
		c.history.mu.Unlock()
	}
}

// of is what is remembered of an instance.
func (h *history) of(instance string) []tally {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]tally(nil), h.tallies[instance]...)
}

func (h *history) ofCohort(instance, id string) []size {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]size(nil), h.sizes[[2]string{instance, id}]...)
}
