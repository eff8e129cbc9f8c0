package budget

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// reservation asks the store for tokens of one class. Without parts it only reads the record.
type reservation struct {
	class  Class
	shared bool
	parts  []part
}

// part is what a reservation asks for of one window.
type part struct {
	meter  *meter
	need   int64 // for the next request
	block  int64 // for it and those that follow
	excess int64 // of a request that is larger than the limit: it uses up later windows
}

// reserveResult is the result of a reservation. Either all parts have tokens or none has.
type reserveResult struct {
	record  record
	slots   []int64
	tokens  []int64
	retryAt []time.Time // when the store may have the tokens of a part; zero if it has them now
	err     error
}

// reserve reserves tokens of all parts, or of none if one of them lacks tokens.
func (r *reservation) reserve(ctx context.Context, store Store, name string) (got reserveResult) {
	for {
		data, revision, err := store.Load(ctx, name)
		if err != nil {
			return reserveResult{err: err}
		}
		got = r.plan(parseRecord(data), time.Now())
		if len(r.parts) == 0 || got.lacks() {
			return got
		}
		data, err = json.Marshal(got.record)
		if err != nil {
			return reserveResult{err: err}
		}
		switch _, err = store.Save(ctx, name, data, revision); {
		case err == nil:
			return got
		case !errors.Is(err, ErrConflict):
			return reserveResult{err: err}
		case ctx.Err() != nil:
			return reserveResult{err: ctx.Err()}
		}
	}
}

// lacks reports whether a part has no tokens.
func (got *reserveResult) lacks() bool {
	for _, at := range got.retryAt {
		if !at.IsZero() {
			return true
		}
	}
	return false
}

// plan adds the reservation to a record. It does not if the budget is paused or a part lacks tokens.
func (r *reservation) plan(rec record, now time.Time) reserveResult {
	got := reserveResult{record: rec, slots: make([]int64, len(r.parts)), tokens: make([]int64, len(r.parts)), retryAt: make([]time.Time, len(r.parts))}
	for i, p := range r.parts {
		slots, at := rec.slotsOf(p.meter, now), p.meter.slotAt(now)
		free := available(slots, p.meter, at, r.class, p.need)
		switch {
		case r.shared && rec.pausedUntil(now).After(now):
			got.retryAt[i] = steadyTime(rec.pausedUntil(now), now)
		case free < p.need:
			got.retryAt[i] = steadyTime(p.meter.startOf(nextSlot(slots, p.meter, now, r.class, p.need)), now)
		}
		most := free
		if r.shared { // leave some to the others
			most = max(p.need, free/2)
		}
		got.slots[i], got.tokens[i] = at, min(max(p.block, p.need), most)
	}
	if got.lacks() {
		return got
	}
	for i, p := range r.parts {
		r.charge(rec.Meters[p.meter.name], p, got.slots[i], got.tokens[i])
	}
	return got
}

// steadyTime returns a time as now and how long after it: it comes then also if the clock is set back meanwhile.
func steadyTime(at, now time.Time) time.Time { return now.Add(at.Sub(now)) }

// charge adds tokens to a slot of a window. What exceeds the limit, or the share of the class, is charged to later windows.
func (r *reservation) charge(slots map[int64][2]int64, p part, at, tokens int64) {
	spreadTokens(slots, p.meter, at, tokens+p.excess, 0, Live)
	if r.class == Background {
		spreadTokens(slots, p.meter, at, tokens+p.excess, 1, Background)
	}
}

// spreadTokens adds tokens to one of the numbers of a slot, and what exceeds the limit of a class to that of later windows.
func spreadTokens(slots map[int64][2]int64, m *meter, at, tokens int64, number int, limit Class) {
	for most := m.limitOf(limit); tokens > 0; tokens -= most {
		sum := slots[at]
		sum[number] += min(tokens, most)
		slots[at] = sum
		at += m.span
	}
}
