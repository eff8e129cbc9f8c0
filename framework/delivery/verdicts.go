package delivery

import (
	"strings"
	"sync"
	"time"
)

// MaxVerdicts is how many verdicts a process remembers.
const MaxVerdicts = 4096

// VerdictRecord is one verdict that this process has come to.
type VerdictRecord struct {
	At           time.Time
	Instance     string
	Subscription string
	Outcome      string // delivered, skipped, dead, parked or dropped
	Reason       string // without secrets
	Key          string // what the order is kept for: a user, for audiences within one
	Attempts     int
	Seq          uint64    // the place of the event in the log
	Index        int       // and in its page
	Request      *Exchange // the last that failed; nil where none did
}

// User is the user's part of the key.
func (s VerdictRecord) User() string { return UserOf(s.Key) }

// UserOf is the user's part of a key: a userId, an anonymousId or a messageId.
func UserOf(key string) string {
	for _, kind := range []string{"u:", "a:", "m:"} {
		if user, ok := strings.CutPrefix(key, kind); ok {
			return user
		}
	}
	for _, kind := range []string{" u:", " a:", " m:"} { // that of an audience stands before
		if _, user, ok := strings.Cut(key, kind); ok {
			return user
		}
	}
	return key
}

// verdictRing are the latest, in a ring.
type verdictRing struct {
	mu   sync.Mutex
	ring []VerdictRecord
	next int
}

func (v *verdictRing) add(s VerdictRecord) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.ring) < MaxVerdicts {
		v.ring = append(v.ring, s)
		return
	}
	v.ring[v.next] = s
	v.next = (v.next + 1) % MaxVerdicts
}

// Verdicts are the latest verdicts of this process that a choice takes, the newest first, and at most so many.
func (r *Runner) Verdicts(most int, choose func(*VerdictRecord) bool) []VerdictRecord {
	v := &r.verdicts
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []VerdictRecord
	for i := len(v.ring) - 1; i >= 0 && len(list) < most; i-- {
		if s := &v.ring[(v.next+i)%len(v.ring)]; choose(s) {
			list = append(list, *s)
		}
	}
	return list
}

// rememberVerdict remembers what became of a task.
func (w *worker) rememberVerdict(t *task, outcome, reason string) {
	at := t.position()
	s := VerdictRecord{
		At: time.Now(), Instance: w.id, Subscription: t.item.Subscription.Name(), Outcome: outcome, Reason: reason, Key: t.key,
		Attempts: t.attempts, Seq: at.seq, Index: at.index, Request: t.lastExchange,
	}
	w.runner.verdicts.add(s)
}
