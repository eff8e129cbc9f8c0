package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A view of the log does not contradict a partition that has read more since the view was requested. On a cluster, where a
// replaced leader may still answer, the end must be missing for some time.
func TestIsContradictedBy(t *testing.T) {
	now := time.Now()
	later := func(d time.Duration) time.Time { return now.Add(d) }
	for name, c := range map[string]struct {
		next     uint64
		log      int64
		took     time.Time
		embedded bool
		views    []logView
		want     []bool
	}{
		"at the end": {
			next: 11, log: 1, took: now, embedded: true,
			views: []logView{{created: 1, last: 10, requestedAt: later(1)}}, want: []bool{false},
		},
		"a page taken after the view was asked for": {
			next: 12, log: 1, took: later(2), embedded: true,
			views: []logView{{created: 1, last: 10, requestedAt: later(1)}}, want: []bool{false},
		},
		"a partition of a new log and a view of the old one": {
			next: 1, log: 2, took: later(2), embedded: true,
			views: []logView{{created: 1, last: 10, requestedAt: later(1)}}, want: []bool{false},
		},
		"the end is gone": {
			next: 12, log: 1, took: now, embedded: true,
			views: []logView{{created: 1, last: 10, requestedAt: later(1)}}, want: []bool{true},
		},
		"another log": {
			next: 11, log: 1, took: now,
			views: []logView{{created: 2, last: 10, requestedAt: later(1)}}, want: []bool{true},
		},
		"a leader of the past answers for a while": {
			next: 12, log: 1, took: now,
			views: []logView{
				{created: 1, last: 10, requestedAt: later(1)}, {created: 1, last: 10, requestedAt: later(leaderGrace)}, {created: 1, last: 11, requestedAt: later(leaderGrace + 1)},
				{created: 1, last: 10, requestedAt: later(leaderGrace + 2)}, {created: 1, last: 10, requestedAt: later(2*leaderGrace + 1)},
			},
			want: []bool{false, false, false, false, false},
		},
		"the end stays away": {
			next: 12, log: 1, took: now,
			views: []logView{{created: 1, last: 10, requestedAt: later(1)}, {created: 1, last: 10, requestedAt: later(leaderGrace + 2)}}, want: []bool{false, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &partition{nextPage: c.next, logID: c.log, lastRead: c.took}
			for i, v := range c.views {
				assert.Equal(t, c.want[i], p.isContradictedByLocked(v, c.embedded), "view %d", i)
			}
		})
	}
}
