package why_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/why"
	"github.com/landfall-dev/landfall/framework/state"
)

const configText = `
sources: [{id: web, writeKey: wk}]
destinations:
  - id: main
    destination: braze-cohorts
    sources: [web]
    settings: {endpoint: "https://rest.iad-01.braze.com", client_secret: s, partner_api_key: p}
    subscriptions:
      - name: Audiences
        action: syncAudiences
        subscribe: event = "Audience Entered" or event = "Audience Exited"
        mapping: {personas_audience_key: {"@path": $.context.personas.computation_key}}
`

var vip = destination.Audience{ID: "aud_vip", Name: "vip"}

// records is what a server has recorded about its users.
type records struct {
	linger time.Duration // how long deliver waits for more events of a batch; a millisecond if it is 0
	t      *testing.T
	source why.Source
	queue  *delivery.Queue
	ledger *state.Ledger
	noted  *history.Recorder
	events int
	status []delivery.Status
}

func newRecords(t *testing.T) *records {
	dir := t.TempDir()
	store, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	queue, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(dir, "queue"), Partitions: 1})
	require.NoError(t, err)
	t.Cleanup(queue.Close)
	cfg, problems := config.Parse("landfall.yaml", []byte(configText), config.Env{})
	require.Empty(t, problems)
	r := &records{t: t, queue: queue, ledger: store.Ledger("main"), noted: history.New(history.Config{Store: store})}
	t.Cleanup(r.noted.Close)
	r.source = why.Source{
		Queue: queue, Store: store, Flush: r.noted.Flush, Status: func() []delivery.Status { return r.status },
		Instances: func(observe func(httpx.Exchange)) ([]instances.Instance, error) {
			list, err := instances.Load(cfg, nil, instances.Options{
				Target: &instances.Target{DryRun: true}, Catalog: instances.Catalog{Plugins: []destination.Plugin{brazecohorts.Plugin()}}, Observe: observe, Members: why.NoMembers(),
			})
			for i := range list {
				list[i].Ledger = store.Ledger(list[i].Plan.ID())
			}
			return list, err
		},
	}
	return r
}

var firstEvent = time.Now().Add(-time.Hour).Truncate(time.Second)

// at returns a time that is some minutes after the first event.
func at(minutes int) time.Time { return firstEvent.Add(time.Duration(minutes) * time.Minute) }

// entry is a change of a user's membership in vip, which was received from a source.
type entry struct {
	user, name, source, id string
	at                     time.Time
}

// accept stores an event and returns it.
func (r *records) accept(e entry) delivery.StoredEvent {
	r.t.Helper()
	r.events++
	if e.id == "" {
		e.id = fmt.Sprint("m", r.events)
	}
	if e.source == "" {
		e.source = "web"
	}
	raw := fmt.Sprintf(`{"type":"track","messageId":%q,"userId":%q,"event":%q,"timestamp":%q,"receivedAt":%[4]q,"properties":{"audience_key":"vip","vip":%t},"context":{"personas":{"computation_class":"audience","computation_id":"aud_vip","computation_key":"vip"}}}`,
		e.id, e.user, e.name, e.at.UTC().Format(time.RFC3339), e.name != "Audience Exited")
	require.NoError(r.t, r.queue.Append(r.t.Context(), []delivery.NewEvent{{Source: e.source, Key: "u:" + e.user, Raw: []byte(raw)}}))
	list, _, err := r.queue.Latest(r.t.Context(), "", 1)
	require.NoError(r.t, err)
	return list[0]
}

// decide records a verdict on an event.
func (r *records) decide(e delivery.StoredEvent, outcome string, cause fault.Cause, reason string) {
	r.noted.AddVerdict(delivery.VerdictRecord{At: time.Now(), Instance: "main", Subscription: "Audiences", Outcome: outcome, Cause: cause, Reason: reason, Seq: e.Seq, Index: e.Index})
}

// change records a change in the ledger.
func (r *records) change(user string, member bool, at time.Time) {
	changes := []destination.Change{{Identity: "external_id:" + user, Member: member, At: at}}
	require.NoError(r.t, r.ledger.MarkUncertain(r.t.Context(), vip, changes))
	require.NoError(r.t, r.ledger.Record(r.t.Context(), vip, changes))
}

func (r *records) operate(action string, attributes ...any) {
	r.noted.AddAudit(access.Entry{Actor: access.Actor{Who: "ana"}, Action: action, Outcome: "ok", Attributes: attributes})
}

func (r *records) ask(q why.Question) *why.Report {
	r.t.Helper()
	report, err := r.source.Ask(r.t.Context(), q)
	require.NoError(r.t, err)
	return report
}

const enters, exits = "Audience Entered", "Audience Exited"

// TestAnswers asks about users who are missing, or are there, for different reasons.
func TestAnswers(t *testing.T) {
	r := newRecords(t)
	enter := func(user string) delivery.StoredEvent { return r.accept(entry{user: user, name: enters, at: at(0)}) }
	r.noted.AddRejection("web", event.MustParse(`{"type":"trakc","userId":"rejected"}`), "type should be track")
	for user, prepare := range map[string]func(user string){
		"unmatched": func(user string) { r.accept(entry{user: user, name: "Order Completed", at: at(0)}) },
		"elsewhere": func(user string) { r.accept(entry{user: user, name: enters, at: at(0), source: "app"}) },
		"waiting":   func(user string) { enter(user) },
		"member": func(user string) {
			r.decide(enter(user), "delivered", "", "")
			r.change(user, true, at(0))
		},
		"left": func(user string) {
			r.decide(enter(user), "delivered", "", "")
			r.decide(r.accept(entry{user: user, name: exits, at: at(1)}), "delivered", "", "")
			r.change(user, true, at(0))
			r.change(user, false, at(1))
		},
		"late": func(user string) {
			r.decide(r.accept(entry{user: user, name: exits, at: at(-1)}), "delivered", "", "")
			r.decide(r.accept(entry{user: user, name: exits, at: at(1)}), "delivered", "", "")
			r.decide(enter(user), "skipped", fault.CauseSuperseded, "superseded by a newer event")
			r.change(user, false, at(1))
		},
		"unwilling": func(user string) { r.decide(enter(user), "skipped", fault.CauseNoConsent, "no consent") },
		"unchanged": func(user string) { r.decide(enter(user), "skipped", fault.CauseNoChange, "") },
		"expired":   func(user string) { r.decide(enter(user), "dead", fault.CauseRefused, "unknown list") },
		"twice": func(user string) {
			r.accept(entry{user: user, name: "Order Completed", at: at(0), id: "same"})
			r.accept(entry{user: user, name: enters, at: at(1), id: "same"})
		},
		"purged": func(user string) {
			r.decide(enter(user), "delivered", "", "")
			r.change(user, true, at(0))
		},
		"remembered": func(user string) {
			r.change(user, true, at(0))
			r.change(user, false, at(2))
		},
	} {
		prepare(user)
	}
	purge := time.Now().Truncate(time.Second)
	gone := destination.Audience{ID: "aud_gone", Name: "gone"}
	require.NoError(t, r.ledger.Record(t.Context(), gone, []destination.Change{{Identity: "external_id:emptied", Member: true, At: at(0)}}))
	require.NoError(t, r.ledger.Purge(t.Context(), gone, purge))
	require.NoError(t, r.ledger.Record(t.Context(), gone, []destination.Change{{Identity: "external_id:emptied", At: purge}}))
	r.operate(history.ActionPurge, "instance", "main", "cohort", "aud_gone")

	for user, c := range map[string]struct {
		reason why.Reason
		says   string
	}{
		"unknown":    {why.NeverArrived, "No event of unknown has arrived"},
		"rejected":   {why.Rejected, "from the source web: type should be track"},
		"unmatched":  {why.NotSubscribed, `event = "Audience Entered", but event is "Order Completed"`},
		"elsewhere":  {why.Filtered, "gets no events from the source app"},
		"waiting":    {why.Waiting, "no running server of this queue delivers to the instance"},
		"member":     {why.Member, "member is in vip: the destination of main accepted the entry"},
		"left":       {why.Left, "left left vip: the newest event is an exit"},
		"late":       {why.Superseded, "was superseded by a newer event: the exit of"},
		"unwilling":  {why.Filtered, "was not sent to main › Audiences: no consent"},
		"unchanged":  {why.Delivered, "changed nothing"},
		"expired":    {why.Dropped, "Its dead letter was deleted, or has expired"},
		"twice":      {why.Duplicate, "an event with the same messageId was accepted before"},
		"emptied":    {why.Purged, "when the audience was emptied at"},
		"remembered": {why.Left, "The log no longer has the event"},
	} {
		report := r.ask(why.Question{User: user})
		assert.Equal(t, c.reason, report.Answer.Reason, "%s: %s", user, report.Answer.Text)
		assert.Contains(t, report.Answer.Text, c.says, user)
		assert.True(t, report.Searched.Complete)
		assert.Empty(t, report.Problems)
	}
	assert.Contains(t, r.ask(why.Question{User: "emptied"}).Answer.Text, "by ana")
	assert.Contains(t, r.ask(why.Question{User: "late"}).Answer.Text, "the exit of "+at(1).UTC().Format("2006-01-02 15:04:05 UTC"))
	assert.True(t, r.ask(why.Question{User: "unmatched"}).Answer.Recomputed)
	assert.False(t, r.ask(why.Question{User: "left"}).Answer.Recomputed, "it is recorded")
	none := r.ask(why.Question{User: "member", Instance: "other"})
	assert.Equal(t, why.NoInstance, none.Answer.Reason)
	assert.Contains(t, none.Answer.Text, "no enabled instance other")
	about := r.ask(why.Question{User: "member", Audience: "viip"}).Answer
	assert.Equal(t, why.NeverArrived, about.Reason)
	assert.Contains(t, about.Text, `No event about viip has arrived (did you mean "vip"?)`)
	for _, audience := range []string{"VIP", "aud_vip"} {
		assert.Equal(t, why.Member, r.ask(why.Question{User: "member", Audience: audience}).Answer.Reason, audience)
	}
	_, err := r.source.Ask(t.Context(), why.Question{})
	assert.ErrorIs(t, err, why.ErrNoUser)
}

// TestDeadLettersThatAreGone checks what is said about dead letters that an operator deleted or replayed.
func TestDeadLettersThatAreGone(t *testing.T) {
	for action, c := range map[string]struct {
		reason why.Reason
		says   string
	}{
		history.ActionDrop:   {why.Dropped, "its dead letter was deleted by ana"},
		history.ActionReplay: {why.Waiting, "was replayed by ana"},
	} {
		r := newRecords(t)
		r.operate(action, "instance", "main")
		r.source.Flush(t.Context())
		e := r.accept(entry{user: "u1", name: enters, at: at(0)})
		r.decide(e, "dead", fault.CauseRefused, "unknown list")
		r.operate("event.send", "instance", "main")
		r.operate(action, "instance", "other")
		r.operate(action, "instance", "main", "id", "77-0-abc")
		before := r.ask(why.Question{User: "u1"})
		assert.Contains(t, before.Answer.Text, "Its dead letter was deleted, or has expired", "other letters")
		r.operate(action, "instance", "main", "id", fmt.Sprintf("%d-%d-abc", e.Seq, e.Index))
		report := r.ask(why.Question{User: "u1"})
		assert.Equal(t, c.reason, report.Answer.Reason)
		assert.Contains(t, report.Answer.Text, c.says)
		last := report.Timeline[len(report.Timeline)-1]
		assert.Equal(t, why.KindOperator, last.Kind)
		assert.Contains(t, last.Text, "by ana")
		operators := 0
		for _, entry := range report.Timeline {
			if entry.Kind == why.KindOperator {
				operators++
			}
		}
		assert.Equal(t, 1, operators, "what an operator did before, with other letters, or with an event of their own says nothing")
	}
}

// TestWhatHoldsEvents checks what is said about an event that waits, by the state of the instance.
func TestWhatHoldsEvents(t *testing.T) {
	r := newRecords(t)
	r.accept(entry{user: "u1", name: enters, at: at(0)})
	for name, c := range map[string]struct {
		status delivery.Status
		reason why.Reason
		says   string
	}{
		"stopped":    {delivery.Status{Stopped: "log in again"}, why.Paused, "is stopped: log in again"},
		"paused":     {delivery.Status{Paused: true, Until: at(90)}, why.Paused, "asked to wait until"},
		"standing":   {delivery.Status{}, why.Paused, "main does not deliver"},
		"finding":    {delivery.Status{Findings: []delivery.Finding{{Message: "the disk is full", Next: "make room"}}}, why.Paused, "the disk is full"},
		"delivering": {delivery.Status{Delivering: true, Waiting: 2, Behind: 1, Lag: time.Minute}, why.Waiting, "3 events wait, the oldest for 1m0s"},
	} {
		c.status.Instance = "main"
		r.status = []delivery.Status{c.status}
		report := r.ask(why.Question{User: "u1"})
		assert.Equal(t, c.reason, report.Answer.Reason, name)
		assert.Contains(t, report.Answer.Text, c.says, name)
		last := report.Timeline[len(report.Timeline)-1]
		assert.Equal(t, why.KindWaiting, last.Kind, name)
	}
}

// TestTimeline checks the order of what led to an answer, and which events belong to a user.
func TestTimeline(t *testing.T) {
	r := newRecords(t)
	exit := r.accept(entry{user: "u1", name: exits, at: at(1)})
	late := r.accept(entry{user: "u1", name: enters, at: at(0)})
	r.accept(entry{user: "u1", name: "Order Completed", at: at(-1)})
	r.accept(entry{user: "u2", name: enters, at: at(0)})
	r.decide(exit, "delivered", "", "")
	r.decide(late, "skipped", fault.CauseSuperseded, "superseded by a newer event")
	r.change("u1", false, at(1))
	anonymous := `{"type":"identify","messageId":"a","userId":"u1","anonymousId":"anon-1","traits":{"email":"Ann@example.com"},"receivedAt":"` + at(3).UTC().Format(time.RFC3339) + `"}`
	require.NoError(t, r.queue.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:u1", Raw: []byte(anonymous)}}))
	for _, user := range []string{"u1", "anon-1", "ANN@example.com"} {
		report := r.ask(why.Question{User: user})
		assert.Equal(t, why.Superseded, report.Answer.Reason, user)
		assert.Equal(t, 4, report.Searched.Events, user)
		assert.Subset(t, report.Identifiers, []string{user, "u1", "anon-1", "Ann@example.com"})
		var kinds []string
		for _, e := range report.Timeline {
			kinds = append(kinds, string(e.Kind))
			if e.Kind == why.KindVerdict && e.Outcome == "skipped" {
				require.NotNil(t, e.SupersededBy)
				assert.Equal(t, history.Position{Seq: exit.Seq, Index: exit.Index}, *e.SupersededBy)
			} else {
				assert.Nil(t, e.SupersededBy)
			}
		}
		text := strings.Join(kinds, " ")
		assert.Equal(t, 4, strings.Count(text, "accepted"), text)
		assert.Equal(t, 2, strings.Count(text, "mapped"), text)
		assert.Equal(t, 2, strings.Count(text, "verdict"), text)
		assert.Equal(t, 2, strings.Count(text, "not matched"), text)
	}
}

// TestChangesOfTheConfig checks that an event which the current config would deliver is not called lost if the config was another one.
func TestChangesOfTheConfig(t *testing.T) {
	r := newRecords(t)
	r.accept(entry{user: "u1", name: enters, at: at(0)})
	r.noted.Close()
	require.NoError(t, history.AddConfig(t.Context(), r.source.Store, "v1", time.Now().Add(-2*time.Hour)))
	require.NoError(t, history.AddConfig(t.Context(), r.source.Store, "v2", time.Now().Add(time.Second)))
	r.source.Now = func() time.Time { return time.Now().Add(time.Minute) }
	report := r.ask(why.Question{User: "u1"})
	var changes []string
	for _, e := range report.Timeline {
		if e.Kind == why.KindConfig {
			changes = append(changes, e.Text)
		}
	}
	assert.Equal(t, []string{"the server began to use a changed config"}, changes, "the first config is no change")
}

// TestWhatCannotBeRead checks that a config with mistakes is mentioned, and that a queue or a state that fails is an error, not an answer.
func TestWhatCannotBeRead(t *testing.T) {
	r := newRecords(t)
	r.accept(entry{user: "u1", name: enters, at: at(0)})
	working := r.source.Instances
	r.source.Instances = func(func(httpx.Exchange)) ([]instances.Instance, error) {
		return nil, fault.Problems{{Pointer: "/destinations", Message: "should not be empty"}}
	}
	report := r.ask(why.Question{User: "u1"})
	require.Len(t, report.Problems, 1)
	assert.Contains(t, report.Problems[0], "the config has mistakes")
	assert.NotEqual(t, why.NoInstance, report.Answer.Reason)
	r.source.Instances = func(func(httpx.Exchange)) ([]instances.Instance, error) {
		return nil, fault.ConnectionFailed(assert.AnError)
	}
	_, err := r.source.Ask(t.Context(), why.Question{User: "u1"})
	require.Error(t, err)
	r.source.Instances = working
	r.queue.Close()
	_, err = r.source.Ask(t.Context(), why.Question{User: "u1"})
	require.Error(t, err)
}
