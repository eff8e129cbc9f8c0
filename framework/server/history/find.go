package history

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state"
)

// VerdictFilter selects verdicts. Empty fields select all.
type VerdictFilter struct {
	Instance, Subscription string
	Outcomes               []string
	Cause                  fault.Cause
	Batch                  string // the id of the batch
	Retried                bool   // only those that needed several attempts
	Since, Until           time.Time
	Skip, Limit            int // of the verdicts that are selected
}

// Find returns the verdicts that a filter selects, newest first. Of a group of verdicts that was written together, the order is that of
// the events. It reads a limited number of entries; complete says whether these were all.
func Find(ctx context.Context, store *state.Store, f VerdictFilter) (list []delivery.VerdictRecord, complete bool, err error) {
	read, skip := 0, f.Skip
	complete = true
	query := state.JournalQuery{Kinds: f.kinds(), Since: f.Since, Until: f.Until}
	err = store.Journal(ctx, query, func(e state.JournalEntry) bool {
		if read++; read > maxGroups {
			complete = false
			return false
		}
		var g verdictGroup
		if json.Unmarshal([]byte(e.Data), &g) != nil || !f.selects(&g) {
			return true
		}
		for text := range strings.FieldsSeq(g.Events) {
			if skip--; skip >= 0 {
				continue
			}
			if p, ok := parsePosition(text); ok && len(list) < f.Limit {
				list = append(list, g.record(e.At, p))
			}
		}
		return len(list) < f.Limit
	})
	return list, complete, err
}

// kinds returns the kinds of entries that can have the verdicts.
func (f *VerdictFilter) kinds() []string {
	if len(f.Outcomes) > 0 && !slices.Contains(f.Outcomes, "delivered") && !slices.Contains(f.Outcomes, "skipped") {
		return []string{kindVerdict}
	}
	return []string{kindRoutine, kindVerdict}
}

// selects reports whether the filter selects the verdicts of a group, apart from their time.
func (f *VerdictFilter) selects(g *verdictGroup) bool {
	return (f.Instance == "" || g.Instance == f.Instance) && (f.Subscription == "" || g.Subscription == f.Subscription) &&
		(len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, g.Outcome)) && (f.Cause == "" || g.Cause == f.Cause) &&
		(!f.Retried || g.Attempts > 1) && (f.Batch == "" || g.Batch != nil && g.Batch.ID == f.Batch)
}

// parsePosition reads a position as verdictGroup has it.
func parsePosition(text string) (p Position, ok bool) {
	seq, index, _ := strings.Cut(text, "-")
	var errSeq, errIndex error
	p.Seq, errSeq = strconv.ParseUint(seq, 10, 64)
	p.Index, errIndex = strconv.Atoi(index)
	return p, errSeq == nil && errIndex == nil
}
