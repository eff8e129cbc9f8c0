package delivery

import (
	"strings"
	"sync"
	"time"

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
	mu   sync.Mutex
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

// rememberVerdict adds the verdict of a task to the latest verdicts.
func (w *worker) rememberVerdict(t *task, outcome string, cause fault.Cause, reason string) {
	at := t.eventPosition()
	s := VerdictRecord{
		At: time.Now(), Instance: w.id, Subscription: t.item.Subscription.Name(), Outcome: outcome, Cause: cause, Reason: reason, Key: t.key,
		Attempts: t.Attempts(), Seq: at.seq, Index: at.index, Request: t.lastExchange,
	}
	w.runner.verdicts.addVerdict(s)
}
