package budget

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// DefaultBackground is the share of each window that requests of the class Background may use by default.
const DefaultBackground = 0.5

// Limits are the limits of a Budget. The zero value limits nothing.
type Limits struct {
	Windows        []Window
	BytesPerSecond int64
	Background     float64 // the largest share of the class Background, up to 1; 0 means DefaultBackground
}

// Window allows a number of requests in a time.
type Window struct {
	Limit   int64
	Per     time.Duration
	Aligned bool // windows begin at multiples of Per in UTC, such as clock hours; otherwise every interval of the length is one
}

// String describes the window, such as "250000 requests in 1h by the clock".
func (w Window) String() string {
	text := fmt.Sprintf("%d requests in %s", w.Limit, PerText(w.Per))
	if w.Aligned {
		text += " by the clock"
	}
	return text
}

// PerText returns a length of time without its zero units, such as 1h.
func PerText(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if short := strings.TrimSuffix(text, zero); strings.HasSuffix(short, "m") || strings.HasSuffix(short, "h") {
			text = short
		}
	}
	return text
}

// Class is the urgency of a request.
type Class int

// The classes.
const (
	Live       Class = iota // an event that has just happened
	Background              // a replay
	classes    = 2
)

// meter is the state of one window in this process.
type meter struct {
	window Window
	bytes  bool
	name   string // in the record
	slot   time.Duration
	span   int64   // how many slots a window can touch
	share  float64 // the largest share of the class Background

	at      int64              // the slot of the tokens
	tokens  [classes]int64     // reserved and not used
	used    int64              // in slot at
	before  int64              // used in the slot before
	retryAt [classes]time.Time // the store has no tokens earlier

	reserved   int64 // the latest block
	reservedAt time.Time
}

const (
	maxSlots  = 60
	minSlots  = 10
	slotAbout = time.Minute
)

func newMeter(w Window, bytes bool, share float64) *meter {
	m := &meter{window: w, bytes: bytes, share: share, slot: w.Per, span: 1, name: "requests/" + w.Per.String()}
	if bytes {
		m.name = "bytes/" + w.Per.String()
	}
	if w.Aligned {
		m.name += "/aligned"
		return m
	}
	slots := min(max(int64(w.Per/slotAbout), minSlots), maxSlots)
	m.slot = (w.Per + time.Duration(slots) - 1) / time.Duration(slots)
	m.span = slots + 1
	return m
}

// slotAt returns the number of the slot at a time.
func (m *meter) slotAt(now time.Time) int64 { return now.UnixNano() / int64(m.slot) }

// startOf returns when a slot begins.
func (m *meter) startOf(slot int64) time.Time { return time.Unix(0, slot*int64(m.slot)) }

// advance drops the tokens of earlier slots.
func (m *meter) advance(now time.Time) {
	at := m.slotAt(now)
	if at == m.at {
		return
	}
	m.before = 0
	if at == m.at+1 {
		m.before = m.used
	}
	m.at, m.used, m.tokens = at, 0, [classes]int64{}
}

// cost returns how many tokens a request needs at once: one larger than the limit waits for an empty window.
func (m *meter) cost(bytes int64) int64 {
	if m.bytes {
		return min(bytes, m.window.Limit)
	}
	return 1
}

// has reports whether tokens for a cost are there. Live requests can use those of the class Background.
func (m *meter) has(class Class, cost int64) bool {
	if class == Live {
		return m.tokens[Live]+m.tokens[Background] >= cost
	}
	return m.tokens[Background] >= cost
}

// take uses tokens that are there.
func (m *meter) take(class Class, cost int64) {
	m.used += cost
	if class == Live {
		own := min(cost, m.tokens[Live])
		m.tokens[Live] -= own
		cost -= own
	}
	m.tokens[Background] -= cost
}

// limitOf returns how many tokens of each window requests of a class may use: at least one.
func (m *meter) limitOf(class Class) int64 {
	if class == Live {
		return m.window.Limit
	}
	return max(int64(math.Floor(float64(m.window.Limit)*m.share+1e-9)), 1)
}

// maxBurst divides the limit of a window: a burst reserves at most that part of it at once.
const maxBurst = 100

// block returns how many tokens are reserved at once for an urgent need: as many as are used in about a second, without
// exceeding the slot. In a burst, which the average of the slot does not show, that follows from how soon the latest block was used, and a block
// is at most twice the one before.
func (m *meter) block(now time.Time, need int64) int64 {
	const ahead = time.Second
	elapsed := now.Sub(m.startOf(m.at))
	recent := float64(m.used + m.before)
	span := elapsed
	if m.before > 0 || m.used == 0 {
		span += m.slot
	}
	perSecond := recent / max(span.Seconds(), 0.05)
	left := min(m.startOf(m.at+1).Sub(now), ahead)
	tokens := max(need, int64(perSecond*left.Seconds()))
	if left == ahead {
		lasted := max(now.Sub(m.reservedAt), ahead/2)
		tokens = max(tokens, min(m.window.Limit/maxBurst, int64(float64(m.reserved)*ahead.Seconds()/lasted.Seconds())))
	}
	return tokens
}
