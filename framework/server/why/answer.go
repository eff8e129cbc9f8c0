package why

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// group is what concerns one audience of one instance. The audience of a destination without audiences is "".
type group struct {
	instance, audience string
	results            []*result // the best one of each event, the newest event first
	standing           *Standing // the newest one; nil if the ledger has none
}

// answer returns the answer to the question.
func (f *facts) answer(groups []*group) Answer {
	if len(f.instances) == 0 && len(f.problems) == 0 {
		return f.noInstance()
	}
	var best *group
	var answer Answer
	for _, g := range groups {
		if a := f.answerGroup(g); best == nil || !isPresent(a.Reason) {
			best, answer = g, a
		}
		if f.question.Audience == "" || !isPresent(answer.Reason) {
			break
		}
	}
	if r := f.newestRejection(); r != nil && (best == nil || r.At.After(best.received()) && !isPresent(answer.Reason)) {
		return f.rejectedAnswer(r)
	}
	if best == nil {
		return f.neverArrived()
	}
	return answer
}

// isPresent reports whether a reason says that the user is not missing as far as Landfall knows.
func isPresent(r Reason) bool { return r == Member || r == Delivered }

// received is when the newest event of the group was received.
func (g *group) received() (at time.Time) {
	for _, r := range g.results {
		if r.event.At.After(at) {
			at = r.event.At
		}
	}
	return at
}

// decided is when the newest fact of the group happened.
func (g *group) decided() time.Time {
	at := g.received()
	if g.standing != nil && g.standing.Delivered.After(at) {
		at = g.standing.Delivered
	}
	return at
}

// groups returns the relevant results and standings by instance and audience, the most recent group first. Events that are about no
// audience are left out if others are.
func (f *facts) groups() []*group {
	byKey := map[[2]string]*group{}
	of := func(instance, audience string) *group {
		key := [2]string{instance, audience}
		if byKey[key] == nil {
			byKey[key] = &group{instance: instance, audience: audience}
		}
		return byKey[key]
	}
	for _, r := range f.results {
		if f.isRelevant(r) {
			g := of(r.instance, r.audience.ID)
			g.results = append(g.results, r)
		}
	}
	for i := range f.standings {
		s := &f.standings[i]
		if g := of(s.Instance, s.Audience); g.standing == nil || newerStanding(s, g.standing) {
			g.standing = s
		}
	}
	var list []*group
	withAudience := map[string]bool{}
	for key := range byKey {
		withAudience[key[0]] = withAudience[key[0]] || key[1] != ""
	}
	for key, g := range byKey {
		if key[1] == "" && withAudience[key[0]] && !slices.ContainsFunc(g.results, func(r *result) bool { return r.trace.Matched || r.verdict != nil || r.letter != nil }) {
			continue
		}
		g.results = bestOfEach(g.results)
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *group) int {
		return cmp.Or(b.decided().Compare(a.decided()), cmp.Compare(a.instance, b.instance), cmp.Compare(a.audience, b.audience))
	})
	return list
}

// newerStanding reports whether a says more than b: a member, or the one that was decided last.
func newerStanding(a, b *Standing) bool {
	if a.Member != b.Member {
		return a.Member
	}
	return a.At.After(b.At)
}

// bestOfEach returns for each event the result that says most, sorted by the time that decides, the newest first.
func bestOfEach(results []*result) []*result {
	best := map[*foundEvent]*result{}
	for _, r := range results {
		if b := best[r.event]; b == nil || r.weight() > b.weight() {
			best[r.event] = r
		}
	}
	list := make([]*result, 0, len(best))
	for _, r := range best {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *result) int {
		return cmp.Or(b.at().Compare(a.at()), cmp.Compare(b.event.Seq, a.event.Seq), cmp.Compare(b.event.Index, a.event.Index))
	})
	return list
}

// weight says how much a result says about its event: more if something is recorded, then if it matches, then if few conditions fail.
func (r *result) weight() int {
	switch {
	case r.letter != nil:
		return 3000
	case r.verdict != nil:
		return 2000
	case r.trace.Matched:
		return 1000
	}
	return -len(failing(r.trace.Conditions))
}

// answerGroup returns the answer for one audience. The newest entry counts: if it has had its effect, what came after it explains why the
// user is missing.
func (f *facts) answerGroup(g *group) Answer {
	if s := g.standing; s != nil && s.Member && !f.hasOpenEntry(g) {
		return f.memberAnswer(g)
	}
	r := g.newest(true)
	if r == nil {
		r = g.newest(false)
	}
	if r == nil {
		return f.standingAnswer(g)
	}
	d := f.dispositionOf(g, r)
	if d.Reason.is(Superseded) {
		return f.supersededAnswer(g, r, d)
	}
	if !d.Reason.is(Delivered) || g.audience == "" {
		return d.Answer
	}
	return f.afterDelivery(g, r, d)
}

// hasOpenEntry reports whether the member's state is uncertain and an event waits that decides it.
func (f *facts) hasOpenEntry(g *group) bool {
	return g.standing.Uncertain && slices.ContainsFunc(g.results, func(r *result) bool { return r.letter != nil || r.progress == delivery.EventWaiting && r.trace.Matched })
}

// newest returns the result of the newest event, or of the newest entry; nil if there is none.
func (g *group) newest(entry bool) *result {
	for _, r := range g.results {
		if !entry || r.change.Member || r.audience.ID == "" {
			return r
		}
	}
	return nil
}

// memberAnswer is the answer for a user who is a member according to the ledger.
func (f *facts) memberAnswer(g *group) Answer {
	s := g.standing
	a := Answer{Reason: Member, Text: fmt.Sprintf("%s is in %s: the destination of %s accepted the entry at %s.", f.question.User, s.Name, g.instance, clock(s.Delivered))}
	in := f.findInstance(g.instance)
	if in == nil {
		return a
	}
	if unknown, asked := f.unknownToRemote(g); asked {
		if unknown {
			a.Reason = UnknownToRemote
			a.Text = fmt.Sprintf("The destination of %s accepted the entry of %s to %s at %s, but it does not know %s, so the user is not in the audience there.",
				g.instance, f.question.User, s.Name, clock(s.Delivered), s.Identity)
			a.Next = "create the user at the destination first, then send the audience again with landfall members resync"
		}
		return a
	}
	if ignores := in.Plugin.Audiences.Ignores; ignores != "" {
		a.Next = fmt.Sprintf("if the user is missing at the destination, it does not know %s: %s; create the user there, then run landfall members resync", s.Identity, ignores)
	}
	return a
}

// standingAnswer is the answer if the log has no event about the audience.
func (f *facts) standingAnswer(g *group) Answer {
	s := g.standing
	if a, ok := f.operatorAnswer(g, s.At); ok {
		return a
	}
	if n := len(s.history); n > 0 {
		h := s.history[n-1]
		reasons := map[string]Reason{"skipped": SkippedForReason, "refused": RefusedByRemote, "retry": Waiting}
		if r, ok := reasons[h.Outcome]; ok && h.Decided.After(s.Delivered) {
			return Answer{Reason: r, Text: fmt.Sprintf("The ledger says that an event of %s about %s was %s at %s: %s. The log no longer has the event.",
				clock(h.At), s.Name, h.Outcome, clock(h.Decided), h.Reason)}
		}
	}
	if s.Known {
		return Answer{Reason: Left, Text: fmt.Sprintf("%s left %s: the destination of %s accepted the exit of %s at %s. The log no longer has the event.",
			f.question.User, s.Name, g.instance, clock(s.At), clock(s.Delivered))}
	}
	return Answer{Reason: NotKept, Text: fmt.Sprintf("The ledger knows %s in %s, but nothing was delivered, and the log has no event about it.", f.question.User, s.Name)}
}

// afterDelivery is the answer if the newest entry was delivered, and the user is not a member.
func (f *facts) afterDelivery(g *group, r *result, d disposition) Answer {
	s := g.standing
	if newest := g.newest(false); newest != r && newest.at().After(r.at()) {
		if exit := f.dispositionOf(g, newest); exit.Reason.is(Delivered) {
			return Answer{Reason: Left, Text: fmt.Sprintf("%s left %s: the newest event is an exit of %s.", f.question.User, g.name(), clock(newest.at()))}
		}
	}
	if s == nil {
		return d.Answer
	}
	if a, ok := f.operatorAnswer(g, r.at()); ok {
		return a
	}
	if s.At.After(r.at()) {
		return Answer{Reason: Left, Text: fmt.Sprintf("%s left %s: the ledger has an exit of %s, which the log no longer has.", f.question.User, g.name(), clock(s.At))}
	}
	return d.Answer
}

// name returns the name of the group's audience.
func (g *group) name() string {
	if g.standing != nil && g.standing.Name != "" {
		return g.standing.Name
	}
	for _, r := range g.results {
		if r.audience.Name != "" {
			return r.audience.Name
		}
	}
	return cmp.Or(g.audience, "the destination of "+g.instance)
}

// supersededAnswer says what superseded an entry: a newer event, or an operator.
func (f *facts) supersededAnswer(g *group, r *result, d disposition) Answer {
	if by := g.supersedes(r); by != nil {
		what := "entry"
		if !by.change.Member {
			what = "exit"
		}
		d.Text = fmt.Sprintf("The entry of %s to %s was superseded by a newer event: the %s of %s (log position %d-%d) was received at %s.",
			clock(r.at()), g.name(), what, clock(by.at()), by.event.Seq, by.event.Index, clock(by.event.At))
		return d.Answer
	}
	if a, ok := f.operatorAnswer(g, r.at()); ok {
		return a
	}
	d.Text = fmt.Sprintf("The entry of %s to %s was superseded by a newer event, which the log no longer has.", clock(r.at()), g.name())
	if g.standing != nil {
		d.Text = fmt.Sprintf("The entry of %s to %s was superseded by the change of %s that the ledger has; the log no longer has its event.", clock(r.at()), g.name(), clock(g.standing.At))
	}
	return d.Answer
}

// supersedes returns the result of the event that superseded another: the one that the ledger has, otherwise the next newer one; nil if
// there is none.
func (g *group) supersedes(r *result) (by *result) {
	for _, other := range g.results { // the newest first
		if other == r || other.change.Identity != r.change.Identity || other.at().Before(r.at()) || !other.trace.Matched && other.verdict == nil {
			continue
		}
		if other.at().Equal(r.at()) && !other.isAfter(r) {
			continue
		}
		if g.standing != nil && sameMicrosecond(other.at(), g.standing.At) {
			return other
		}
		by = other
	}
	return by
}

// isAfter reports whether the event is after another in the log.
func (r *result) isAfter(other *result) bool {
	return cmp.Or(cmp.Compare(r.event.Seq, other.event.Seq), cmp.Compare(r.event.Index, other.event.Index)) > 0
}

// sameMicrosecond compares times as the ledger stores them.
func sameMicrosecond(a, b time.Time) bool { return a.UnixMicro() == b.UnixMicro() }

// clock formats a time for sentences.
func clock(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
