package erasure

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/pause"
	"github.com/landfall-dev/landfall/internal/poller"
)

const (
	runInterval   = 500 * time.Millisecond // how often the Eraser looks for erasures
	leaseTime     = 30 * time.Second       // how long another server waits for one that has died
	defaultSettle = 3 * time.Second        // until all servers know an erasure, and have written what they have recorded before
	maxAtOnce     = 200                    // erasures that are carried out together
	minBackoff    = 2 * time.Second
	maxBackoff    = 10 * time.Minute
	trimInterval  = time.Hour
)

// Config configures an Eraser.
type Config struct {
	Store     *state.Store
	Queue     *delivery.Queue
	Runner    *delivery.Runner
	Flush     func(context.Context)           // writes what the history has recorded
	Instances func() []instances.Instance     // those that are running
	HasConfig func(instance string) bool      // whether the config has an instance, enabled or not
	StateKey  func() string                   // of the config in effect
	Retention time.Duration                   // how long receipts are kept: DefaultRetention
	Settle    time.Duration                   // how long an erasure waits before its first step: 3 s
	Backoff   func(attempt int) time.Duration // the wait after a failed attempt; by default from 2 s to 10 min
	Metrics   prometheus.Registerer           // may be nil
	Log       *slog.Logger

	MayDeleteByAge func() bool // reports whether the clock can be trusted with that; nil if always
}

// Eraser carries out erasures while no other server does.
type Eraser struct {
	Config
	holder    string
	seen      map[string]time.Time // when an erasure was first seen
	forgotten map[string]bool      // erasures whose users this process has forgotten
	trimmed   time.Time
	oldest    prometheus.Gauge

	nextRewrite time.Time               // the log is not rewritten before
	afterStep   func(name string) error // for tests; may be nil

	poller *poller.Poller
}

// Start starts an Eraser. The caller closes it.
func Start(c Config) *Eraser {
	e := newEraser(c)
	e.poller = poller.Start(runInterval, e.runOnce, func(err error) {
		c.Log.Error("cannot carry out erasures: trying again", "error", err)
	})
	return e
}

func newEraser(c Config) *Eraser {
	c.Retention, c.Settle = cmp.Or(c.Retention, DefaultRetention), cmp.Or(c.Settle, defaultSettle)
	if c.Backoff == nil {
		c.Backoff = func(attempt int) time.Duration { return min(minBackoff<<min(attempt, 10), maxBackoff) }
	}
	e := &Eraser{Config: c, holder: rand.Text(), seen: map[string]time.Time{}, forgotten: map[string]bool{}}
	e.oldest = prometheus.NewGauge(prometheus.GaugeOpts{Name: "landfall_erasure_oldest_seconds", Help: "How long ago the oldest erasure was requested that is not done; 0 if all are."})
	if c.Metrics != nil {
		c.Metrics.MustRegister(e.oldest)
	}
	return e
}

// Close stops after the step in progress, which is canceled, and lets another server continue.
func (e *Eraser) Close() {
	e.poller.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = e.Store.ReleaseErasures(ctx, e.holder) // otherwise the lease ends by itself
}

// runOnce carries out the erasures that are due, if this process has the lease.
func (e *Eraser) runOnce(ctx context.Context) error {
	ctx = budget.WithClass(ctx, budget.Background)
	e.trim(ctx)
	due, err := e.dueErasures(ctx)
	if err != nil || len(due) == 0 {
		return err
	}
	if e.Store.IsLocal() { // no other server has the file
		return e.newPass(due).run(ctx)
	}
	held, err := e.Store.HoldErasures(ctx, e.holder, leaseTime)
	if err != nil || !held {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	kept := make(chan struct{})
	go func() { defer close(kept); e.keepLease(ctx, cancel) }()
	defer func() { cancel(); <-kept }()
	return e.newPass(due).run(ctx)
}

// keepLease renews the lease until ctx ends, which it cancels if the lease is lost.
func (e *Eraser) keepLease(ctx context.Context, cancel context.CancelFunc) {
	renewed := time.Now()
	for pause.For(ctx, leaseTime/6) == nil {
		held, err := e.Store.HoldErasures(ctx, e.holder, leaseTime)
		switch {
		case err == nil && held:
			renewed = time.Now()
		case err == nil, time.Since(renewed) > leaseTime/2:
			cancel()
			return
		}
	}
}

// trim deletes old receipts, once an hour.
func (e *Eraser) trim(ctx context.Context) {
	if time.Since(e.trimmed) < trimInterval || e.MayDeleteByAge != nil && !e.MayDeleteByAge() {
		return
	}
	e.trimmed = time.Now()
	if err := e.Store.TrimErasures(ctx, e.trimmed.Add(-e.Retention)); err != nil {
		e.Log.Warn("cannot delete old receipts of erasures", "error", err)
	}
}

// item is an erasure that is being carried out.
type item struct {
	Receipt
	secret secret
}

// dueErasures returns the erasures to carry out now.
func (e *Eraser) dueErasures(ctx context.Context) ([]*item, error) {
	stored, err := e.Store.PendingErasures(ctx)
	if err != nil {
		return nil, err
	}
	now, seen := time.Now(), map[string]time.Time{}
	e.oldest.Set(0)
	if len(stored) > 0 {
		e.oldest.Set(now.Sub(stored[0].At).Seconds())
	}
	var due []*item
	for _, s := range stored {
		if len(due) == maxAtOnce {
			break
		}
		if seen[s.ID] = e.seen[s.ID]; seen[s.ID].IsZero() {
			seen[s.ID] = now
		}
		if now.Sub(seen[s.ID]) >= e.Settle/2 {
			e.forgetVerdicts(s)
		}
		if now.Sub(seen[s.ID]) < e.Settle {
			continue
		}
		r, err := receiptOf(s)
		if err != nil {
			return nil, err
		}
		if r.waits(now) {
			continue
		}
		it, err := e.open(s, r)
		if err != nil {
			e.noteUnreadable(ctx, s, r, err)
			continue
		}
		due = append(due, it)
	}
	e.seen = seen
	maps.DeleteFunc(e.forgotten, func(id string, _ bool) bool { return seen[id].IsZero() })
	return due, nil
}

// forgetVerdicts removes the user of an erasure from the verdicts that this process remembers, as another server may carry out the erasure. Since the
// erasure is known, verdicts on the user's events are recorded without their requests.
func (e *Eraser) forgetVerdicts(s state.Erasure) {
	if e.Runner == nil || e.Store.IsLocal() || e.forgotten[s.ID] {
		return
	}
	r, err := receiptOf(s)
	if err != nil {
		return // dueErasures returns it
	}
	it, err := e.open(s, r)
	if err != nil {
		return // noteUnreadable lists it
	}
	e.Runner.ForgetVerdicts(e.newPass([]*item{it}).finder.In)
	e.forgotten[s.ID] = true
}

// open decrypts the identifiers of an erasure.
func (e *Eraser) open(s state.Erasure, r Receipt) (*item, error) {
	box, err := oauth.NewBox(e.StateKey())
	if err != nil {
		return nil, err
	}
	text, err := box.OpenText("erasure/"+s.ID, s.Sealed)
	if err != nil {
		return nil, err
	}
	r.limitRequest(time.Now())
	it := &item{Receipt: r}
	if err := json.Unmarshal([]byte(text), &it.secret); err != nil {
		return nil, err
	}
	return it, nil
}

// noteUnreadable lists an erasure whose identifiers cannot be decrypted.
func (e *Eraser) noteUnreadable(ctx context.Context, s state.Erasure, r Receipt, err error) {
	step := r.step(StepFind, "")
	step.At, step.Error = time.Now().UTC(), "its identifiers cannot be decrypted: restore state.key, or request the erasure again"
	next := time.Now().Add(maxBackoff).UTC()
	r.NextAttempt = &next
	e.Log.Error("an erasure cannot be carried out: restore state.key", "erasure", r.ID, "error", err)
	if doc, err := json.Marshal(&r); err == nil {
		s.Doc = string(doc)
		_ = e.Store.UpdateErasure(ctx, s) // it is tried again
	}
}
