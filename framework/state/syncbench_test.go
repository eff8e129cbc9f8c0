package state_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/ballast"
)

// BenchmarkSyncAudience delivers 149,112 changes of 100,000 users, in batches of 436, to 6 new audiences at the same time, as TestCost does. The remote
// accepts everything at once, so the CPU time is that of the ledger and of destination.SyncAudience.
func BenchmarkSyncAudience(b *testing.B) {
	ballast.Reserve(ballast.DefaultSize)
	const audiences, size, batches = 6, 436, 57
	var all [audiences][batches][]destination.MemberChange
	random, start := rand.New(rand.NewPCG(1, 2)), time.Now().Add(-time.Hour)
	for i := range audiences * batches * size {
		list := &all[i%audiences][i/audiences/size]
		*list = append(*list, destination.MemberChange{
			Audience: audience(i % audiences), Identity: destination.Identity{Kind: "external_id", Name: fmt.Sprintf("user-%d", random.IntN(100_000))},
			Member: random.IntN(3) > 0, At: start.Add(time.Duration(i) * time.Millisecond),
		})
	}
	var spent time.Duration
	for range b.N {
		l := open(b, b.TempDir()).Ledger("main")
		deps := destination.Deps{Members: l, State: l, Locks: &destination.Locks{}, Log: slog.New(slog.DiscardHandler)}
		before := processTime(b)
		var lanes sync.WaitGroup
		for a := range all {
			lanes.Go(func() {
				for _, batch := range all[a] {
					destination.SyncAudience(b.Context(), destination.BatchCall[struct{}, int]{Deps: deps, Payloads: make([]int, size)}, destination.AudienceSync{
						Read:   func(i int) (destination.MemberChange, error) { return batch[i], nil },
						Change: func(context.Context, destination.Audience, []*destination.MemberChange) error { return nil },
					})
				}
			})
		}
		lanes.Wait()
		spent += processTime(b) - before
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*audiences*size*batches), "cpu-ns/change")
}
