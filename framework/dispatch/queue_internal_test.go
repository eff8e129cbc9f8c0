package dispatch

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQueues compares a queue with a list, while random tasks are added and removed at either place.
func TestQueues(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var q queue[string]
		var list []*Task[string]
		for range 200 {
			switch n := random.IntN(10); {
			case n < 5 || len(list) == 0:
				added := &Task[string]{MaxBatch: random.IntN(4), Bytes: random.IntN(9)}
				if n == 0 {
					q.pushFront(added)
					list = slices.Insert(list, 0, added)
				} else {
					q.push(added)
					list = append(list, added)
				}
			case n < 9:
				require.Same(t, list[0], q.pop())
				list = list[1:]
				q.updateLimit()
			default:
				limit := random.IntN(4)
				q.remove(func(t *Task[string]) bool { return t.MaxBatch == limit })
				list = slices.DeleteFunc(list, func(t *Task[string]) bool { return t.MaxBatch == limit })
			}
			limit, bytes := 0, 0
			for i, task := range list {
				if bytes += task.Bytes; i == 0 || task.MaxBatch < limit {
					limit = task.MaxBatch
				}
			}
			require.True(t, slices.Equal(list, q.tasks[q.head:]))
			require.Equal(t, []int{limit, bytes}, []int{q.limit, q.bytes})
		}
	}
}
