package console

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// overviewRow is an instance in the overview.
type overviewRow struct {
	Instance, Destination string
	State, Tone           string
	Activity              *sparkline
	LastError             *verdictView // nil if this server has seen none
	PausedUntil           time.Time    // zero if it is not paused
	Waiting               int
	Oldest                time.Duration // age of the oldest waiting event
	Letters               int

	severity int
}

// Severities, the worst first.
const (
	severityStopped = iota
	severityPaused
	severityLetters
	severityRemoved
	severityWaiting
	severityIdle
)

// overview returns a row for each instance, the worst first.
func (c *Console) overview(views []instanceView, slots []history.CountSlot, w window) []overviewRow {
	rows := make([]overviewRow, len(views))
	for i, v := range views {
		rows[i] = overviewRow{
			Instance: v.Instance, Destination: v.Destination, State: v.State, Tone: v.Tone, Waiting: v.Waiting + v.Behind, Oldest: v.Lag,
			Activity: newActivity(v.Instance, slots, w, time.Now()), LastError: c.lastError(v.Instance),
			Letters: v.Letters, PausedUntil: v.Until,
		}
		rows[i].severity = rows[i].severityOf(v)
	}
	slices.SortStableFunc(rows, func(a, b overviewRow) int {
		return cmp.Or(cmp.Compare(a.severity, b.severity), cmp.Compare(b.Letters, a.Letters), cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(a.Instance, b.Instance))
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
	case r.Letters > 0:
		return severityLetters
	case r.Waiting > 0:
		return severityWaiting
	}
	return severityIdle
}

// lastError returns the newest verdict of an instance that became a dead letter; nil if this server has seen none.
func (c *Console) lastError(instance string) *verdictView {
	list := c.Runner.Verdicts(1, func(v *delivery.VerdictRecord) bool {
		return v.Instance == instance && (v.Outcome == "dead" || v.Outcome == "parked")
	})
	if len(list) == 0 {
		return nil
	}
	return &verdictViews(list)[0]
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
	return newSparkline(numbers, formatCount(total)+" events finished in the last "+w.Name)
}

// letterCounts caches the number of letters of instances.
type letterCounts struct {
	mu   sync.Mutex
	list map[string]letterCount
}

type letterCount struct {
	at time.Time
	n  int
}

// letterCountTTL is how long a number of letters is valid.
const letterCountTTL = 5 * time.Second

// countOf returns the number of dead and parked letters of an instance, which may be some seconds old.
func (l *letterCounts) countOf(ctx context.Context, q *delivery.Queue, instance string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.list[instance]
	if time.Since(known.at) < letterCountTTL {
		return known.n
	}
	n, err := q.CountLetters(ctx, instance)
	if err != nil {
		return known.n
	}
	if l.list == nil {
		l.list = map[string]letterCount{}
	}
	l.list[instance] = letterCount{time.Now(), n}
	return n
}

// forget makes the next numbers current.
func (l *letterCounts) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}
