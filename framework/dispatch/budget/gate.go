package budget

import (
	"context"
	"sync"
	"time"
)

// Request describes a request that is about to be sent.
type Request struct {
	Class Class
	Bytes int64
}

// Result is what a request has shown about the remote.
type Result struct {
	Status    int           // of the response; 0 if there was none
	Canceled  bool          // the caller gave up, which says nothing about the remote
	Wait      time.Duration // how long the remote asks to wait; 0 if it does not
	Known     bool          // the remote said how many requests remain until its window ends
	Remaining int64
	Reset     time.Duration // until its window ends
}

// failed reports whether the remote could not process the request for reasons of its own.
func (r *Result) failed() bool { return r.Status == 0 || r.Status >= 500 && r.Status != 501 }

// GateConfig configures a Gate. Zero fields have defaults.
type GateConfig struct {
	Concurrency       int           // the largest number of requests at once: 256
	FixedConcurrency  bool          // the number does not follow the remote
	MaxWait           time.Duration // how long a live request waits: 10 s
	MaxBackgroundWait time.Duration // 1 s
	FailuresToOpen    int           // failures in a row after which the remote counts as down: 10; below 0, never
	MinProbeWait      time.Duration // until the first probe of a remote that is down, doubled after each that fails: 1 s
	MaxProbeWait      time.Duration // 30 s
}

func (c GateConfig) withDefaults() GateConfig {
	or := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 256
	}
	if c.FailuresToOpen == 0 {
		c.FailuresToOpen = 10
	}
	or(&c.MaxWait, 10*time.Second)
	or(&c.MaxBackgroundWait, time.Second)
	or(&c.MinProbeWait, time.Second)
	or(&c.MaxProbeWait, 30*time.Second)
	return c
}

// Gate is what the requests of an instance go through. Make one with NewGate.
type Gate struct {
	instance string
	budget   *Budget
	config   GateConfig

	mu          sync.Mutex
	changed     chan struct{} // closed when a request may have become possible
	concurrency concurrency
	breaker     breaker
	waiting     [classes]int
}

// NewGate returns the Gate of an instance.
func NewGate(instance string, b *Budget, c GateConfig) *Gate {
	c = c.withDefaults()
	g := &Gate{instance: instance, budget: b, config: c, changed: make(chan struct{})}
	g.concurrency = concurrency{most: c.Concurrency, fixed: c.FixedConcurrency, limit: float64(c.Concurrency)}
	g.breaker = breaker{config: c}
	return g
}

// Enter waits until a request may be sent. The caller sends it at once and calls done, once. If the request would have to wait too
// long, or past the deadline of ctx, Enter returns a *WaitError.
func (g *Gate) Enter(ctx context.Context, r Request) (done func(Result), err error) {
	maxWait := g.config.MaxWait
	if r.Class == Background {
		maxWait = g.config.MaxBackgroundWait
	}
	began := time.Now()
	turn, err := g.waitTurn(ctx, r.Class, began.Add(maxWait))
	if err != nil {
		return nil, err
	}
	if err := g.budget.acquire(ctx, g.instance, r, max(maxWait-time.Since(began), time.Millisecond)); err != nil {
		g.leave(turn, nil, 0)
		return nil, err
	}
	sent := time.Now()
	turn.sent = sent
	return func(result Result) {
		g.budget.recordResult(result)
		g.leave(turn, &result, time.Since(sent))
	}, nil
}

// turn is a request that has a place among the concurrent ones.
type turn struct {
	class Class
	probe bool
	sent  time.Time
}

// waitTurn waits for a place among the concurrent requests of a remote that is not down.
func (g *Gate) waitTurn(ctx context.Context, class Class, deadline time.Time) (*turn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[class]++
	defer func() { g.waiting[class]-- }()
	for {
		now := time.Now()
		wait, cause := time.Duration(0), CauseConcurrency
		switch probe, at := g.breaker.allow(now); {
		case at.After(now):
			return nil, &WaitError{Cause: CauseDown, Wait: at.Sub(now)}
		case !at.IsZero(): // another request is the probe
			cause, wait = CauseDown, g.config.MinProbeWait
		case g.mayStart(class):
			g.breaker.start(probe)
			g.concurrency.start(class)
			return &turn{class: class, probe: probe}, nil
		}
		left := deadline.Sub(now)
		if left <= 0 {
			return nil, &WaitError{Cause: cause, Wait: max(wait, 100*time.Millisecond)}
		}
		if err := g.sleepLocked(ctx, left); err != nil {
			return nil, err
		}
	}
}

// mayStart reports whether a request of a class has a place. Live requests go first.
func (g *Gate) mayStart(class Class) bool {
	if !g.concurrency.hasPlace() {
		return false
	}
	if class == Live {
		return true
	}
	half := max(g.concurrency.present()/2, 1)
	return g.concurrency.inFlight[Background] < half && (g.waiting[Live] == 0 || g.concurrency.inFlight[Background] == 0)
}

// sleepLocked waits for a change or a time. It releases the mutex meanwhile.
func (g *Gate) sleepLocked(ctx context.Context, wait time.Duration) error {
	changed := g.changed
	g.mu.Unlock()
	defer g.mu.Lock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// leave ends a turn. result is nil if nothing was sent.
func (g *Gate) leave(t *turn, result *Result, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.concurrency.end(t.class)
	switch {
	case result == nil || result.Canceled:
		g.breaker.abandon(t.probe)
	default:
		g.breaker.record(t, result.failed(), now)
		g.concurrency.record(t.sent, took, result, now)
	}
	close(g.changed)
	g.changed = make(chan struct{})
}

// Resume ends the pauses of the budget, and lets the next request find out whether the remote is still down.
func (g *Gate) Resume() {
	g.budget.Resume()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.probeAt = time.Time{}
	close(g.changed)
	g.changed = make(chan struct{})
}
