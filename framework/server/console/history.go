package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/server/history"
)

// countTTL is how long counts are valid, as a part of the window.
const countTTL = 1500

// countsOf returns what was counted in a window; nothing in a console that keeps no counts.
func (c *Console) countsOf(ctx context.Context, w window) ([]history.CountSlot, error) {
	if c.History.Counts == nil {
		return nil, nil
	}
	slots, err := c.counts.get(w.Key, min(w.span/countTTL, time.Minute), func() ([]history.CountSlot, error) {
		return c.History.Counts(ctx, w.begin(time.Now()))
	})
	if err != nil {
		return nil, err
	}
	return slots, nil
}

// verdictKinds are the series of the verdicts of an instance, or of all if it is "".
func verdictKinds(instance string) []series {
	verdicts := func(outcome string) func(from, to time.Time) string {
		return func(from, to time.Time) string {
			return "verdicts?" + parametersOf(map[string]string{
				"instance": instance, "outcome": outcome, "from": from.UTC().Format(time.RFC3339), "to": to.UTC().Format(time.RFC3339),
			}).Encode()
		}
	}
	unmatched := "live?" + parametersOf(map[string]string{"instance": instance, "outcome": outcomeNone}).Encode()
	return []series{
		{class: "delivered", name: "delivered", outcomes: []string{"delivered"}, link: verdicts("delivered")},
		{class: "skipped", name: "skipped", outcomes: []string{"skipped"}, link: verdicts("skipped")},
		{class: "unmatched", name: "not matched", outcomes: []string{"unmatched"}, rest: true, link: func(time.Time, time.Time) string { return unmatched }},
		{class: "retried", name: "retried", outcomes: []string{"retried"}, link: verdicts(outcomeRetried)},
		{class: "dead", name: "dead or parked", outcomes: []string{"dead", "parked", "dropped"}, link: verdicts(outcomeFailed)},
	}
}

// receivedKinds are the series of the events of a source, or of all if it is "".
func receivedKinds(source string) []series {
	link := func(outcome string) func(from, to time.Time) string {
		q := parametersOf(map[string]string{"source": source, "outcome": outcome})
		return func(time.Time, time.Time) string { return strings.TrimSuffix("live?"+q.Encode(), "?") }
	}
	return []series{
		{class: "delivered", name: "accepted", outcomes: []string{"accepted"}, link: link("")},
		{class: "dead", name: "rejected", rest: true, link: link(outcomeRejected)},
	}
}

// sumOf adds the numbers of all names.
func sumOf(o history.Outcomes) map[string]int64 {
	sum := map[string]int64{}
	for _, list := range o {
		for outcome, n := range list {
			sum[outcome] += n
		}
	}
	return sum
}

// newVerdictChart draws the verdicts of an instance, or of all if it is "".
func newVerdictChart(instance string, slots []history.CountSlot, w window, now time.Time) chart {
	return newCountChart("Verdicts", verdictKinds(instance), slots, w, now, func(c history.Counts) map[string]int64 {
		if instance == "" {
			return sumOf(c.Instances)
		}
		return c.Instances[instance]
	})
}

// historyView is the page with the charts of received events and of verdicts.
type historyView struct {
	HasQueue  bool
	Kept      bool // counts are kept
	Windows   []window
	Window    window
	Instances []string
	Instance  string
	Error     string
	Charts    []chart
	BySource  totalsTable
	ByName    totalsTable // by instance
}

// totalsTable has a row of numbers for each source or instance.
type totalsTable struct {
	Names []string // of the columns
	Rows  []totalsRow
}

type totalsRow struct {
	Name   string
	Series []chartSeries
}

// Path returns the URL of the page for another window.
func (v historyView) Path(w window) string {
	return "history?" + parametersOf(map[string]string{"window": w.Key, "instance": v.Instance}).Encode()
}

// handleHistory shows the numbers of received events and of verdicts over time.
func (c *Console) handleHistory(w http.ResponseWriter, r *http.Request) {
	view := historyView{HasQueue: c.Runner != nil, Kept: c.History.Counts != nil, Windows: windows(), Window: windowOf(r.FormValue("window")), Instance: r.FormValue("instance")}
	if view.HasQueue && view.Kept {
		now := time.Now()
		slots, err := c.countsOf(r.Context(), view.Window)
		if err != nil {
			view.Error = errorSentence(err)
		}
		view.Instances = c.instanceIDs()
		if view.Instance == "" {
			view.Charts = append(view.Charts, newCountChart("Received", receivedKinds(""), slots, view.Window, now, func(c history.Counts) map[string]int64 { return sumOf(c.Sources) }))
		}
		view.Charts = append(view.Charts, newVerdictChart(view.Instance, slots, view.Window, now))
		view.addTotals(slots, now)
	}
	c.renderPage(w, r, http.StatusOK, "history", page{Title: "History", Section: "history", Data: view})
}

// addTotals adds the sums of each source and of each instance.
func (v *historyView) addTotals(slots []history.CountSlot, now time.Time) {
	begin := v.Window.begin(now)
	sources, instances := history.Outcomes{}, history.Outcomes{}
	for _, slot := range slots {
		if slot.At.Before(begin) {
			continue
		}
		sources.AddAll(slot.Sources)
		instances.AddAll(slot.Instances)
	}
	v.BySource, v.ByName = newTotalsTable(sources, receivedKinds, begin, now), newTotalsTable(instances, verdictKinds, begin, now)
}

// newTotalsTable returns the sums by name, the largest first.
func newTotalsTable(o history.Outcomes, kindsOf func(string) []series, from, to time.Time) (t totalsTable) {
	sizes := map[string]int64{}
	for name, numbers := range o {
		row := totalsRow{Name: name}
		kinds := kindsOf(name)
		for _, kind := range kinds {
			n := kind.sum(numbers, kinds)
			row.Series = append(row.Series, chartSeries{Class: kind.class, Name: kind.name, Total: n, Link: kind.link(from, to)})
			sizes[name] += n
		}
		t.Rows = append(t.Rows, row)
	}
	slices.SortFunc(t.Rows, func(a, b totalsRow) int {
		return cmp.Or(cmp.Compare(sizes[b.Name], sizes[a.Name]), cmp.Compare(a.Name, b.Name))
	})
	for _, kind := range kindsOf("") {
		t.Names = append(t.Names, kind.name)
	}
	return t
}

// sizesOf returns the sizes of an instance's audiences in a window; nothing in a console that keeps none. With an audience's id, it returns
// only that one.
func (c *Console) sizesOf(ctx context.Context, instance, audience string, w window) map[string][]history.SizePoint {
	if c.History.Sizes == nil {
		return nil
	}
	points, err := c.History.Sizes(ctx, instance, audience, w.begin(time.Now()))
	if err != nil {
		c.Log.Warn("cannot read the sizes of audiences", "error", err)
	}
	return points
}
