package delivery

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// feedPatience is how long a feed waits for an instance that is still busy with an earlier page, before it drops the page. Instances
// that wait for their remote are not waited for.
const feedPatience = time.Second

// pageFeed reads a partition of the log once for several cursors, and keeps the latest pages for those that are slower. It has no
// goroutine: a cursor that needs a page that is not read yet leads, that is, it reads for all. The mutex of partitionFeeds guards it.
type pageFeed struct {
	partition *partitionFeeds
	subjects  []string        // that it reads
	reader    eventlog.Reader // nil until the first page is needed
	ahead     int             // pages that the reader requests at once
	retired   bool            // its cursors join another feed
	failure   error           // why it can no longer be used
	pending   uint64          // messages that followed the last page

	from, next uint64 // the pages of this range of sequences are kept
	pages      []*logPage
	base       uint64 // number of the first kept page, counted from the first page of the feed
	bytes      int    // of the pages in memory

	cursors   map[*pageCursor]struct{}
	waiting   map[*pageCursor]struct{} // cursors that have read all pages and do not lead
	bySubject map[string][]*pageCursor // cursors that read a subject, as far as known
	leading   bool                     // a cursor is reading
	moved     chan struct{}            // has a value if a cursor has taken the first page, left or stopped
}

func newPageFeedLocked(g *partitionFeeds, from uint64) *pageFeed {
	return &pageFeed{
		partition: g, from: from, next: from,
		cursors: map[*pageCursor]struct{}{}, waiting: map[*pageCursor]struct{}{}, bySubject: map[string][]*pageCursor{}, moved: make(chan struct{}, 1),
	}
}

// endLocked returns the number of the next page.
func (f *pageFeed) endLocked() uint64 { return f.base + uint64(len(f.pages)) }

func (f *pageFeed) isUsableLocked() bool { return f.failure == nil && !f.retired }

// isUnopenedLocked reports whether the feed has not begun to read, so that it can still read other subjects from another place.
func (f *pageFeed) isUnopenedLocked() bool { return f.reader == nil && !f.leading }

// readsLocked reports whether the feed reads all of the subjects.
func (f *pageFeed) readsLocked(subjects []string) bool {
	return !slices.ContainsFunc(subjects, func(s string) bool { return !eventlog.MatchesAny(f.subjects, s) })
}

// retireLocked makes all cursors leave before they read on. They no longer use the pages of this feed.
func (f *pageFeed) retireLocked() {
	f.retired = true
	for len(f.pages) > 0 {
		f.dropFirstLocked()
	}
	for c := range f.waiting {
		c.wakeUp()
	}
}

// coversLocked reports whether a cursor whose next message is seq may join. A feed that has read nothing yet starts with the first message
// that any of its cursors needs.
func (f *pageFeed) coversLocked(seq uint64) bool {
	begins := f.from
	if f.isUnopenedLocked() {
		begins -= min(begins, joinDistance)
	}
	return f.isUsableLocked() && seq >= begins && seq <= f.next+joinDistance
}

func (f *pageFeed) addLocked(c *pageCursor) {
	if f.isUnopenedLocked() {
		f.from = min(f.from, c.next)
		f.next = f.from
		f.subjects = f.partition.joinSubjects(f.subjects, c.subjects)
	}
	f.cursors[c] = struct{}{}
	clear(f.bySubject)
	c.feed = f
	f.placeLocked(c)
}

// placeLocked moves a cursor to the first page that it has not looked at.
func (f *pageFeed) placeLocked(c *pageCursor) {
	i, _ := slices.BinarySearchFunc(f.pages, c.next, func(p *logPage, seq uint64) int { return cmp.Compare(p.Sequence, seq) })
	c.at = f.base + uint64(i)
}

func (f *pageFeed) removeLocked(c *pageCursor) {
	c.endWaitLocked()
	c.feed = nil
	delete(f.cursors, c)
	clear(f.bySubject)
	if len(f.cursors) > 0 {
		f.retireIfNarrowerLocked()
		f.passLeadLocked()
		f.noteMoveLocked()
		return
	}
	f.closeReaderLocked()
	g := f.partition
	g.feeds = slices.DeleteFunc(g.feeds, func(other *pageFeed) bool { return other == f })
}

// retireIfNarrowerLocked retires the feed if it reads subjects that no cursor needs.
func (f *pageFeed) retireIfNarrowerLocked() {
	var lists [][]string
	for c := range f.cursors {
		lists = append(lists, c.subjects)
	}
	if !slices.Equal(f.partition.joinSubjects(lists...), f.subjects) {
		f.retireLocked()
	}
}

func (f *pageFeed) closeReaderLocked() {
	if f.reader != nil {
		f.reader.Close()
		f.reader = nil
		f.partition.ahead.release(f.ahead)
	}
}

// passLeadLocked wakes a waiting cursor, which leads if no other does.
func (f *pageFeed) passLeadLocked() {
	if f.leading {
		return
	}
	for c := range f.waiting {
		c.wakeUp()
		return
	}
}

func (f *pageFeed) noteMoveLocked() { notify(f.moved) }

// readPageLocked reads the next page for all cursors. It unlocks the mutex meanwhile. An error is the failure of the feed unless ctx has ended.
func (f *pageFeed) readPageLocked(ctx context.Context) {
	f.leading = true
	m, pending, err := f.nextMessageLocked(ctx)
	if err == nil {
		p := newLogPage(m, pending, f.partition.seed)
		f.makeSpaceLocked(ctx, p.size)
		f.appendLocked(p)
	}
	f.leading = false
	if err != nil && ctx.Err() == nil {
		f.failure = err
		f.closeReaderLocked()
		f.retireLocked()
	}
}

// nextMessageLocked opens the reader if that is not done yet, and returns the next message. It unlocks the mutex meanwhile.
func (f *pageFeed) nextMessageLocked(ctx context.Context) (m eventlog.Message, pending uint64, err error) {
	g, reader := f.partition, f.reader
	query := eventlog.Query{Filters: f.subjects, From: f.from}
	g.mu.Unlock()
	defer g.mu.Lock()
	if reader == nil {
		query.Prefetch = g.ahead.reserve()
		if reader, err = g.queue.store.Read(ctx, eventsStream, query); err != nil {
			g.ahead.release(query.Prefetch)
			return m, 0, err
		}
		g.mu.Lock()
		f.reader, f.ahead = reader, query.Prefetch
		g.mu.Unlock()
	}
	m, err = reader.Next(ctx)
	return m, reader.Pending(), err
}

// makeSpaceLocked drops pages until n more bytes may be kept. It waits for cursors that are about to read a page, so that instances that
// process the same backlog stay together.
func (f *pageFeed) makeSpaceLocked(ctx context.Context, n int) {
	g := f.partition
	var patience <-chan time.Time
	for len(f.pages) > 0 && f.bytes+n > g.feedLimitLocked() {
		if ctx.Err() != nil || !f.isFirstNeededLocked() {
			f.dropFirstLocked()
			continue
		}
		if patience == nil {
			timer := time.NewTimer(feedPatience)
			defer timer.Stop()
			patience = timer.C
		}
		g.mu.Unlock()
		var over bool
		select {
		case <-f.moved:
		case <-patience:
			over, patience = true, nil
		case <-ctx.Done():
		}
		g.mu.Lock()
		if over {
			f.dropFirstLocked()
		}
	}
}

// isFirstNeededLocked reports whether a cursor that does not wait for its remote has the first page still to read.
func (f *pageFeed) isFirstNeededLocked() bool {
	for c := range f.cursors {
		if _, waits := f.waiting[c]; !waits && c.at == f.base && !c.blocked && !c.leads {
			return true
		}
	}
	return false
}

// dropExcessLocked drops the pages beyond the feed's limit, which has become smaller.
func (f *pageFeed) dropExcessLocked() {
	for len(f.pages) > 0 && f.bytes > f.partition.feedLimitLocked() {
		f.dropFirstLocked()
	}
}

func (f *pageFeed) dropFirstLocked() {
	f.from = f.pages[0].Sequence + 1
	f.bytes -= f.pages[0].size
	f.pages[0] = nil
	f.pages = f.pages[1:]
	f.base++
}

// appendLocked adds a page and wakes the cursors that read it. If the feed was retired while it read the page, its cursors read it elsewhere.
func (f *pageFeed) appendLocked(p *logPage) {
	if f.retired {
		return
	}
	for _, c := range f.readersOfLocked(p.Subject) {
		if _, ok := f.waiting[c]; ok {
			delete(f.waiting, c)
			c.at, c.next = f.endLocked(), max(c.next, p.Sequence)
			c.wakeUp()
		}
	}
	f.pages = append(f.pages, p)
	f.bytes += p.size
	f.next, f.pending = p.Sequence+1, p.pending
}

// readersOfLocked returns the cursors that read a subject.
func (f *pageFeed) readersOfLocked(subject string) []*pageCursor {
	list, ok := f.bySubject[subject]
	if !ok {
		for c := range f.cursors {
			if eventlog.MatchesAny(c.subjects, subject) {
				list = append(list, c)
			}
		}
		f.bySubject[subject] = list
	}
	return list
}
