package console_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// keptHistory is a history in which every slot since the beginning of a window has the same numbers, and the verdicts that it was asked for.
func keptHistory(asked *[]history.VerdictFilter) console.HistorySource {
	return console.HistorySource{
		Counts: func(_ context.Context, since time.Time) (list []history.CountSlot, err error) {
			for at := since.Truncate(time.Minute); at.Before(time.Now()); at = at.Add(max(time.Since(since)/200, time.Minute)) {
				list = append(list, history.CountSlot{At: at, Counts: history.Counts{
					Instances: history.Outcomes{"main": {"delivered": 20, "skipped": 5, "unmatched": 7, "retried": 1, "dead": 1}, "<b>": {"parked": 2}},
					Sources:   history.Outcomes{"web": {"accepted": 30, "rejected": 3}, "": {"unauthorized": 1}},
				}})
			}
			return list, nil
		},
		Sizes: func(_ context.Context, _, audience string, since time.Time) (map[string][]history.SizePoint, error) {
			points := map[string][]history.SizePoint{"aud_1": {{At: since, Members: 40}, {At: since.Add(time.Since(since) / 2), Members: 1}}}
			return points, nil
		},
		Verdicts: func(_ context.Context, f history.VerdictFilter) (list []delivery.VerdictRecord, complete bool, err error) {
			if *asked = append(*asked, f); f.Batch != "" {
				list = append(list, delivery.VerdictRecord{Seq: 1, Outcome: "delivered", Batch: &delivery.Batch{ID: f.Batch, Events: 1}})
				return list, true, nil
			}
			for i := range f.Limit {
				list = append(list, delivery.VerdictRecord{At: time.Now(), Seq: uint64(i + 1), Instance: "main", Subscription: "All", Outcome: "dead", Reason: "<i>no", Attempts: 2, Batch: &delivery.Batch{ID: "b7", Events: 3}})
			}
			return list, false, nil
		},
	}
}

// TestHistoryHasChartsAndTables checks that each number of a chart leads to its list, that pages stay small, and that events that no
// subscription matches and that were rejected are among them.
func TestHistoryHasChartsAndTables(t *testing.T) {
	var asked []history.VerdictFilter
	q := newQueuePageOf(t, 1, func(s *console.Config) { s.History = keptHistory(&asked) })
	for _, window := range []string{"1h", "24h", "7d", "30d"} {
		body := q.get("history?window=" + window)
		assert.Less(t, len(body), 200<<10, window)
		for _, want := range []string{
			"Received, events per", "Verdicts, events per", "Numbers as a table", `href="/console/live?outcome=rejected"`, `href="/console/live?outcome=no&#43;verdict"`, `href="/console/live?outcome=rejected&amp;source=web"`,
			`<a href="/console/history?instance=main&amp;window=` + window, "no known source", "&lt;b&gt;", "not matched", `role="img"`,
		} {
			assert.Contains(t, body, want, window)
		}
		assert.Regexp(t, `href="/console/verdicts\?from=[^"]+Z&amp;outcome=delivered&amp;to=[^"]+Z">\S+ delivered</a>`, body)
	}
	one := q.get("history?instance=main&window=24h")
	assert.NotContains(t, one, "Received, events")
	assert.Contains(t, one, "Verdicts, events per 15 minutes")
	deliveries := q.get("deliveries?window=7d")
	assert.Contains(t, deliveries, "Verdicts, events per 2 hours")
	assert.Contains(t, deliveries, `href="/console/history?instance=main&amp;window=7d"`)
	assert.Contains(t, deliveries, "events finished in the last 7 days")
	assert.Contains(t, newPage(t, written).get("history"), "This console has no queue")
}

// TestVerdictsAreListed checks which verdicts a page asks for, how it pages, and that batches of earlier processes are found.
func TestVerdictsAreListed(t *testing.T) {
	var asked []history.VerdictFilter
	q := newQueuePageOf(t, 1, func(s *console.Config) { s.History = keptHistory(&asked) })
	body := q.get("verdicts?instance=main&outcome=dead+or+parked&from=2026-01-02T03:04:05Z&page=2")
	require.Len(t, asked, 1)
	assert.Equal(t, history.VerdictFilter{Instance: "main", Outcomes: []string{"dead", "parked", "dropped"}, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Skip: 50, Limit: 51}, asked[0])
	assert.Equal(t, 50, strings.Count(body, `href="/console/events/`))
	for _, want := range []string{"Bought of u1", "no longer in the log", "&lt;i&gt;no", "2 attempts", `href="/console/batches/b7"`, `rel="prev" href="/console/verdicts?from=2026-01-02T03%3A04%3A05Z&amp;instance=main&amp;outcome=dead&#43;or&#43;parked&amp;page=1"`, `rel="next"`, "Only the newest entries were searched"} {
		assert.Contains(t, body, want)
	}
	q.get("verdicts?outcome=retried")
	assert.True(t, asked[1].Retried)
	assert.Contains(t, q.get("verdicts?from=yesterday"), "From and To are times such as")
	assert.Len(t, asked, 2, "a time that cannot be read selects nothing")
	batch := q.get("batches/older")
	assert.Contains(t, batch, `href="/console/events?user=u1"`, "the users are those of the log's events")
}
