package why

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestDispositions checks what is said of one event: by what is recorded of it, otherwise by where it is and how it would be processed.
func TestDispositions(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	verdict := func(outcome string, cause fault.Cause) *delivery.VerdictRecord {
		return &delivery.VerdictRecord{At: at, Instance: "main", Subscription: "All", Outcome: outcome, Cause: cause, Reason: "because"}
	}
	act := func(name, instance, id string, after time.Duration) history.Action {
		return history.Action{At: at.Add(after), Name: name, Who: "ana", Outcome: "ok", Attributes: map[string]string{"instance": instance, "id": id}}
	}
	drop, replay := act(history.ActionDrop, "main", "", time.Minute), act(history.ActionReplay, "main", "7-1-abc", time.Minute)
	running := delivery.Status{Instance: "main", Delivering: true}
	for name, c := range map[string]struct {
		change  func(*result)
		actions []history.Action
		status  *delivery.Status
		want    Reason
		says    string
	}{
		"delivered":                 {change: func(r *result) { r.verdict = verdict("delivered", "") }, want: Delivered},
		"no change":                 {change: func(r *result) { r.verdict = verdict("skipped", fault.CauseNoChange) }, want: Delivered},
		"superseded":                {change: func(r *result) { r.verdict = verdict("skipped", fault.CauseSuperseded) }, want: Superseded},
		"no consent":                {change: func(r *result) { r.verdict = verdict("skipped", fault.CauseNoConsent) }, want: Filtered, says: "was not sent to main › All: because"},
		"opted out":                 {change: func(r *result) { r.verdict = verdict("skipped", fault.CauseOptedOut) }, want: Filtered},
		"sampled out":               {change: func(r *result) { r.verdict = verdict("skipped", fault.CauseSampledOut) }, want: Filtered},
		"another source":            {change: func(r *result) { r.fromSource = false }, want: Filtered, says: "gets no events from the source web"},
		"recorded before filtered":  {change: func(r *result) { r.fromSource = false; r.verdict = verdict("delivered", "") }, want: Delivered},
		"before the instance":       {change: func(r *result) { r.progress = delivery.EventBefore }, want: BeforeInstance, says: "before the instance main was added"},
		"before, of another source": {change: func(r *result) { r.progress, r.fromSource = delivery.EventBefore, false }, want: BeforeInstance},
		"duplicate":                 {change: func(r *result) { r.event.duplicate = true }, want: Duplicate},
		"letter":                    {change: func(r *result) { r.letter = &delivery.DeadLetter{Cause: fault.CauseRefused} }, want: RefusedByRemote},
		"parked":                    {change: func(r *result) { r.letter = &delivery.DeadLetter{Parked: true} }, want: Parked},
		"dropped":                   {change: func(r *result) { r.verdict = verdict("dead", "") }, actions: []history.Action{drop}, want: Dropped, says: "its dead letter was deleted by ana"},
		"dropped by id":             {change: func(r *result) { r.verdict = verdict("dead", "") }, actions: []history.Action{act(history.ActionDrop, "", "7-1-abc", time.Minute)}, want: Dropped, says: "deleted by ana"},
		"another one dropped":       {change: func(r *result) { r.verdict = verdict("dead", "") }, actions: []history.Action{act(history.ActionDrop, "main", "7-11-abc", time.Minute)}, want: Dropped, says: "or has expired"},
		"dropped elsewhere":         {change: func(r *result) { r.verdict = verdict("dead", "") }, actions: []history.Action{act(history.ActionDrop, "other", "", time.Minute)}, want: Dropped, says: "or has expired"},
		"dropped before":            {change: func(r *result) { r.verdict = verdict("dead", "") }, actions: []history.Action{act(history.ActionDrop, "main", "", -time.Minute)}, want: Dropped, says: "or has expired"},
		"dropped with its key":      {change: func(r *result) { r.verdict = verdict("dropped", "") }, actions: []history.Action{act(history.ActionDrop, "main", "", -time.Second)}, want: Dropped, says: "was parked (because), and its dead letter was deleted by ana"},
		"replayed":                  {change: func(r *result) { r.verdict = verdict("parked", "") }, actions: []history.Action{replay, drop}, want: Waiting, says: "was replayed by ana"},
		"no server":                 {change: func(r *result) { r.trace.Matched, r.progress = true, delivery.EventWaiting }, want: Waiting, says: "no running server"},
		"waits":                     {change: func(r *result) { r.trace.Matched, r.progress = true, delivery.EventWaiting }, status: &running, want: Waiting, says: "0 events wait"},
		"paused":                    {change: func(r *result) { r.trace.Matched, r.progress = true, delivery.EventWaiting }, status: &delivery.Status{Paused: true, Until: at}, want: Paused, says: "2026-01-02 03:04:05 UTC"},
		"stopped":                   {change: func(r *result) { r.trace.Matched, r.progress = true, delivery.EventWaiting }, status: &delivery.Status{Stopped: "log in"}, want: Paused, says: "log in"},
		"not matched":               {change: func(r *result) { r.progress = delivery.EventWaiting }, want: NotSubscribed, says: "does not match the subscription All of main"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &foundEvent{StoredEvent: delivery.StoredEvent{Seq: 7, Index: 1, At: at, Source: "web"}}
			r := &result{event: e, instance: "main", subscription: "All", fromSource: true, progress: delivery.EventFinished}
			c.change(r)
			f := &facts{actions: c.actions, status: map[string]delivery.Status{}}
			if c.status != nil {
				f.status["main"] = *c.status
			}
			d := f.dispositionOf(&group{instance: "main"}, r)
			assert.Equal(t, c.want, d.Reason, d.Text)
			assert.Contains(t, d.Text, c.says)
			if c.want == BeforeInstance {
				assert.Equal(t, "deliver stored events with landfall replay --instance main", d.Next)
			}
		})
	}
}

// TestDestinationsWithoutAudiences checks that an event of a destination without audiences is about none.
func TestDestinationsWithoutAudiences(t *testing.T) {
	r := &result{event: &foundEvent{}}
	r.readChange(instances.Instance{}, nil)
	assert.Empty(t, r.audience)
	assert.Empty(t, r.change)
}

// TestMembersOfRemovedInstances checks that a member is called one, although the config no longer has the instance.
func TestMembersOfRemovedInstances(t *testing.T) {
	f := &facts{source: &Source{}, question: Question{User: "u1"}}
	answer := f.memberAnswer(&group{instance: "gone", standing: &Standing{Name: "vip", Member: true}})
	assert.Equal(t, Member, answer.Reason)
	assert.Empty(t, answer.Next)
}

// TestFailedConditions checks that a condition which cannot be evaluated says why.
func TestFailedConditions(t *testing.T) {
	assert.Equal(t, []string{"a > 1 (a is no number)"}, failing(fql.Explanation{Text: "a > 1", Why: "a is no number"}))
	assert.Empty(t, failing(fql.Explanation{Text: "a > 1", Matched: true}))
}
