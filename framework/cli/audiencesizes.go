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

// audienceSize is an audience and the number of its members.
type audienceSize struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Members int          `json:"members"`
	Unknown *unknownSize `json:"unknown,omitempty"` // nil if it has all users
}

// unknownSize counts the users who were added to an audience but are not in it, because the remote does not have them. Only a sandbox reports
// them.
type unknownSize struct {
	Count int      `json:"count"`
	First []string `json:"first"` // at most maxUnknown ids
}

const maxUnknown = 10

// audiencesOf returns the audiences after a run, as the sandbox has them. For a live or dry run it returns them as the ledger has them.
func audiencesOf(ctx context.Context, plans []instances.Instance, t *target) ([]audienceSize, error) {
	list, seen := []audienceSize{}, map[http.RoundTripper]bool{}
	for _, in := range plans {
		if t.DryRun || t.Live {
			sizes, err := in.Plan.Members().Sizes(ctx)
			if err != nil {
				return nil, err
			}
			for _, s := range sizes {
				list = append(list, audienceSize{ID: s.ID, Name: s.Name, Members: s.Members})
			}
			continue
		}
		if seen[in.Transport] {
			continue
		}
		seen[in.Transport] = true
		audiences, err := sandboxAudiences(ctx, in.Transport)
		if err != nil {
			return nil, err
		}
		list = append(list, audiences...)
	}
	return list, nil
}

// reachSandbox returns an error if nothing answers at --sandbox-url, before anything is sent and tried again.
func (t *target) reachSandbox(ctx context.Context, list []instances.Instance) error {
	if t.SandboxURL == "" || t.DryRun || len(list) == 0 {
		return nil
	}
	_, err := sandboxAudiences(ctx, list[0].Transport)
	if reason := fault.NetworkReason(err); reason != "" {
		return fmt.Errorf("--sandbox-url %s: %s; start a sandbox with landfall sandbox, or give its URL", t.SandboxURL, reason)
	}
	return nil // a sandbox that answers with an error is asked again when its state is needed
}

// sandboxAudiences asks a sandbox for its state.
func sandboxAudiences(ctx context.Context, transport http.RoundTripper) ([]audienceSize, error) {
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
		Cohorts map[string]struct { // Braze's audiences
			Name    string
			Members map[string][]json.RawMessage
			Unknown map[string][]json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return nil, fmt.Errorf("reading the sandbox's state: %w", err)
	}
	var list []audienceSize
	for _, id := range slices.Sorted(maps.Keys(state.Cohorts)) {
		size := audienceSize{ID: id, Name: state.Cohorts[id].Name}
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
