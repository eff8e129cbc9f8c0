package console

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// verdictCache keeps what the history has of events for a short time, since the page with live events asks for the same ones again.
type verdictCache struct {
	mu    sync.Mutex
	known map[history.Position]cachedVerdicts
	fails bool // the last read of the history failed, and was logged
}

type cachedVerdicts struct {
	at   time.Time
	list []delivery.VerdictRecord // oldest first
}

const (
	verdictTTL        = 10 * time.Second
	maxCachedVerdicts = 5000 // events
)

// verdictsOf returns the verdicts on events, by log position, newest first: those that this server remembers, and those of the history,
// which other servers and earlier processes have reached. If the history cannot be read, the error says so, and those of this server are returned.
func (c *Console) verdictsOf(ctx context.Context, list []delivery.StoredEvent) (map[history.Position][]delivery.VerdictRecord, error) {
	verdicts := map[history.Position][]delivery.VerdictRecord{}
	for _, l := range list {
		verdicts[positionOf(l.Seq, l.Index)] = nil
	}
	for _, v := range c.Runner.Verdicts(delivery.MaxVerdicts, func(v *delivery.VerdictRecord) bool {
		_, ok := verdicts[positionOf(v.Seq, v.Index)]
		return ok
	}) {
		at := positionOf(v.Seq, v.Index)
		verdicts[at] = append(verdicts[at], v)
	}
	earlier, err := c.keptVerdicts(ctx, list)
	for at, kept := range earlier {
		remembered := verdicts[at]
		for i := len(kept) - 1; i >= 0; i-- {
			if v := kept[i]; !hasVerdictOf(remembered, v) {
				verdicts[at] = append(verdicts[at], v)
			}
		}
	}
	return verdicts, err
}

// latestVerdicts returns the latest verdicts: those that this server remembers, or, after a start, those of the history.
func (c *Console) latestVerdicts(ctx context.Context, limit int) []verdictView {
	list := c.Runner.Verdicts(limit, func(*delivery.VerdictRecord) bool { return true })
	if len(list) == 0 && c.History.Verdicts != nil {
		kept, _, err := c.History.Verdicts(ctx, history.VerdictFilter{Limit: limit})
		if err != nil {
			c.Log.Warn("cannot read verdicts from the history", "error", err)
		}
		c.addUsers(ctx, kept)
		list = kept
	}
	return verdictViews(list)
}

func positionOf(seq uint64, index int) history.Position {
	return history.Position{Seq: seq, Index: index}
}

// hasVerdictOf reports whether a list has a verdict of the same subscription.
func hasVerdictOf(list []delivery.VerdictRecord, v delivery.VerdictRecord) bool {
	for i := range list {
		if list[i].Instance == v.Instance && list[i].Subscription == v.Subscription {
			return true
		}
	}
	return false
}

// keptVerdicts returns what the history has of events, which may be some seconds old. After an error, the next call reads again.
func (c *Console) keptVerdicts(ctx context.Context, list []delivery.StoredEvent) (map[history.Position][]delivery.VerdictRecord, error) {
	if c.History.Events == nil {
		return nil, nil
	}
	cache, now := &c.verdicts, time.Now()
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if len(cache.known) > maxCachedVerdicts || cache.known == nil {
		cache.known = map[history.Position]cachedVerdicts{}
	}
	var missing []history.Position
	for _, l := range list {
		if at := positionOf(l.Seq, l.Index); now.Sub(cache.known[at].at) >= verdictTTL {
			missing = append(missing, at)
		}
	}
	found, err := c.History.Events(ctx, missing)
	if err != nil && !cache.fails {
		c.Log.Warn("cannot read verdicts from the history", "error", err)
	}
	cache.fails = err != nil
	for _, at := range missing {
		if err == nil {
			cache.known[at] = cachedVerdicts{now, found[at]}
		}
	}
	kept := map[history.Position][]delivery.VerdictRecord{}
	for _, l := range list {
		at := positionOf(l.Seq, l.Index)
		kept[at] = cache.known[at].list
	}
	if err != nil {
		return kept, fmt.Errorf("verdicts of other servers and of earlier times cannot be read, so some may be missing here: %w", err)
	}
	return kept, nil
}
