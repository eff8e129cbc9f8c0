package delivery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// DeadLetter is an event that a subscription could not deliver, with what is known about the failure. It is either dead, or
// parked: then later events of the same key are parked behind it until an operator replays or drops them. In names of this package,
// a dead letter is a letter.
type DeadLetter struct {
	ID           string          `json:"id"`
	Instance     string          `json:"instance"`
	Subscription string          `json:"subscription"`
	Source       string          `json:"source,omitempty"`
	Parked       bool            `json:"parked"`
	Key          string          `json:"key"`             // the ordering key: a user, for audiences within the audience
	Cause        fault.Cause     `json:"cause,omitempty"` // "" if an earlier version wrote it
	Reason       string          `json:"reason"`
	Code         string          `json:"code,omitempty"`
	Status       int             `json:"status,omitempty"`
	Attempts     int             `json:"attempts"`       // of all replays: requests, and refusals without one
	First        time.Time       `json:"first,omitzero"` // first failure
	At           time.Time       `json:"at"`             // when the dead letter was last written
	Request      *Exchange       `json:"request,omitempty"`
	Seq          uint64          `json:"seq"`   // page of the event in the log
	Index        int             `json:"index"` // index in the page
	Event        json.RawMessage `json:"event"`
	// Verdicts is the number of counted verdicts that the dead letter stands for: its own, and those of failed replays of its event. 0
	// means 1.
	Verdicts int `json:"verdicts,omitempty"`
	// Replays are the log positions of the latest replays that ended in this dead letter.
	Replays []string `json:"replays,omitempty"`

	generation    int    // of its key in parkedKeys when it was resumed
	verdictCount  int    // Verdicts, adjusted to what the checkpoint counts
	storedSeq     uint64 // sequence of its message
	storedSubject string // subject of its message
	replaced      bool   // a newer dead letter of the subject has replaced it
	partition     int
}

// Exchange is the last failed request that carried a dead letter's event, with secrets removed and bodies truncated.
type Exchange struct {
	Method   string `json:"method"`
	URL      string `json:"url"`
	Body     string `json:"body,omitempty"`
	Status   int    `json:"status,omitempty"`
	Response string `json:"response,omitempty"`
	Error    string `json:"error,omitempty"`
}

// streamName returns the stream that stores the dead letter.
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

// subjectFor returns the dead letter's subject. It depends on the event's position and the subscription only, so that writing it
// again replaces it.
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

func parseDeadLetter(m eventlog.Message) (*DeadLetter, error) {
	l := &DeadLetter{storedSeq: m.Sequence, storedSubject: m.Subject}
	lines := bytes.Split(bytes.TrimSpace(m.Data), []byte{'\n'})
	if err := json.Unmarshal(lines[len(lines)-1], l); err != nil {
		return nil, fmt.Errorf("reading a dead letter: %w", err)
	}
	parts := strings.Split(m.Subject, ".")
	if len(parts) < 3 {
		return nil, fmt.Errorf("reading a dead letter: its subject is %q", m.Subject)
	}
	var err error
	l.partition, err = strconv.Atoi(parts[2])
	l.verdictCount = max(l.Verdicts, 1)
	return l, err
}

// eachDeadLetter calls f for the dead letters under a subject of a stream until it returns false.
func (q *Queue) eachDeadLetter(ctx context.Context, stream, subject string, f func(*DeadLetter) (bool, error)) error {
	return q.store.Scan(ctx, stream, eventlog.Query{Filters: []string{subject}}, func(m eventlog.Message) (bool, error) {
		l, err := parseDeadLetter(m)
		if err != nil {
			return false, err
		}
		return f(l)
	})
}

// sortByEvent sorts dead letters by the position of their event in the log.
func sortByEvent(letters []*DeadLetter) {
	slices.SortFunc(letters, func(a, b *DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index), strings.Compare(a.Subscription, b.Subscription))
	})
}

// deleteLetter deletes a stored dead letter. It is no error if it is already gone.
func (q *Queue) deleteLetter(ctx context.Context, l *DeadLetter) error {
	return q.store.Delete(ctx, l.streamName(), l.storedSeq)
}

const maxBodyShown = 2 << 10 // characters of each body that a dead letter keeps

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
	e := &Exchange{Method: x.Method, URL: x.URL, Body: fault.Shorten(string(x.Body), maxBodyShown), Status: x.Status, Response: fault.Shorten(string(x.ResponseBody), maxBodyShown)}
	if x.Err != nil {
		e.Error = fault.Shorten(x.Err.Error(), maxBodyShown)
	}
	return e
}
