package delivery

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/pause"
)

// shredder returns how data is overwritten on a cluster, or nil if the log is in this process.
func (q *Queue) shredder() eventlog.Shredder {
	s, ok := q.store.(eventlog.Shredder)
	if !ok || !q.store.Shared() {
		return nil
	}
	return s
}

// eraseLetter deletes a dead letter and, on a cluster, overwrites it. It is no error if it is already gone.
func (q *Queue) eraseLetter(ctx context.Context, l *DeadLetter) error {
	if s := q.shredder(); s != nil {
		_, err := s.Shred(ctx, l.streamName(), []uint64{l.storedSeq})
		return err
	}
	return q.deleteLetter(ctx, l)
}

// clusterEraser overwrites the data of events on the servers of a cluster.
type clusterEraser struct {
	queue    *Queue
	shredder eventlog.Shredder
	request  *EraseRequest

	copies   []eventlog.Write // to write
	bytes    int              // of copies
	replaced []uint64         // pages of the log whose copies are written or in copies
}

// eraseOnCluster replaces the pages and dead letters with something to erase. It returns the number of servers that have overwritten it.
func (q *Queue) eraseOnCluster(ctx context.Context, shredder eventlog.Shredder, r *EraseRequest) (servers int, err error) {
	e := &clusterEraser{queue: q, shredder: shredder, request: r}
	err = q.store.Prepare(ctx, []eventlog.StreamConfig{rewrittenConfig()})
	for _, step := range []func(context.Context) error{e.copyPages, e.copyRewritten, e.shredPages, e.shredOlderCopies, e.replaceLetters} {
		if err == nil {
			err = step(ctx)
		}
	}
	if err != nil {
		return 0, err
	}
	return e.compactServers(ctx)
}

// copyPages writes the copies of the log's pages.
func (e *clusterEraser) copyPages(ctx context.Context) error {
	end := uint64(math.MaxUint64)
	if e.request.FinishedBefore != nil {
		var err error
		if end, err = e.request.FinishedBefore(ctx); err != nil {
			return err
		}
	}
	err := e.queue.store.Scan(ctx, eventsStream, eventlog.Query{Filters: []string{"ev.>", "ctl.>"}}, func(m eventlog.Message) (bool, error) {
		if m.Sequence >= end {
			return false, nil
		}
		data := e.request.rewriteMessage(eventsStream, m.Subject, m.Data)
		if data == nil {
			return true, nil
		}
		e.replaced = append(e.replaced, m.Sequence)
		return true, e.addCopy(ctx, rewrittenWrite(m, data))
	})
	if err != nil {
		return err
	}
	return e.flushCopies(ctx)
}

// copyRewritten writes new copies of pages that were rewritten before.
func (e *clusterEraser) copyRewritten(ctx context.Context) error {
	pages, err := e.queue.rewrittenPages(ctx)
	if err != nil {
		return err
	}
	for _, seq := range pages {
		m, err := e.queue.store.Last(ctx, rewrittenStream, rewrittenSubject(seq))
		if errors.Is(err, eventlog.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if data := e.request.rewriteMessage(rewrittenStream, m.Subject, m.Data); data != nil {
			if err := e.addCopy(ctx, eventlog.Write{Subject: m.Subject, Header: m.Header, Data: data}); err != nil {
				return err
			}
		}
	}
	return e.flushCopies(ctx)
}

// addCopy adds a copy to those that are written next.
func (e *clusterEraser) addCopy(ctx context.Context, w eventlog.Write) error {
	e.copies, e.bytes = append(e.copies, w), e.bytes+len(w.Data)
	if len(e.copies) >= maxMessages/2 || e.bytes >= groupBytes {
		return e.flushCopies(ctx)
	}
	return nil
}

func (e *clusterEraser) flushCopies(ctx context.Context) error {
	if len(e.copies) == 0 {
		return nil
	}
	_, err := e.queue.store.Append(ctx, rewrittenStream, e.copies)
	e.copies, e.bytes = nil, 0
	return err
}

// shredPages deletes and overwrites the pages whose copies are written.
func (e *clusterEraser) shredPages(ctx context.Context) error {
	if len(e.replaced) == 0 {
		return nil
	}
	if err := pause.For(ctx, shredDelay); err != nil {
		return err
	}
	_, err := e.shredder.Shred(ctx, eventsStream, e.replaced)
	return err
}

// shredOlderCopies deletes and overwrites the copies of pages that have a newer one.
func (e *clusterEraser) shredOlderCopies(ctx context.Context) error {
	newest := map[string]uint64{}
	var older []uint64
	err := e.queue.store.Scan(ctx, rewrittenStream, eventlog.Query{Filters: []string{"page.*"}}, func(m eventlog.Message) (bool, error) {
		if seq, ok := newest[m.Subject]; ok {
			older = append(older, seq)
		}
		newest[m.Subject] = m.Sequence
		return true, nil
	})
	if err == nil && len(older) > 0 {
		_, err = e.shredder.Shred(ctx, rewrittenStream, older)
	}
	return err
}

// replaceLetters erases texts of the users in the dead letters of others. A dead letter has one message, and a message that is replaced is not
// overwritten. So it is copied, its message is shredded, and the copy is written in its place.
func (e *clusterEraser) replaceLetters(ctx context.Context) error {
	if err := e.restoreLetters(ctx); err != nil { // of an attempt that was interrupted
		return err
	}
	for _, stream := range []string{deadStream, parkStream} {
		var found []eventlog.Message
		err := e.queue.store.Scan(ctx, stream, eventlog.Query{Filters: []string{">"}}, func(m eventlog.Message) (bool, error) {
			if data := e.request.rewriteMessage(stream, m.Subject, m.Data); data != nil {
				m.Data = data
				found = append(found, m)
			}
			return true, nil
		})
		for _, m := range found {
			if err == nil {
				err = e.replaceLetter(ctx, stream, m)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replaceLetter writes a copy of a dead letter, shreds the original, and writes the copy in its place at once, as it cannot be retried meanwhile.
func (e *clusterEraser) replaceLetter(ctx context.Context, stream string, m eventlog.Message) error {
	copied := eventlog.Message{Subject: "letter." + stream + "." + m.Subject, Header: m.Header, Data: m.Data}
	var err error
	copied.Sequence, err = e.queue.appendMessage(ctx, rewrittenStream, eventlog.Write{Subject: copied.Subject, Header: m.Header, Data: m.Data})
	if err != nil {
		return err
	}
	deleted, err := e.shredder.Shred(ctx, stream, []uint64{m.Sequence})
	switch {
	case err != nil:
		return err
	case deleted == 0: // it was delivered or dropped in the meantime
		_, err = e.shredder.Shred(ctx, rewrittenStream, []uint64{copied.Sequence})
		return err
	}
	return e.restoreLetter(ctx, copied)
}

// restoreLetters writes all copies of dead letters in the places of the originals.
func (e *clusterEraser) restoreLetters(ctx context.Context) error {
	var found []eventlog.Message
	err := e.queue.store.Scan(ctx, rewrittenStream, eventlog.Query{Filters: []string{"letter.>"}}, func(m eventlog.Message) (bool, error) {
		found = append(found, m)
		return true, nil
	})
	for _, m := range found {
		if err == nil {
			err = e.restoreLetter(ctx, m)
		}
	}
	return err
}

// restoreLetter writes the copy of a dead letter in the place of the original, unless a newer one is there.
func (e *clusterEraser) restoreLetter(ctx context.Context, copied eventlog.Message) error {
	stream, subject, _ := strings.Cut(strings.TrimPrefix(copied.Subject, "letter."), ".")
	_, err := e.queue.appendMessage(ctx, stream, eventlog.Write{Subject: subject, Header: copied.Header, Data: copied.Data, Conditional: true})
	if err == nil || errors.Is(err, eventlog.ErrConflict) {
		_, err = e.shredder.Shred(ctx, rewrittenStream, []uint64{copied.Sequence})
	}
	return err
}

// compactServers compacts the servers of all streams that had something to shred. It returns the smallest number of servers.
func (e *clusterEraser) compactServers(ctx context.Context) (servers int, err error) {
	streams := []string{eventsStream, parkStream, deadStream, rewrittenStream}
	counts, errs := make([]int, len(streams)), make([]error, len(streams))
	var wg sync.WaitGroup
	for i, stream := range streams {
		wg.Go(func() { counts[i], errs[i] = e.shredder.CompactServers(ctx, stream) })
	}
	wg.Wait()
	servers = counts[0]
	for _, n := range counts {
		servers = min(servers, n)
	}
	return servers, errors.Join(errs...)
}
