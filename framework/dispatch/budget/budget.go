package budget

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Budget is a number of requests and bytes for windows of time. Make one with New.
type Budget struct {
	name  string
	store Store

	mu          sync.Mutex
	meters      []*meter
	waiting     waiters
	wake        [classes]time.Time // when the next request of a class may have its tokens
	cause       Cause              // why requests wait
	changed     chan struct{}      // closed when wake may be earlier or a reservation has ended
	reserving   bool               // a goroutine is using the store
	stored      record             // as it was last read
	loadedAt    time.Time
	liveBlocked time.Time // when a live request last had to wait
	failure     error     // of the store, until it works again

	pausedUntil time.Time // as the remote asked this process
	remoteLeft  int64     // requests that the remote has left until remoteUntil
	remoteUntil time.Time
	inFlight    int64
}

const (
	storeTimeout   = 5 * time.Second        // of one reservation
	storeRetry     = 500 * time.Millisecond // after an error of the store
	holdBackground = time.Second            // how long live requests go first after one had to wait
	refreshEvery   = time.Second            // how old the record of a shared store may be
)

// New returns a Budget with its limits. Budgets with the same name in one Store share its limits.
func New(name string, limits Limits, store Store) *Budget {
	b := &Budget{name: name, store: store, changed: make(chan struct{}), stored: parseRecord(nil)}
	b.setLimits(limits)
	return b
}

// SetLimits changes the limits. What was used before counts for windows that stay.
func (b *Budget) SetLimits(limits Limits) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setLimits(limits)
	b.broadcast()
}

func (b *Budget) setLimits(limits Limits) {
	if limits.Background <= 0 || limits.Background > 1 {
		limits.Background = DefaultBackground
	}
	known := map[string]*meter{}
	for _, m := range b.meters {
		known[m.name] = m
	}
	b.meters = nil
	add := func(m *meter) {
		if old := known[m.name]; old != nil {
			m.at, m.used, m.before = old.at, old.used, old.before
		}
		b.meters = append(b.meters, m)
	}
	for _, w := range limits.Windows {
		add(newMeter(w, false, limits.Background))
	}
	if limits.BytesPerSecond > 0 {
		add(newMeter(Window{Limit: limits.BytesPerSecond, Per: time.Second}, true, limits.Background))
	}
}

// broadcast wakes everything that waits. The mutex is held.
func (b *Budget) broadcast() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// acquire waits until a request may be sent. If that takes longer than maxWait, it returns a *WaitError at once.
func (b *Budget) acquire(ctx context.Context, instance string, r Request, maxWait time.Duration) error {
	w := &waiter{instance: instance, class: r.Class, bytes: r.Bytes, granted: make(chan struct{})}
	deadline := time.Now().Add(maxWait)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting.push(w)
	for {
		if !isClosed(w.granted) {
			b.pumpLocked(ctx, w)
		}
		if isClosed(w.granted) {
			return nil
		}
		now := time.Now()
		wake := b.wake[w.class]
		if b.reserving || wake.IsZero() {
			wake = deadline
		}
		if wake.After(deadline) || !now.Before(deadline) || ctx.Err() != nil {
			b.waiting.remove(w)
			b.broadcast() // another request may be the next one
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("waiting for the budget: %w", err)
			}
			return &WaitError{Cause: b.cause, Wait: max(wake.Sub(now), time.Millisecond)}
		}
		b.sleepLocked(ctx, w, wake.Sub(now))
	}
}

// sleepLocked waits for the tokens of a request, a change, or a time. It releases the mutex meanwhile.
func (b *Budget) sleepLocked(ctx context.Context, w *waiter, wait time.Duration) {
	changed := b.changed
	b.mu.Unlock()
	defer b.mu.Lock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.granted:
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pumpLocked gives tokens to waiting requests, and reserves more of them if another goroutine does not. It leaves that to the others once
// its own request has tokens: these are for the present slot, and waiting for the store could take longer.
func (b *Budget) pumpLocked(ctx context.Context, own *waiter) {
	for {
		want := b.grantLocked(time.Now())
		if want == nil || b.reserving {
			return
		}
		if isClosed(own.granted) {
			b.broadcast()
			return
		}
		b.reserving = true
		b.mu.Unlock()
		storeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		got := want.reserve(storeCtx, b.store, b.name)
		cancel()
		b.mu.Lock()
		b.reserving = false
		b.apply(want, got)
		b.broadcast()
	}
}

// grantLocked gives the tokens that are there to waiting requests, in their order. It returns the reservation that the next one
// needs, or nil if none helps now.
func (b *Budget) grantLocked(now time.Time) *reservation {
	b.wake = [classes]time.Time{}
	if b.waiting.count() == 0 {
		return nil
	}
	if b.store.Shared() && len(b.meters) > 0 && now.Sub(b.loadedAt) >= refreshEvery {
		return &reservation{}
	}
	if until := b.pauseEnd(now); until.After(now) {
		b.cause, b.wake = CausePaused, [classes]time.Time{until, until}
		return nil
	}
	for _, m := range b.meters {
		m.advance(now)
	}
	for {
		want, granted := b.grantNext(now)
		if !granted {
			return want
		}
	}
}

// grantNext gives tokens to the next request that can have them.
func (b *Budget) grantNext(now time.Time) (want *reservation, granted bool) {
	for _, class := range b.waiting.order() {
		w := b.waiting.head(class)
		if w == nil {
			continue
		}
		if until := b.liveBlocked.Add(holdBackground); class == Background && until.After(now) && b.waiting.order()[0] == Live {
			b.wake[Background] = until
			continue
		}
		wake, need := b.check(w, now)
		if wake.IsZero() && need == nil {
			for _, m := range b.meters {
				m.take(class, m.cost(w.bytes))
			}
			if w.blocked {
				b.liveBlocked = now
			}
			b.remoteLeft--
			b.inFlight++
			b.waiting.grant(w)
			return nil, true
		}
		if want == nil {
			want = need
		}
		b.wake[class] = wake
		if class == Live { // nothing overtakes it
			w.blocked = w.blocked || need == nil
			b.wake[Background] = wake
			break
		}
	}
	return want, false
}

// check returns when a request may have its tokens, or the reservation that it needs, or neither if they are there.
func (b *Budget) check(w *waiter, now time.Time) (wake time.Time, need *reservation) {
	if b.remoteUntil.After(now) && b.remoteLeft <= 0 {
		b.cause = CauseRemote
		return b.remoteUntil, nil
	}
	need = &reservation{class: w.class, shared: b.store.Shared()}
	for _, m := range b.meters {
		cost := m.cost(w.bytes)
		if m.has(w.class, cost) {
			continue
		}
		if at := m.retryAt[w.class]; at.After(now) {
			b.cause = CauseSpent
			if at.After(wake) {
				wake = at
			}
			continue
		}
		p := part{meter: m, need: cost, block: m.block(now, b.waiting.need(w.class, m))}
		if m.bytes {
			p.excess = w.bytes - cost
		}
		need.parts = append(need.parts, p)
	}
	if !wake.IsZero() || len(need.parts) == 0 {
		need = nil
	}
	return wake, need
}

// pauseEnd returns when the pause ends that the remote asked this or another process for.
func (b *Budget) pauseEnd(now time.Time) time.Time {
	if stored := b.stored.pausedUntil(now); b.store.Shared() && stored.After(b.pausedUntil) {
		return stored
	}
	return b.pausedUntil
}

// apply adds the tokens of a reservation.
func (b *Budget) apply(want *reservation, got reserveResult) {
	now := time.Now()
	b.failure = got.err
	if got.err != nil {
		b.loadedAt = now.Add(storeRetry - refreshEvery)
		for _, p := range want.parts {
			p.meter.retryAt[want.class] = now.Add(storeRetry)
		}
		return
	}
	b.stored, b.loadedAt = got.record, now
	for i, p := range want.parts {
		p.meter.advance(now)
		switch {
		case got.lacks():
			p.meter.retryAt[want.class] = got.retryAt[i]
		case p.meter.at == got.slots[i]:
			p.meter.tokens[want.class] += got.tokens[i]
			p.meter.reserved, p.meter.reservedAt = got.tokens[i], now
		}
	}
}
