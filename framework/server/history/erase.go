package history

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/state"
)

// Erasure says what Erase removes.
type Erasure struct {
	Match   func(event.Value) bool // selects rejected events
	HasUser func(text string) bool // reports whether a text names a user to erase, perhaps by a number that means something else
	Names   func(text string) bool // reports whether a text names a user to erase, without a doubt
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
			return j.Data, true // they have the names of instances, sources and audiences only
		}
		return j.Data, !e.Names(j.Data)
	})
}

// isRejected reports whether a rejected event belongs to a user to erase.
func (e *Erasure) isRejected(data string) bool {
	if e.Names(data) {
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
	var g verdictGroup
	if json.Unmarshal([]byte(data), &g) != nil {
		return data, !e.Names(data) // written by another version
	}
	changed := false
	if g.Batch != nil {
		was := len(g.Batch.Requests)
		g.Batch.Requests = slices.DeleteFunc(g.Batch.Requests, func(x *delivery.Exchange) bool { return x.HasText(e.HasUser) })
		changed = len(g.Batch.Requests) < was
		g.Batch.Partial = g.Batch.Partial || changed
	}
	if e.HasUser(g.Reason) {
		g.Reason, changed = g.Cause.Text(), true
	}
	if !changed {
		return data, true
	}
	text, err := json.Marshal(&g)
	return string(text), err == nil
}
