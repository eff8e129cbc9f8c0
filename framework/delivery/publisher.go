package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// Limits of writes.
const (
	pageBytes       = 512 << 10 // bytes of a page with several events
	singlePageBytes = 256 << 10 // the same if all events have one source, as on a cluster, whose servers may accept only small messages
	groupBytes      = 4 << 20   // bytes of a group
	maxMessages     = 500       // messages of a group; the server accepts 1,000
	maxPending      = 64 << 20  // bytes waiting to be written
)

// record is a line for a subject. Lines of a subject that are written together share a message, and so do events of a partition if the queue mixes
// their sources.
type record struct {
	subject string
	line    []byte
}

// publisher writes the records of concurrent callers in groups: while one group is being written, the next one is collected.
type publisher struct {
	queue        *Queue
	stream       string
	unsavedBytes atomic.Int64 // bytes submitted and not durable yet
	wake         chan struct{}
	done         chan struct{}

	mu      sync.Mutex // guards the fields below
	pending []*writeRequest
	bytes   int // of pending
	closed  bool
}

// writeRequest is what one caller wants to write.
type writeRequest struct {
	records []record
	bytes   int
	done    func(error)
}

var errClosed = errors.New("the queue is closed")

func newPublisher(q *Queue, stream string) *publisher {
	p := &publisher{queue: q, stream: stream, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go p.writeLoop()
	return p
}

// publishRecords writes records and waits until they are durable. If it returns an error, they may still be durable.
func (p *publisher) publishRecords(ctx context.Context, records []record) error {
	done := make(chan error, 1)
	p.submit(records, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// submit queues records for writing. done is called once, from another goroutine, when they are durable or have failed.
func (p *publisher) submit(records []record, done func(error)) {
	r := &writeRequest{records: records, done: done}
	for i := range records {
		r.bytes += len(records[i].line)
	}
	p.mu.Lock()
	full := p.bytes+r.bytes > maxPending
	if p.closed || full {
		p.mu.Unlock()
		err := errClosed
		if full {
			err = fmt.Errorf("%w: too much data is waiting to be written", ErrFull)
		}
		go done(err)
		return
	}
	p.pending = append(p.pending, r)
	p.bytes += r.bytes
	p.unsavedBytes.Add(int64(r.bytes))
	p.mu.Unlock()
	notify(p.wake)
}

// close writes what is queued and stops the publisher.
func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	notify(p.wake)
	<-p.done
}

func (p *publisher) writeLoop() {
	defer close(p.done)
	for range p.wake {
		for {
			group, closed := p.nextGroup()
			if len(group) == 0 {
				if closed {
					return
				}
				break
			}
			err := p.writeGroup(group)
			for _, r := range group {
				p.unsavedBytes.Add(-int64(r.bytes))
				r.done(err)
			}
		}
	}
}

// nextGroup removes the requests of the next group.
func (p *publisher) nextGroup() (group []*writeRequest, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes, n := 0, 0
	for n < len(p.pending) && (n == 0 || bytes+p.pending[n].bytes <= groupBytes && n < maxMessages) {
		bytes += p.pending[n].bytes
		n++
	}
	group, p.pending = p.pending[:n:n], p.pending[n:]
	if len(p.pending) == 0 {
		p.pending = nil
	}
	p.bytes -= bytes
	return group, p.closed
}

// writeGroup writes a group. Events go to the log directly if they are one message or many bytes, and otherwise to the journal. They also go to the
// journal after a write to it has failed: a later group there keeps the failed one from being transferred after a crash, behind these events.
func (p *publisher) writeGroup(group []*writeRequest) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n, bytes := 0, 0
	for _, r := range group {
		n, bytes = n+len(r.records), bytes+r.bytes
	}
	records := make([]record, 0, n)
	for _, r := range group {
		records = append(records, r.records...)
	}
	mix := p.stream == eventsStream && p.queue.mixesSources()
	others := func(r record) bool {
		key, _ := messageKey(r.subject, mix)
		first, _ := messageKey(records[0].subject, mix)
		return key != first
	}
	var err error
	switch j := p.queue.journal; {
	case p.stream != eventsStream:
		_, err = p.queue.writeMessages(ctx, p.stream, packMessages(records, false))
	case j != nil && j.uncertain:
		err = j.write(ctx, records)
	case j == nil || bytes < pageBytes && !slices.ContainsFunc(records, others) && j.isEmpty():
		_, err = p.queue.writeEvents(ctx, packMessages(records, mix))
	case bytes >= hurriedBytes:
		if err = j.settle(ctx); err == nil {
			_, err = p.queue.writeEvents(ctx, packMessages(records, mix))
		}
	default:
		err = j.write(ctx, records)
	}
	if err != nil {
		return fmt.Errorf("writing to %s: %w", p.stream, err)
	}
	return nil
}

// writeMessages writes messages, in as many batches as the server requires, and returns the sequence of the last one.
func (q *Queue) writeMessages(ctx context.Context, stream string, messages []eventlog.Write) (last uint64, err error) {
	for part := range slices.Chunk(messages, maxMessages) {
		if last, err = q.store.Append(ctx, stream, part); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// writeEvents writes messages to the log, and notes whether it is full. It returns the sequence of the last one.
func (q *Queue) writeEvents(ctx context.Context, messages []eventlog.Write) (last uint64, err error) {
	if err = q.preparePages(ctx, messages); err == nil {
		last, err = q.writeMessages(ctx, eventsStream, messages)
	}
	switch {
	case err == nil:
		q.fullSince.Store(0)
	case errors.Is(err, ErrFull):
		q.fullSince.Store(time.Now().UnixNano())
	}
	return last, err
}

// messageKey returns the key of a subject: lines with the same key share messages. If mix is set, the key of an event does not contain its
// source, whose token is returned as well.
func messageKey(subject string, mix bool) (key, source string) {
	if rest, ok := strings.CutPrefix(subject, "ev."); mix && ok {
		source, key, _ = strings.Cut(rest, ".")
		return key, source
	}
	return subject, ""
}

// packMessages packs the lines of each subject into messages, or if mix is set the events of each partition, in order.
func packMessages(records []record, mix bool) []eventlog.Write {
	messages, _ := packInto(nil, records, mix)
	return messages
}

// packedMessage is a message of packInto.
type packedMessage struct {
	subject, key string // of the first line
	size         int
	sources      sourceList
}

// packInto is packMessages with the data of the messages in buffer, if that is large enough. It returns the buffer that it used.
func packInto(buffer []byte, records []record, mix bool) (messages []eventlog.Write, used []byte) {
	open := map[string]int{} // the index of the last message of a key
	places, packed, total, limit := make([]int, len(records)), []packedMessage(nil), 0, singlePageBytes
	if mix {
		limit = pageBytes
	}
	for n, rec := range records {
		key, source := messageKey(rec.subject, mix)
		i, ok := open[key]
		if !ok || packed[i].size+len(rec.line) >= limit || !packed[i].sources.accepts(source) {
			i = len(packed)
			open[key] = i
			packed = append(packed, packedMessage{subject: rec.subject, key: key})
		}
		places[n] = i
		packed[i].size += len(rec.line) + 1
		packed[i].sources.add(source)
		total += len(rec.line) + 1
	}
	used = slices.Grow(buffer[:0], total)[:total]
	messages = make([]eventlog.Write, len(packed))
	for i, rest := 0, used; i < len(messages); i++ {
		messages[i] = packed[i].withoutData()
		messages[i].Data, rest = rest[:0:packed[i].size], rest[packed[i].size:]
	}
	for n, rec := range records {
		m := &messages[places[n]]
		m.Data = append(append(m.Data, rec.line...), '\n')
	}
	return messages, used
}

// withoutData returns the message before its lines are added.
func (p *packedMessage) withoutData() eventlog.Write {
	if !p.sources.isMixed() {
		return eventlog.Write{Subject: p.subject}
	}
	return eventlog.Write{Subject: "ev." + mixedToken + "." + p.key, Header: map[string]string{sourcesHeader: p.sources.String()}}
}

// appendMessage appends one message to a stream and returns its sequence.
func (q *Queue) appendMessage(ctx context.Context, stream string, w eventlog.Write) (uint64, error) {
	return q.store.Append(ctx, stream, []eventlog.Write{w})
}
