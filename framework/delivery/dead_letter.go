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
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// DeadLetter is an event that a subscription could not deliver, with what is known about the failure. It is either dead, or
// parked: then later events of the same key are parked behind it until an operator replays or drops them. The two are called
// letters for short.
type DeadLetter struct {
	ID           string          `json:"id"`
	Instance     string          `json:"instance"`
	Subscription string          `json:"subscription"`
	Source       string          `json:"source,omitempty"`
	Parked       bool            `json:"parked"`
	Key          string          `json:"key"`             // the ordering key: a user, for audiences within the audience
	Cause        fault.Cause     `json:"cause,omitempty"` // "" in letters of earlier versions
	Reason       string          `json:"reason"`
	Code         string          `json:"code,omitempty"`
	Status       int             `json:"status,omitempty"`
	Attempts     int             `json:"attempts"`
	First        time.Time       `json:"first,omitzero"` // first failure
	At           time.Time       `json:"at"`             // when the letter was last written
	Request      *Exchange       `json:"request,omitempty"`
	Seq          uint64          `json:"seq"`   // page of the event in the log
	Index        int             `json:"index"` // index in the page
	Event        json.RawMessage `json:"event"`
	// Verdicts is the number of counted verdicts that the letter stands for: its own, and those of failed replays of its event. 0
	// means 1.
	Verdicts int `json:"verdicts,omitempty"`
	// Replays are the log positions of the latest replays that ended in this letter.
	Replays []string `json:"replays,omitempty"`

	generation    int    // how often its key had been parked when this letter was resumed
	verdictCount  int    // Verdicts, adjusted to what the checkpoint counts
	storedSeq     uint64 // sequence of its message
	storedSubject string // subject of its message
	partition     int
}

// Exchange is the last failed request that carried a letter's event, with secrets removed and bodies truncated.
type Exchange struct {
	Method   string `json:"method"`
	URL      string `json:"url"`
	Body     string `json:"body,omitempty"`
	Status   int    `json:"status,omitempty"`
	Response string `json:"response,omitempty"`
	Error    string `json:"error,omitempty"`
}

// streamName returns the stream that stores the letter.
func (l *DeadLetter) streamName() string {
	if l.Parked {
		return parkStream
	}
	return deadStream
}

// Kinds of parked keys, as subjects spell them. A held key waits for an operator; an evicted one resumes when the partition has
// capacity.
const (
	kindHeld    = "held"
	kindEvicted = "auto"
)

// subjectFor returns the letter's subject. It depends on the event's position and the subscription only, so that rewriting a
// letter replaces it.
func (l *DeadLetter) subjectFor(kind string) string {
	id := fmt.Sprintf("%d-%d-%s", l.Seq, l.Index, shortHash(l.Subscription))
	if l.Parked {
		return parkSubject(l.Instance, l.partition) + "." + shortHash(l.Key) + "." + kind + "." + id
	}
	return deadSubject(l.Instance, l.partition) + "." + id
}

// setID sets the id that operators use.
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

// eachDeadLetter calls f for the letters under a subject of a stream until it returns false.
func (q *Queue) eachDeadLetter(ctx context.Context, stream, subject string, f func(*DeadLetter) (bool, error)) error {
	return q.eachMessage(ctx, stream, subject, time.Time{}, func(m jetstream.Msg) (bool, error) {
		l, err := letterOfMessage(m)
		if err != nil {
			return false, err
		}
		return f(l)
	})
}

// eachMessage calls f for the messages that a stream has now under a subject, stored at or after from, until it returns false.
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

// eachPending calls f for each message that a new consumer has now, until it returns false.
func eachPending(ctx context.Context, consumer jetstream.Consumer, f func(jetstream.Msg) (more bool, err error)) error {
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return err
	}
	left := info.NumPending // messages stored later are not read
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

// maxSilentSeconds is how long a message that the server has sent may take to arrive.
const maxSilentSeconds = 60

// errMessageLost means that a message that the server has sent did not arrive.
var errMessageLost = errors.New("a message of the queue was sent but did not arrive")

// nextMessage returns the message after last, or nil if there is none, as messages may be deleted in the meantime.
func nextMessage(ctx context.Context, consumer jetstream.Consumer, messages jetstream.MessagesContext, last *jetstream.MsgMetadata) (jetstream.Msg, error) {
	for range maxSilentSeconds {
		waitCtx, cancel := context.WithTimeout(ctx, time.Second)
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

// sortByEvent sorts letters by the position of their event in the log.
func sortByEvent(letters []*DeadLetter) {
	slices.SortFunc(letters, func(a, b *DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index), strings.Compare(a.Subscription, b.Subscription))
	})
}

// deleteLetter deletes a stored letter. It is no error if the letter is already gone.
func (q *Queue) deleteLetter(ctx context.Context, l *DeadLetter) error {
	err := q.streams[l.streamName()].DeleteMsg(ctx, l.storedSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return nil
	}
	return err
}

const maxBodyShown = 2 << 10 // bytes of each body that a letter keeps

// exchangesOf returns for each verdict the failed request that carried its event, or nil. Verdicts of one request share an
// Exchange.
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
	e := &Exchange{Method: x.Method, URL: x.URL, Body: truncateBody(x.Body), Status: x.Status, Response: truncateBody(x.ResponseBody)}
	if x.Err != nil {
		e.Error = truncateBody(x.Err.Error())
	}
	return e
}

func truncateBody[T []byte | string](text T) string {
	if len(text) <= maxBodyShown {
		return string(text)
	}
	return strings.ToValidUTF8(string(text[:maxBodyShown]), "") + "…"
}
