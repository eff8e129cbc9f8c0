package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// removedCache caches what is stored for instances that are no longer in the config.
type removedCache struct {
	mu   sync.Mutex
	at   time.Time
	list []delivery.Status
}

const (
	removedTTL     = 10 * time.Second // how long removedCache is valid
	removedTimeout = 20 * time.Second // how long reading it may take
)

// isRemoved returns a function that reports whether a config does not have an instance.
func isRemoved(cfg *config.Config) func(id string) bool {
	return func(id string) bool {
		_, ok := cfg.FindInstance(id)
		return !ok
	}
}

// removedInstances returns what is stored for instances that are no longer in the config. The result may be removedTTL old.
func (v *server) removedInstances() []delivery.Status {
	v.removed.mu.Lock()
	defer v.removed.mu.Unlock()
	if time.Since(v.removed.at) < removedTTL {
		return v.removed.list
	}
	ctx, cancel := context.WithTimeout(context.Background(), removedTimeout)
	defer cancel()
	list, err := FindRemoved(ctx, v.config.Load(), v.store, v.queue)
	if err != nil {
		v.Log.Warn("cannot read what is stored for instances that are no longer in the config", "error", err)
		return v.removed.list
	}
	v.removed.at, v.removed.list = time.Now(), list
	return list
}

// expireRemoved makes the next call of removedInstances read again.
func (v *server) expireRemoved() {
	v.removed.mu.Lock()
	defer v.removed.mu.Unlock()
	v.removed.at = time.Time{}
}

// FindRemoved returns what the state and the queue store for instances that a config does not have, sorted by id.
func FindRemoved(ctx context.Context, cfg *config.Config, store *state.Store, queue *delivery.Queue) ([]delivery.Status, error) {
	remains, err := queue.Backlogs(ctx, isRemoved(cfg))
	if err != nil {
		return nil, err
	}
	members, err := RemovedMembers(ctx, cfg, store)
	if err != nil {
		return nil, err
	}
	var list []delivery.Status
	for _, r := range remains {
		s := delivery.Status{Instance: r.Instance, Removed: true, Waiting: r.Waiting, Members: members[r.Instance], Counts: map[string]int64{"parked": int64(r.Parked), "dead": int64(r.Dead)}}
		delete(members, r.Instance)
		if r.Waiting+r.Parked+r.Dead+s.Members > 0 {
			list = append(list, s)
		}
	}
	for id, n := range members {
		list = append(list, delivery.Status{Instance: id, Removed: true, Members: n, Counts: map[string]int64{}})
	}
	slices.SortFunc(list, func(a, b delivery.Status) int { return strings.Compare(a.Instance, b.Instance) })
	return list, nil
}

// RemovedMembers counts the members in the ledgers of instances that a config does not have. It includes a ledger without members only if
// the ledger has a token or values.
func RemovedMembers(ctx context.Context, cfg *config.Config, store *state.Store) (map[string]int, error) {
	ids, err := store.Instances(ctx)
	if err != nil {
		return nil, err
	}
	members, removed := map[string]int{}, isRemoved(cfg)
	for _, id := range ids {
		if !removed(id) {
			continue
		}
		content, err := store.Ledger(id).Content(ctx)
		if err != nil {
			return nil, err
		}
		if !content.Empty() {
			members[id] = content.Members
		}
	}
	return members, nil
}

// fullStatus returns the progress of the instances, those that run in the browser, and what is stored for removed ones.
func (v *server) fullStatus() []delivery.Status {
	list := v.runner.Status()
	for _, in := range v.runningInstances() {
		if in.Plan.RunsInBrowser() {
			list = append(list, delivery.Status{Instance: in.Plan.ID(), Counts: map[string]int64{}, InBrowser: true})
		}
	}
	return append(list, v.removedInstances()...)
}

// warnRemoved logs what is stored for removed instances.
func (v *server) warnRemoved() {
	for _, s := range v.removedInstances() {
		v.Log.Warn("an instance is no longer in the config, but it still has data: "+RemovedHint(s.Instance), "instance", s.Instance,
			"waiting", s.Waiting, "parked", s.Counts["parked"], "dead", s.Counts["dead"], "members", s.Members)
	}
}

// RemovedHint returns what to do with the data of a removed instance.
func RemovedHint(id string) string {
	return fmt.Sprintf("if the instance has a new id, run landfall instances rename %s NEW; to delete the data, run landfall instances forget %s", id, id)
}
