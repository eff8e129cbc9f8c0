package why_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/why"
)

// deliver delivers the events that wait to a remote that refuses the user poison. Nothing is recorded of the verdicts, as if they had expired.
func (r *records) deliver(text string) {
	r.t.Helper()
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		if bytes.Contains(body, []byte("poison")) {
			http.Error(w, `{"message":"poison is refused"}`, http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"message":"success"}`)
	}))
	defer remote.Close()
	cfg, problems := config.Parse("landfall.yaml", []byte(text), config.Env{})
	require.Empty(r.t, problems)
	list, err := instances.Load(cfg, nil, instances.Options{
		Target: &instances.Target{SandboxURL: remote.URL}, Catalog: instances.Catalog{Plugins: []destination.Plugin{brazecohorts.Plugin()}}, Members: r.ledger,
	})
	require.NoError(r.t, err)
	runner, err := delivery.NewRunner(r.t.Context(), r.queue, delivery.Settings{Linger: cmp.Or(r.linger, time.Millisecond)})
	require.NoError(r.t, err)
	require.NoError(r.t, runner.SetInstances(r.t.Context(), []delivery.Instance{{Plan: list[0].Plan}}))
	require.Eventually(r.t, func() bool {
		progress, err := r.queue.Progress(r.t.Context(), "main")
		require.NoError(r.t, err)
		list, _, err := r.queue.Latest(r.t.Context(), "", 100)
		require.NoError(r.t, err)
		return !slices.ContainsFunc(list, func(e delivery.StoredEvent) bool { return progress.Of(&e) == delivery.EventWaiting })
	}, time.Minute, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), time.Minute)
	defer cancel()
	runner.Stop(ctx)
}

// TestDeliveredEventsWithoutVerdicts asks about users whose events were processed, and of which only the ledger and dead letters say how.
func TestDeliveredEventsWithoutVerdicts(t *testing.T) {
	r := newRecords(t)
	r.accept(entry{user: "early", name: enters, at: at(0)})
	r.deliver(configText)
	var page []delivery.NewEvent // stored together
	for _, user := range []string{"poison", "member"} {
		raw := strings.ReplaceAll(`{"type":"track","messageId":"m-U","userId":"U","event":"Audience Entered","timestamp":"2026-01-02T03:04:05Z","properties":{"audience_key":"vip","vip":true},"context":{"personas":{"computation_class":"audience","computation_id":"aud_vip","computation_key":"vip"}}}`, "U", user)
		page = append(page, delivery.NewEvent{Source: "web", Key: "u:" + user, Raw: []byte(raw)})
	}
	require.NoError(t, r.queue.Append(t.Context(), page))
	r.accept(entry{user: "left", name: enters, at: at(0)})
	r.accept(entry{user: "left", name: exits, at: at(1)})
	r.accept(entry{user: "unmatched", name: "Order Completed", at: at(0)})
	broken := fmt.Sprintf(`{"type":"track","messageId":"b","userId":"broken","event":%q,"timestamp":"2026-01-02T03:04:05Z","properties":{"audience_key":"vip","vip":"perhaps"},"context":{"personas":{"computation_class":"audience","computation_id":"aud_vip","computation_key":"vip"}}}`, enters)
	require.NoError(t, r.queue.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:broken", Raw: []byte(broken)}}))
	r.linger = 3 * time.Second // so that both events of left are in one batch
	r.deliver(configText)
	for user, c := range map[string]struct {
		reason why.Reason
		says   string
	}{
		"member":    {why.Member, "member is in vip"},
		"poison":    {why.RefusedByRemote, "was refused in main › Audiences"},
		"left":      {why.Superseded, "was superseded by a newer event: the exit of"}, // they were sent together
		"unmatched": {why.NotSubscribed, "does not match the subscription Audiences of main"},
		"broken":    {why.Refused, "true or false"},
	} {
		report := r.ask(why.Question{User: user})
		assert.Equal(t, c.reason, report.Answer.Reason, "%s: %s", user, report.Answer.Text)
		assert.Contains(t, report.Answer.Text, c.says, user)
	}
	for _, e := range r.ask(why.Question{User: "member"}).Timeline {
		assert.NotEqual(t, why.KindDead, e.Kind, "the dead letter is of another event of the page")
	}
	dead := r.ask(why.Question{User: "poison"}).Timeline
	assert.Len(t, dead, 3, "accepted, mapped, and a dead letter")
	last := dead[len(dead)-1]
	assert.Equal(t, []any{why.KindDead, "dead", "main", "Audiences"}, []any{last.Kind, last.Outcome, last.Instance, last.Subscription})
	assert.NotEmpty(t, last.DeadLetter)
	require.NotNil(t, last.Batch)
	assert.Len(t, last.Batch.Requests, 1, "the request that was refused")
	mapped := dead[1]
	assert.Equal(t, why.KindMapped, mapped.Kind)
	assert.Equal(t, "matched and mapped: entry of external_id:poison in vip", mapped.Text)
}

// TestEventsOfAnEarlierConfig checks what is said about an event that the config of its time did not deliver, and the current one would.
func TestEventsOfAnEarlierConfig(t *testing.T) {
	r := newRecords(t)
	earlier := strings.Replace(configText, `subscribe: event = "Audience Entered"`, `subscribe: event = "Joined"`, 1)
	for _, user := range []string{"u0", "u1"} { // an instance begins after the events that are there already
		r.accept(entry{user: user, name: enters, at: at(0)})
		r.deliver(earlier)
	}
	assert.Equal(t, why.BeforeInstance, r.ask(why.Question{User: "u0"}).Answer.Reason)
	answer := r.ask(why.Question{User: "u1"}).Answer
	assert.Equal(t, why.NotKept, answer.Reason, answer.Text)
	assert.True(t, answer.Recomputed)
	require.NoError(t, history.AddConfig(t.Context(), r.source.Store, "v1", time.Now()))
	assert.Equal(t, why.NotKept, r.ask(why.Question{User: "u1"}).Answer.Reason, "the first config is no change")
	require.NoError(t, history.AddConfig(t.Context(), r.source.Store, "v2", time.Now()))
	answer = r.ask(why.Question{User: "u1"}).Answer
	assert.Equal(t, why.BeforeChange, answer.Reason, answer.Text)
	assert.True(t, answer.Recomputed)
	assert.Contains(t, answer.Next, "landfall replay --instance main --since ")
}

// answering is a transport that answers as a sandbox that is asked for its state.
type answering struct {
	status int
	body   string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Status: fmt.Sprint(a.status), Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// unreachable is a transport that fails.
type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

// TestMembersThatTheRemoteDoesNotKnow checks what is said about a member that the remote has accepted and does not know.
func TestMembersThatTheRemoteDoesNotKnow(t *testing.T) {
	r := newRecords(t)
	r.decide(r.accept(entry{user: "ghost", name: enters, at: at(0)}), "delivered", "", "")
	r.change("ghost", true, at(0))
	for body, want := range map[string]why.Reason{
		`{"cohorts":{"aud_vip":{"unknown":{"user_ids":["ghost"]}}}}`:                        why.UnknownToRemote,
		`{"cohorts":{"aud_vip":{"unknown":{"aliases":[{"alias_name":"ghost"}]}}}}`:          why.UnknownToRemote,
		`{"cohorts":{"aud_vip":{"unknown":{"user_ids":["host"],"device_ids":["ghosts"]}}}}`: why.Member,
		`{"cohorts":{"aud_other":{"unknown":{"user_ids":["ghost"]}}}}`:                      why.Member,
		`{`: why.Member,
	} {
		for _, status := range []int{200, 500} {
			r.source.Remotes = func() []instances.Instance {
				list, err := r.source.Instances(nil)
				require.NoError(t, err)
				list[0].Transport = answering{status, body}
				return list
			}
			if status == 500 {
				want = why.Member
			}
			report := r.ask(why.Question{User: "ghost"})
			assert.Equal(t, want, report.Answer.Reason, "%d %s", status, body)
			if status == 500 || body == "{" {
				assert.Contains(t, report.Answer.Next, "if the user is missing at the destination", "it could not be asked")
			} else if want == why.Member {
				assert.Empty(t, report.Answer.Next, "the remote knows the user")
			}
		}
	}
	for name, transport := range map[string]http.RoundTripper{"a real remote is not asked": nil, "the sandbox has stopped": unreachable{}} {
		r.source.Remotes = func() []instances.Instance {
			list, err := r.source.Instances(nil)
			require.NoError(t, err)
			list[0].Transport = transport
			return list
		}
		assert.Contains(t, r.ask(why.Question{User: "ghost"}).Answer.Next, "if the user is missing at the destination", name)
	}
	r.source.Remotes = nil
	assert.Contains(t, r.ask(why.Question{User: "ghost"}).Answer.Next, "if the user is missing at the destination")
}

// TestRejectedEventsCountIfTheyAreNewer checks when a rejected event is the answer, beside an accepted one.
func TestRejectedEventsCountIfTheyAreNewer(t *testing.T) {
	r := newRecords(t)
	for _, user := range []string{"member", "unwilling"} {
		e := r.accept(entry{user: user, name: enters, at: at(0)})
		if user == "member" {
			r.decide(e, "delivered", "", "")
			r.change(user, true, at(0))
		} else {
			r.decide(e, "skipped", "no_consent", "no consent")
		}
		r.noted.AddRejection("web", event.MustParse(`{"type":"trakc","userId":"`+user+`","properties":{"audience_key":"vip"}}`), "type should be track")
	}
	assert.Equal(t, why.Member, r.ask(why.Question{User: "member"}).Answer.Reason)
	assert.Equal(t, why.Rejected, r.ask(why.Question{User: "unwilling"}).Answer.Reason)
	assert.Equal(t, why.Rejected, r.ask(why.Question{User: "unwilling", Audience: "vip"}).Answer.Reason)
	r.noted.AddRejection("web", event.MustParse(`{"type":"trakc","userId":"corrected"}`), "type should be track")
	time.Sleep(2 * time.Millisecond) // the event is newer, also as times are stored
	r.decide(r.accept(entry{user: "corrected", name: enters, at: at(0)}), "skipped", "no_consent", "no consent")
	assert.Equal(t, why.Filtered, r.ask(why.Question{User: "corrected"}).Answer.Reason, "the client sent it again")
}

// TestOperatorsDecide checks that a user whom a sync with a file or a resync removed is not called purged, and who did it.
func TestOperatorsDecide(t *testing.T) {
	for action, says := range map[string]string{history.ActionSync: "synced with a file", history.ActionResync: "sent again", "": ""} {
		r := newRecords(t)
		r.decide(r.accept(entry{user: "u1", name: enters, at: at(0)}), "delivered", "", "")
		r.change("u1", true, at(0))
		r.change("u1", false, time.Now())
		r.operate(history.ActionSync, "instance", "main", "cohort", "aud_other")
		if action != "" {
			r.operate(action, "instance", "main", "cohort", "aud_vip")
		}
		answer := r.ask(why.Question{User: "u1"}).Answer
		if action == "" {
			assert.Equal(t, why.Left, answer.Reason, answer.Text)
			continue
		}
		assert.Equal(t, why.Synced, answer.Reason, answer.Text)
		assert.Contains(t, answer.Text, says)
		assert.Contains(t, answer.Text, "by ana")
	}
}
