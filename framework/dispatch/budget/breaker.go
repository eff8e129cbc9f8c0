package budget

import "time"

// breaker stops requests to a remote that is down, except for one at a time that finds out whether it works again.
type breaker struct {
	config   GateConfig
	failures int       // in a row
	since    time.Time // since when the remote is down; zero if it is not
	probeAt  time.Time // when the next probe may start
	wait     time.Duration
	probing  bool
}

// allow reports whether a request is a probe, and when it may start: zero if now. The present time means that another request is
// the probe.
func (b *breaker) allow(now time.Time) (probe bool, at time.Time) {
	switch {
	case b.since.IsZero():
		return false, time.Time{}
	case b.probing:
		return false, now
	case b.probeAt.After(now):
		return false, b.probeAt
	}
	return true, time.Time{}
}

// start records that a request starts.
func (b *breaker) start(probe bool) { b.probing = b.probing || probe }

// abandon records that a request has ended without saying anything about the remote.
func (b *breaker) abandon(probe bool) {
	if probe {
		b.probing = false
	}
}

// record updates the breaker from the result of a request.
func (b *breaker) record(t *turn, failed bool, now time.Time) {
	b.abandon(t.probe)
	switch {
	case !failed:
		b.failures, b.since, b.wait, b.probeAt = 0, time.Time{}, 0, time.Time{}
	case !b.since.IsZero() && !t.probe: // it was sent before the remote counted as down
	default:
		b.failures++
		if b.config.FailuresToOpen < 0 || b.failures < b.config.FailuresToOpen {
			return
		}
		if b.since.IsZero() {
			b.since = now
		}
		b.wait = min(max(2*b.wait, b.config.MinProbeWait), b.config.MaxProbeWait)
		b.probeAt = now.Add(b.wait)
	}
}
