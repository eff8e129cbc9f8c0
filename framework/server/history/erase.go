package history

import (
	"context"
	"encoding/json"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state"
)

// Erasure says what Erase removes.
type Erasure struct {
	Match   func(event.Value) bool // selects rejected events
	HasUser func(text string) bool // reports whether a text names a user to erase
}

// Erase removes users from what is kept: rejected events of theirs, and everything that names them in the verdicts of others, which stay. It
// returns how many entries it has changed.
func Erase(ctx context.Context, store *state.Store, e Erasure) (changed int, err error) {
	return store.RewriteJournal(ctx, func(j state.JournalEntry) (data string, keep bool) {
		switch j.Kind {
		case kindRoutine, kindVerdict:
			return e.rewriteVerdicts(j.Data)
		case kindRejected:
			return j.Data, !e.isRejected(j.Data)
		case kindCounts, kindLongCounts, kindSizes, kindLongSizes:
			return j.Data, true // they have the names of instances, sources and cohorts only
		}
		return j.Data, !e.HasUser(j.Data)
	})
}

// isRejected reports whether a rejected event belongs to a user to erase.
func (e *Erasure) isRejected(data string) bool {
	if e.HasUser(data) {
		return true
	}
	var r Rejection
	if json.Unmarshal([]byte(data), &r) != nil {
		return false
	}
	v, err := event.Parse([]byte(r.Event))
	return err == nil && e.Match(v.Value())
}

// rewriteVerdicts returns an entry of verdicts without the requests and the reason that name a user.
func (e *Erasure) rewriteVerdicts(data string) (rewritten string, keep bool) {
	if !e.HasUser(data) {
		return data, true
	}
	var g verdictGroup
	if json.Unmarshal([]byte(data), &g) != nil {
		return "", false // written by another version
	}
	if g.Batch != nil {
		g.Batch.Requests, g.Batch.Partial = nil, true
	}
	if e.HasUser(g.Reason) {
		g.Reason = fault.Cause(g.Cause).Text()
	}
	text, err := json.Marshal(&g)
	if err != nil || e.HasUser(string(text)) {
		return "", false
	}
	return string(text), true
}
