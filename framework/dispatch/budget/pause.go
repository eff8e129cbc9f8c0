package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Cause is why requests wait.
type Cause string

// The causes.
const (
	CauseSpent       Cause = "the budget is spent"
	CausePaused      Cause = "the remote asks to wait"
	CauseRemote      Cause = "the remote has no requests left"
	CauseConcurrency Cause = "as many requests as allowed are in flight"
	CauseDown        Cause = "the remote is down"
)

// WaitError says that a request was not sent and when to try again.
type WaitError struct {
	Cause Cause
	Wait  time.Duration
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("the request was not sent: %s; try again in %s", e.Cause, e.Wait.Round(time.Millisecond))
}

// maxPause is the longest pause that a budget keeps.
const maxPause = 24 * time.Hour

// pause lets no request start for a time. It tells the other processes. A pause is never shortened.
func (b *Budget) pause(wait time.Duration) {
	now := time.Now()
	until := now.Add(min(wait, maxPause))
	b.mu.Lock()
	longer := until.After(b.pauseEnd(now))
	if longer {
		b.pausedUntil = until
	}
	b.mu.Unlock()
	if longer && b.store.Shared() {
		b.storePause(func(r *record) bool {
			if r.pausedUntil(now).After(until) {
				return false
			}
			r.PausedUntil = until.UnixMilli()
			return true
		})
	}
}

// Resume ends the pauses and forgets what the remote had left.
func (b *Budget) Resume() {
	b.mu.Lock()
	b.pausedUntil, b.remoteUntil, b.stored.PausedUntil = time.Time{}, time.Time{}, 0
	b.broadcast()
	b.mu.Unlock()
	if b.store.Shared() {
		b.storePause(func(r *record) bool {
			r.PausedUntil = 0
			return true
		})
	}
}

// storePause changes the pause in the store. It does nothing if change returns false or the store fails: then each process finds out
// by itself.
func (b *Budget) storePause(change func(*record) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	for ctx.Err() == nil {
		data, revision, err := b.store.Load(ctx, b.name)
		if err != nil {
			return
		}
		r := parseRecord(data)
		if !change(&r) {
			return
		}
		if data, err = json.Marshal(r); err != nil {
			return
		}
		if _, err = b.store.Save(ctx, b.name, data, revision); !errors.Is(err, ErrConflict) {
			return
		}
	}
}

// recordResult updates the budget from what the remote answered.
func (b *Budget) recordResult(r Result) {
	now := time.Now()
	b.mu.Lock()
	b.inFlight--
	if r.Known && r.Reset > 0 {
		left, until := max(r.Remaining-b.inFlight, 0), now.Add(r.Reset)
		same := until.Sub(b.remoteUntil).Abs() < 2*time.Second && b.remoteUntil.After(now)
		if !same || left < b.remoteLeft {
			b.remoteLeft = left
		}
		b.remoteUntil = until
	}
	b.mu.Unlock()
	if r.Wait > 0 {
		b.pause(r.Wait)
	}
}
