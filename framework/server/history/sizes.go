package history

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

// Sizes are the numbers of members by instance and by the id of the audience.
type Sizes map[string]map[string]int

// SizePoint is the size of an audience from a time on.
type SizePoint struct {
	At      time.Time
	Members int
}

const (
	maxAudiences   = 1000           // audiences whose sizes are kept
	baseInterval   = 24 * time.Hour // after this time, all sizes are written, not only those that changed
	sizesTolerance = 10 * time.Second
)

// sizer remembers what this process wrote last of the audience sizes. Only the goroutine of the Recorder uses it.
type sizer struct {
	last [2]Sizes     // by resolution
	base [2]time.Time // when all sizes were written
	slot [2]time.Time // the last slot that was looked at
}

// recordSizes writes the sizes that changed, once in each slot of a resolution, unless another server has just done so.
func (r *Recorder) recordSizes(ctx context.Context) {
	if r.Sizes == nil {
		return
	}
	now := r.Now()
	var sizes Sizes
	for i, at := range sizeResolutions() {
		start := now.Truncate(at.span)
		if start.Equal(r.sizer.slot[i]) {
			continue
		}
		if sizes == nil {
			var err error
			if sizes, err = r.Sizes(ctx); err != nil {
				r.Log.Debug("the sizes of audiences cannot be recorded", "error", err)
				return
			}
		}
		r.sizer.slot[i] = start
		r.writeSizes(ctx, i, at, sizes)
	}
}

// writeSizes adds the entry of the sizes that changed since this process wrote the last one.
func (r *Recorder) writeSizes(ctx context.Context, i int, at resolution, sizes Sizes) {
	now, s := r.Now(), &r.sizer
	if !s.base[i].IsZero() && r.hasEntrySince(ctx, at.kind, now.Add(-at.span+sizesTolerance)) {
		return
	}
	all := now.Sub(s.base[i]) >= baseInterval
	if all {
		s.base[i] = now
	}
	changed, left := Sizes{}, maxAudiences
	for instance, audiences := range sizes {
		for id, n := range audiences {
			if before, known := s.last[i][instance][id]; known && before == n && !all {
				continue
			}
			if left--; left < 0 {
				break
			}
			if changed[instance] == nil {
				changed[instance] = map[string]int{}
			}
			changed[instance][id] = n
		}
	}
	s.last[i] = sizes
	if len(changed) > 0 {
		r.addEntry(at.kind, now, changed)
	}
}

// hasEntrySince reports whether an entry of a kind was written after a time, by any server.
func (r *Recorder) hasEntrySince(ctx context.Context, kind string, since time.Time) (found bool) {
	_ = r.Store.Journal(ctx, state.JournalQuery{Kinds: []string{kind}, Since: since, Until: r.Now().Add(storedtime.MaxLead), Limit: 1}, func(state.JournalEntry) bool { // if it fails, the sizes are written twice
		found = true
		return false
	})
	return found
}

// SizesSince returns the sizes of an instance's audiences since a time, by audience, oldest first. The first point is at that time if the size
// was known before. With an audience's id, it returns only that one.
func (r *Recorder) SizesSince(ctx context.Context, instance, audience string, since time.Time) (map[string][]SizePoint, error) {
	r.Flush(ctx)
	at := sizeResolutions()[0]
	if r.Now().Sub(since) > finestSpan {
		at = sizeResolutions()[1]
	}
	points := map[string][]SizePoint{}
	query := state.JournalQuery{Kinds: []string{at.kind}, Since: since.Add(-baseInterval - at.span), Until: r.Now().Add(storedtime.MaxLead)}
	err := r.Store.Journal(ctx, query, func(e state.JournalEntry) bool {
		var sizes Sizes
		if json.Unmarshal([]byte(e.Data), &sizes) != nil {
			return true // written by another version
		}
		for id, n := range sizes[instance] {
			if list := points[id]; (audience == "" || id == audience) && (len(list) == 0 || list[len(list)-1].At.After(since)) {
				points[id] = append(list, SizePoint{e.At, n}) // newest first
			}
		}
		return true
	})
	for _, list := range points {
		slices.Reverse(list)
		if list[0].At.Before(since) {
			list[0].At = since
		}
	}
	return points, err
}
