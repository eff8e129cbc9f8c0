package budget

import (
	"encoding/json"
	"time"
)

// record is what a Store holds of a budget: the reservations of all processes.
type record struct {
	// Meters holds for each window the reserved tokens by slot: all of them, and those of the class Background.
	Meters      map[string]map[int64][2]int64 `json:"meters"`
	PausedUntil int64                         `json:"pausedUntil,omitempty"` // milliseconds since 1970; no process sends earlier
}

// parseRecord decodes a record. One that cannot be decoded counts as empty.
func parseRecord(data []byte) record {
	var r record
	if len(data) > 0 && json.Unmarshal(data, &r) != nil {
		r = record{}
	}
	if r.Meters == nil {
		r.Meters = map[string]map[int64][2]int64{}
	}
	return r
}

// pausedUntil returns the end of the pause. A pause that lasts longer than any was stored by a process whose clock was ahead, and is none.
func (r *record) pausedUntil(now time.Time) time.Time {
	until := time.UnixMilli(r.PausedUntil)
	if until.Sub(now) > maxPause {
		return time.Time{}
	}
	return until
}

// slotsOf returns the reservations of a window that can still matter.
func (r *record) slotsOf(m *meter, now time.Time) map[int64][2]int64 {
	slots := r.Meters[m.name]
	if slots == nil {
		slots = map[int64][2]int64{}
		r.Meters[m.name] = slots
	}
	for at := range slots {
		if at <= m.slotAt(now)-m.span {
			delete(slots, at)
		}
	}
	return slots
}

// reserved returns the reservations of the slots that share a window with a slot.
func reserved(slots map[int64][2]int64, m *meter, at int64) (all, background int64) {
	for slot, n := range slots {
		if slot > at-m.span && slot < at+m.span {
			all, background = all+n[0], background+n[1]
		}
	}
	return all, background
}

// available returns how many tokens can be reserved in a slot for a class, of which a request needs some. One that is larger than the
// share of its class may use more, if no other of the class is in the window.
func available(slots map[int64][2]int64, m *meter, at int64, class Class, need int64) int64 {
	all, background := reserved(slots, m, at)
	left := m.window.Limit - all
	if class == Background && (background > 0 || need <= m.limitOf(Background)) {
		left = min(left, m.limitOf(Background)-background)
	}
	return max(left, 0)
}

// nextSlot returns the first slot after the present one in which a need can be met.
func nextSlot(slots map[int64][2]int64, m *meter, now time.Time, class Class, need int64) int64 {
	at := m.slotAt(now) + 1
	last := at
	for slot := range slots {
		last = max(last, slot+m.span)
	}
	for ; at < last; at++ {
		if available(slots, m, at, class, need) >= need {
			break
		}
	}
	return at
}
