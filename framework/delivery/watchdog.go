package delivery

import "time"

// progress is how far a partition is, as far as a watchdog compares it.
type progress struct {
	next     uint64 // the next page to read
	oldest   uint64 // the oldest page that is not finished
	left     int    // its events that are not finished
	verdicts int64
}

// sample is what a watchdog is shown of a partition.
type sample struct {
	progress
	outstanding bool // there are accepted events that are not finished
	paused      bool // there is a known reason to wait: the remote's, a login, a bound, a retry
}

// watchedPartition is what a watchdog remembers of a partition.
type watchedPartition struct {
	progress
	since  time.Time // the last progress, or the last time when none was due
	logged bool
}

// watchdog notices partitions that have events to deliver, no reason to wait, and make no progress.
type watchdog struct {
	after time.Duration // how long that may last
	seen  map[partitionID]*watchedPartition
}

func newWatchdog(after time.Duration) *watchdog {
	return &watchdog{after: after, seen: map[partitionID]*watchedPartition{}}
}

// observe takes a sample of a partition. It returns since when the partition has made no progress, zero if all is well, and whether
// that is news.
func (d *watchdog) observe(at partitionID, s sample, now time.Time) (stalled time.Time, news bool) {
	w := d.seen[at]
	if w == nil || w.progress != s.progress || !s.outstanding || s.paused {
		d.seen[at] = &watchedPartition{progress: s.progress, since: now}
		return time.Time{}, false
	}
	if now.Sub(w.since) < d.after {
		return time.Time{}, false
	}
	news, w.logged = !w.logged, true
	return w.since, news
}

// quietFor returns for how long a partition has shown neither progress nor events.
func (d *watchdog) quietFor(at partitionID, s sample, now time.Time) time.Duration {
	if w := d.seen[at]; w != nil && w.progress == s.progress {
		return now.Sub(w.since)
	}
	return 0
}

// keepOnly drops the partitions that are not in a set.
func (d *watchdog) keepOnly(kept map[partitionID]bool) {
	for at := range d.seen {
		if !kept[at] {
			delete(d.seen, at)
		}
	}
}
