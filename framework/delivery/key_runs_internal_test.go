package delivery

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// The changes of a user that were in a failed request are sent again with the oldest of them, even if the batch is halved or
// full: the remote may have applied the newest, and the oldest alone would undo it.
func TestRunsOfFailedRequestsStayTogether(t *testing.T) {
	item := runtime.Item{BatchSize: 2, Independent: true}
	newest := &task{item: item, attempts: 1}
	middle := &task{item: item, attempts: 1, next: newest}
	for _, tc := range []struct{ span, carried, want int }{{0, 0, 0}, {0, 2, 2}, {1, 2, 2}, {1, 1, 1}, {1, 0, 0}} {
		oldest := &task{item: item, attempts: 1, next: middle, maxBatch: tc.span, runCarried: tc.carried}
		extendRuns([]*task{oldest})
		assert.Len(t, oldest.run, tc.want, "%+v", tc)
	}
}

// When the tasks behind a hot key's first one are spilled, those that were in a failed request with it stay.
func TestSpillingKeepsRunsOfFailedRequests(t *testing.T) {
	for _, tc := range []struct{ carried, inRequest, kept int }{{0, 0, 1}, {2, 0, 3}, {0, 1, 2}, {1, 2, 3}, {3, 0, 4}} {
		c := &chain{}
		for i := range 4 {
			m := &task{bytes: 10, inRequest: i > 0 && i <= tc.inRequest}
			if c.first == nil {
				c.first, m.runCarried = m, tc.carried
			} else {
				c.last.next = m
			}
			c.last = m
			c.n, c.bytes = c.n+1, c.bytes+10
		}
		rest := c.cutUnsent()
		assert.Equal(t, []int{tc.kept, 10 * tc.kept}, []int{c.n, c.bytes}, "%+v", tc)
		assert.Nil(t, c.last.next)
		assert.Equal(t, tc.kept < 4, rest != nil, "%+v", tc)
	}
}

// A run counts the tasks that stay in it, not those that are decided meanwhile.
func TestRunOfAFailedRequestCountsWhatStays(t *testing.T) {
	p := &partition{chains: map[string]*chain{}, abandoned: true, closing: true}
	w := &worker{partitions: map[int]*partition{}}
	p.worker = w
	newTask := func() *task { return &task{partition: p, key: "k", bytes: 1} }
	first, decided, newest := newTask(), newTask(), newTask()
	for _, m := range []*task{first, decided, newest} {
		p.appendToChain(m)
	}
	first.run = []*task{decided, newest}
	w.relinkChain("k", p.chains["k"], []*task{first, newest}, nil, p)
	assert.Equal(t, 1, first.runCarried)
}
