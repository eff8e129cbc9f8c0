package delivery

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

// MaxVerdicts is the number of verdicts that a process remembers.
const MaxVerdicts = 4096

// VerdictRecord is a verdict that this process has reached.
type VerdictRecord struct {
	At           time.Time
	Instance     string
	Subscription string
	Outcome      string      // delivered, skipped, dead, parked or dropped
	Cause        fault.Cause // why, for programs; "" if it was delivered
	Reason       string      // why, for people; without secrets
	Key          string      // ordering key: a user, for audiences within the audience
	Attempts     int
	Seq          uint64    // page of the event in the log
	Index        int       // index in the page
	Request      *Exchange // the last failed request; nil if none failed
	Batch        *Batch    // the last batch that it was sent in; nil if it was not sent, or batches are not recorded
}

// Batch is a batch that was sent. The verdicts of its events share it.
type Batch struct {
	ID       string // unique among the batches of all servers
	At       time.Time
	Duration time.Duration
	Events   int
	Requests []*Exchange // without secrets; not all of them if there are many
	Partial  bool        // Requests is incomplete
}

// Limits of what is recorded of successful requests.
const (
	maxBatchRequests   = 6  // of a batch
	maxRecordedBatches = 50 // of an instance, with their requests, in a second
)

// batchRecorder records the requests of a batch.
type batchRecorder struct {
	mu    sync.Mutex // guards what batch points to while it is sent: its requests may be sent at the same time
	batch *Batch
}

// observe records one request.
func (b *batchRecorder) observe(x httpx.Exchange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.batch.Requests) >= maxBatchRequests {
		b.batch.Partial = true
		return
	}
	b.batch.Requests = append(b.batch.Requests, exchangeOf(&x))
}

// recordBatch returns a record of a batch that begins, and a context that adds the requests to it. The record is nil if verdicts are not
// recorded. The requests are left out if there are too many batches.
func (w *worker) recordBatch(ctx context.Context, events int) (context.Context, *Batch) {
	if w.runner.settings.OnVerdict == nil {
		return ctx, nil
	}
	b := &Batch{ID: rand.Text()[:12], At: time.Now(), Events: events}
	if w.recorded.take(b.At) {
		ctx = httpx.WithObserver(ctx, (&batchRecorder{batch: b}).observe)
	} else {
		b.Partial = true
	}
	return ctx, b
}

// recordLimit limits the batches whose requests are recorded.
type recordLimit struct {
	mu     sync.Mutex // guards the fields below
	second int64
	count  int
}

func (l *recordLimit) take(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := now.Unix(); second != l.second {
		l.second, l.count = second, 0
	}
	l.count++
	return l.count <= maxRecordedBatches
}

// User returns the user of the key.
func (s VerdictRecord) User() string { return UserOf(s.Key) }

// UserOf returns the user of an ordering key: a userId, an anonymousId or a messageId.
func UserOf(key string) string {
	for _, kind := range []string{"u:", "a:", "m:"} {
		if user, ok := strings.CutPrefix(key, kind); ok {
			return user
		}
	}
	for _, kind := range []string{" u:", " a:", " m:"} { // after the lane of an audience
		if _, user, ok := strings.Cut(key, kind); ok {
			return user
		}
	}
	return key
}

// verdictRing is a ring buffer of the latest verdicts.
type verdictRing struct {
	mu   sync.Mutex // guards the fields below
	ring []VerdictRecord
	next int
}

func (v *verdictRing) addVerdict(s VerdictRecord) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.ring) < MaxVerdicts {
		v.ring = append(v.ring, s)
		return
	}
	v.ring[v.next] = s
	v.next = (v.next + 1) % MaxVerdicts
}

// Verdicts returns the latest verdicts of this process that choose accepts, newest first and at most limit of them.
func (r *Runner) Verdicts(limit int, choose func(*VerdictRecord) bool) []VerdictRecord {
	v := &r.verdicts
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []VerdictRecord
	for i := len(v.ring) - 1; i >= 0 && len(list) < limit; i-- {
		if s := &v.ring[(v.next+i)%len(v.ring)]; choose(s) {
			list = append(list, *s)
		}
	}
	return list
}

// rememberVerdictLocked adds the verdict of a task to the latest verdicts.
func (w *worker) rememberVerdictLocked(t *task, outcome string, cause fault.Cause, reason string) {
	at := t.eventPosition()
	s := VerdictRecord{
		At: w.nowLocked(), Instance: w.id, Subscription: t.item.Subscription.Name(), Outcome: outcome, Cause: cause, Reason: reason, Key: t.key,
		Attempts: t.Attempts(), Seq: at.seq, Index: at.index, Request: t.lastExchange, Batch: t.batch,
	}
	w.runner.verdicts.addVerdict(s)
	if f := w.runner.settings.OnVerdict; f != nil {
		f(s)
	}
}
