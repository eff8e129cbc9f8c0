package console

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// overviewRow is an instance in the overview.
type overviewRow struct {
	Instance, Destination string
	State, Tone           string
	Activity              *sparkline
	LastError             *verdictView // nil if none is kept
	PausedUntil           time.Time    // zero if it is not paused
	Waiting               int
	Oldest                time.Duration // age of the oldest waiting event
	DeadLetters           int

	severity int
}

// Severities, the worst first.
const (
	severityStopped = iota
	severityPaused
	severityDeadLetters
	severityRemoved
	severityWaiting
	severityIdle
)

// overview returns a row for each instance, the worst first.
func (c *Console) overview(ctx context.Context, views []instanceView, slots []history.CountSlot, w window) []overviewRow {
	errors := c.lastErrors(ctx)
	rows := make([]overviewRow, len(views))
	for i, v := range views {
		rows[i] = overviewRow{
			Instance: v.Instance, Destination: v.Destination, State: v.State, Tone: v.Tone, Waiting: v.Waiting + v.Behind, Oldest: v.Lag,
			Activity: newActivity(v.Instance, slots, w, time.Now()), LastError: errors[v.Instance],
			DeadLetters: v.DeadLetters, PausedUntil: v.Until,
		}
		rows[i].severity = rows[i].severityOf(v)
	}
	slices.SortStableFunc(rows, func(a, b overviewRow) int {
		return cmp.Or(cmp.Compare(a.severity, b.severity), cmp.Compare(b.DeadLetters, a.DeadLetters), cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(a.Instance, b.Instance))
	})
	return rows
}

func (r *overviewRow) severityOf(v instanceView) int {
	switch {
	case v.Removed:
		return severityRemoved
	case v.Tone == "stopped":
		return severityStopped
	case v.Paused, v.Tone == "waiting":
		return severityPaused
	case r.DeadLetters > 0:
		return severityDeadLetters
	case r.Waiting > 0:
		return severityWaiting
	}
	return severityIdle
}

const (
	errorTTL     = 30 * time.Second // how long the latest errors of the history are valid
	maxLastError = 2000             // verdicts of the history that are looked at
)

// lastErrors returns the newest verdict of each instance that became a dead letter: those that this server has seen, and the others that
// the history has.
func (c *Console) lastErrors(ctx context.Context) map[string]*verdictView {
	found := map[string]*verdictView{}
	seen := map[string]bool{}
	for _, v := range c.Runner.Verdicts(delivery.MaxVerdicts, func(v *delivery.VerdictRecord) bool {
		newest := (v.Outcome == "dead" || v.Outcome == "parked") && !seen[v.Instance]
		seen[v.Instance] = seen[v.Instance] || newest
		return newest
	}) {
		found[v.Instance] = &verdictView{v, v.User()}
	}
	for instance, v := range c.keptErrors(ctx) {
		if known := found[instance]; known == nil || known.At.Before(v.At) {
			found[instance] = v
		}
	}
	return found
}

// keptErrors is lastErrors for the history.
func (c *Console) keptErrors(ctx context.Context) map[string]*verdictView {
	if c.History.Verdicts == nil {
		return nil
	}
	found, err := c.errors.get(struct{}{}, errorTTL, func() (map[string]*verdictView, error) {
		list, _, err := c.History.Verdicts(ctx, history.VerdictFilter{Outcomes: []string{"dead", "parked"}, Limit: maxLastError})
		latest := map[string]*verdictView{}
		for _, v := range list {
			if latest[v.Instance] == nil {
				latest[v.Instance] = &verdictView{v, v.User()}
			}
		}
		return latest, err
	})
	if err != nil {
		c.Log.Warn("cannot read the latest errors", "error", err)
	}
	return found
}

// newActivity draws how many events an instance finished over time; nil if nothing was counted.
func newActivity(instance string, slots []history.CountSlot, w window, now time.Time) *sparkline {
	const points = 30
	begin, total := w.begin(now), int64(0)
	numbers := make([]int64, points)
	for _, slot := range slots {
		n := int(slot.At.Sub(begin) * points / w.span)
		if slot.At.Before(begin) || n >= points {
			continue
		}
		for outcome, count := range slot.Instances[instance] {
			if outcome != outcomeRetried {
				numbers[n] += count
				total += count
			}
		}
	}
	if total == 0 {
		return nil
	}
	return newSparkline(numbers, formatCount(total)+" events finished in the last "+w.Past)
}
