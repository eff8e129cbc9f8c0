package why

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestRejectedAndMissing checks the answers about users without accepted events.
func TestRejectedAndMissing(t *testing.T) {
	rejection := func(raw string) foundRejection {
		return foundRejection{history.Rejection{At: noon, Source: "web", Reason: "no type", Event: raw}, event.MustParse(raw)}
	}
	f := &facts{question: Question{User: "ana", Audience: "vip"}, rejected: []foundRejection{rejection(`{"userId":"ana"}`), rejection(`{"userId":"ana","list":"VIP list"}`)}}
	assert.Equal(t, &f.rejected[0], f.newestRejection(), "nothing else explains it")
	assert.Contains(t, f.rejectedAnswer(&f.rejected[0]).Text, "no type (2 of the user's events were rejected)")
	f.events = []*foundEvent{{}}
	assert.Nil(t, f.newestRejection(), "none names the audience")
	f.standings = []Standing{{Audience: "aud_1", Name: "VIP list"}}
	assert.Equal(t, &f.rejected[1], f.newestRejection(), "by its name")
	f.standings = []Standing{{Audience: "VIP list", Name: "x"}}
	assert.Equal(t, &f.rejected[1], f.newestRejection(), "by its id")
	f.rejected = f.rejected[:1]
	assert.NotContains(t, f.rejectedAnswer(&f.rejected[0]).Text, "of the user's events")

	for text, searched := range map[string]Searched{"the log, which is empty,": {Complete: true}, "the log, which begins at 2026-01-02 12:00:00 UTC,": {Complete: true, From: noon}, "the part of the log since 2026-01-02": {From: noon}} {
		f := &facts{question: Question{User: "ana"}, searched: searched}
		assert.Contains(t, f.neverArrived().Text, text)
	}
	assert.Contains(t, (&facts{}).noInstance().Text, "The config has no enabled instance, so")
	assert.Equal(t, "an unknown time", clock(time.Time{}))
}

// TestOperatorsAndEvents checks when an operator's change of an audience is the answer: not for a member, and not if an event decided.
func TestOperatorsAndEvents(t *testing.T) {
	r := change(1, 0, true)
	purge := noon.Add(time.Hour)
	for name, c := range map[string]struct {
		standing *Standing
		actions  []history.Action
		want     Reason
	}{
		"nothing known":          {nil, nil, ""},
		"a member":               {&Standing{Member: true, At: purge, Purged: purge}, nil, ""},
		"emptied":                {&Standing{At: purge, Purged: purge}, nil, Purged},
		"emptied before":         {&Standing{At: noon.Add(-time.Hour), Purged: noon.Add(-time.Hour)}, nil, ""},
		"emptied as it arrived":  {&Standing{At: noon, Purged: noon}, nil, Purged},
		"decided much later":     {&Standing{At: purge.Add(time.Hour), Purged: purge}, nil, ""},
		"decided a moment later": {&Standing{At: purge.Add(operatorSlack), Purged: purge}, nil, Purged},
		"never emptied":          {&Standing{At: purge}, nil, ""},
		"an event decided":       {&Standing{At: noon}, []history.Action{{Name: history.ActionSync, At: noon, Attributes: map[string]string{"instance": "main", "cohort": "vip"}}}, ""},
		"synced":                 {&Standing{At: purge}, []history.Action{{Name: history.ActionSync, At: purge.Add(-operatorSlack), Attributes: map[string]string{"instance": "main", "cohort": "vip"}}}, Synced},
		"synced long before":     {&Standing{At: purge}, []history.Action{{Name: history.ActionSync, At: purge.Add(-operatorSlack - 1), Attributes: map[string]string{"instance": "main", "cohort": "vip"}}}, ""},
		"synced long after":      {&Standing{At: purge}, []history.Action{{Name: history.ActionSync, At: purge.Add(operatorSlack + 1), Attributes: map[string]string{"instance": "main", "cohort": "vip"}}}, ""},
	} {
		f := &facts{actions: c.actions}
		answer, ok := f.operatorAnswer(&group{instance: "main", audience: "vip", results: []*result{r}, standing: c.standing}, noon)
		assert.Equal(t, c.want, answer.Reason, name)
		assert.Equal(t, c.want != "", ok, name)
	}
}

// TestWhoEmptiedAnAudience checks that the one who emptied an audience is named, and not one who synced it at the time of the user's last change.
func TestWhoEmptiedAnAudience(t *testing.T) {
	action := func(name, who string, at time.Time) history.Action {
		return history.Action{Name: name, Who: who, At: at, Attributes: map[string]string{"instance": "main", "cohort": "vip"}}
	}
	purge := noon.Add(time.Hour)
	standing := &Standing{At: purge.Add(-3 * time.Second), Purged: purge}
	f := &facts{actions: []history.Action{action(history.ActionPurge, "bob", purge.Add(4*time.Second)), action(history.ActionSync, "ana", purge.Add(-3*time.Second))}}
	answer, ok := f.operatorAnswer(&group{instance: "main", audience: "vip", standing: standing}, noon)
	assert.True(t, ok)
	assert.Equal(t, Purged, answer.Reason)
	assert.Contains(t, answer.Text, "by bob")
}

// TestResultsOfAnEarlierConfig checks that a verdict of a subscription that the config no longer has, or that no longer matches, is shown, and that
// it is about the audience of its own event.
func TestResultsOfAnEarlierConfig(t *testing.T) {
	first, second := change(1, 0, true), change(2, 5, false)
	second.audience = destination.Audience{}
	gone := &foundEvent{StoredEvent: delivery.StoredEvent{Seq: 3, At: noon}}
	f := &facts{results: []*result{first, second}}
	for _, e := range []*foundEvent{first.event, second.event, gone} {
		f.addGone(e, "main", "Gone")
		f.addGone(e, "main", "Gone")
		f.addGone(e, "main", "All")
	}
	require.Len(t, f.results, 6, "once each, and the last event had no result of All")
	assert.Equal(t, []string{"vip", "", "", ""}, []string{f.results[2].audience.ID, f.results[3].audience.ID, f.results[4].audience.ID, f.results[5].audience.ID})

	r := change(1, 0, true)
	r.trace.Matched = false
	r.verdict = &delivery.VerdictRecord{At: noon, Instance: "main", Subscription: "All", Outcome: "delivered"}
	r.event.verdicts = []delivery.VerdictRecord{*r.verdict}
	f = &facts{results: []*result{r}}
	entries := f.eventEntries(r.event, nil)
	require.Len(t, entries, 1)
	assert.Equal(t, []any{KindVerdict, "delivered"}, []any{entries[0].Kind, entries[0].Outcome})
	r.verdict, r.event.verdicts, r.letter = nil, nil, &delivery.DeadLetter{}
	entries = f.eventEntries(r.event, nil)
	require.Len(t, entries, 1)
	assert.Equal(t, KindDead, entries[0].Kind)
}

// TestNamesOfGroups checks how an audience is called.
func TestNamesOfGroups(t *testing.T) {
	r := change(1, 0, true)
	g := &group{instance: "main", audience: "vip", results: []*result{r}, standing: &Standing{Name: "The VIPs"}}
	assert.Equal(t, "The VIPs", g.name())
	g.standing.Name = ""
	assert.Equal(t, "VIP", g.name())
	r.audience.Name = ""
	assert.Equal(t, "vip", g.name())
	g.audience = ""
	assert.Equal(t, "the destination of main", g.name())
	f := &facts{question: Question{Audience: "gold"}}
	r.audience = destination.Audience{}
	r.event.Event = eventOf(`{"userId":"ana","list":"gold"}`)
	assert.True(t, f.isRelevant(r), "the event names the audience")
	r.event.Event = eventOf(`{"userId":"ana","list":"silver"}`)
	assert.False(t, f.isRelevant(r))
	assert.Equal(t, []string{`it should not match event = "a"`}, failing(fql.Explanation{Text: "none of", Parts: []fql.Explanation{{Text: ` event = "a" `, Matched: true}}}))
}

func eventOf(text string) event.Event {
	e, err := event.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return e
}
