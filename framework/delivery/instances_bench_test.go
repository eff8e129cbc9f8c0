package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// BenchmarkInstances measures the CPU time of an event that is appended and delivered, with one instance and with 50 of which each event
// concerns one. x-one is the second divided by the first. Each figure is the median of b.N rounds, in which the two take turns.
func BenchmarkInstances(b *testing.B) {
	const events = 40_000
	var one, fifty []time.Duration
	for range b.N {
		one = append(one, costOfInstances(b, 1, events))
		fifty = append(fifty, costOfInstances(b, 50, events))
	}
	slices.Sort(one)
	slices.Sort(fifty)
	b.ReportMetric(float64(one[(b.N-1)/2].Nanoseconds())/1000, "µs-one/event")
	b.ReportMetric(float64(fifty[(b.N-1)/2].Nanoseconds())/1000, "µs-fifty/event")
	b.ReportMetric(float64(fifty[(b.N-1)/2])/float64(one[(b.N-1)/2]), "x-one")
	b.ReportMetric(0, "ns/op")
}

// costOfInstances returns the CPU time of this process for each of n events, which come in batches of 100.
func costOfInstances(b *testing.B, instances, n int) time.Duration {
	q, err := delivery.Open(b.Context(), delivery.Config{Dir: b.TempDir()})
	require.NoError(b, err)
	defer q.Close()
	runner, err := delivery.NewRunner(b.Context(), q, delivery.Settings{Linger: 50 * time.Millisecond})
	require.NoError(b, err)
	defer runner.Stop(context.WithoutCancel(b.Context()))
	list := make([]delivery.Instance, instances)
	for i := range list {
		list[i] = delivery.Instance{Plan: discardingPlan(b, i, instances), Sources: []string{"web"}}
	}
	require.NoError(b, runner.SetInstances(b.Context(), list))
	appendCostly(b, q, 0, 1000, instances)
	awaitDelivered(b, runner, 1000, instances)
	before := usedCPU(b)
	appendCostly(b, q, 1000, n, instances)
	awaitDelivered(b, runner, 1000+n, instances)
	return (usedCPU(b) - before) / time.Duration(n)
}

// discardingPlan returns the plan of instance i of n, which discards the events whose name ends in i modulo n.
func discardingPlan(b *testing.B, i, n int) *runtime.Plan {
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[change, change]{
			PerformBatch: func(context.Context, destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
				return nil, nil
			},
		})},
	}
	d, err := p.Load()
	require.NoError(b, err)
	subscribe := fmt.Sprintf(`type = "track" and event = "of %d"`, i)
	in := config.InstanceOf(event.MustParse(fmt.Sprintf(`{"id":"i%d","subscriptions":[{"name":"all","action":"send","subscribe":%q}]}`, i, subscribe)))
	plan, err := runtime.New(p, d, in, runtime.Host{})
	require.NoError(b, err)
	return plan
}

// appendCostly appends n events of 750 bytes, each of which concerns one of the instances, from 16 clients in batches of 100.
func appendCostly(b *testing.B, q *delivery.Queue, from, n, instances int) {
	more := fmt.Sprintf(`,"properties":{"a":%q,"b":[1,2,3],"c":{"d":"e"}}`, strings.Repeat("x", 560))
	var clients sync.WaitGroup
	for c := range 16 {
		clients.Go(func() {
			for at := from + 100*c; at < from+n; at += 1600 {
				batch := make([]delivery.NewEvent, 0, 100)
				for i := at; i < min(at+100, from+n); i++ {
					batch = append(batch, newEvent(fmt.Sprintf("user%d", i%20_000), i, fmt.Sprintf(`,"event":"of %d"`, i%instances), more))
				}
				if err := q.Append(b.Context(), batch); err != nil {
					b.Error(err)
				}
			}
		})
	}
	clients.Wait()
}

// awaitDelivered waits until n events have been delivered, and all instances have read them.
func awaitDelivered(b *testing.B, r *delivery.Runner, n, instances int) {
	delivered, read := int64(0), int64(0)
	for delivered < int64(n) || read < int64(n*instances) {
		require.NoError(b, b.Context().Err())
		time.Sleep(20 * time.Millisecond)
		counts := map[string]int64{}
		for _, s := range r.Status() {
			for k, c := range s.Counts {
				counts[k] += c
			}
		}
		delivered, read = counts["delivered"], counts["events"]
	}
}

func usedCPU(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
