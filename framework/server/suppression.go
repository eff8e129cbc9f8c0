package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/internal/poller"
)

// suppressionPoll is the time between two looks at the suppressed users in the state, so that a change takes effect on all servers within
// a second.
const suppressionPoll = 300 * time.Millisecond

// suppression knows the suppressed users. They are in the state, which the servers of a cluster share and commands change.
type suppression struct {
	server  *server
	set     atomic.Pointer[identifier.Set]
	version string // of the state and the key that set was read from; for one goroutine
	poller  *poller.Poller
}

// newSuppression reads the suppressed users, and follows changes until it is closed.
func newSuppression(ctx context.Context, v *server) (*suppression, error) {
	s := &suppression{server: v}
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	s.poller = poller.Start(suppressionPoll, s.refresh, func(err error) {
		v.Log.Error("cannot read which users are suppressed: those that are known stay suppressed", "error", err)
	})
	return s, nil
}

// close stops following changes.
func (s *suppression) close() { s.poller.Close() }

// hasUserOf reports whether the user of an event is suppressed.
func (s *suppression) hasUserOf(v event.Value) bool { return s.set.Load().HasUserOf(v) }

// refresh reads the suppressed users if they may have changed.
func (s *suppression) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	version, err := s.server.store.SuppressedVersion(ctx)
	if err != nil {
		return err
	}
	cfg := s.server.config.Load()
	if version += " " + identifier.NewKey(cfg.StateKey).ID(); version == s.version {
		return nil
	}
	set, unknown, err := instances.LoadSuppressed(ctx, cfg, s.server.store)
	if err != nil {
		return err
	}
	if unknown > 0 {
		s.server.Log.Error(fmt.Sprintf("%s cannot be recognized, since state.key has changed: restore the key, or suppress them again", fault.Count(unknown, "suppressed user")))
	}
	s.set.Store(set)
	s.version = version
	return nil
}
