package delivery

import (
	"context"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// pageCursor is where an instance reads a partition of the log. It is for one goroutine, except for the methods that say otherwise. The mutex
// of partitionFeeds guards its fields.
type pageCursor struct {
	partition *partitionFeeds
	subjects  []string
	wake      chan struct{} // has a value if the cursor has to look again

	feed    *pageFeed
	at      uint64 // number of the next page of the feed to look at
	next    uint64 // the first message of the log that was not looked at
	pending uint64 // messages that followed the last page that was returned
	blocked bool   // the instance waits for its remote, or for an operator
	leads   bool   // it reads a page for all
	idle    bool   // it has read all pages
}

// nextPage returns the next page that the cursor reads. It waits until there is one or ctx ends. After another error, it may be called again.
func (c *pageCursor) nextPage(ctx context.Context) (*logPage, error) {
	g := c.partition
	g.mu.Lock()
	defer g.mu.Unlock()
	c.blocked = false
	defer func() {
		c.idle = false
		c.endWaitLocked()
		c.feed.passLeadLocked()
	}()
	for ctx.Err() == nil {
		if err := c.feed.failure; err != nil {
			c.joinFeedLocked()
			return nil, err
		}
		c.joinFeedLocked()
		if p := c.takePageLocked(); p != nil {
			return p, nil
		}
		c.idle = true
		if c.feed.leading {
			c.waitLocked(ctx)
			continue
		}
		c.leads = true
		c.feed.readPageLocked(ctx)
		c.leads = false
	}
	return nil, ctx.Err()
}

// joinFeedLocked joins the feed that covers the cursor and is furthest, unless it is in that feed.
func (c *pageCursor) joinFeedLocked() {
	g, f := c.partition, c.feed
	if f != nil && f.isUsableLocked() && c.at >= f.base && len(g.feeds) == 1 {
		return
	}
	best := g.feedForLocked(c)
	if best == f {
		if c.at < f.base {
			f.placeLocked(c)
		}
		return
	}
	if f != nil {
		f.removeLocked(c)
	}
	best.addLocked(c)
}

// takePageLocked returns the next page of the feed that the cursor reads, nil if the feed has none.
func (c *pageCursor) takePageLocked() *logPage {
	f := c.feed
	for c.at < f.endLocked() {
		p := f.pages[c.at-f.base]
		if c.at == f.base {
			f.noteMoveLocked()
		}
		c.at++
		if p.Sequence < c.next {
			continue
		}
		c.next = p.Sequence + 1
		if eventlog.MatchesAny(c.subjects, p.Subject) {
			c.pending = p.pending
			return p
		}
	}
	return nil
}

// waitLocked waits until the cursor is woken or ctx ends.
func (c *pageCursor) waitLocked(ctx context.Context) {
	g := c.partition
	c.feed.waiting[c] = struct{}{}
	c.feed.noteMoveLocked()
	g.mu.Unlock()
	select {
	case <-c.wake:
	case <-ctx.Done():
	}
	g.mu.Lock()
	c.endWaitLocked()
}

// endWaitLocked ends a wait in which no page for the cursor came: it has looked at all pages.
func (c *pageCursor) endWaitLocked() {
	f := c.feed
	if _, ok := f.waiting[c]; ok {
		delete(f.waiting, c)
		c.at, c.next = f.endLocked(), max(c.next, f.next)
	}
}

// wakeUp makes the cursor look again. Any goroutine may call it.
func (c *pageCursor) wakeUp() { notify(c.wake) }

// setBlocked notes that the instance waits for its remote or for an operator, until it asks for the next page. Any goroutine may call it.
func (c *pageCursor) setBlocked() {
	if c == nil {
		return
	}
	c.partition.mu.Lock()
	defer c.partition.mu.Unlock()
	if !c.blocked && c.feed != nil {
		c.blocked = true
		c.feed.noteMoveLocked()
	}
}

// unread returns how many messages are not read yet, estimated, and whether the cursor has read all that it was given. Any goroutine may call
// it.
func (c *pageCursor) unread() (messages uint64, idle bool) {
	if c == nil {
		return 0, true
	}
	c.partition.mu.Lock()
	defer c.partition.mu.Unlock()
	if c.idle && c.feed != nil {
		return min(c.pending, c.feed.pending), true
	}
	return c.pending, false
}

// isBeyond reports whether the cursor has passed a message of the log.
func (c *pageCursor) isBeyond(seq uint64) bool {
	c.partition.mu.Lock()
	defer c.partition.mu.Unlock()
	return c.next > max(seq, 1)
}

// close leaves the feed. It does nothing if c is nil.
func (c *pageCursor) close() {
	if c == nil {
		return
	}
	g := c.partition
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.feed == nil {
		return
	}
	c.feed.removeLocked(c)
	g.cursors--
}
