package why_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/why"
)

// TestWhatOnlyTheLedgerHas checks that changes whose events the log no longer has are in the timeline, and that those whose events it has are
// there once.
func TestWhatOnlyTheLedgerHas(t *testing.T) {
	r := newRecords(t)
	r.change("remembered", true, at(0))
	r.change("remembered", false, at(2))
	ledger := func(user string) (texts []string) {
		for _, e := range r.ask(why.Question{User: user}).Timeline {
			if e.Kind == why.KindLedger {
				texts = append(texts, e.Text)
				assert.Equal(t, []string{"main", "vip", "delivered"}, []string{e.Instance, e.Audience, e.Outcome})
			}
		}
		return texts
	}
	clock := func(minutes int) string { return at(minutes).UTC().Format("2006-01-02 15:04:05 UTC") }
	texts := ledger("remembered")
	assert.Contains(t, texts, "the exit of "+clock(2)+" was delivered")
	assert.True(t, slices.ContainsFunc(texts, func(text string) bool { return strings.HasPrefix(text, "the entry of "+clock(0)+" was delivered") }), "%q", texts)

	r.decide(r.accept(entry{user: "member", name: enters, at: at(0)}), "delivered", "", "")
	r.change("member", true, at(0))
	assert.Empty(t, ledger("member"))

	r.decide(r.accept(entry{user: "late", name: enters, at: at(0)}), "skipped", fault.CauseSuperseded, "superseded by a newer event")
	assert.Contains(t, r.ask(why.Question{User: "late"}).Answer.Text, "was superseded by a newer event, which the log no longer has")
	r.change("late", false, at(1))
	answer := r.ask(why.Question{User: "late"}).Answer
	assert.Equal(t, why.Superseded, answer.Reason)
	assert.Contains(t, answer.Text, "was superseded by the change of "+clock(1)+" that the ledger has")
}

// TestEmptiedAudiences checks what is said of users of an audience that was emptied, by whom, and of users whom a later event decided.
func TestEmptiedAudiences(t *testing.T) {
	r := newRecords(t)
	purge := time.Now().Add(-30 * time.Minute).Truncate(time.Second)
	for _, user := range []string{"external_id:emptied", "external_id:returned"} {
		require.NoError(t, r.ledger.Record(t.Context(), vip, []destination.Change{{Identity: user, Member: true, At: at(0)}}))
	}
	require.NoError(t, r.ledger.Purge(t.Context(), vip, purge))
	require.NoError(t, r.ledger.Record(t.Context(), vip, []destination.Change{{Identity: "external_id:emptied", At: purge}, {Identity: "external_id:returned", Member: true, At: purge.Add(time.Minute)}}))
	answer := r.ask(why.Question{User: "emptied"}).Answer
	assert.Equal(t, why.Purged, answer.Reason, answer.Text)
	assert.NotContains(t, answer.Text, " by ", "it is not recorded who did it")
	assert.Contains(t, answer.Text, "emptied was removed from vip when the audience was emptied at "+purge.UTC().Format("2006-01-02 15:04:05 UTC"))
	assert.Contains(t, answer.Next, "landfall sync")
	assert.Equal(t, why.Member, r.ask(why.Question{User: "returned"}).Answer.Reason)
	r.operate(history.ActionPurge, "instance", "main", "cohort", "aud_vip") // now
	assert.NotContains(t, r.ask(why.Question{User: "emptied"}).Answer.Text, " by ", "another time that it was emptied")
}

// TestSeveralInstances checks that a question about an instance is answered for it, and that an audience which the user is in does not hide one
// that the user is missing from.
func TestSeveralInstances(t *testing.T) {
	r := newRecords(t)
	gold := destination.Audience{ID: "aud_gold", Name: "gold"}
	r.change("u1", true, at(0))
	require.NoError(t, r.ledger.Record(t.Context(), gold, []destination.Change{{Identity: "external_id:u1", At: at(1)}}))
	for audience, want := range map[string]why.Reason{"vip": why.Member, "aud_gold": why.Left, "Gold": why.Left, "": why.Left} {
		report := r.ask(why.Question{User: "u1", Audience: audience})
		assert.Equal(t, want, report.Answer.Reason, audience)
		assert.Len(t, report.Standings, map[bool]int{true: 2, false: 1}[audience == ""])
	}
	assert.Equal(t, why.Member, r.ask(why.Question{User: "u1", Instance: "main", Audience: "vip"}).Answer.Reason)
}

// TestDuplicatesOfEachSource checks that the same messageId of two sources is no duplicate.
func TestDuplicatesOfEachSource(t *testing.T) {
	r := newRecords(t)
	r.accept(entry{user: "u1", name: enters, at: at(0), id: "same", source: "app"})
	r.accept(entry{user: "u1", name: enters, at: at(1), id: "same"})
	for _, e := range r.ask(why.Question{User: "u1"}).Timeline {
		assert.NotContains(t, e.Text, "messageId")
	}
	r.accept(entry{user: "u1", name: enters, at: at(2), id: "same"})
	ignored := 0
	for _, e := range r.ask(why.Question{User: "u1"}).Timeline {
		if e.Kind == why.KindAccepted && strings.Contains(e.Text, "an event with its messageId was accepted before") {
			ignored++
		}
	}
	assert.Equal(t, 1, ignored)
}

// TestEventsOfOtherInstances checks that a question about an instance leaves out what another one did, also one that the config no longer has.
func TestEventsOfOtherInstances(t *testing.T) {
	r := newRecords(t)
	e := r.accept(entry{user: "u1", name: enters, at: at(0)})
	r.noted.AddVerdict(delivery.VerdictRecord{At: time.Now(), Instance: "removed", Subscription: "All", Outcome: "delivered", Seq: e.Seq, Index: e.Index})
	instancesOf := func(q why.Question) (list []string) {
		for _, e := range r.ask(q).Timeline {
			if e.Kind == why.KindVerdict {
				list = append(list, e.Instance)
			}
		}
		return list
	}
	assert.Contains(t, instancesOf(why.Question{User: "u1"}), "removed")
	assert.NotContains(t, instancesOf(why.Question{User: "u1", Instance: "main"}), "removed")
}

// TestTextsOfUnmatchedEvents checks that an event that no subscription matches is shown with its audience and with all conditions that failed.
func TestTextsOfUnmatchedEvents(t *testing.T) {
	r := newRecords(t)
	r.accept(entry{user: "u1", name: "Order Completed", at: at(0)})
	report := r.ask(why.Question{User: "u1", Audience: "vip"})
	assert.Equal(t, why.NotSubscribed, report.Answer.Reason)
	assert.Contains(t, report.Answer.Text, `none of these holds: event = "Audience Entered", but event is "Order Completed"; event = "Audience Exited"`)
	last := report.Timeline[len(report.Timeline)-1]
	assert.Equal(t, []any{why.KindNotMatched, "vip", true}, []any{last.Kind, last.Audience, last.Recomputed})
}

// TestOlderEventsSupersedeNothing checks that an event is not said to be superseded by an older one.
func TestOlderEventsSupersedeNothing(t *testing.T) {
	r := newRecords(t)
	r.decide(r.accept(entry{user: "u1", name: exits, at: at(-1)}), "delivered", "", "")
	r.decide(r.accept(entry{user: "u1", name: enters, at: at(0)}), "skipped", fault.CauseSuperseded, "superseded by a newer event")
	report := r.ask(why.Question{User: "u1"})
	assert.Equal(t, why.Superseded, report.Answer.Reason)
	assert.Contains(t, report.Answer.Text, "was superseded by a newer event, which the log no longer has")
	for _, e := range report.Timeline {
		assert.Nil(t, e.SupersededBy)
	}
}

// TestTimeOfWaitingEvents checks that an event that waits is shown as of the time of the question.
func TestTimeOfWaitingEvents(t *testing.T) {
	r := newRecords(t)
	r.accept(entry{user: "u1", name: enters, at: at(0)})
	now := time.Now().Add(time.Hour)
	r.source.Now = func() time.Time { return now }
	timeline := r.ask(why.Question{User: "u1"}).Timeline
	assert.Equal(t, now, timeline[len(timeline)-1].At)
}

// TestInstancesWithoutAudiences checks that users are found at a destination that keeps no audiences, which has no ledger to look into.
func TestInstancesWithoutAudiences(t *testing.T) {
	r := newRecords(t)
	cfg, problems := config.Parse("landfall.yaml", []byte(`destinations:
  - {id: hook, destination: webhook, subscriptions: [{name: All, action: send, subscribe: type = "track", mapping: {url: "https://hook.example/in"}}]}
`), config.Env{})
	require.Empty(t, problems)
	own := r.source.Instances
	r.source.Instances = func(observe func(httpx.Exchange)) ([]instances.Instance, error) {
		list, err := own(observe)
		require.NoError(t, err)
		more, err := instances.Load(cfg, nil, instances.Options{Target: &instances.Target{DryRun: true}, Catalog: instances.Catalog{Plugins: []destination.Plugin{webhook.Plugin()}}, Observe: observe})
		return append(more, list...), err
	}
	r.accept(entry{user: "u1", name: enters, at: at(0)})
	r.change("u1", true, at(0))
	assert.Equal(t, why.Waiting, r.ask(why.Question{User: "u1", Instance: "hook"}).Answer.Reason)
	assert.Equal(t, why.Member, r.ask(why.Question{User: "u1", Instance: "main"}).Answer.Reason)
	assert.Len(t, r.ask(why.Question{User: "u1"}).Standings, 1)
}
