package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/server/history"
)

type nothing struct{}

func (*nothing) Decode(event.Value) {}

// queuePage is a console with a queue whose instance main refuses every event.
type queuePage struct {
	*page
	queue   *delivery.Queue
	runner  *delivery.Runner
	removed []delivery.Status
}

// newQueuePage returns a queuePage after one event each of n users, u1 to un.
func newQueuePage(t *testing.T, n int) *queuePage {
	t.Helper()
	return newQueuePageOf(t, n, func(*console.Config) {})
}

// newQueuePageOf is newQueuePage with changes to the console's configuration.
func newQueuePageOf(t *testing.T, n int, change func(*console.Config)) *queuePage {
	t.Helper()
	plugin := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(
			"name: Acme\nslug: acme\nmode: cloud\nauthentication: {scheme: none}\nactions: {send: {title: Send, fields: {}}}\n")}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[nothing, nothing]{
			Perform: func(context.Context, destination.Call[nothing, nothing]) (*destination.Response, error) {
				return nil, &fault.Error{Status: 400, Message: "refused by Acme"}
			},
		})},
	}
	definition, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","subscriptions":[{"name":"All","action":"send","subscribe":"type = \"track\""}]}`))
	plan, err := runtime.New(plugin, definition, in, runtime.Host{})
	require.NoError(t, err)
	q := &queuePage{}
	q.queue, err = delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	t.Cleanup(q.queue.Close)
	q.runner, err = delivery.NewRunner(t.Context(), q.queue, delivery.Settings{Linger: time.Millisecond, OnVerdict: func(delivery.VerdictRecord) {}})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		q.runner.Stop(ctx)
	})
	require.NoError(t, q.runner.SetInstances(t.Context(), []delivery.Instance{{Plan: plan}}))
	var events []delivery.NewEvent
	for i := 1; i <= n; i++ {
		raw := fmt.Sprintf(`{"type":"track","event":"Bought","messageId":"m%d","userId":"u%d"}`, i, i)
		events = append(events, delivery.NewEvent{Source: "web", Key: event.OrderingKey(event.MustParse(raw)), Raw: []byte(raw)})
	}
	require.NoError(t, q.queue.Append(t.Context(), events))
	q.page = newPageOf(t, written, "", func(s *console.Config) {
		s.Queue, s.Runner = q.queue, q.runner
		s.RemovedInstances = func() []delivery.Status { return q.removed }
		change(s)
	})
	require.Eventually(t, func() bool {
		return len(q.letters(t)) == n && len(q.runner.Verdicts(n, func(*delivery.VerdictRecord) bool { return true })) == n
	}, time.Minute, 5*time.Millisecond)
	return q
}

func (q *queuePage) letters(t *testing.T) (list []*delivery.DeadLetter) {
	t.Helper()
	require.NoError(t, q.queue.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error {
		list = append(list, l)
		return nil
	}))
	return list
}

func TestDeadLettersAreShownAndDropped(t *testing.T) {
	q := newQueuePage(t, 3)
	letter := q.letters(t)[0]
	assert.Contains(t, q.get("letters?user=u2"), "refused by Acme")
	assert.Equal(t, 1, strings.Count(q.get("letters?user=u2"), "/console/letters/"))
	assert.NotContains(t, q.get("letters?kind=parked"), "refused by Acme")
	assert.Contains(t, q.get("letters?kind=dead&instance=main&reason=refused"), "refused by Acme")
	assert.NotContains(t, q.get("letters?instance=other"), "refused by Acme")
	assert.Contains(t, q.get("letters?instance=other"), "No matching dead letters", "there are others")
	assert.Contains(t, q.get("letters/"+letter.ID), "Refused by Acme")
	assert.Equal(t, http.StatusNotFound, q.do(http.MethodGet, "letters/9-9-abcdef", nil, nil).Code)

	assert.Contains(t, q.post("letters", url.Values{"do": {"ask"}, "user": {"u1"}}), "Delete this dead letter?")
	assert.Contains(t, q.post("letters", url.Values{"do": {"ask"}}), "Delete 3 dead letters?")
	assert.Len(t, q.letters(t), 3, "asking drops nothing")
	w := q.do(http.MethodPost, "letters", url.Values{"do": {"purge"}}, nil)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Empty(t, q.log.String())

	w = q.do(http.MethodPost, "letters", url.Values{"do": {"drop"}, "user": {"u1"}, "kind": {"dead"}}, nil)
	require.Equal(t, http.StatusSeeOther, w.Code)
	assert.Equal(t, "/console/letters?done=drop&n=1&kind=dead&user=u1", w.Header().Get("Location"))
	assert.Contains(t, q.get("letters?done=drop&n=1"), "1 dead letter was deleted")
	assert.Contains(t, q.get("deliveries"), `<a href="/console/letters?instance=main">2</a></dd>`, "the number of dead letters follows")
	assert.Contains(t, q.get("letters?done=replay&n=2"), "2 dead letters are being replayed")
	assert.Len(t, q.letters(t), 2)
	assert.Contains(t, q.log.String(), `action=letters.drop who="local program" from=127.0.0.1 outcome=ok instance="" id="" kind=dead by_user=true by_cause=false by_reason=false count=1`)
	kept := q.letters(t)[0]
	w = q.do(http.MethodPost, "letters", url.Values{"do": {"drop"}, "id": {kept.ID}}, nil)
	assert.Equal(t, "/console/letters?done=drop&n=1", w.Header().Get("Location"), "the page after it shows the others")
	assert.Len(t, q.letters(t), 1)
}

func TestDeadLettersOfRemovedInstanceAreNotReplayed(t *testing.T) {
	q := newQueuePage(t, 1)
	q.removed = []delivery.Status{{Instance: "main", Removed: true}}
	w := q.do(http.MethodPost, "letters", url.Values{"do": {"replay"}}, nil)
	assert.Equal(t, http.StatusConflict, w.Code)
	assert.Contains(t, w.Body.String(), "landfall instances rename main NEW")
	q.removed = nil
	before := q.letters(t)[0].At
	w = q.do(http.MethodPost, "letters", url.Values{"do": {"replay"}, "id": {q.letters(t)[0].ID}}, nil)
	assert.Equal(t, http.StatusSeeOther, w.Code)
	require.Eventually(t, func() bool { l := q.letters(t); return len(l) == 1 && l[0].At.After(before) }, time.Minute, 5*time.Millisecond)
}

func TestLongListsAreCut(t *testing.T) {
	q := newQueuePage(t, 101)
	body := q.get("letters")
	assert.Equal(t, 100, strings.Count(body, `href="/console/letters/`))
	assert.Contains(t, body, "1 to 100 of 101")
	assert.Contains(t, body, `href="/console/letters?page=2" rel="next"`)
	assert.NotContains(t, body, `rel="prev"`)
	body = q.get("letters?page=2")
	assert.Equal(t, 1, strings.Count(body, `href="/console/letters/`))
	assert.Contains(t, body, "101 to 101 of 101")
	assert.Contains(t, body, `href="/console/letters?page=1" rel="prev"`)
	assert.NotContains(t, body, `rel="next"`)
	assert.Contains(t, body, `<td class="number">101</td><td class="number">0</td>`, "the totals of a cause count all pages")
	assert.Contains(t, body, `href="/console/letters?cause=refused_by_remote"`)
}

// TestSelectedDeadLettersAreTriedAndDropped checks what a replay is said to do before it does it, and that an action on selected dead letters leaves
// the others.
func TestSelectedDeadLettersAreTriedAndDropped(t *testing.T) {
	q := newQueuePage(t, 3)
	letters := q.letters(t)
	assert.Equal(t, 3, strings.Count(q.get("letters"), `name="pick"`))
	body := q.post("letters", url.Values{"do": {"check"}})
	assert.Contains(t, body, "Replay 3 events?")
	assert.Contains(t, body, "the subscription no longer exists", "the config of the console has no subscription All")
	assert.Contains(t, body, `<td class="number">3</td>`)
	body = q.post("letters", url.Values{"do": {"check"}, "only": {"selected"}, "pick": {letters[0].ID}})
	assert.Contains(t, body, "Replay this event?")
	assert.Contains(t, body, `name="pick" value="`+letters[0].ID+`"`)
	assert.Len(t, q.letters(t), 3, "looking changes nothing")
	assert.Equal(t, http.StatusBadRequest, q.do(http.MethodPost, "letters", url.Values{"do": {"drop"}, "only": {"selected"}}, nil).Code)
	assert.Len(t, q.letters(t), 3, "nothing was selected")
	assert.Contains(t, q.post("letters", url.Values{"do": {"ask"}, "only": {"selected"}, "pick": {letters[0].ID, letters[2].ID}}), "Delete 2 dead letters?")
	w := q.do(http.MethodPost, "letters", url.Values{"do": {"drop"}, "only": {"selected"}, "pick": {letters[0].ID, letters[2].ID}}, nil)
	require.Equal(t, http.StatusSeeOther, w.Code)
	left := q.letters(t)
	require.Len(t, left, 1)
	assert.Equal(t, letters[1].ID, left[0].ID)
}

// TestOverviewIsWorstFirst checks the order of the instances, and what the overview says of one with dead letters.
func TestOverviewIsWorstFirst(t *testing.T) {
	q := newQueuePageOf(t, 2, func(s *console.Config) {
		s.History.Verdicts = func(_ context.Context, f history.VerdictFilter) ([]delivery.VerdictRecord, bool, error) {
			assert.Equal(t, []string{"dead", "parked"}, f.Outcomes)
			old := time.Now().Add(-time.Hour)
			return []delivery.VerdictRecord{{At: old, Instance: "a-removed", Reason: "an earlier refusal"}, {At: old, Instance: "main", Reason: "an older one"}}, true, nil
		}
	})
	q.removed = []delivery.Status{{Instance: "a-removed", Removed: true}}
	body := q.get("deliveries?part=1")
	assert.Contains(t, body, "an earlier refusal", "errors from before the start are kept")
	assert.NotContains(t, body, "an older one")
	main, removed := strings.Index(body, `href="#instance-main"`), strings.Index(body, `href="#instance-a-removed"`)
	require.Positive(t, main)
	assert.Less(t, main, removed, "an instance with dead letters comes before one that was removed")
	assert.Contains(t, body, `<a href="/console/letters?instance=main">2</a>`)
	assert.Contains(t, body, "refused by Acme")
	assert.Regexp(t, `<time datetime="[^"]*\.\d{3}Z" title="[^"]*\.\d{3} `, body, "times have milliseconds and a zone")
	q.post("letters", url.Values{"do": {"drop"}})
	assert.NotContains(t, q.get("deliveries?part=1"), "letters?instance=main", "the number is current after a change")
}

func TestEventsAndTheirVerdicts(t *testing.T) {
	q := newQueuePage(t, 2)
	body := q.get("events?user=u1")
	assert.Contains(t, body, "Bought")
	assert.NotContains(t, body, "u2")
	assert.Contains(t, q.get("events"), "u2")
	letter := q.letters(t)[0]
	user := event.MustParse(string(letter.Event)).Get("userId").Text()
	page := q.get(fmt.Sprintf("events/%d/%d", letter.Seq, letter.Index))
	assert.Contains(t, page, user)
	assert.Contains(t, page, "/console/letters/"+letter.ID)
	assert.Contains(t, page, "refused by Acme")
	for _, path := range []string{"events/9999/0", "events/1/999", "events/x/0", "events/1/x"} {
		assert.Equal(t, http.StatusNotFound, q.do(http.MethodGet, path, nil, nil).Code, path)
	}
}

func TestDeliveriesShowEachInstance(t *testing.T) {
	q := newQueuePage(t, 2)
	assert.Equal(t, "/console/deliveries", q.do(http.MethodGet, "", nil, nil).Header().Get("Location"))
	body := q.get("deliveries")
	assert.Contains(t, body, "main")
	assert.NotContains(t, body, "landfall instances rename")
	q.removed = []delivery.Status{{Instance: "old", Removed: true}}
	body = q.get("deliveries?part=1")
	assert.Contains(t, body, "landfall instances rename old NEW")
	assert.NotContains(t, body, "<html", "a part is not a page")
}

func TestClosedQueueIsShownAsAnError(t *testing.T) {
	q := newQueuePage(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q.runner.Stop(ctx)
	q.queue.Close()
	for _, do := range []string{"ask", "drop", "replay"} {
		w := q.do(http.MethodPost, "letters", url.Values{"do": {do}}, nil)
		assert.Equal(t, http.StatusInternalServerError, w.Code, do)
	}
	assert.Equal(t, 2, strings.Count(q.log.String(), "outcome=failed"))
	assert.Equal(t, http.StatusInternalServerError, q.do(http.MethodGet, "letters/1-0-a", nil, nil).Code)
	assert.Equal(t, http.StatusInternalServerError, q.do(http.MethodGet, "events/1/0", nil, nil).Code)
	assert.Contains(t, q.get("events?user=u1"), "closed", "the log is not called empty")
}

// rereadAfter is how old verdicts of the history may be.
const rereadAfter = 10 * time.Second

// TestVerdictsOfOtherServers checks that an event shows the verdicts that another server has recorded, and none of its own twice.
func TestVerdictsOfOtherServers(t *testing.T) {
	reads, began := 0, time.Now()
	q := newQueuePageOf(t, 1, func(s *console.Config) {
		s.History.Events = func(_ context.Context, positions []history.Position) (map[history.Position][]delivery.VerdictRecord, error) {
			found := map[history.Position][]delivery.VerdictRecord{}
			for _, at := range positions {
				reads++
				found[at] = []delivery.VerdictRecord{
					{At: time.Now(), Seq: at.Seq, Index: at.Index, Instance: "elsewhere", Subscription: "First", Outcome: "retry", Reason: "an earlier attempt"},
					{At: time.Now(), Seq: at.Seq, Index: at.Index, Instance: "elsewhere", Subscription: "First", Outcome: "delivered", Reason: "a later attempt"},
					{At: time.Now(), Seq: at.Seq, Index: at.Index, Instance: "main", Subscription: "All", Outcome: "dead", Reason: "known already"},
				}
			}
			return found, nil
		}
	})
	letter := q.letters(t)[0]
	path := fmt.Sprintf("events/%d/%d", letter.Seq, letter.Index)
	require.Eventually(t, func() bool { return strings.Contains(q.get(path), "refused by Acme") }, time.Minute, 5*time.Millisecond)
	body := q.get(path)
	assert.Regexp(t, "(?s)A later attempt.*An earlier attempt", body)
	assert.NotContains(t, body, "Known already")
	assert.Contains(t, q.get("events?user=u1"), "elsewhere › First")
	if time.Since(began) < rereadAfter {
		assert.Equal(t, 1, reads, "what was read a moment ago is not read again")
	}
}
