package connect

import (
	"context"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

// suppressionAge is the time after which the suppressed users are read again. suppressionTimeout limits the reading.
const (
	suppressionAge     = 300 * time.Millisecond
	suppressionTimeout = 5 * time.Second
)

// suppression knows the suppressed users of a state. It must not be used concurrently.
type suppression struct {
	config  *config.Config
	store   *state.Store // nil if the config names no place for the state: no user is suppressed
	log     *service.Logger
	set     *identifier.Set
	version string
	readAt  time.Time
}

// refresh reads the suppressed users if they may have changed. If that fails, those that are known stay suppressed; the error is returned
// if none have ever been read.
func (s *suppression) refresh(ctx context.Context) error {
	if s.store == nil || time.Since(s.readAt) < suppressionAge {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, suppressionTimeout)
	defer cancel()
	version, err := s.store.SuppressedVersion(ctx)
	if err == nil && version != s.version {
		err = s.read(ctx, version)
	}
	if err != nil && s.version != "" {
		s.log.With("error", err).Error("cannot read which users are suppressed: those that are known stay suppressed")
		err = nil
	}
	if err == nil {
		s.readAt = time.Now()
	}
	return err
}

func (s *suppression) read(ctx context.Context, version string) error {
	set, unknown, err := instances.LoadSuppressed(ctx, s.config, s.store)
	if err != nil {
		return err
	}
	if unknown > 0 {
		s.log.Errorf("%s cannot be recognized, since state.key has changed or is missing: restore the key, or suppress them again", fault.Count(unknown, "suppressed user"))
	}
	s.set, s.version = set, version
	return nil
}

// hasUserOf reports whether an event must not be sent because its user is suppressed. Deletions are sent.
func (s *suppression) hasUserOf(v event.Value) bool {
	return v.Get("type").Str() != "delete" && s.set.HasUserOf(v)
}
