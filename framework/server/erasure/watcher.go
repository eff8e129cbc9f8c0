package erasure

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/poller"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

const (
	// pollInterval is the time between two looks at the erasures in the state, so that all servers know a new one within a second.
	pollInterval = 300 * time.Millisecond
	// rememberFor is how long events of a user are skipped after the erasure is done: they may wait in the memory of a server.
	rememberFor = 7 * 24 * time.Hour
	// readTimeout limits one look at the state.
	readTimeout = 5 * time.Second
)

// Watcher knows which users are being erased, or were lately.
type Watcher struct {
	store    *state.Store
	stateKey func() string
	users    atomic.Pointer[users]
	version  string // of the state and the key that users was read from; for one goroutine
	readAt   time.Time
	poller   *poller.Poller
}

// users are users to erase, of whom only the hashes of identifiers are known.
type users struct {
	set    *identifier.Set
	latest map[string]time.Time // of each hash, until when the events that were received are erased
	newest time.Time            // of latest
}

// has reports whether an event belongs to one of the users and was received before the user's erasure.
func (u *users) has(v event.Value) (found bool) {
	if u == nil || len(u.latest) == 0 || receivedAfter(v, u.newest) { // as are most events
		return false
	}
	u.set.EachOf(v, func(hash string) bool {
		found = !receivedAfter(v, u.latest[hash])
		return !found
	})
	return found
}

// receivedAfter reports whether an event was received after a time. An event that does not say when counts as received before, and so does one whose
// time is still to come: it is from a server whose clock was ahead.
func receivedAfter(v event.Value, at time.Time) bool {
	received, err := time.Parse(time.RFC3339Nano, v.Get("receivedAt").Str())
	return err == nil && received.After(at) && !storedtime.WasAhead(received, time.Now())
}

// NewWatcher reads the erasures, and follows changes until it is closed. stateKey returns the key of the config in effect.
func NewWatcher(ctx context.Context, store *state.Store, stateKey func() string, log *slog.Logger) (*Watcher, error) {
	w := &Watcher{store: store, stateKey: stateKey}
	if err := w.refresh(ctx); err != nil {
		return nil, err
	}
	w.poller = poller.Start(pollInterval, w.refresh, func(err error) {
		log.Error("cannot read which users are to be erased: those that are known stay", "error", err)
	})
	return w, nil
}

// Close stops following changes.
func (w *Watcher) Close() { w.poller.Close() }

// HasEvent reports whether an event belongs to a user who is being erased or was lately. It can be used as delivery.Settings.Erased.
func (w *Watcher) HasEvent(v event.Value) bool { return w.users.Load().has(v) }

// refresh reads the erasures if they may have changed, and once an hour, to forget old ones.
func (w *Watcher) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	version, err := w.store.ErasuresVersion(ctx)
	if err != nil {
		return err
	}
	secret := w.stateKey()
	key := identifier.NewKey(secret)
	if version += " " + key.ID(); version == w.version && time.Since(w.readAt) < time.Hour {
		return nil
	}
	stored, err := w.store.Erasures(ctx, time.Now().Add(-rememberFor))
	if err != nil {
		return err
	}
	made, now := &users{latest: map[string]time.Time{}}, time.Now()
	var hashes []string
	for _, e := range stored {
		r, err := receiptOf(e)
		if err != nil || r.Key != key.ID() || secret == "" {
			continue // the Eraser reports it
		}
		if r.limitRequest(now) && r.DoneAt != nil {
			continue // it is no longer known what was received before it, and that is erased
		}
		for _, hash := range r.Identifiers {
			hashes = append(hashes, hash)
			if made.latest[hash].Before(r.RequestedAt) {
				made.latest[hash] = r.RequestedAt
			}
			if made.newest.Before(r.RequestedAt) {
				made.newest = r.RequestedAt
			}
		}
	}
	made.set = identifier.NewSet(key, hashes)
	w.users.Store(made)
	w.version, w.readAt = version, time.Now()
	return nil
}
