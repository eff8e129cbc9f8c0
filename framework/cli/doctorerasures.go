package cli

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/erasure"
)

// Limits of what doctor says about erasures.
const (
	erasureGrace      = 24 * time.Hour // how long an erasure may fail before that is a problem: a remote may be down
	maxShownErasures  = 5
	erasuresTimeLimit = 15 * time.Second
)

// checkErasures shows the erasures of users that fail, from the state in dir or in the database of the config.
func (c *doctorCommand) checkErasures(ctx context.Context, cfg *config.Config, dir string) {
	ctx, cancel := context.WithTimeout(ctx, erasuresTimeLimit)
	defer cancel()
	location := dir
	if cfg != nil {
		location = cmp.Or(cfg.StateURL, dir)
	}
	pending, err := erasure.Inspect(ctx, location, c.sandbox)
	if err != nil {
		c.addFinding("erasures", isProblem, "landfall erase list", "the erasures of users cannot be read: %v", err)
		return
	}
	failing := slices.DeleteFunc(slices.Clone(pending), func(r erasure.Receipt) bool { return r.State() != "failing" })
	for i := range failing[:min(len(failing), maxShownErasures)] {
		c.addFailingErasure(&failing[i])
	}
	switch {
	case len(failing) > maxShownErasures:
		c.addFinding("erasures", isWarning, "landfall erase list --pending", "%s fail", fault.Count(len(failing), "erasure"))
	case len(failing) == 0:
		c.addFinding("erasures", isOK, "", "%s pending, none has failed", fault.Count(len(pending), "erasure"))
	}
}

// addFailingErasure shows what an erasure has not done, and since when.
func (c *doctorCommand) addFailingErasure(r *erasure.Receipt) {
	status := isWarning
	if time.Since(r.RequestedAt) > erasureGrace {
		status = isProblem
	}
	for _, s := range r.Steps {
		if s.Error == "" {
			continue
		}
		step := s.Name
		if s.Instance != "" {
			step += " of " + s.Instance
		}
		c.addFinding("erasures", status, "remove the cause: landfall serve tries again by itself, and landfall erase show "+r.ID+" shows the result",
			"the erasure %s, requested %s, has failed %d times at %s: %s", r.ID, r.RequestedAt.Format(time.RFC3339), r.Attempts, step, s.Error)
	}
}
