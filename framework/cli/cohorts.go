package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// cohortSize is a cohort and the number of its members.
type cohortSize struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Members int          `json:"members"`
	Unknown *unknownSize `json:"unknown,omitempty"` // nil if it has all users
}

// unknownSize counts the users who were added to a cohort but are not in it, because the remote does not have them. Only a sandbox reports
// them.
type unknownSize struct {
	Count int      `json:"count"`
	First []string `json:"first"` // at most maxUnknown ids
}

const maxUnknown = 10

// cohortsOf returns the cohorts after a run, as the sandbox has them. For a live or dry run it returns them as the ledger has them.
func cohortsOf(ctx context.Context, plans []instances.Instance, t *target) ([]cohortSize, error) {
	list, seen := []cohortSize{}, map[http.RoundTripper]bool{}
	for _, in := range plans {
		if t.DryRun || t.Live {
			sizes, err := in.Plan.Members().Sizes(ctx)
			if err != nil {
				return nil, err
			}
			for _, s := range sizes {
				list = append(list, cohortSize{ID: s.ID, Name: s.Name, Members: s.Members})
			}
			continue
		}
		if seen[in.Transport] {
			continue
		}
		seen[in.Transport] = true
		cohorts, err := sandboxCohorts(ctx, in.Transport)
		if err != nil {
			return nil, err
		}
		list = append(list, cohorts...)
	}
	return list, nil
}

// reachSandbox returns an error if nothing answers at --sandbox-url, before anything is sent and tried again.
func (t *target) reachSandbox(ctx context.Context, list []instances.Instance) error {
	if t.SandboxURL == "" || t.DryRun || len(list) == 0 {
		return nil
	}
	_, err := sandboxCohorts(ctx, list[0].Transport)
	if reason := fault.NetworkReason(err); reason != "" {
		return fmt.Errorf("--sandbox-url %s: %s; start a sandbox with landfall sandbox, or give its URL", t.SandboxURL, reason)
	}
	return nil // a sandbox that answers with an error is asked again when its state is needed
}

// sandboxCohorts asks a sandbox for its state.
func sandboxCohorts(ctx context.Context, transport http.RoundTripper) ([]cohortSize, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sandbox/__sandbox/state", nil)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("reading the sandbox's state: %w", err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the sandbox's state: %w", err)
	}
	var state struct {
		Cohorts map[string]struct {
			Name    string
			Members map[string][]json.RawMessage
			Unknown map[string][]json.RawMessage
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
		size.Unknown = unknownOf(state.Cohorts[id].Unknown)
		list = append(list, size)
	}
	return list, nil
}

// unknownOf counts ids by kind and keeps the first ones. It returns nil if there are none.
func unknownOf(kinds map[string][]json.RawMessage) *unknownSize {
	u := unknownSize{First: []string{}}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		u.Count += len(kinds[kind])
		for _, id := range kinds[kind][:min(len(kinds[kind]), maxUnknown-len(u.First))] {
			var text string
			if json.Unmarshal(id, &text) != nil {
				text = string(id) // an alias is an object
			}
			u.First = append(u.First, text)
		}
	}
	if u.Count == 0 {
		return nil
	}
	return &u
}
