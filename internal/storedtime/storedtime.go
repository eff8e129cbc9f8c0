// Package storedtime judges stored times that may be from a machine whose clock was ahead. Such a time would otherwise count until it comes, which
// can take years.
package storedtime

import "time"

// MaxLead is how far the clocks of two machines may differ.
const MaxLead = time.Hour

// WasAhead reports whether a time at which something has happened is later than any clock that is right could have said by now.
func WasAhead(at, now time.Time) bool { return at.Sub(now) > MaxLead }

// Holds reports whether something that was stored with its end has not ended yet. One that would last longer than any does was stored while the
// clock was ahead, and does not hold.
func Holds(until, now time.Time, longest time.Duration) bool {
	left := until.Sub(now)
	return left > 0 && left <= longest
}
