// Package history keeps what happened in the journal of the state, so that it can be shown after a restart: the verdicts of events with
// their requests, the events that were rejected when they were received, what operators changed, and for charts the numbers of events and
// the sizes of audiences over 30 days.
//
// A [Recorder] collects in memory and writes once a second. What it keeps is bounded: in memory, in bytes for each kind of entry, and in
// time. If there is more than it can write, it leaves out the rest and counts it. The package must not know how events are delivered or
// shown. A Recorder and the functions that read are safe for concurrent use.
package history

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/state"
)

// The kinds of journal entries.
const (
	kindRoutine  = "delivered" // verdicts of events that were delivered, or needed no change
	kindVerdict  = "verdict"   // other verdicts
	kindRejected = "rejected"
	kindAction   = "action"

	kindCounts     = "counts"
	kindLongCounts = "counts-long"
	kindSizes      = "sizes"
	kindLongSizes  = "sizes-long"
)

// Limits of what is kept.
const (
	DefaultRetention       = 7 * 24 * time.Hour // as long as the log keeps delivered events by default
	DefaultMaxVerdictBytes = 64 << 20           // of each of the two kinds of verdicts
	maxOtherBytes          = 16 << 20           // of each other kind
	maxPending             = 50_000             // verdicts that wait to be written
	maxRejections          = 500                // rejected events that wait to be written
	flushInterval          = time.Second
	trimInterval           = time.Minute
	ledgersInterval        = time.Hour
)

// limit says how much is kept of a kind of entry.
type limit struct {
	kind  string
	keep  time.Duration
	bytes int64
}

// limits returns the limits of all kinds of entries.
func (r *Recorder) limits() []limit {
	list := []limit{
		{kindRoutine, r.Retention, r.MaxVerdictBytes}, {kindVerdict, r.Retention, r.MaxVerdictBytes},
		{kindRejected, r.Retention, maxOtherBytes}, {kindAction, r.Retention, maxOtherBytes},
		{kindConfig, configRetention, maxOtherBytes},
	}
	for _, all := range [][2]resolution{countResolutions(), sizeResolutions()} {
		for _, at := range all {
			list = append(list, limit{at.kind, at.keep, maxCountBytes})
		}
	}
	return list
}

// Config configures a Recorder.
type Config struct {
	Store *state.Store
	Log   *slog.Logger     // discards by default
	Now   func() time.Time // time.Now by default

	Retention       time.Duration                            // how long entries are kept: DefaultRetention by default
	MaxVerdictBytes int64                                    // limit of each of the two kinds of verdicts: DefaultMaxVerdictBytes by default
	Counts          func() Counts                            // the numbers of events since the process started; nil to keep none
	Sizes           func(ctx context.Context) (Sizes, error) // the current sizes of audiences; nil to keep none

	LedgerRetention time.Duration // how long the history of members is kept in the ledgers; 0 keeps the latest changes of each member
	MayDeleteByAge  func() bool   // reports whether the clock can be trusted with that; nil if always
}

// Recorder writes to the journal of a state.
type Recorder struct {
	Config
	mu       sync.Mutex
	verdicts []delivery.VerdictRecord
	entries  []state.JournalEntry // of other kinds
	rejected int                  // how many of entries are rejected events
	missed   int                  // what was left out since the last write

	counting sync.Mutex // guards counter
	counter  counter
	sizer    sizer

	writing sync.Mutex               // held while the journal is written
	spare   []delivery.VerdictRecord // empty: for the next verdicts
	polled  time.Time                // when the counts were last read
	trimmed time.Time
	ledgers time.Time // when the ledgers' history was last trimmed
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// New returns a Recorder that writes until it is closed.
func New(c Config) *Recorder {
	r := newRecorder(c)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.done.Go(func() { r.run(ctx) })
	return r
}

func newRecorder(c Config) *Recorder {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MayDeleteByAge == nil {
		c.MayDeleteByAge = func() bool { return true }
	}
	c.Retention = cmp.Or(c.Retention, DefaultRetention)
	c.MaxVerdictBytes = cmp.Or(c.MaxVerdictBytes, DefaultMaxVerdictBytes)
	return &Recorder{Config: c}
}

// Close writes what was recorded and stops the Recorder.
func (r *Recorder) Close() {
	r.cancel()
	r.done.Wait()
	r.pollCounts(true)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r.Flush(ctx)
}

func (r *Recorder) run(ctx context.Context) {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.tick(ctx)
		}
	}
}

// tick writes what was recorded since the last one, and deletes what is too old.
func (r *Recorder) tick(ctx context.Context) {
	if now := r.Now(); now.Sub(r.polled) >= countInterval {
		r.polled = now
		r.pollCounts(false)
	}
	r.recordSizes(ctx)
	r.Flush(ctx)
	r.trim(ctx)
	r.trimLedgers(ctx)
}

// AddVerdict records a verdict. It does not block, so it can be used as delivery.Settings.OnVerdict.
func (r *Recorder) AddVerdict(v delivery.VerdictRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.verdicts) >= maxPending {
		r.missed++
		return
	}
	r.verdicts = append(r.verdicts, v)
}

// addEntry records an entry that is about no page of the log.
func (r *Recorder) addEntry(kind string, at time.Time, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		r.Log.Warn("cannot write to the history", "kind", kind, "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == kindRejected {
		if r.rejected >= maxRejections {
			r.missed++
			return
		}
		r.rejected++
	}
	r.entries = append(r.entries, state.JournalEntry{Kind: kind, At: at, Data: string(text)})
}

// Flush writes what was recorded so far. If that fails, the entries are lost: the history must not hold up delivery, nor grow while the state does
// not answer.
func (r *Recorder) Flush(ctx context.Context) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	verdicts, entries, missed := r.verdicts, r.entries, r.missed
	r.verdicts, r.entries, r.rejected, r.missed = r.spare, nil, 0, 0
	r.mu.Unlock()
	if missed > 0 {
		r.Log.Warn("the history is incomplete: more happened than it can keep", "left_out", missed)
	}
	entries = append(entries, verdictEntries(verdicts)...)
	if r.spare = nil; len(verdicts) > cap(verdicts)/8 {
		clear(verdicts)
		r.spare = verdicts[:0]
	}
	if err := r.Store.AppendJournal(context.WithoutCancel(ctx), entries); err != nil {
		r.Log.Warn("the history is incomplete: it cannot be written", "left_out", len(entries), "error", err)
	}
}

// trim deletes what is too old or too much, once a minute.
func (r *Recorder) trim(ctx context.Context) {
	now := r.Now()
	if now.Sub(r.trimmed) < trimInterval {
		return
	}
	r.trimmed = now
	byAge := r.MayDeleteByAge()
	for _, l := range r.limits() {
		if !byAge {
			l.keep = 0
		}
		if err := r.Store.TrimJournal(ctx, l.kind, now, l.keep, l.bytes); err != nil {
			r.Log.Warn("cannot trim the history", "kind", l.kind, "error", err)
			return
		}
	}
}

// trimLedgers deletes what is too old in the history of the ledgers, once an hour.
func (r *Recorder) trimLedgers(ctx context.Context) {
	now := r.Now()
	if r.LedgerRetention <= 0 || now.Sub(r.ledgers) < ledgersInterval || !r.MayDeleteByAge() {
		return
	}
	r.ledgers = now
	if _, err := r.Store.TrimHistory(ctx, now.Add(-r.LedgerRetention)); err != nil {
		r.Log.Warn("cannot trim the history of the ledgers", "error", err)
	}
}
