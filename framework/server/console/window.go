package console

import "time"

// window is the time that a chart covers, up to now.
type window struct {
	Key, Name    string
	Past         string // after "in the last"
	span         time.Duration
	step         time.Duration // of a bar
	unit         string        // what a bar stands for
	tick         time.Duration // between the labels of times; whole days are those of the local time
	format, long string        // of the labels, and of the time of a bar
}

// windows returns the times that charts can cover. The first is the default.
func windows() []window {
	const day = 24 * time.Hour
	return []window{
		{"1h", "1 hour", "hour", time.Hour, time.Minute, "minute", 10 * time.Minute, "15:04", "15:04"},
		{"24h", "24 hours", "24 hours", day, 15 * time.Minute, "15 minutes", 4 * time.Hour, "15:04", "Mon 15:04"},
		{"7d", "7 days", "7 days", 7 * day, 2 * time.Hour, "2 hours", day, "2 Jan", "2 Jan 15:04"},
		{"30d", "30 days", "30 days", 30 * day, 12 * time.Hour, "12 hours", 5 * day, "2 Jan", "2 Jan 15:04"},
	}
}

// windowOf returns the window with a key, or the default.
func windowOf(key string) window {
	for _, w := range windows() {
		if w.Key == key {
			return w
		}
	}
	return windows()[0]
}

// bars is the number of bars of a chart.
func (w window) bars() int { return int(w.span / w.step) }

// begin is when the first bar begins. The last one contains now.
func (w window) begin(now time.Time) time.Time { return now.Truncate(w.step).Add(w.step - w.span) }

// ticks returns the times to label: round ones of the local time.
func (w window) ticks(now time.Time) (list []time.Time) {
	begin := w.begin(now)
	local := begin.Local()
	at := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.Local)
	days := int(w.tick / (24 * time.Hour))
	for end := begin.Add(w.span); !at.After(end); {
		if !at.Before(begin) {
			list = append(list, at)
		}
		if days > 0 {
			at = at.AddDate(0, 0, days)
		} else {
			at = at.Add(w.tick)
		}
	}
	return list
}
