package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestWhichBatchesAreHalved checks after how many failures a batch is halved: sooner if the remote accepts others of its lane, and not in
// an outage. What has nothing to do with the content of the batch, or concerns a task alone, halves nothing.
func TestWhichBatchesAreHalved(t *testing.T) {
	begin := time.Unix(1000, 0)
	retry := []Result{{Outcome: Retry}, {Outcome: Retry}, {Outcome: Retry}}
	for name, c := range map[string]struct {
		failures    int // of the lane, with this one
		wholes      int // of the batch before
		maxBatch    int // since it was halved before
		lastSuccess time.Duration
		results     []Result
		alone       bool
		want        int // limit of the next batch; 0 for none
		counted     bool
	}{
		"the second failure":                        {failures: 2, wholes: 1, counted: true},
		"the third failure":                         {failures: 3, wholes: 2, want: 2},
		"the third, with the last before an outage": {failures: outageFailures - 1, wholes: 2, want: 2},
		"the third, in an outage":                   {failures: outageFailures, wholes: 2, counted: true},
		"it was halved before":                      {failures: 1, maxBatch: 3, want: 2},
		"it was, in an outage":                      {failures: outageFailures, maxBatch: 3, want: 3, counted: true},
		"the first, and others succeed":             {failures: 1, lastSuccess: 2, counted: true},
		"the second, and others succeed":            {failures: outageFailures, wholes: 1, lastSuccess: 2, want: 2},
		"the second, and others had succeeded":      {failures: 1, wholes: 1, lastSuccess: 1, counted: true},
		"the remote asks to wait":                   {failures: 3, wholes: 2, results: []Result{{Outcome: Retry}, {Outcome: Retry, RetryAfter: 1}, {Outcome: Retry}}},
		"the failure is unrelated":                  {failures: 3, wholes: 2, results: []Result{{Outcome: Retry}, {Outcome: Retry}, {Outcome: Retry, Unrelated: true}}},
		"a dropped task asks nothing":               {failures: 3, wholes: 2, results: []Result{{Outcome: Retry}, {Outcome: Retry}, {Outcome: Dropped, RetryAfter: 1}}, want: 2},
		"a task alone":                              {failures: 3, wholes: 2, alone: true},
	} {
		var tasks []*Task[string]
		for i := range 3 {
			failed := begin.Add(2 + time.Duration(i))
			if i == 1 {
				failed = begin.Add(1) // the oldest
			}
			tasks = append(tasks, &Task[string]{history: &history{firstFailed: failed, wholes: c.wholes, maxBatch: c.maxBatch}})
		}
		if c.alone {
			tasks = tasks[:1]
		}
		if c.results == nil {
			c.results = retry
		}
		l := &lane[string]{failures: c.failures}
		if c.lastSuccess > 0 {
			l.lastSuccess = begin.Add(c.lastSuccess)
		}
		l.noteBatchFailure(tasks, c.results)
		wholes := c.wholes
		switch {
		case c.counted:
			wholes++
		case c.want > 0:
			wholes = 0
		}
		for _, one := range tasks {
			assert.Equal(t, []int{c.want, wholes}, []int{one.history.maxBatch, one.history.wholes}, name)
		}
	}
}

// TestSuccessAfterAnOutage checks that the first success after an outage lets tasks share batches again, as the failures before said
// nothing about them, and that what was not sent is no success.
func TestSuccessAfterAnOutage(t *testing.T) {
	for _, c := range []struct {
		failures int
		outcome  Outcome
		lifted   bool
		works    bool
	}{
		{outageFailures - 1, Done, false, true}, {outageFailures, Done, true, true}, {outageFailures + 1, Pending, true, true}, {outageFailures, Dropped, true, true},
		{outageFailures, Retry, false, false}, {outageFailures, NotSent, false, false},
	} {
		d := New[string](Config{}, nil)
		one := &Task[string]{history: &history{maxBatch: 2, wholes: 1}}
		l := &lane[string]{failures: c.failures, groups: []*group[string]{{}}}
		l.groups[0].halved.push(one)
		d.noteSuccess(l, []Result{{Outcome: NotSent}, {Outcome: c.outcome}})
		assert.Equal(t, c.lifted, l.groups[0].fresh.len() == 1, c)
		assert.Equal(t, c.lifted, *one.history == history{}, c)
		assert.Equal(t, c.works, l.failures == 0, c)
		assert.Equal(t, c.works, !l.lastSuccess.IsZero() && d.lastSuccess.Equal(l.lastSuccess), c)
	}
}

// TestOwnFailures checks which failures are a task's own: while the remote accepted others of its batch, or of its lane if it was alone,
// and all later ones.
func TestOwnFailures(t *testing.T) {
	begin := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		history     history
		size        int
		whole       bool
		lastSuccess time.Time
		own         bool
	}{
		"others were accepted":              {size: 3, own: true},
		"the whole batch has failed":        {size: 3, whole: true, history: history{failures: 1, firstFailed: begin}, lastSuccess: begin.Add(1)},
		"alone, for the first time":         {size: 1, whole: true, lastSuccess: begin},
		"alone again, and others work":      {size: 1, whole: true, history: history{firstFailed: begin}, lastSuccess: begin.Add(1), own: true},
		"alone again, and others do not":    {size: 1, whole: true, history: history{firstFailed: begin}, lastSuccess: begin},
		"alone, after a failure of its own": {size: 1, whole: true, history: history{failures: 1}, own: true},
	} {
		one := &Task[string]{history: &c.history}
		assert.Equal(t, c.own, one.isOwnFailure(&lane[string]{lastSuccess: c.lastSuccess}, c.size, c.whole), name)
	}
}

// TestBatchesOfHalvedTasks checks that a batch of tasks from halved batches is not larger than the smallest of their limits.
func TestBatchesOfHalvedTasks(t *testing.T) {
	d := New[string](Config{}, nil)
	limited := func(limit int) *Task[string] {
		return &Task[string]{MaxBatch: 100, history: &history{maxBatch: limit}}
	}
	for _, c := range []struct {
		first, next, heads int
		fits               bool
	}{{3, 3, 2, true}, {3, 3, 3, false}, {3, 2, 2, false}, {2, 3, 2, false}, {3, 2, 1, true}, {0, 0, 50, true}} {
		heads := []*Task[string]{limited(c.first)}
		for len(heads) < c.heads {
			heads = append(heads, limited(c.first))
		}
		assert.Equal(t, c.fits, d.fits(limited(c.next), heads, 0), c)
	}
	one := &Task[string]{attempts: 2, history: &history{polls: 3}}
	assert.Equal(t, 5, one.tries())
	assert.True(t, one.wasTried())
	assert.False(t, (&Task[string]{}).wasTried())
}
