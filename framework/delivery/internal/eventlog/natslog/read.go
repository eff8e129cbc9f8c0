package natslog

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// defaultPrefetch is the default of Query.Prefetch.
const defaultPrefetch = 256

// How long the server keeps a consumer whose client is gone.
const (
	readerInactivity = 5 * time.Minute
	scanInactivity   = time.Minute
)

// Get returns the message with a sequence.
func (l *Log) Get(ctx context.Context, stream string, seq uint64) (eventlog.Message, error) {
	return l.getMessage(ctx, stream, seq)
}

// First returns the first message at or after a sequence whose subject matches a filter.
func (l *Log) First(ctx context.Context, stream, filter string, from uint64) (eventlog.Message, error) {
	return l.getMessage(ctx, stream, max(from, 1), jetstream.WithGetMsgSubject(filter))
}

func (l *Log) getMessage(ctx context.Context, stream string, seq uint64, options ...jetstream.GetMsgOpt) (eventlog.Message, error) {
	return l.getStored(ctx, stream, func(ctx context.Context, s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetMsg(ctx, seq, options...)
	})
}

// getStored returns a message of a stream that get reads.
func (l *Log) getStored(ctx context.Context, stream string, get func(context.Context, jetstream.Stream) (*jetstream.RawStreamMsg, error)) (m eventlog.Message, err error) {
	err = l.acrossRestarts(ctx, func(ctx context.Context) error {
		s, err := l.streamNamed(ctx, stream)
		if err == nil {
			m, err = storedMessage(get(ctx, s))
		}
		return err
	})
	return m, err
}

// Last returns the newest message of a subject.
func (l *Log) Last(ctx context.Context, stream, subject string) (eventlog.Message, error) {
	return l.getStored(ctx, stream, func(ctx context.Context, s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetLastMsgForSubject(ctx, subject)
	})
}

func storedMessage(m *jetstream.RawStreamMsg, err error) (eventlog.Message, error) {
	if err != nil {
		return eventlog.Message{}, namedError(err)
	}
	data, _ := originalData(nil, m.Data)
	return eventlog.Message{Subject: m.Subject, Header: headerOf(m.Header), Data: data, Sequence: m.Sequence, Time: m.Time}, nil
}

// headerOf returns the headers of a message without those of NATS.
func headerOf(h nats.Header) map[string]string {
	var header map[string]string
	for name, values := range h {
		if strings.HasPrefix(name, "Nats-") || len(values) == 0 {
			continue
		}
		if header == nil {
			header = map[string]string{}
		}
		header[name] = values[0]
	}
	return header
}

// receivedMessage converts a message that a consumer has received.
func receivedMessage(m jetstream.Msg) (eventlog.Message, *jetstream.MsgMetadata, error) {
	meta, err := m.Metadata()
	if err != nil {
		return eventlog.Message{}, nil, err
	}
	data, _ := originalData(nil, m.Data())
	return eventlog.Message{Subject: m.Subject(), Header: headerOf(m.Headers()), Data: data, Sequence: meta.Sequence.Stream, Time: meta.Timestamp}, meta, nil
}

// startOf returns where a consumer for a query starts.
func startOf(q eventlog.Query) (policy jetstream.DeliverPolicy, seq uint64, since *time.Time) {
	switch {
	case q.Newest:
		return jetstream.DeliverLastPerSubjectPolicy, 0, nil
	case !q.Since.IsZero():
		return jetstream.DeliverByStartTimePolicy, 0, &q.Since
	case q.From > 0:
		return jetstream.DeliverByStartSequencePolicy, q.From, nil
	}
	return jetstream.DeliverAllPolicy, 0, nil
}

func (l *Log) orderedConsumer(ctx context.Context, stream string, q eventlog.Query, inactivity time.Duration) (jetstream.Consumer, error) {
	policy, seq, since := startOf(q)
	return l.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: q.Filters, DeliverPolicy: policy, OptStartSeq: seq, OptStartTime: since, InactiveThreshold: inactivity,
	})
}

// Count returns the number of messages of a query that the stream has now.
func (l *Log) Count(ctx context.Context, stream string, q eventlog.Query) (n uint64, err error) {
	err = l.acrossRestarts(ctx, func(ctx context.Context) error {
		n, err = l.count(ctx, stream, q)
		return err
	})
	return n, err
}

func (l *Log) count(ctx context.Context, stream string, q eventlog.Query) (uint64, error) {
	policy, seq, since := startOf(q)
	consumer, err := l.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		FilterSubjects: q.Filters, DeliverPolicy: policy, OptStartSeq: seq, OptStartTime: since,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: scanInactivity,
	})
	if err != nil {
		return 0, namedError(err)
	}
	info := consumer.CachedInfo()
	if err := l.js.DeleteConsumer(ctx, stream, info.Name); err != nil {
		l.config.Logger.Debug("deleting a consumer", "error", err)
	}
	return info.NumPending, nil
}

// reader is an ordered consumer.
type reader struct {
	messages jetstream.MessagesContext
	pending  uint64
}

// Read returns a Reader of the messages of a query.
func (l *Log) Read(ctx context.Context, stream string, q eventlog.Query) (eventlog.Reader, error) {
	consumer, err := l.orderedConsumer(ctx, stream, q, readerInactivity)
	if err != nil {
		return nil, namedError(err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, namedError(err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(cmp.Or(q.Prefetch, defaultPrefetch)))
	if err != nil {
		return nil, namedError(err)
	}
	return &reader{messages, info.NumPending}, nil
}

func (r *reader) Next(ctx context.Context) (eventlog.Message, error) {
	received, err := r.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return eventlog.Message{}, namedError(err)
	}
	m, meta, err := receivedMessage(received)
	if err == nil {
		r.pending = meta.NumPending
	}
	return m, err
}

func (r *reader) Pending() uint64 { return r.pending }

func (r *reader) Close() { r.messages.Stop() }

// Scan calls visit for the messages of a query that the stream has now, until it returns false or an error. Messages that are lost on their way are
// asked for again.
func (l *Log) Scan(ctx context.Context, stream string, q eventlog.Query, visit func(eventlog.Message) (more bool, err error)) error {
	var refused error // what visit has returned, after which it is not called again
	scan := func(ctx context.Context) error {
		return l.scan(ctx, stream, q, func(m eventlog.Message) (more bool, err error) {
			more, refused = visit(m)
			q.From, q.Since = m.Sequence+1, time.Time{} // where to continue after a restart or a loss
			if refused != nil {
				return false, nil
			}
			return more, nil
		})
	}
	err := errMessageLost
	for n := 0; n < maxScans && errors.Is(err, errMessageLost); n++ {
		err = l.acrossRestarts(ctx, scan)
	}
	if refused != nil {
		return refused
	}
	return err
}

func (l *Log) scan(ctx context.Context, stream string, q eventlog.Query, visit func(eventlog.Message) (more bool, err error)) error {
	consumer, err := l.orderedConsumer(ctx, stream, q, scanInactivity)
	if err != nil {
		return namedError(err)
	}
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return namedError(err)
	}
	left := info.NumPending // messages stored later are not read
	messages, err := consumer.Messages(jetstream.PullMaxMessages(cmp.Or(q.Prefetch, defaultPrefetch)))
	if err != nil {
		return namedError(err)
	}
	defer messages.Stop()
	var last *jetstream.MsgMetadata
	for ; left > 0; left-- {
		received, err := l.nextMessage(ctx, consumer, messages, last)
		if received == nil || err != nil {
			return namedError(err)
		}
		var m eventlog.Message
		if m, last, err = receivedMessage(received); err != nil {
			return err
		}
		if more, err := visit(m); err != nil || !more {
			return err
		}
	}
	return nil
}

// How long a message that the server has sent may take to arrive, and how often a scan asks for those that do not. The server sends each
// message once, and not again if it is lost on its way. The client notices that at the message behind it, so not for the last one.
const (
	maxSilence = 10 * time.Second
	maxScans   = 6
)

// errMessageLost means that a message that the server has sent did not arrive.
var errMessageLost = errors.New("a message of the queue was sent but did not arrive")

// nextMessage returns the message after last, or nil if there is none, as messages may be deleted in the meantime.
func (l *Log) nextMessage(ctx context.Context, consumer jetstream.Consumer, messages jetstream.MessagesContext, last *jetstream.MsgMetadata) (jetstream.Msg, error) {
	for range 10 {
		waitCtx, cancel := context.WithTimeout(ctx, l.maxSilence/10)
		m, err := messages.Next(jetstream.NextContext(waitCtx))
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return m, err
		}
		info, err := consumer.Info(ctx)
		if err != nil {
			return nil, err
		}
		if allReceived(info, last) {
			return nil, nil
		}
	}
	return nil, errMessageLost
}

// allReceived reports whether the consumer has sent nothing after last, the last message received. On a busy machine a message
// may be in transit for seconds: it is then delivered and no longer pending.
func allReceived(info *jetstream.ConsumerInfo, last *jetstream.MsgMetadata) bool {
	received := uint64(0)
	if last != nil && last.Consumer == info.Name { // otherwise the client has replaced the consumer
		received = last.Sequence.Consumer
	}
	return info.NumPending == 0 && info.Delivered.Consumer <= received
}
