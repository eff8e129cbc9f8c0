package delivery

import (
	"os"
	"sync"
	"testing"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// memoryStores are the logs in memory by the Dir of their Config.
var memoryStores sync.Map

// OpenTest is Open for tests of behavior that does not depend on the engine of the log. With LANDFALL_LOG=memory in the environment,
// the log of a Dir is in memory, and stays there for the next OpenTest with the same Dir.
func OpenTest(t testing.TB, c Config) (*Queue, error) {
	if c.URL == "" && os.Getenv("LANDFALL_LOG") == "memory" {
		store, _ := memoryStores.LoadOrStore(c.Dir, memlog.New(memlog.Options{}))
		c = c.On(store.(*memlog.Store).Connect())
	}
	return Open(t.Context(), c)
}

// On returns the config with a log to use instead of NATS.
func (c Config) On(log eventlog.Log) Config {
	c.store = log
	return c
}

// Kill ends a Runner as a crash does: no verdict is applied, no checkpoint is written and no lease is released.
func (r *Runner) Kill() {
	r.setMu.Lock()
	defer r.setMu.Unlock()
	r.cancel()
	r.goroutines.Wait()
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		w.stopping = true
		var parts []*partition
		for _, p := range w.partitions {
			parts = append(parts, p)
		}
		w.mu.Unlock()
		for _, p := range parts {
			r.abandonPartition(p)
			<-p.done
		}
		w.cancel()
		w.goroutines.Wait()
	})
}

// Name returns the name of the process among the members.
func (r *Runner) Name() string { return r.name }

// AssignmentHeader is the header of heartbeats that earlier versions do not send.
const AssignmentHeader = assignmentHeader

// AssignedMember is the assignment of earlier versions.
func AssignedMember(instance string, partition int, members []string) string {
	return assignedMember(instance, partition, members)
}

// LimitPages limits the bytes of the pages that the feeds of each partition keep.
func (q *Queue) LimitPages(limit int) {
	for n := range q.partitions {
		q.feeds.partitionOf(n).limit = limit
	}
}

// SharedPages returns how many bytes the pages in memory have, and how many feeds there are.
func (q *Queue) SharedPages() (kept, feeds int) {
	for n := range q.partitions {
		g := q.feeds.partitionOf(n)
		g.mu.Lock()
		feeds += len(g.feeds)
		for _, f := range g.feeds {
			for _, p := range f.pages {
				kept += p.size
			}
		}
		g.mu.Unlock()
	}
	return kept, feeds
}
