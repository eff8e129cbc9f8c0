package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Limits of writes.
const (
	maxMessage  = 8 << 20   // bytes of a message
	pageBytes   = 128 << 10 // bytes of a page with several events
	groupBytes  = 4 << 20   // bytes of a group
	maxMessages = 500       // messages of a group; the server accepts 1,000
	maxPending  = 64 << 20  // bytes waiting to be written
)

// record is a line for a subject. Lines of a subject that are written together share a message.
type record struct {
	subject string
	line    []byte
}

// publisher writes the records of concurrent callers in groups: while one group is being written, the next one is collected.
type publisher struct {
	queue        *Queue
	stream       string
	mu           sync.Mutex
	pending      []*writeRequest
	bytes        int
	unsavedBytes atomic.Int64 // bytes submitted and not durable yet
	closed       bool
	wake         chan struct{}
	done         chan struct{}
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
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// close writes what is queued and stops the publisher.
func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
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

// writeGroup writes a group, in as many batches as the server requires.
func (p *publisher) writeGroup(group []*writeRequest) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	messages := packMessages(group)
	for len(messages) > 0 {
		n := min(len(messages), maxMessages)
		if err := p.queue.publishAll(ctx, p.stream, messages[:n]); err != nil {
			err = asFullError(err)
			if p.stream == eventsStream && errors.Is(err, ErrFull) {
				p.queue.fullSince.Store(time.Now().UnixNano())
			}
			return fmt.Errorf("writing to %s: %w", p.stream, err)
		}
		messages = messages[n:]
	}
	if p.stream == eventsStream {
		p.queue.fullSince.Store(0)
	}
	return nil
}

// packMessages packs the lines of each subject into messages.
func packMessages(group []*writeRequest) []*nats.Msg {
	var messages []*nats.Msg
	open := map[string]*nats.Msg{}
	for _, r := range group {
		for _, rec := range r.records {
			m := open[rec.subject]
			if m == nil || len(m.Data)+len(rec.line) >= pageBytes {
				m = &nats.Msg{Subject: rec.subject, Header: nats.Header{}, Data: make([]byte, 0, len(rec.line)+1)}
				open[rec.subject] = m
				messages = append(messages, m)
			}
			m.Data = append(append(m.Data, rec.line...), '\n')
		}
	}
	return messages
}

// publishAll writes messages to one stream, all of them or none.
func (q *Queue) publishAll(ctx context.Context, stream string, messages []*nats.Msg) error {
	if len(messages) == 1 {
		_, err := q.publishMessage(ctx, stream, messages[0])
		return err
	}
	_, err := q.publishBatch(ctx, stream, messages)
	return err
}

// publishBatch writes several messages to one stream, all of them or none, with consecutive sequences. It returns the last
// sequence.
func (q *Queue) publishBatch(ctx context.Context, stream string, messages []*nats.Msg) (last uint64, err error) {
	ack, err := jetstreamext.PublishMsgBatch(ctx, q.js, messages, jetstreamext.BatchFlowControl{AckFirst: false})
	q.storage.noteResult(stream, err)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// publishMessage writes one message to a stream.
func (q *Queue) publishMessage(ctx context.Context, stream string, m *nats.Msg) (*jetstream.PubAck, error) {
	ack, err := q.js.PublishMsg(ctx, m)
	q.storage.noteResult(stream, err)
	return ack, err
}

// asFullError wraps ErrFull around errors that mean that storage is full.
func asFullError(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case 10047, 10023, 10077, 10122: // no storage, no resources, limits of the stream
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}
