package event

import "time"

// MaxPlausible is how far past the tolerance a time can be and still say something about the order of a client's events. A time that is
// further ahead, such as one in the year 2099, says as little as one that cannot be read. The limit is longer than any mistake about the
// time zone, and it is not a whole number of days, because clocks are often wrong by exactly that.
const MaxPlausible = 36 * time.Hour

// LimitFuture returns the time that decides for an event that says it happened at at and that was received at received: at, but no
// later than maxFuture after received, and received itself if at is not plausible. limited reports whether at was changed. A plausible
// time never gets an earlier result than one before it, so the order of one client's events is kept even if its clock is ahead.
func LimitFuture(at, received time.Time, maxFuture time.Duration) (decides time.Time, limited bool) {
	switch ahead := at.Sub(received); {
	case ahead <= maxFuture:
		return at, false
	case ahead-maxFuture > MaxPlausible:
		return received, true
	}
	return received.Add(maxFuture), true
}
