package console_test

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestLiveEvents checks the list of the latest events with each filter, and that a paused page does not change.
func TestLiveEvents(t *testing.T) {
	q := newQueuePageOf(t, 2, func(s *console.Config) {
		s.Rejections = func(context.Context, int) ([]history.Rejection, error) {
			return []history.Rejection{{At: time.Now(), Source: "app", Reason: "no userId", Event: `{"type":"identify","traits":{"a":"<img src=x>"}}`}}, nil
		}
	})
	all := q.get("live")
	for _, want := range []string{"Bought of u1", "Bought of u2", "identify of", "no userId", "refused by Acme", `data-live="/console/live?part=1"`, "main › All"} {
		assert.Contains(t, all, want)
	}
	assert.NotContains(t, all, "<img src=x")
	assert.NotContains(t, q.get("live?paused=1"), "data-live")
	assert.Contains(t, q.get("live?text=U2&outcome=dead"), `data-live="/console/live?outcome=dead&amp;part=1&amp;text=U2"`)
	const u1, u2, rejected = "Bought of u1", "Bought of u2", "no userId"
	for query, want := range map[string][]string{
		"outcome=dead":                    {u1, u2},
		"outcome=delivered":               {},
		"outcome=rejected":                {rejected},
		"outcome=no+verdict":              {},
		"outcome=no+verdict&instance=b":   {u1, u2},
		"instance=main":                   {u1, u2},
		"instance=other":                  {},
		"event=bought":                    {u1, u2},
		"event=identify":                  {rejected},
		"source=web":                      {u1, u2},
		"source=app":                      {rejected},
		"text=M2":                         {u2},
		"audience=vip":                    {},
		"text=m1&event=Bought&source=web": {u1},
	} {
		body := q.get("live?part=1&" + query)
		for _, name := range []string{u1, u2, rejected} {
			if slices.Contains(want, name) {
				assert.Contains(t, body, name, query)
			} else {
				assert.NotContains(t, body, name, query)
			}
		}
	}
	assert.Equal(t, http.StatusNotFound, q.do(http.MethodGet, "batches/none", nil, nil).Code)
}

// TestVerdictsOfOtherServersAreShown checks that an event has the verdicts of the history, too, each once.
func TestVerdictsOfOtherServersAreShown(t *testing.T) {
	asked, began := 0, time.Now()
	q := newQueuePageOf(t, 2, func(s *console.Config) {
		s.History.Events = func(_ context.Context, events []history.Position) (map[history.Position][]delivery.VerdictRecord, error) {
			asked += len(events)
			found := map[history.Position][]delivery.VerdictRecord{}
			for _, at := range events {
				found[at] = []delivery.VerdictRecord{{Instance: "elsewhere", Subscription: "Other", Outcome: "delivered"}, {Instance: "main", Subscription: "All", Outcome: "dead", Reason: "a second time"}}
			}
			return found, nil
		}
	})
	for range 3 {
		body := q.get("live?part=1&instance=elsewhere")
		assert.Contains(t, body, "elsewhere › Other")
		assert.Contains(t, body, "main › All")
		assert.NotContains(t, body, "a second time", "this server remembers it")
	}
	if time.Since(began) < rereadAfter {
		assert.Equal(t, 2, asked, "the history is not asked for the same events again at once")
	}
	assert.Contains(t, q.get("events?user=u1"), "elsewhere › Other")
	assert.Contains(t, q.get("live?outcome=no+verdict"), "None of the latest 2 events is selected.")
}

// TestLiveEventsOfANewServer checks that the page says that no event has arrived yet, and how to send one.
func TestLiveEventsOfANewServer(t *testing.T) {
	q := newQueuePageOf(t, 0, func(s *console.Config) {
		s.IngestURL = func(*http.Request) string { return "https://events.example" }
	})
	for _, path := range []string{"live", "live?part=1", "live?outcome=dead"} {
		body := q.get(path)
		assert.Contains(t, body, "No events yet", path)
		assert.Contains(t, body, "curl -u WRITE_KEY: https://events.example/v1/track", path)
		assert.NotContains(t, body, "None of the latest", path)
	}
	require.NoError(t, q.queue.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:u1", Raw: []byte(`{"type":"track","event":"Bought","messageId":"m1","userId":"u1"}`)}}))
	assert.NotContains(t, q.get("live?part=1"), "No events yet")
	assert.Contains(t, q.get("live?part=1&text=other"), "None of the latest 1 events is selected.")
}

// TestChangesOfOperators checks the list of what operators did, and its filter.
func TestChangesOfOperators(t *testing.T) {
	p := newPageOf(t, written, "", func(s *console.Config) {
		s.Actions = func(context.Context, int) ([]history.Action, error) {
			return []history.Action{
				{At: time.Now(), Name: "cohort.purge", Who: "admin key", From: "10.0.0.1", Outcome: "ok", Attributes: map[string]string{"instance": "main", "by_user": "false", "count": "3"}},
				{At: time.Now(), Name: "config.write", Who: "this machine", Outcome: "failed", Attributes: map[string]string{"file": "<b>"}},
			}, nil
		}
	})
	all := p.get("changes")
	for _, want := range []string{"admin key from 10.0.0.1", "cohort.purge", "count: 3, instance: main", "this machine", `<span class="badge bad">failed`, "file: &lt;b&gt;"} {
		assert.Contains(t, all, want)
	}
	one := p.get("changes?text=PURGE")
	assert.Contains(t, one, "cohort.purge")
	assert.NotContains(t, one, "config.write")
	assert.Contains(t, p.get("changes?text=nothing"), "No change contains this text.")
	assert.Contains(t, newPage(t, written).get("changes"), "This console has no queue")
}

// TestBatchOfAnEvent checks that a live event leads to the batch that it was sent in, and back.
func TestBatchOfAnEvent(t *testing.T) {
	q := newQueuePage(t, 1)
	link := regexp.MustCompile(`href="/console/(batches/[^"]+)">batch of 1<`).FindStringSubmatch(q.get("live"))
	require.NotNil(t, link)
	body := q.get(link[1])
	assert.Contains(t, body, "1 event,")
	assert.Contains(t, body, "refused by Acme")
	assert.Contains(t, body, `href="/console/events?user=u1"`)
}
