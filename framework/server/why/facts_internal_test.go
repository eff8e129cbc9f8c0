package why

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
)

// noon is the time of the events of these tests.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// change returns the result of an event, received after some minutes, about a user's membership in the audience vip.
func change(seq uint64, minutes int, member bool) *result {
	at := noon.Add(time.Duration(minutes) * time.Minute)
	r := &result{event: &foundEvent{StoredEvent: delivery.StoredEvent{Seq: seq, At: at, Source: "web"}, position: history.Position{Seq: seq}}, instance: "main", subscription: "All", fromSource: true, progress: delivery.EventFinished}
	r.audience, r.change = destination.Audience{ID: "vip", Name: "VIP"}, destination.Change{Identity: "external_id:ana", Member: member, At: at}
	r.trace.Matched = true
	return r
}

// TestWhichEventSuperseded checks that an event is said to be superseded by the one that the ledger has, otherwise by the next newer one of
// the same user that was processed.
func TestWhichEventSuperseded(t *testing.T) {
	first, same, later, last := change(1, 0, true), change(2, 0, false), change(3, 5, false), change(4, 9, false)
	g := &group{results: []*result{last, later, same, first}}
	assert.Same(t, same, g.supersedes(first), "the one that is next in the log")
	assert.Same(t, later, g.supersedes(same), "not one before it in the log with the same time")
	assert.Nil(t, g.supersedes(last))
	g.standing = &Standing{At: last.at()}
	assert.Same(t, last, g.supersedes(first))
	g.standing = nil
	same.change.Identity = "external_id:bob"
	assert.Same(t, later, g.supersedes(first), "an event about another identity")
	later.trace.Matched = false
	assert.Same(t, last, g.supersedes(first), "an event that no subscription matches")
	later.verdict = &delivery.VerdictRecord{}
	assert.Same(t, later, g.supersedes(first), "a verdict is recorded, so that it was matched")
}

// TestWhichStandingCounts checks the order of what the ledger has of a user under different identities.
func TestWhichStandingCounts(t *testing.T) {
	member, left, newer := &Standing{Member: true, At: noon}, &Standing{At: noon.Add(time.Hour)}, &Standing{At: noon.Add(2 * time.Hour)}
	for _, c := range []struct {
		a, b *Standing
		want bool
	}{{member, left, true}, {left, member, false}, {newer, left, true}, {left, newer, false}, {left, left, false}} {
		assert.Equal(t, c.want, newerStanding(c.a, c.b))
	}
	f := &facts{standings: []Standing{*left, *newer, *member, {Audience: "vip", Delivered: noon.Add(time.Hour)}, {Audience: "gold", Delivered: noon.Add(2 * time.Hour)}}}
	for i := range 3 {
		f.standings[i].Audience = "old"
	}
	groups := f.groups()
	require.Len(t, groups, 3)
	assert.Equal(t, []string{"gold", "vip", "old"}, []string{groups[0].audience, groups[1].audience, groups[2].audience}, "the most recent first")
	assert.True(t, groups[2].standing.Member)
}

// TestBestResults checks which of the results of an event counts, and that of the others the one with the fewest failed conditions is shown.
func TestBestResults(t *testing.T) {
	far, near := change(1, 0, true), change(1, 0, true)
	far.trace.Matched, near.trace.Matched = false, false
	far.trace.Conditions = fql.Explanation{Text: "all of", Parts: []fql.Explanation{{Text: "a"}, {Text: "b"}}}
	near.trace.Conditions = fql.Explanation{Text: "all of", Parts: []fql.Explanation{{Text: "a"}, {Text: "b", Matched: true}}}
	matched, verdict, letter := change(1, 0, true), change(1, 0, true), change(1, 0, true)
	verdict.verdict, letter.letter = &delivery.VerdictRecord{}, &delivery.DeadLetter{}
	list := []*result{far, near, matched, verdict, letter}
	for i, r := range list {
		r.event = list[0].event
		r.subscription = string(rune('a' + i))
		for _, order := range [][]*result{list[:i+1], {r, list[0]}} {
			assert.Same(t, r, bestOfEach(order)[0], i)
		}
	}
	f := &facts{events: []*foundEvent{far.event}, results: []*result{far, near}}
	entries := f.eventEntries(far.event, nil)
	require.Len(t, entries, 1)
	assert.Equal(t, []any{KindNotMatched, "b", "does not match: a"}, []any{entries[0].Kind, entries[0].Subscription, entries[0].Text})
}

// TestWhatTheLedgerSays checks the answers about changes whose events the log no longer has.
func TestWhatTheLedgerSays(t *testing.T) {
	delivered := noon.Add(time.Hour)
	entry := func(outcome string, decided time.Time) []state.HistoryEntry {
		return []state.HistoryEntry{{Outcome: "delivered", Decided: noon}, {Outcome: outcome, Decided: decided, At: noon, Reason: "because"}}
	}
	for name, c := range map[string]struct {
		standing Standing
		want     Reason
		says     string
	}{
		"skipped":        {Standing{history: entry("skipped", noon)}, SkippedForReason, "was skipped at 2026-01-02 12:00:00 UTC: because. The log no longer has the event"},
		"refused":        {Standing{Known: true, Delivered: noon.Add(-time.Hour), history: entry("refused", noon)}, RefusedByRemote, "was refused"},
		"to be repeated": {Standing{history: entry("retry", noon)}, Waiting, "was retry"},
		"refused before": {Standing{Known: true, Delivered: delivered, history: entry("refused", delivered)}, Left, "accepted the exit"},
		"delivered":      {Standing{Known: true, history: entry("delivered", noon)}, Left, "accepted the exit"},
		"never":          {Standing{}, NotKept, "nothing was delivered"},
	} {
		c.standing.Name = "VIP"
		answer := (&facts{question: Question{User: "ana"}}).answerGroup(&group{instance: "main", standing: &c.standing})
		assert.Equal(t, c.want, answer.Reason, name)
		assert.Contains(t, answer.Text, c.says, name)
		assert.Contains(t, answer.Text, "VIP", name)
	}
}

// TestMembersWithOpenEvents checks that a member whose state is uncertain is not called one while an event waits that decides it.
func TestMembersWithOpenEvents(t *testing.T) {
	for name, c := range map[string]struct {
		uncertain bool
		change    func(*result)
		open      bool
	}{
		"a letter":                      {true, func(r *result) { r.letter = &delivery.DeadLetter{} }, true},
		"a waiting event":               {true, func(r *result) { r.progress = delivery.EventWaiting }, true},
		"a waiting one that is ignored": {true, func(r *result) { r.progress, r.trace.Matched = delivery.EventWaiting, false }, false},
		"a finished event":              {true, func(*result) {}, false},
		"a certain member":              {false, func(r *result) { r.progress = delivery.EventWaiting }, false},
	} {
		r := change(1, 0, true)
		c.change(r)
		f := &facts{source: &Source{}}
		g := &group{instance: "main", audience: "vip", results: []*result{r}, standing: &Standing{Member: true, Uncertain: c.uncertain}}
		assert.Equal(t, c.open, f.hasOpenEntry(g), name)
		assert.Equal(t, !c.open, f.answerGroup(g).Reason == Member, name)
	}
}

// TestLedgerDecidesUnrecordedEvents checks what is said of an event without a verdict if the ledger has its change, or a newer one.
func TestLedgerDecidesUnrecordedEvents(t *testing.T) {
	for name, c := range map[string]struct {
		standing Standing
		change   func(*result)
		want     Reason
	}{
		"delivered":                {Standing{history: []state.HistoryEntry{{At: noon, Member: true, Outcome: "delivered"}}}, nil, Delivered},
		"skipped":                  {Standing{history: []state.HistoryEntry{{At: noon, Member: true, Outcome: "skipped"}}}, nil, Superseded},
		"another change":           {Standing{history: []state.HistoryEntry{{At: noon, Member: false, Outcome: "delivered"}, {At: noon.Add(time.Second), Member: true, Outcome: "delivered"}}}, nil, NotKept},
		"the state is its change":  {Standing{At: noon, Member: true, Known: true}, nil, Delivered},
		"the state is its reverse": {Standing{At: noon, Member: false, Known: true}, nil, NotKept},
		"not delivered":            {Standing{At: noon, Member: true}, nil, NotKept},
		"a newer change":           {Standing{At: noon.Add(time.Hour), Known: true}, nil, Superseded},
		"newer, but it waits":      {Standing{At: noon.Add(time.Hour), Known: true}, func(r *result) { r.progress = delivery.EventWaiting }, Waiting},
		"newer, but not matched":   {Standing{At: noon.Add(time.Hour), Known: true}, func(r *result) { r.trace.Matched = false }, NotSubscribed},
		"of another identity":      {Standing{At: noon, Member: true, Known: true, Identity: "external_id:bob"}, nil, NotKept},
		"of another audience":      {Standing{At: noon, Member: true, Known: true, Audience: "gold"}, nil, NotKept},
		"of another instance":      {Standing{At: noon, Member: true, Known: true, Instance: "other"}, nil, NotKept},
	} {
		s, r := c.standing, change(1, 0, true)
		for field, value := range map[*string]string{&s.Identity: "external_id:ana", &s.Audience: "vip", &s.Instance: "main"} {
			if *field == "" {
				*field = value
			}
		}
		if c.change != nil {
			c.change(r)
		}
		f := &facts{standings: []Standing{s}, status: map[string]delivery.Status{}}
		assert.Equal(t, c.want, f.dispositionOf(&group{instance: "main", audience: "vip"}, r).Reason, name)
	}
}

// TestUnrecordedDeliveries checks that an event which the ledger has is shown as delivered.
func TestUnrecordedDeliveries(t *testing.T) {
	r := change(1, 0, true)
	f := &facts{standings: []Standing{{Instance: "main", Audience: "vip", Identity: "external_id:ana", At: noon, Member: true, Known: true}}}
	entry := f.unrecordedEntry(Entry{}, r, []*group{{instance: "main", audience: "vip", results: []*result{r}}})
	assert.Equal(t, []any{KindVerdict, "delivered", false}, []any{entry.Kind, entry.Outcome, entry.Recomputed})
}

// TestWhoseEventItIs checks whose an event is: that of the user whom its identifiers name. An e-mail address counts anywhere.
func TestWhoseEventItIs(t *testing.T) {
	for _, c := range []struct {
		asked, raw string
		want       bool
	}{
		{"u1", `{"userId":"u1"}`, true}, {"u1", `{"userId":"u2","properties":{"friend":"u1"}}`, false}, {"u1", `{"anonymousId":"u1"}`, true},
		{"a@b.co", `{"userId":"u2","properties":{"contact":"A@b.co"}}`, true}, {"a@b.co", `{"userId":"u2","properties":{"contact":"xa@b.co"}}`, false},
	} {
		assert.Equal(t, c.want, newOwner(c.asked).owns(event.MustParse(c.raw)), "%+v", c)
	}
	o := newOwner("u1")
	assert.False(t, o.learn(event.MustParse(`{"userId":"u1"}`)), "nothing but what was asked")
	assert.True(t, o.learn(event.MustParse(`{"userId":"u1","anonymousId":"anon"}`)))
	assert.True(t, o.owns(event.MustParse(`{"anonymousId":"anon"}`)))
	assert.False(t, o.owns(event.MustParse(`{"userId":"u2","anonymousId":"anon"}`)), "another user on the same machine")
	assert.Equal(t, []string{"u1", "anon"}, o.list())
}

// TestComputedOutcomes checks what is said of an event of which nothing is recorded, by what the current config makes of it, and its entry.
func TestComputedOutcomes(t *testing.T) {
	for _, c := range []struct {
		outcome string
		cause   fault.Cause
		want    Reason
		entry   string
	}{
		{"refused", fault.CauseInvalidEvent, Refused, "refused"}, {"skipped", fault.CauseNoConsent, Filtered, "not delivered"}, {"skipped", "another", SkippedForReason, "not delivered"},
		{"skipped", fault.CauseSuperseded, Superseded, "skipped"}, {"delivered", "", NotKept, "not delivered"},
	} {
		r, newer := change(1, 0, true), change(2, 5, false)
		r.trace.Outcome, r.trace.Cause, r.trace.Reason = c.outcome, c.cause, "because"
		f := &facts{now: noon.Add(time.Hour)}
		g := &group{instance: "main", audience: "vip", results: []*result{newer, r}}
		d := f.dispositionOf(g, r)
		assert.Equal(t, c.want, d.Reason, c)
		assert.True(t, d.Recomputed)
		assert.Equal(t, c.want == NotKept, d.Next == "deliver it again with landfall replay --instance main", c)
		entry := f.unrecordedEntry(Entry{}, r, []*group{{instance: "other", audience: "vip"}, {instance: "main"}, g})
		assert.Equal(t, []any{KindVerdict, c.entry, true}, []any{entry.Kind, entry.Outcome, entry.Recomputed}, c)
		assert.Equal(t, c.want == Superseded, entry.SupersededBy != nil)
		if c.outcome != "delivered" && c.want != Superseded {
			assert.Contains(t, entry.Text, "because")
		}
	}
	f := &facts{actions: []history.Action{
		{Name: history.ActionConfig, At: noon.Add(2 * time.Hour), Attributes: map[string]string{"earlier": "v2"}}, {Name: history.ActionConfig, At: noon.Add(time.Hour), Attributes: map[string]string{"earlier": "v1"}},
		{Name: "another", At: noon.Add(time.Minute), Attributes: map[string]string{"earlier": "v1"}}, {Name: history.ActionConfig, At: noon.Add(time.Minute)},
		{Name: history.ActionConfig, At: noon, Attributes: map[string]string{"earlier": "v0"}},
	}}
	assert.Equal(t, &f.actions[1], f.configChangeAfter(change(1, 0, true)), "the first change after the event")
	assert.Nil(t, f.configChangeAfter(change(1, 180, true)))
}

// TestEntriesOfVerdictsAndDeadLetters checks what the timeline has of a verdict, with its batch, and of a dead letter.
func TestEntriesOfVerdictsAndDeadLetters(t *testing.T) {
	request := &delivery.Exchange{Status: 400}
	batch := &delivery.Batch{ID: "b1", At: noon, Duration: 1500 * time.Millisecond, Events: 3, Requests: []*delivery.Exchange{request}, Partial: true}
	v := &delivery.VerdictRecord{At: noon, Instance: "main", Subscription: "All", Outcome: "dead", Cause: fault.CauseRefused, Reason: "unknown list", Attempts: 2, Batch: batch}
	entry := verdictEntry(Entry{}, v, nil)
	assert.Equal(t, "dead: unknown list (2 attempts)", entry.Text)
	assert.Equal(t, &Batch{ID: "b1", At: noon, Milliseconds: 1500, Events: 3, Requests: batch.Requests, Partial: true}, entry.Batch)
	v.Attempts, v.Reason, v.Batch = 1, "", nil
	entry = verdictEntry(Entry{}, v, nil)
	assert.Equal(t, "dead", entry.Text)
	assert.Nil(t, entry.Batch)

	r := change(1, 0, true)
	for _, parked := range []bool{false, true} {
		r.letter = &delivery.DeadLetter{ID: "7-0-abc", At: noon, Attempts: 4, Parked: parked, Cause: fault.CauseRefused, Reason: "unknown list", Request: request}
		list := (&facts{}).resultEntries(r, nil)
		require.Len(t, list, 1, "its disposition is not computed")
		assert.Equal(t, "kept as dead letter 7-0-abc after 4 attempts: unknown list", list[0].Text)
		assert.Equal(t, map[bool]string{false: "dead", true: "parked"}[parked], list[0].Outcome)
		assert.Equal(t, &Batch{Requests: []*delivery.Exchange{request}}, list[0].Batch)
	}
	r.letter.Request = nil
	assert.Nil(t, (&facts{}).resultEntries(r, nil)[0].Batch, "it never was sent")
	r.letter.Request = request
	r.verdict, r.event.verdicts = v, []delivery.VerdictRecord{*v, {Instance: "other", Subscription: "All"}, {Instance: "main", Subscription: "Other"}}
	list := (&facts{}).resultEntries(r, nil)
	require.Len(t, list, 2)
	assert.Equal(t, []any{KindVerdict, KindDead}, []any{list[0].Kind, list[1].Kind})
	assert.Nil(t, list[1].Batch, "the verdict has it")
}

// TestActionsInTheTimeline checks which actions of operators and changes of the config may concern the user.
func TestActionsInTheTimeline(t *testing.T) {
	action := func(name, instance, audience string, minutes int) history.Action {
		return history.Action{Name: name, At: noon.Add(time.Duration(minutes) * time.Minute), Who: "bob", Outcome: "ok", Attributes: map[string]string{"instance": instance, "cohort": audience}}
	}
	config := func(earlier string, minutes int) history.Action {
		a := action(history.ActionConfig, "", "", minutes)
		a.Attributes["earlier"] = earlier
		return a
	}
	failed := action(history.ActionResync, "main", "vip", 3)
	failed.Outcome = "failed"
	r := change(1, 0, true)
	r.letter = &delivery.DeadLetter{}
	f := &facts{now: noon.Add(2 * time.Hour), results: []*result{r}, standings: []Standing{{Instance: "main", Audience: "gold"}}, actions: []history.Action{
		action(history.ActionPurge, "main", "vip", 1), action(history.ActionSync, "main", "gold", 2), failed, action(history.ActionDrop, "main", "", 4), config("v1", 5), action("custom.thing", "main", "vip", 6),
		action(history.ActionPurge, "main", "silver", 7), action(history.ActionPurge, "other", "vip", 8), action(history.ActionDrop, "main", "", -1), action(history.ActionDrop, "other", "", 9), config("v1", -1), config("", 10),
	}}
	var texts []string
	for _, e := range f.actionEntries([]Entry{{At: noon}, {At: noon.Add(time.Hour)}}) {
		texts = append(texts, string(e.Kind)+" "+e.Audience+": "+e.Text)
	}
	assert.Equal(t, []string{
		"operator vip: the audience was emptied by bob", "operator gold: the audience was synced with a file by bob", "operator vip: the audience was sent again by bob (failed)", "operator : dead letters were deleted by bob",
		"config : the server began to use a changed config",
	}, texts)
	r.letter = nil
	assert.False(t, f.concernsUser(action(history.ActionDrop, "main", "", 4)), "it never was a dead letter")
	for outcome, had := range map[string]bool{"dead": true, "parked": true, "dropped": true, "delivered": false} {
		r.event.verdicts = []delivery.VerdictRecord{{Instance: "main", Outcome: outcome}}
		assert.Equal(t, had, f.concernsUser(action(history.ActionReplay, "main", "", 4)), outcome)
		r.event.verdicts[0].Instance = "other"
		assert.False(t, hadDeadLetter(r), outcome)
	}
	f.question.Audience = "silver"
	f.standings = nil
	assert.False(t, f.concernsUser(action(history.ActionPurge, "main", "vip", 1)), "another audience than that of the question")
}

// TestCopiesInTheTimeline checks that a replayed event is shown at the time of the replay, with the position of the event.
func TestCopiesInTheTimeline(t *testing.T) {
	original := history.Position{Seq: 1, Index: 2}
	f := &facts{copies: []delivery.StoredEvent{{Seq: 9, At: noon, Replay: "main", Original: delivery.EventSource{Seq: 1, Index: 2}}}}
	list := f.timeline(nil)
	require.Len(t, list, 1)
	assert.Equal(t, []any{KindReplayed, "main", &original, noon}, []any{list[0].Kind, list[0].Instance, list[0].Event, list[0].At})
}
