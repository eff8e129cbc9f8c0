package delivery

import (
	"sync"
	"sync/atomic"

	"github.com/landfall-dev/landfall/framework/event"
)

// DefaultMaxMemory is the default of Config.MaxMemory.
const DefaultMaxMemory = 256 << 20

// minTaskBytes is the smallest share of a partition, in bytes of tasks.
const minTaskBytes = 16 << 10

// maxPinnedBytes is how many bytes of pages the tasks of a partition may keep in memory beyond what they need themselves, before the events of further
// tasks are copied.
const maxPinnedBytes = 2 << 20

// taskMemory is the memory of the tasks of all partitions of this process. The zero taskMemory has no limit.
type taskMemory struct {
	limit atomic.Int64 // bytes of events and payloads of all partitions together; 0 for no limit
	used  atomic.Int64
	share atomic.Int64 // bytes of a partition once half of the limit is used
	spare atomic.Int64 // bytes that the pages of a partition may take beyond its tasks
}

// setLimit divides the memory of a queue among partitions. Half of it is for the tasks, and an eighth for pages that few tasks keep in memory.
func (m *taskMemory) setLimit(memory int64, partitions int) {
	n := int64(max(partitions, 1))
	limit := memory / 2
	m.limit.Store(limit)
	m.share.Store(max(limit/2/n, minTaskBytes))
	m.spare.Store(min(memory/8/n, maxPinnedBytes))
}

// maxTaskBytes returns how many bytes a partition may hold now. The first half of the limit is for whichever partitions need it; once it is used,
// each partition may hold its share of the other half.
func (m *taskMemory) maxTaskBytes() int {
	if limit := m.limit.Load(); limit == 0 || m.used.Load() < limit/2 {
		return maxTaskBytes
	}
	return int(min(m.share.Load(), maxTaskBytes))
}

// maxPinnedBytes returns how many bytes the pages of a partition may take beyond its tasks.
func (m *taskMemory) maxPinnedBytes() int {
	if m.limit.Load() == 0 {
		return maxPinnedBytes
	}
	return int(m.spare.Load())
}

// countTaskBytesLocked adds the bytes of a task, or subtracts them if they are negative. The tasks of an abandoned partition do not count.
func (p *partition) countTaskBytesLocked(n int) {
	if !p.abandoned {
		p.taskBytes += n
		p.worker.runner.memory.used.Add(int64(n))
	}
}

// abandonLocked makes the partition ignore further verdicts, and no longer counts its tasks.
func (p *partition) abandonLocked() {
	p.countTaskBytesLocked(-p.taskBytes)
	p.abandoned = true
}

// pinPageLocked notes that tasks keep the data of a page in memory, until the page is finished.
func (p *partition) pinPageLocked(pg *page, bytes int) {
	p.pinnedBytes += bytes - pg.pinnedBytes
	pg.pinnedBytes = bytes
}

// copiesEventsLocked reports whether new tasks get copies of their events. Otherwise a task keeps the whole page of its event in memory, which is
// much if few events of each page wait: those of a few users that fail, or those that match a subscription whose remote is down.
func (p *partition) copiesEventsLocked() bool {
	return p.pinnedBytes > p.worker.runner.memory.maxPinnedBytes()+2*p.taskBytes
}

// copyOf returns an event whose text is not part of a page.
func copyOf(e event.Event) event.Event {
	if c, err := event.Parse([]byte(e.Raw())); err == nil {
		return c
	}
	return e
}

// readAhead limits how many pages the readers of the log request ahead, all together.
type readAhead struct {
	limit    int        // pages
	mu       sync.Mutex // guards reserved
	reserved int
}

// maxReadAhead is how many pages a reader requests at once.
const maxReadAhead = 8

// reserve returns how many pages a new reader may request at once: few if many readers are open, and at least one.
func (a *readAhead) reserve() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(max((a.limit-a.reserved)/4, 1), maxReadAhead)
	a.reserved += n
	return n
}

// release returns the pages of a reader that is closed.
func (a *readAhead) release(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reserved -= n
}
