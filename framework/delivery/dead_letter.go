package delivery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// DeadLetter is an event that a subscription could not deliver: a dead one, or a parked one, which waits behind its user's until
// somebody replays or drops them.
type DeadLetter struct {
	ID           string          `json:"id"`
	Instance     string          `json:"instance"`
	Subscription string          `json:"subscription"`
	Source       string          `json:"source,omitempty"`
	Parked       bool            `json:"parked"`
	Key          string          `json:"key"` // what its order is kept for: a user, for audiences within one
	Reason       string          `json:"reason"`
	Code         string          `json:"code,omitempty"`
	Status       int             `json:"status,omitempty"`
	Attempts     int             `json:"attempts"`
	First        time.Time       `json:"first,omitzero"` // when it first failed
	At           time.Time       `json:"at"`             // when it was set aside
	Request      *Exchange       `json:"request,omitempty"`
	Seq          uint64          `json:"seq"`   // the place of the event in the log
	Index        int             `json:"index"` // and in its page
	Event        json.RawMessage `json:"event"`
	// Verdicts is how many counted verdicts the letter stands for: replays of its event that failed too. 0 is one.
	Verdicts int `json:"verdicts,omitempty"`
	// Replays are the latest places of the log whose replays ended in this letter.
	Replays []string `json:"replays,omitempty"`

	generation    int    // how often its key had been cut when it was taken up to be resumed
	verdictCount  int    // Verdicts as they count now
	storedSeq     uint64 // the sequence of its message
	storedSubject string // the subject of its message
	partition     int
}

// Exchange is the last request that carried the event of a letter and failed, without secrets and cut to a bound.
type Exchange struct {
	Method   string `json:"method"`
	URL      string `json:"url"`
	Body     string `json:"body,omitempty"`
	Status   int    `json:"status,omitempty"`
	Response string `json:"response,omitempty"`
	Error    string `json:"error,omitempty"`
}

// streamName is where the letter is kept.
func (l *DeadLetter) streamName() string {
	if l.Parked {
		return parkStream
	}
	return deadStream
}

// Parked keys are held until somebody says so, or for want of room, until there is some.
const (
	kindHeld    = "held"
	kindEvicted = "auto"
)

// subjectFor is where a letter is kept. It is the same however often it is written, so that there is one of it.
func (l *DeadLetter) subjectFor(kind string) string {
	id := fmt.Sprintf("%d-%d-%s", l.Seq, l.Index, shortHash(l.Subscription))
	if l.Parked {
		return parkSubject(l.Instance, l.partition) + "." + shortHash(l.Key) + "." + kind + "." + id
	}
	return deadSubject(l.Instance, l.partition) + "." + id
}

// setID gives the letter the name that people call it by.
func (l *DeadLetter) setID() {
	l.ID = fmt.Sprintf("%d-%d-%s", l.Seq, l.Index, shortHash(l.Subscription)[:6])
}

func letterOfMessage(m jetstream.Msg) (*DeadLetter, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, err
	}
	return parseDeadLetter(m.Subject(), m.Data(), meta.Sequence.Stream)
}

func parseDeadLetter(subject string, data []byte, seq uint64) (*DeadLetter, error) {
	l := &DeadLetter{storedSeq: seq, storedSubject: subject}
	lines := bytes.Split(bytes.TrimSpace(data), []byte{'\n'})
	if err := json.Unmarshal(lines[len(lines)-1], l); err != nil {
		return nil, fmt.Errorf("reading a letter: %w", err)
	}
	parts := strings.Split(subject, ".")
	if len(parts) < 3 {
		return nil, fmt.Errorf("reading a letter: its subject is %q", subject)
	}
	var err error
	l.partition, err = strconv.Atoi(parts[2])
	l.verdictCount = max(l.Verdicts, 1)
	return l, err
}

// eachDeadLetter reads the letters under a subject of one of the two streams, until f says to stop.
func (q *Queue) eachDeadLetter(ctx context.Context, stream, subject string, f func(*DeadLetter) (bool, error)) error {
	return q.eachMessage(ctx, stream, subject, time.Time{}, func(m jetstream.Msg) (bool, error) {
		l, err := letterOfMessage(m)
		if err != nil {
			return false, err
		}
		return f(l)
	})
}

// eachMessage reads what a stream has now under a subject, from a time on, until f says to stop.
func (q *Queue) eachMessage(ctx context.Context, stream, subject string, from time.Time, f func(jetstream.Msg) (more bool, err error)) error {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}, InactiveThreshold: time.Minute}
	if !from.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &from
	}
	consumer, err := q.js.OrderedConsumer(ctx, stream, config)
	if err != nil {
		return err
	}
	return eachPending(ctx, consumer, f)
}

// eachPending calls f for each message that a new consumer has now, until f says to stop.
func eachPending(ctx context.Context, consumer jetstream.Consumer, f func(jetstream.Msg) (more bool, err error)) error {
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return err
	}
	left := info.NumPending // later messages are not read
	messages, err := consumer.Messages(jetstream.PullMaxMessages(256))
	if err != nil {
		return err
	}
	defer messages.Stop()
	var last *jetstream.MsgMetadata
	for left > 0 {
		m, err := nextMessage(ctx, consumer, messages, last)
		if m == nil || err != nil {
			return err
		}
		if last, err = m.Metadata(); err != nil {
			return err
		}
		left--
		if more, err := f(m); err != nil || !more {
			return err
		}
	}
	return nil
}

// maxSilentSeconds is how many seconds a message that the server has sent may take to arrive.
const maxSilentSeconds = 60

// errMessageLost says that a message that the server has sent does not arrive.
var errMessageLost = errors.New("a message of the queue was sent but did not arrive")

// nextMessage returns the message after last, or nil if there is none: messages may be deleted while others are read.
func nextMessage(ctx context.Context, consumer jetstream.Consumer, messages jetstream.MessagesContext, last *jetstream.MsgMetadata) (jetstream.Msg, error) {
	for range maxSilentSeconds {
		waiting, cancel := context.WithTimeout(ctx, time.Second)
		m, err := messages.Next(jetstream.NextContext(waiting))
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

// allReceived reports whether a consumer has nothing after last, its last message that was received. On a busy machine a message
// may be on its way for seconds: it is not pending then, but it is delivered.
func allReceived(info *jetstream.ConsumerInfo, last *jetstream.MsgMetadata) bool {
	received := uint64(0)
	if last != nil && last.Consumer == info.Name { // otherwise the client has replaced the consumer since
		received = last.Sequence.Consumer
	}
	return info.NumPending == 0 && info.Delivered.Consumer <= received
}

// sortByEvent sorts letters as their events were accepted.
func sortByEvent(letters []*DeadLetter) {
	slices.SortFunc(letters, func(a, b *DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index), strings.Compare(a.Subscription, b.Subscription))
	})
}

// deleteLetter deletes a letter; one that is gone already is no error.
func (q *Queue) deleteLetter(ctx context.Context, l *DeadLetter) error {
	err := q.streams[l.streamName()].DeleteMsg(ctx, l.storedSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return nil
	}
	return err
}

const maxBodyShown = 2 << 10 // bytes of each body in a letter

// exchangesOf returns for each verdict the request that carried its event and failed, or nil. Verdicts of one request share it.
func exchangesOf(verdicts []runtime.Verdict) []*Exchange {
	list, known := make([]*Exchange, len(verdicts)), map[*httpx.Exchange]*Exchange{}
	for i := range verdicts {
		x := verdicts[i].Request
		if x == nil {
			continue
		}
		if known[x] == nil {
			known[x] = exchangeOf(x)
		}
		list[i] = known[x]
	}
	return list
}

func exchangeOf(x *httpx.Exchange) *Exchange {
	e := &Exchange{Method: x.Method, URL: x.URL, Body: truncate(x.Body), Status: x.Status, Response: truncate(x.ResponseBody)}
	if x.Err != nil {
		e.Error = truncate(x.Err.Error())
	}
	return e
}

func truncate[T []byte | string](text T) string {
	if len(text) <= maxBodyShown {
		return string(text)
	}
	return strings.ToValidUTF8(string(text[:maxBodyShown]), "") + "…"
}
