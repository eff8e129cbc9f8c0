package dispatch_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// BenchmarkTasks measures the CPU time of a task from its addition to its result while 24,000 others wait: changes of six audiences by
// 100,000 users in batches of 1,000, as they come from 12 partitions.
func BenchmarkTasks(b *testing.B) {
	const lanes, owners, users, waiting = 6, 12, 100_000, 24_000
	h := &direct{}
	d := dispatch.New(dispatch.Config{Linger: time.Hour}, h)
	defer d.Stop()
	var partitions [owners]*dispatch.Owner[int]
	for i := range partitions {
		partitions[i] = d.NewOwner(func() time.Duration { return time.Minute })
	}
	var names [lanes]string
	for lane := range lanes {
		names[lane] = fmt.Sprintf("audience_%d_%s", lane, strings.Repeat("x", 20))
	}
	b.ReportAllocs()
	random, before := uint32(1), time.Duration(0)
	for i := range b.N + waiting {
		if i == waiting {
			b.ResetTimer()
			before = usedCPU(b)
		}
		random = random*1_664_525 + 1_013_904_223
		user, lane := int(random>>8)%users, i%lanes
		d.Add(&dispatch.Task[int]{
			Value: i, Owner: partitions[user%owners], Lane: dispatch.Lane{Scope: h, Name: names[lane]}, Group: dispatch.Group{Scope: b, Key: names[lane]},
			Key: names[lane] + " u:user_" + strconv.Itoa(user), Together: true, MaxBatch: 1000, Bytes: 700,
		})
		if h.added++; h.added-h.finished > waiting && len(h.batches) > 0 {
			first := h.batches[0]
			h.batches = h.batches[1:]
			first.Done(make([]dispatch.Result, len(first.Tasks)))
		}
	}
	b.ReportMetric(float64((usedCPU(b)-before).Nanoseconds())/float64(b.N), "ns-cpu/op")
}

func usedCPU(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// direct is a host that keeps the batches in flight.
type direct struct {
	batches         []*dispatch.Batch[int]
	added, finished int
}

func (h *direct) Send(b *dispatch.Batch[int]) { h.batches = append(h.batches, b) }

func (h *direct) Finished(*dispatch.Task[int], dispatch.Result) { h.finished++ }

func (h *direct) Exhausted(tasks []*dispatch.Task[int], _ dispatch.Result) int { return len(tasks) }

func (h *direct) Retried(*dispatch.Task[int], dispatch.Result) {}
