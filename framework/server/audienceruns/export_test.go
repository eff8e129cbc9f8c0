package audienceruns

import (
	"context"
	"time"
)

// AcquireOnce takes the lease of the first sync if it is due, as a running Scheduler does from time to time.
func AcquireOnce(ctx context.Context, c Config) error {
	s := &Scheduler{Config: c, owner: "test", seen: map[string]sighting{}}
	_, err := s.acquire(ctx, s.jobs()[0])
	return err
}

// Record writes the record of a run of the first sync that has ended.
func (s *Scheduler) Record(ctx context.Context, r *Run) { s.saveRun(ctx, s.jobs()[0], r) }

// SetPoll sets the time between two looks at what is due.
func (c *Config) SetPoll(d time.Duration) { c.poll = d }
