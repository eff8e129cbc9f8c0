package delivery

import (
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Limits of what instances share.
const (
	feedBytes    = 1 << 20 // bytes of the pages that the feeds of a partition keep for slower instances
	joinDistance = 10_000  // messages of the log that a feed may lag behind an instance that joins it
)

// pageFeeds are the feeds of this process. All instances at about the same place of a partition read it through one feed.
type pageFeeds struct {
	queue *Queue
	seed  maphash.Seed // of the hashes of messageIds
	kept  int          // bytes of the pages that all feeds keep for slower instances
	ahead readAhead

	mu         sync.Mutex // guards partitions
	partitions map[int]*partitionFeeds
}

// newPageFeeds returns the feeds of a queue. An eighth of its memory is for pages that are kept for slower instances, and a quarter for those that are read
// ahead.
func newPageFeeds(q *Queue, memory int64) *pageFeeds {
	return &pageFeeds{queue: q, kept: int(memory / 8), ahead: readAhead{limit: int(memory / 4 / pageBytes)}, seed: maphash.MakeSeed(), partitions: map[int]*partitionFeeds{}}
}

// partitionFeeds are the feeds of one partition of the log, and the instances that read it.
type partitionFeeds struct {
	*pageFeeds
	suffix string // of the subjects of the partition
	limit  int    // bytes of the pages that its feeds keep

	mu      sync.Mutex // guards the fields below, the feeds and the cursors
	cursors int
	feeds   []*pageFeed
}

// newCursor returns a cursor of an instance that reads subjects from a sequence on. The caller closes it.
func (f *pageFeeds) newCursor(partition int, subjects []string, from uint64) *pageCursor {
	g := f.partitionOf(partition)
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &pageCursor{partition: g, subjects: subjects, next: max(from, 1), wake: make(chan struct{}, 1)}
	g.cursors++
	c.joinFeedLocked()
	return c
}

func (f *pageFeeds) partitionOf(n int) *partitionFeeds {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.partitions[n]
	if g == nil {
		g = &partitionFeeds{pageFeeds: f, suffix: "." + strconv.Itoa(n), limit: min(feedBytes, f.kept/f.queue.partitions)}
		f.partitions[n] = g
	}
	return g
}

// dropPages drops the pages in memory, because the log has changed: they are read again.
func (f *pageFeeds) dropPages() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.partitions {
		g.mu.Lock()
		for _, feed := range g.feeds {
			feed.retireLocked()
		}
		g.mu.Unlock()
	}
}

// feedForLocked returns the feed for a cursor: of those that cover its place the furthest, or else a new one. If the furthest does not read its
// sources, a new one reads those of both.
func (g *partitionFeeds) feedForLocked(c *pageCursor) *pageFeed {
	var best *pageFeed
	for _, f := range g.feeds {
		if f.coversLocked(c.next) && (best == nil || f.next > best.next) {
			best = f
		}
	}
	if best != nil && (best.isUnopenedLocked() || best.readsLocked(c.subjects)) {
		return best
	}
	made := newPageFeedLocked(g, c.next)
	if best != nil {
		made.subjects = g.joinSubjects(best.subjects, c.subjects)
		best.retireLocked()
	}
	g.feeds = append(g.feeds, made)
	for _, f := range g.feeds {
		f.dropExcessLocked()
	}
	return made
}

// joinSubjects returns the subjects of a feed for cursors with the given subjects. It reads the commands of all instances.
func (g *partitionFeeds) joinSubjects(lists ...[]string) []string {
	all := "ev.*" + g.suffix
	subjects := []string{"ctl.*" + g.suffix}
	for _, list := range lists {
		for _, s := range list {
			if strings.HasPrefix(s, "ev.") {
				subjects = append(subjects, s)
			}
		}
	}
	if slices.Contains(subjects, all) {
		return []string{subjects[0], all}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// feedLimitLocked returns how many bytes of pages a feed keeps for slower cursors: its share of what the partition keeps.
func (g *partitionFeeds) feedLimitLocked() int {
	if g.cursors == 1 {
		return 0
	}
	usable := 0
	for _, f := range g.feeds {
		if f.isUsableLocked() {
			usable++
		}
	}
	return g.limit / max(usable, 1)
}
