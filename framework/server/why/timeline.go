package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// Orders of entries with the same time.
const (
	orderReceived = iota
	orderMapped
	orderVerdict
	orderLater
)

// timeline returns everything that is known, oldest first.
func (f *facts) timeline(groups []*group) []Entry {
	var list []Entry
	for _, r := range f.rejected {
		list = append(list, Entry{At: r.At, Kind: KindRejected, Text: fmt.Sprintf("%s from the source %s was rejected: %s", titleOf(r.value), r.Source, r.Reason)})
	}
	for _, e := range f.events {
		list = append(list, f.receivedEntry(e))
		list = append(list, f.eventEntries(e, groups)...)
	}
	for _, c := range f.copies {
		at := history.Position{Seq: c.Original.Seq, Index: c.Original.Index}
		list = append(list, Entry{At: c.At, Kind: KindReplayed, Instance: c.Replay, Event: &at, Text: "the stored event was sent to the instance again (landfall replay)", order: orderLater})
	}
	list = append(list, f.ledgerEntries()...)
	list = append(list, f.actionEntries(list)...)
	slices.SortStableFunc(list, func(a, b Entry) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.order, b.order)) })
	return list
}

func (f *facts) receivedEntry(e *foundEvent) Entry {
	text := fmt.Sprintf("%s from the source %s was accepted", titleOf(e.Value()), e.Source)
	if e.duplicate {
		text += ", and ignored since: an event with its messageId was accepted before"
	}
	return Entry{At: e.At, Kind: KindAccepted, Event: &e.position, Text: text}
}

// titleOf describes an event: its name and its own time.
func titleOf(v event.Value) string {
	name := cmp.Or(v.Get("event").Str(), v.Get("name").Str(), v.Get("type").Str(), "an event")
	if at, ok := event.ParseTime(v.Get("timestamp").Str()); ok {
		return fmt.Sprintf("%s of %s", name, clock(at))
	}
	return name
}

// eventEntries returns what the instances did with an event. Subscriptions that do not match it are left out, unless no subscription of
// the instance does.
func (f *facts) eventEntries(e *foundEvent, groups []*group) (list []Entry) {
	matched := map[string]bool{}
	closest := map[string]*result{}
	for _, r := range f.results {
		if r.event != e || !f.isRelevant(r) {
			continue
		}
		if r.trace.Matched || r.verdict != nil || r.letter != nil {
			matched[r.instance] = true
			list = append(list, f.resultEntries(r, groups)...)
		} else if best := closest[r.instance]; best == nil || r.weight() > best.weight() {
			closest[r.instance] = r
		}
	}
	for instance, r := range closest {
		if !matched[instance] {
			list = append(list, Entry{
				At: e.At, Kind: KindNotMatched, Instance: instance, Subscription: r.subscription, Audience: r.audience.Name, Event: &e.position, Recomputed: true,
				Text: "does not match: " + strings.Join(failing(r.trace.Conditions), "; "), Conditions: strings.TrimRight(r.trace.Conditions.String(), "\n"), order: orderMapped,
			})
		}
	}
	return list
}

// resultEntries returns what one subscription did with an event that it matches.
func (f *facts) resultEntries(r *result, groups []*group) (list []Entry) {
	entry := Entry{At: r.event.At, Instance: r.instance, Subscription: r.subscription, Audience: r.audience.Name, Event: &r.event.position, order: orderMapped}
	if r.trace.Payload.Exists() {
		mapped := entry
		mapped.Kind, mapped.Recomputed, mapped.Text = KindMapped, true, "matched and mapped"
		if r.change.Identity != "" {
			mapped.Text = fmt.Sprintf("matched and mapped: %s of %s in %s", map[bool]string{true: "entry", false: "exit"}[r.change.Member], r.change.Identity, cmp.Or(r.audience.Name, r.audience.ID))
		}
		list = append(list, mapped)
	}
	for i := range r.event.verdicts {
		if v := &r.event.verdicts[i]; v.Instance == r.instance && v.Subscription == r.subscription {
			list = append(list, verdictEntry(entry, v, supersedingEvent(r, v, groups)))
		}
	}
	if l := r.letter; l != nil {
		dead := entry
		dead.At, dead.Kind, dead.Outcome, dead.Cause, dead.DeadLetter, dead.order = l.At, KindDead, map[bool]string{true: "parked", false: "dead"}[l.Parked], l.Cause, l.ID, orderLater
		dead.Text = fmt.Sprintf("kept as dead letter %s after %d attempts: %s", l.ID, l.Attempts, l.Reason)
		if l.Request != nil && r.verdict == nil {
			dead.Batch = &Batch{Requests: []*delivery.Exchange{l.Request}}
		}
		list = append(list, dead)
	}
	if r.verdict == nil && r.letter == nil {
		list = append(list, f.unrecordedEntry(entry, r, groups))
	}
	return list
}

// verdictEntry returns the entry of a recorded verdict.
func verdictEntry(entry Entry, v *delivery.VerdictRecord, by *history.Position) Entry {
	entry.At, entry.Kind, entry.Outcome, entry.Cause, entry.SupersededBy, entry.order = v.At, KindVerdict, v.Outcome, v.Cause, by, orderVerdict
	entry.Text = v.Outcome
	if v.Reason != "" {
		entry.Text += ": " + v.Reason
	}
	if v.Attempts > 1 {
		entry.Text += fmt.Sprintf(" (%d attempts)", v.Attempts)
	}
	if b := v.Batch; b != nil {
		entry.Batch = &Batch{ID: b.ID, At: b.At, Milliseconds: b.Duration.Milliseconds(), Events: b.Events, Requests: b.Requests, Partial: b.Partial}
	}
	return entry
}

// unrecordedEntry says what was done with an event of which no verdict is recorded.
func (f *facts) unrecordedEntry(entry Entry, r *result, groups []*group) Entry {
	g := groupOf(r, groups)
	d := f.dispositionOf(g, r)
	entry.Kind, entry.Cause, entry.Recomputed, entry.Text, entry.order = KindVerdict, d.Cause, d.Recomputed, d.Text, orderVerdict
	switch d.Reason {
	case Waiting, Paused:
		entry.Kind, entry.At, entry.order = KindWaiting, f.now, orderLater
	case Delivered:
		entry.Outcome = "delivered"
	case Superseded:
		entry.Outcome, entry.Text = "skipped", "skipped: superseded by a newer event of the same user"
		if by := g.supersedes(r); by != nil {
			entry.SupersededBy = &by.event.position
		}
	case Refused:
		entry.Outcome = "refused"
	default:
		entry.Outcome = "not delivered"
	}
	return entry
}

// groupOf returns the group of a result that has an entry in the timeline.
func groupOf(r *result, groups []*group) *group {
	return groups[slices.IndexFunc(groups, func(g *group) bool { return g.instance == r.instance && g.audience == r.audience.ID })]
}

// supersedingEvent returns the position of the event that superseded a skipped one; nil if it was not superseded, or not by an event.
func supersedingEvent(r *result, v *delivery.VerdictRecord, groups []*group) *history.Position {
	if v.Cause != fault.CauseSuperseded {
		return nil
	}
	if by := groupOf(r, groups).supersedes(r); by != nil {
		return &by.event.position
	}
	return nil
}

// ledgerEntries returns what the ledger has about changes that no event of the log has made.
func (f *facts) ledgerEntries() (list []Entry) {
	for _, s := range f.standings {
		entry := Entry{Kind: KindLedger, Instance: s.Instance, Audience: s.Name, order: orderLater}
		for _, h := range s.history {
			if !f.hasEventAt(s, h.At) {
				one := entry
				one.At, one.Outcome, one.Text = h.Decided, h.Outcome, strings.TrimSuffix(fmt.Sprintf("%s of %s was %s: %s", changeOf(h.Member), clock(h.At), h.Outcome, h.Reason), ": ")
				list = append(list, one)
			}
		}
		if !s.Delivered.IsZero() && !f.hasEventAt(s, s.At) {
			entry.At, entry.Outcome, entry.Text = s.Delivered, "delivered", fmt.Sprintf("%s of %s was delivered", changeOf(s.Member), clock(s.At))
			list = append(list, entry)
		}
	}
	return list
}

func changeOf(member bool) string {
	if member {
		return "the entry"
	}
	return "the exit"
}

// hasEventAt reports whether one of the user's events made a change of the ledger.
func (f *facts) hasEventAt(s Standing, at time.Time) bool {
	return slices.ContainsFunc(f.results, func(r *result) bool {
		return r.instance == s.Instance && r.audience.ID == s.Audience && sameMicrosecond(r.at(), at)
	})
}

// actionEntries returns what operators did that may concern the user, since the first entry of the timeline.
func (f *facts) actionEntries(timeline []Entry) (list []Entry) {
	first := f.now
	for _, e := range timeline {
		if e.At.Before(first) {
			first = e.At
		}
	}
	for _, a := range f.actions {
		entry := Entry{At: a.At, Kind: KindOperator, Instance: a.Attributes["instance"], order: orderLater}
		switch {
		case a.Name == history.ActionConfig:
			if a.At.Before(first) || a.Attributes["earlier"] == "" {
				continue
			}
			entry.Kind, entry.Text = KindConfig, "the server began to use a changed config"
		case f.concernsUser(a):
			entry.Audience = a.Attributes["cohort"]
			entry.Text = actionText(a)
		default:
			continue
		}
		list = append(list, entry)
	}
	return list
}

// concernsUser reports whether an action may have changed something for the user.
func (f *facts) concernsUser(a history.Action) bool {
	for _, s := range f.standings {
		if isAudienceAction(a, s.Instance, s.Audience) {
			return true
		}
	}
	for _, r := range f.results {
		if r.audience.ID != "" && f.isRelevant(r) && isAudienceAction(a, r.instance, r.audience.ID) {
			return true
		}
		if strings.HasPrefix(a.Name, "letters.") && (r.letter != nil || hadDeadLetter(r)) && f.concernsDeadLetter(a.Attributes, r) && a.At.After(r.event.At) {
			return true
		}
	}
	return false
}

// hadDeadLetter reports whether an event once became a dead letter.
func hadDeadLetter(r *result) bool {
	return slices.ContainsFunc(r.event.verdicts, func(v delivery.VerdictRecord) bool {
		return v.Instance == r.instance && (v.Outcome == "dead" || v.Outcome == "parked" || v.Outcome == "dropped")
	})
}

// actionText says what an operator did.
func actionText(a history.Action) string {
	what := map[string]string{
		history.ActionPurge: "the audience was emptied", history.ActionResync: "the audience was sent again", history.ActionSync: "the audience was synced with a file",
		history.ActionReplay: "dead letters were replayed", history.ActionDrop: "dead letters were deleted",
	}[a.Name]
	text := cmp.Or(what, a.Name) + " by " + a.By()
	if a.Outcome == "failed" {
		text += " (failed)"
	}
	return text
}
