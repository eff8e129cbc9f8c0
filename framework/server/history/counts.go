package history

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/state"
)

// Outcomes are numbers of events by a name and by an outcome.
type Outcomes map[string]map[string]int64

// Add adds to a number.
func (o Outcomes) Add(name, outcome string, n int64) {
	if o[name] == nil {
		o[name] = map[string]int64{}
	}
	o[name][outcome] += n
}

// AddAll adds all numbers of another.
func (o Outcomes) AddAll(other Outcomes) {
	for name, list := range other {
		for outcome, n := range list {
			o.Add(name, outcome, n)
		}
	}
}

// since returns what was added since earlier. A number that is smaller than before was counted from zero again.
func (o Outcomes) since(earlier Outcomes) Outcomes {
	added := Outcomes{}
	for name, list := range o {
		for outcome, n := range list {
			if before := earlier[name][outcome]; n >= before {
				n -= before
			}
			if n > 0 {
				added.Add(name, outcome, n)
			}
		}
	}
	return added
}

// Counts are the numbers of events in a time, or since a process started.
type Counts struct {
	Instances Outcomes `json:"instances,omitempty"` // verdicts by instance: delivered, skipped, unmatched, retried …
	Sources   Outcomes `json:"sources,omitempty"`   // received events by source: accepted, rejected …
}

// newCounts returns Counts without numbers.
func newCounts() Counts { return Counts{Outcomes{}, Outcomes{}} }

func (c Counts) addAll(other Counts) {
	c.Instances.AddAll(other.Instances)
	c.Sources.AddAll(other.Sources)
}

func (c Counts) isEmpty() bool { return len(c.Instances)+len(c.Sources) == 0 }

// CountSlot is what all servers counted in the time that begins at At.
type CountSlot struct {
	At time.Time
	Counts
}

// resolution is the detail in which something is kept, and for how long.
type resolution struct {
	kind string // of the journal entries
	span time.Duration
	keep time.Duration
}

// The resolutions of counts and of audience sizes. Charts of up to a day read the finer one.
func countResolutions() [2]resolution {
	return [2]resolution{{kindCounts, time.Minute, 25 * time.Hour}, {kindLongCounts, 10 * time.Minute, longRetention}}
}

func sizeResolutions() [2]resolution {
	return [2]resolution{{kindSizes, 5 * time.Minute, 49 * time.Hour}, {kindLongSizes, time.Hour, longRetention}}
}

const (
	longRetention = 32 * 24 * time.Hour
	maxCountBytes = 16 << 20 // of each resolution
	countInterval = 5 * time.Second
	finestSpan    = 24 * time.Hour // charts of a longer time read the coarser resolution
)

// counter collects the counts of this process until they are written. It is guarded by Recorder.counting.
type counter struct {
	last    Counts       // since the process started
	pending [2]CountSlot // by resolution; without numbers if there are none
}

// pollCounts reads what was counted since the last poll. If a slot has ended, or with all set, it adds the slot's entry to those that are
// written next.
func (r *Recorder) pollCounts(all bool) {
	if r.Counts == nil {
		return
	}
	r.counting.Lock()
	defer r.counting.Unlock()
	now, totals, c := r.Now(), r.Counts(), &r.counter
	added := Counts{totals.Instances.since(c.last.Instances), totals.Sources.since(c.last.Sources)}
	c.last = totals
	for i, at := range countResolutions() {
		slot := &c.pending[i]
		if start := now.Truncate(at.span); !start.Equal(slot.At) {
			r.addSlot(at.kind, *slot)
			*slot = CountSlot{start, newCounts()}
		}
		slot.addAll(added)
		if all {
			r.addSlot(at.kind, *slot)
			*slot = CountSlot{}
		}
	}
}

// addSlot adds the entry of a slot to those that are written next, unless it has no numbers.
func (r *Recorder) addSlot(kind string, s CountSlot) {
	if !s.isEmpty() {
		r.addEntry(kind, s.At, s.Counts)
	}
}

// CountsSince returns what all servers have counted since a time, in slots of a minute, or of ten minutes if the time is longer ago than a
// day. The slots are in order; those without numbers are left out. The counts of other servers are up to a minute old.
func (r *Recorder) CountsSince(ctx context.Context, since time.Time) ([]CountSlot, error) {
	r.pollCounts(false)
	r.Flush(ctx)
	fine, long := countResolutions()[0], countResolutions()[1]
	now := r.Now()
	slots, span, border := map[int64]Counts{}, fine.span, since
	if now.Sub(since) > finestSpan+time.Hour {
		span = long.span
		border = now.Add(-span).Truncate(span) // other servers may not have written the slot that has just ended
		err := r.readCounts(ctx, long.kind, since, border, span, slots)
		if err != nil {
			return nil, err
		}
	}
	if err := r.readCounts(ctx, fine.kind, border, now.Add(fine.span), span, slots); err != nil {
		return nil, err
	}
	r.counting.Lock()
	if s := r.counter.pending[0]; !s.isEmpty() {
		addTo(slots, s.At.Truncate(span), s.Counts)
	}
	r.counting.Unlock()
	list := make([]CountSlot, 0, len(slots))
	for _, at := range slices.Sorted(maps.Keys(slots)) {
		list = append(list, CountSlot{time.Unix(at, 0).UTC(), slots[at]})
	}
	return list, nil
}

// readCounts adds the entries of a kind from a time until another to slots of a span.
func (r *Recorder) readCounts(ctx context.Context, kind string, from, until time.Time, span time.Duration, slots map[int64]Counts) error {
	return r.Store.Journal(ctx, state.JournalQuery{Kinds: []string{kind}, Since: from}, func(e state.JournalEntry) bool {
		var c Counts
		if e.At.Before(until) && json.Unmarshal([]byte(e.Data), &c) == nil {
			addTo(slots, e.At.Truncate(span), c)
		}
		return true
	})
}

func addTo(slots map[int64]Counts, at time.Time, c Counts) {
	sum, ok := slots[at.Unix()]
	if !ok {
		sum = newCounts()
		slots[at.Unix()] = sum
	}
	sum.addAll(c)
}
