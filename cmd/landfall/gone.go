package main

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

// leftovers is what is left of instances that are not in the config any more, as it was last read.
type leftovers struct {
	mu   sync.Mutex
	at   time.Time
	list []delivery.Status
}

const (
	lookAgain = 10 * time.Second // how old what was read of leftovers may be
	lookFor   = 20 * time.Second // how long reading them may take
)

// inConfig reports whether a config has an instance.
func inConfig(cfg *config.Config, id string) bool {
	return slices.ContainsFunc(cfg.Instances, func(in config.Instance) bool { return in.ID == id })
}

// gone returns what is left of instances that are not in the config any more.
func (v *serving) gone() []delivery.Status {
	v.left.mu.Lock()
	defer v.left.mu.Unlock()
	if time.Since(v.left.at) < lookAgain {
		return v.left.list
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookFor)
	defer cancel()
	list, err := leftIn(ctx, v.config.Load(), v.store, v.queue)
	if err != nil {
		v.log.Warn("looking for what is left of instances that are gone", "error", err)
		return v.left.list
	}
	v.left.at, v.left.list = time.Now(), list
	return list
}

// forgetGone makes gone look again.
func (v *serving) forgetGone() {
	v.left.mu.Lock()
	defer v.left.mu.Unlock()
	v.left.at = time.Time{}
}

// leftIn reads what state and queue hold for instances that a config does not have.
func leftIn(ctx context.Context, cfg *config.Config, store *state.Store, queue *delivery.Queue) ([]delivery.Status, error) {
	remains, err := queue.Backlogs(ctx, func(id string) bool { return !inConfig(cfg, id) })
	if err != nil {
		return nil, err
	}
	members, err := membersLeft(ctx, cfg, store)
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

// membersLeft counts the members in the ledgers of instances that a config does not have. A ledger without members is left out unless
// it holds a token or values.
func membersLeft(ctx context.Context, cfg *config.Config, store *state.Store) (map[string]int, error) {
	ids, err := store.Instances(ctx)
	if err != nil {
		return nil, err
	}
	members := map[string]int{}
	for _, id := range ids {
		if inConfig(cfg, id) {
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

// status is how far the instances are, and what is left of those that are gone.
func (v *serving) status() []delivery.Status { return append(v.runner.Status(), v.gone()...) }

// warnGone tells of what is left of instances that are gone.
func (v *serving) warnGone() {
	for _, s := range v.gone() {
		v.log.Warn("an instance is not in the config any more, and this is left of it: "+leftHint(s.Instance), "instance", s.Instance,
			"waiting", s.Waiting, "parked", s.Counts["parked"], "dead", s.Counts["dead"], "members", s.Members)
	}
}

// leftHint says what to do with what is left of an instance.
func leftHint(id string) string {
	return fmt.Sprintf("if it has another id now, landfall instances rename %s NEW gives it that; landfall instances forget %s deletes it", id, id)
}
