package why

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// disposition says what was done with one event. Its Reason is Delivered if the event had its effect.
type disposition struct{ Answer }

func disposed(r Reason, cause fault.Cause, format string, args ...any) disposition {
	return disposition{Answer{Reason: r, Cause: cause, Text: fmt.Sprintf(format, args...), Next: cause.Next()}}
}

// dispositionOf says what was done with an event: from what is recorded, otherwise from the ledger, otherwise as the current config
// would have it.
func (f *facts) dispositionOf(g *group, r *result) disposition {
	switch {
	case r.letter != nil:
		return f.deadLetterDisposition(r)
	case r.verdict != nil:
		return f.verdictDisposition(r)
	case r.event.duplicate:
		return disposed(Duplicate, "", "The event of %s was ignored: an event with the same messageId was accepted before.", clock(r.event.At))
	}
	if d, ok := f.ledgerDisposition(g, r); ok {
		return d
	}
	switch {
	case r.progress == delivery.EventBefore:
		d := disposed(BeforeInstance, "", "The event was received at %s, before the instance %s was added.", clock(r.event.At), r.instance)
		d.Next = "deliver stored events with landfall replay --instance " + r.instance
		return d
	case !r.fromSource:
		return disposed(Filtered, "", "The instance %s gets no events from the source %s, which sent the event of %s.", r.instance, r.event.Source, clock(r.event.At))
	case r.trace.Matched && r.progress == delivery.EventWaiting:
		return f.waitingDisposition(r)
	}
	return f.recomputedDisposition(r)
}

// deadLetterDisposition is that of an event with a dead letter.
func (f *facts) deadLetterDisposition(r *result) disposition {
	l := r.letter
	where := fmt.Sprintf("%s › %s", l.Instance, l.Subscription)
	if l.Parked {
		d := disposed(Parked, l.Cause, "The event of %s is parked in %s since %s: %s.", clock(r.event.At), where, clock(l.At), l.Reason)
		d.Next = "correct the cause, then run landfall dead replay " + l.ID
		return d
	}
	reason := Refused
	if l.Request != nil || l.Cause == fault.CauseRefused {
		reason = RefusedByRemote
	}
	return disposed(reason, l.Cause, "The event of %s was refused in %s at %s: %s.", clock(r.event.At), where, clock(l.At), l.Reason)
}

// verdictDisposition is that of an event with a recorded verdict and without a dead letter.
func (f *facts) verdictDisposition(r *result) disposition {
	v := r.verdict
	switch v.Outcome {
	case "delivered":
		return disposed(Delivered, "", "The event of %s was delivered in %s › %s at %s.", clock(r.event.At), v.Instance, v.Subscription, clock(v.At))
	case "skipped":
		return f.skippedDisposition(r, v.Cause, v.Reason)
	}
	return f.goneDeadLetter(r)
}

// skippedDisposition is that of an event that did not have to be sent.
func (f *facts) skippedDisposition(r *result, cause fault.Cause, reason string) disposition {
	switch cause {
	case fault.CauseNoChange:
		return disposed(Delivered, cause, "The event of %s changed nothing: the destination had this membership already.", clock(r.event.At))
	case fault.CauseSuperseded:
		return disposed(Superseded, cause, "")
	case fault.CauseNoConsent, fault.CauseOptedOut, fault.CauseSampledOut:
		return disposed(Filtered, cause, "The event of %s was not sent to %s › %s: %s.", clock(r.event.At), r.instance, r.subscription, reason)
	}
	return disposed(SkippedForReason, cause, "The event of %s was skipped in %s › %s: %s.", clock(r.event.At), r.instance, r.subscription, reason)
}

// goneDeadLetter is the disposition of an event that became a dead letter which no longer exists.
func (f *facts) goneDeadLetter(r *result) disposition {
	v := r.verdict
	what := map[string]string{"dead": "was refused", "parked": "was parked", "dropped": "was parked"}[v.Outcome]
	for _, a := range f.actions { // the newest first
		if !f.concernsDeadLetter(a.Attributes, r) || a.At.Before(v.At) && v.Outcome != "dropped" {
			continue
		}
		switch a.Name {
		case history.ActionReplay:
			return disposed(Waiting, "", "The event of %s %s at %s (%s), and was replayed by %s at %s: it is being delivered.", clock(r.event.At), what, clock(v.At), v.Reason, a.By(), clock(a.At))
		case history.ActionDrop:
			return disposed(Dropped, "", "The event of %s %s (%s), and its dead letter was deleted by %s at %s.", clock(r.event.At), what, v.Reason, a.By(), clock(a.At))
		}
	}
	return disposed(Dropped, v.Cause, "The event of %s %s in %s › %s at %s: %s. Its dead letter was deleted, or has expired.", clock(r.event.At), what, v.Instance, v.Subscription, clock(v.At), v.Reason)
}

// concernsDeadLetter reports whether an operator's selection of dead letters may have had that of an event.
func (f *facts) concernsDeadLetter(attributes map[string]string, r *result) bool {
	if in := attributes["instance"]; in != "" && in != r.instance {
		return false
	}
	id := attributes["id"]
	return id == "" || strings.HasPrefix(id, fmt.Sprintf("%d-%d-", r.event.Seq, r.event.Index))
}

// ledgerDisposition is that of an event without a recorded verdict that the ledger knows about.
func (f *facts) ledgerDisposition(g *group, r *result) (disposition, bool) {
	for i := range f.standings {
		s := &f.standings[i]
		if s.Instance != g.instance || s.Audience != g.audience || s.Identity != r.change.Identity {
			continue
		}
		for _, h := range s.history {
			if !sameMicrosecond(h.At, r.at()) || h.Member != r.change.Member {
				continue
			}
			switch h.Outcome {
			case "delivered":
				return disposed(Delivered, "", "The event of %s was delivered at %s, according to the ledger.", clock(r.event.At), clock(h.Decided)), true
			case "skipped":
				return disposed(Superseded, fault.CauseSuperseded, ""), true // the ledger keeps no other skipped changes
			}
		}
		switch {
		case sameMicrosecond(s.At, r.at()) && s.Member == r.change.Member && s.Known:
			return disposed(Delivered, "", "The event of %s was delivered at %s, according to the ledger.", clock(r.event.At), clock(s.Delivered)), true
		case s.At.After(r.at()) && r.trace.Matched && r.progress == delivery.EventFinished:
			return disposed(Superseded, fault.CauseSuperseded, ""), true
		}
	}
	return disposition{}, false
}

// waitingDisposition is that of an event that is not finished.
func (f *facts) waitingDisposition(r *result) disposition {
	s, running := f.status[r.instance]
	switch {
	case !running:
		d := disposed(Waiting, "", "The event of %s waits to be delivered by %s, and no running server of this queue delivers to the instance.", clock(r.event.At), r.instance)
		d.Next = "start the server with landfall serve"
		return d
	case s.Stopped != "":
		return disposed(Paused, fault.CauseLoginRequired, "The event of %s waits: the delivery of %s is stopped: %s.", clock(r.event.At), r.instance, s.Stopped)
	case s.Paused:
		d := disposed(Paused, fault.CauseRateLimited, "The event of %s waits: the destination of %s asked to wait until %s.", clock(r.event.At), r.instance, clock(s.Until))
		d.Next = "it is delivered by itself then; to deliver now, run landfall resume " + r.instance
		return d
	case !s.Delivering:
		d := disposed(Paused, "", "The event of %s waits: %s does not deliver.", clock(r.event.At), r.instance)
		for _, finding := range s.Findings {
			d.Text, d.Next = fmt.Sprintf("The event of %s waits: %s.", clock(r.event.At), strings.TrimSuffix(finding.Text(), ".")), ""
		}
		return d
	}
	waiting := s.Waiting + s.Behind
	return disposed(Waiting, "", "The event of %s waits to be delivered by %s: %s, the oldest for %s. Failed requests are repeated.",
		clock(r.event.At), r.instance, fault.Count(waiting, "event")+fault.Plural(waiting, " waits", " wait"), s.Lag.Round(1e9))
}

// recomputedDisposition is that of an event of which nothing is recorded: what the current config makes of it.
func (f *facts) recomputedDisposition(r *result) (d disposition) {
	defer func() { d.Recomputed = true }()
	switch {
	case !r.trace.Matched:
		conditions := failing(r.trace.Conditions)
		d = disposed(NotSubscribed, fault.CauseNotSubscribed, "The event of %s does not match the subscription %s of %s: %s.",
			clock(r.event.At), r.subscription, r.instance, strings.Join(conditions, "; "))
		d.Next = "change the subscription's query, or the event; then deliver it with landfall replay --instance " + r.instance
		return d
	case r.trace.Cause == fault.CauseSuperseded:
		return disposed(Superseded, r.trace.Cause, "")
	case r.trace.Outcome == "skipped":
		return f.skippedDisposition(r, r.trace.Cause, r.trace.Reason)
	case r.trace.Outcome == "refused":
		return disposed(Refused, r.trace.Cause, "The event of %s is refused in %s › %s: %s.", clock(r.event.At), r.instance, r.subscription, r.trace.Reason)
	}
	if change := f.configChangeAfter(r); change != nil {
		d = disposed(BeforeChange, "", "The event of %s was processed with an earlier config, which did not deliver it: the config changed at %s, and with the current one it would be delivered by %s › %s.",
			clock(r.event.At), clock(change.At), r.instance, r.subscription)
		d.Next = fmt.Sprintf("deliver it with landfall replay --instance %s --since %s", r.instance, r.event.At.UTC().Format("2006-01-02T15:04:05Z"))
		return d
	}
	d = disposed(NotKept, "", "The event of %s was processed by %s, and its verdict is not kept any more; with the current config it would be delivered.", clock(r.event.At), r.instance)
	d.Next = "deliver it again with landfall replay --instance " + r.instance
	return d
}

// failing returns the conditions that keep an event from matching, with the values that it has.
func failing(e fql.Explanation) []string {
	if e.Matched {
		return nil
	}
	if len(e.Parts) == 0 {
		text := e.Text
		for i, found := range e.Found {
			sep := ", "
			if i == 0 {
				sep = ", but "
			}
			text += sep + found.Path + " is " + found.Value
		}
		if e.Why != "" {
			text += " (" + e.Why + ")"
		}
		return []string{text}
	}
	if e.Text == "none of" {
		return []string{"it should not match " + strings.TrimSpace(e.Parts[0].Text)}
	}
	var list []string
	for _, part := range e.Parts {
		list = append(list, failing(part)...)
	}
	if e.Text == "any of" && len(list) > 1 {
		return []string{"none of these holds: " + strings.Join(list, "; ")}
	}
	return list
}
