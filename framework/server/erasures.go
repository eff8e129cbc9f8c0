package server

import (
	"context"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/erasure"
)

// stateKey returns state.key of the config in effect.
func (v *server) stateKey() string { return v.config.Load().StateKey }

// erasures returns where erasures are requested.
func (v *server) erasures() erasure.Desk { return erasure.Desk{Store: v.store, Config: v.config.Load} }

// startEraser starts to carry out erasures.
func (v *server) startEraser(cfg *config.Config) *erasure.Eraser {
	return erasure.Start(erasure.Config{
		Store: v.store, Queue: v.queue, Runner: v.runner, Flush: v.history.Flush, StateKey: v.stateKey, Retention: cfg.Server.ErasureRetention, Log: v.Log,
		Instances:      v.runningInstances,
		Metrics:        v.metrics,
		MayDeleteByAge: v.clock.MayDeleteByAge,
		HasConfig:      func(id string) bool { return !isRemoved(v.config.Load())(id) },
	})
}

// eraseUsers requests erasures for the users of events of type delete.
func (v *server) eraseUsers(ctx context.Context, source string, events []event.Value) error {
	for len(events) > 0 {
		order := erasure.Order{By: "source " + source}
		n := min(len(events), erasure.MaxUsers)
		for _, e := range events[:n] {
			order.Users = append(order.Users, erasure.UserOf(e))
		}
		if _, err := v.erasures().Request(ctx, order); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}
