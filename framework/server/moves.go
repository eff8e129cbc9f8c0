package server

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// moveInstance moves all data of an instance that is no longer in the config to one that is. It can be repeated.
func (v *server) moveInstance(ctx context.Context, from, to string) error {
	cfg := v.config.Load()
	if removed := isRemoved(cfg); !removed(from) || removed(to) {
		return fmt.Errorf("data can be moved only from an instance that is no longer in the config to one that is: %s, %s", from, to)
	}
	// The ledger first: waiting events are compared with it when they are delivered.
	if err := instances.MoveState(ctx, cfg, v.store, from, to, func(text string) { v.Log.Warn(text) }); err != nil {
		return err
	}
	defer v.expireRemoved()
	if _, err := v.runner.RenameInstance(ctx, from, to); err != nil {
		return fmt.Errorf("the ledger was moved, but the queued events were not: %w: move the data again to finish", err)
	}
	return nil
}

// forgetInstance deletes all data of an instance that is no longer in the config. It can be repeated.
func (v *server) forgetInstance(ctx context.Context, id string) error {
	if !isRemoved(v.config.Load())(id) {
		return fmt.Errorf("the instance %q is still in the config", id)
	}
	if err := v.store.Ledger(id).Forget(ctx); err != nil {
		return err
	}
	defer v.expireRemoved()
	if _, err := v.runner.ForgetInstance(ctx, id); err != nil {
		return fmt.Errorf("the ledger was deleted, but the queued events were not: %w: delete the data again to finish", err)
	}
	return nil
}
