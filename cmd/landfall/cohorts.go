package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
)

// cohortSize is a cohort and how many are in it.
type cohortSize struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Members int    `json:"members"`
}

// cohortsOf are the cohorts after a run: as the sandbox has them, or where there is none, as the ledger of this run has
// them.
func cohortsOf(ctx context.Context, instances []instance, t *target) ([]cohortSize, error) {
	list := []cohortSize{}
	for _, in := range instances {
		if t.dryRun || t.live {
			sizes, err := in.plan.Members().Sizes(ctx)
			if err != nil {
				return nil, err
			}
			for _, s := range sizes {
				list = append(list, cohortSize{s.ID, s.Name, s.Members})
			}
			continue
		}
		cohorts, err := sandboxCohorts(ctx, in.transport)
		if err != nil {
			return nil, err
		}
		list = append(list, cohorts...)
	}
	return list, nil
}

// sandboxCohorts asks a sandbox for its state.
func sandboxCohorts(ctx context.Context, transport http.RoundTripper) ([]cohortSize, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sandbox/__sandbox/state", nil)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("asking the sandbox for its state: %w", err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("asking the sandbox for its state: %w", err)
	}
	var state struct {
		Cohorts map[string]struct {
			Name    string
			Members map[string][]json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return nil, fmt.Errorf("reading the sandbox's state: %w", err)
	}
	var list []cohortSize
	for _, id := range slices.Sorted(maps.Keys(state.Cohorts)) {
		size := cohortSize{ID: id, Name: state.Cohorts[id].Name}
		for _, ids := range state.Cohorts[id].Members {
			size.Members += len(ids)
		}
		list = append(list, size)
	}
	return list, nil
}
