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
