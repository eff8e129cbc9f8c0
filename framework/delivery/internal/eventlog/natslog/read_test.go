package natslog

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// lossyStreams are streams of which messages are lost on their way.
type lossyStreams struct {
	jetstream.JetStream
	isLost func(seq uint64) bool // called for each message that arrives
}

func (s *lossyStreams) OrderedConsumer(ctx context.Context, stream string, c jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := s.JetStream.OrderedConsumer(ctx, stream, c)
	return &lossyConsumer{consumer, s}, err
}

type lossyConsumer struct {
	jetstream.Consumer
	streams *lossyStreams
}

func (c *lossyConsumer) Messages(options ...jetstream.PullMessagesOpt) (jetstream.MessagesContext, error) {
	messages, err := c.Consumer.Messages(options...)
	return &lossyMessages{messages, c.streams}, err
}

type lossyMessages struct {
	jetstream.MessagesContext
	streams *lossyStreams
}

func (m *lossyMessages) Next(options ...jetstream.NextOpt) (jetstream.Msg, error) {
	for {
		next, err := m.MessagesContext.Next(options...)
		if err != nil {
			return nil, err
		}
		if meta, err := next.Metadata(); err != nil || !m.streams.isLost(meta.Sequence.Stream) {
			return next, err
		}
	}
}

// TestLostMessagesAreAskedForAgain checks that a scan visits each message once, although the last ones are lost on their way, and that it
// fails if they are lost each time.
func TestLostMessagesAreAskedForAgain(t *testing.T) {
	log := newLog(t)
	log.maxSilence = 300 * time.Millisecond
	for range 5 {
		_, err := log.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.a"}})
		require.NoError(t, err)
	}
	streams := log.js
	for _, times := range []int{0, 1, maxScans} {
		lost := 0
		log.js = &lossyStreams{streams, func(seq uint64) bool {
			if seq < 4 || lost == times {
				return false
			}
			if seq == 5 {
				lost++
			}
			return true
		}}
		var seen []uint64
		err := log.Scan(t.Context(), "S", eventlog.Query{Filters: []string{"s.>"}}, func(m eventlog.Message) (bool, error) {
			seen = append(seen, m.Sequence)
			return true, nil
		})
		if times == maxScans {
			require.ErrorIs(t, err, errMessageLost)
			assert.Equal(t, []uint64{1, 2, 3}, seen)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, []uint64{1, 2, 3, 4, 5}, seen, "%d times", times)
	}
}
