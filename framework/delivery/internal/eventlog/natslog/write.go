package natslog

import (
	"context"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// Append writes messages to one stream, all of them or none, with consecutive sequences.
func (l *Log) Append(ctx context.Context, stream string, writes []eventlog.Write) (last uint64, err error) {
	leave, err := l.writes.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	messages := make([]*nats.Msg, len(writes))
	for i := range writes {
		messages[i] = l.natsMessage(&writes[i])
	}
	if len(messages) == 1 {
		last, err = l.publishMessage(ctx, messages[0])
	} else {
		last, err = l.publishBatch(ctx, messages)
	}
	l.storage.noteResult(stream, err)
	return last, namedError(err)
}

func (l *Log) publishMessage(ctx context.Context, m *nats.Msg) (uint64, error) {
	ack, err := l.js.PublishMsg(ctx, m)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (l *Log) publishBatch(ctx context.Context, messages []*nats.Msg) (uint64, error) {
	ack, err := jetstreamext.PublishMsgBatch(ctx, l.js, messages, jetstreamext.BatchFlowControl{AckFirst: false})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (l *Log) natsMessage(w *eventlog.Write) *nats.Msg {
	m := &nats.Msg{Subject: w.Subject, Header: nats.Header{}, Data: l.compressor.stored(w)}
	for name, value := range w.Header {
		m.Header[name] = []string{value}
	}
	if w.Conditional {
		m.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(w.Revision, 10)}
	}
	return m
}
