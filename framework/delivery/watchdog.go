package delivery

import "time"

// progress is what a watchdog compares to detect progress of a partition.
type progress struct {
	next     uint64 // the next page to read
	oldest   uint64 // the oldest unfinished page
	left     int    // its unfinished events
	verdicts int64
}

// sample is the state of a partition that a watchdog is shown.
type sample struct {
	progress
	outstanding bool // accepted events are unfinished
	paused      bool // the partition has a known reason to wait: a pause, a login, a limit, a retry
}

// watchedPartition is what a watchdog remembers about a partition.
type watchedPartition struct {
	progress
	since      time.Time // of the last progress, or of the last sample with nothing to do
	quietSince time.Time // of the last progress, or since when no event is overlooked
	logged     bool
}

// watchdog detects partitions that have events to deliver, no reason to wait, and make no progress.
type watchdog struct {
	after time.Duration // how long a partition may make no progress
	seen  map[partitionID]*watchedPartition
}

func newWatchdog(after time.Duration) *watchdog {
	return &watchdog{after: after, seen: map[partitionID]*watchedPartition{}}
}

// observe takes a sample of a partition. It returns since when the partition is stalled, zero if it is not, and whether that is
// news.
func (d *watchdog) observe(at partitionID, s sample, now time.Time) (stalled time.Time, news bool) {
	w := d.seen[at]
	if w == nil || w.progress != s.progress {
		d.seen[at] = &watchedPartition{progress: s.progress, since: now, quietSince: now}
		return time.Time{}, false
	}
	if !s.outstanding || s.paused {
		w.since, w.logged = now, false
	}
	if now.Sub(w.since) < d.after {
		return time.Time{}, false
	}
	news, w.logged = !w.logged, true
	return w.since, news
}

// isQuiet reports whether a partition has shown the same progress for so long that the log is searched for events that its reader overlooks.
func (d *watchdog) isQuiet(at partitionID, s sample, now time.Time) bool {
	w := d.seen[at]
	return w != nil && w.progress == s.progress && !s.outstanding && !s.paused && now.Sub(w.quietSince) > d.after
}

// noteNothingOverlooked notes that the log was searched and has no such event: it is searched again after a while.
func (d *watchdog) noteNothingOverlooked(at partitionID, now time.Time) { d.seen[at].quietSince = now }

// keepOnly forgets the partitions that are not in kept.
func (d *watchdog) keepOnly(kept map[partitionID]bool) {
	for at := range d.seen {
		if !kept[at] {
			delete(d.seen, at)
		}
	}
}
