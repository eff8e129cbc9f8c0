package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// openedState is a state that a command has opened.
type openedState struct {
	*state.Store
	remove string // the directory of an empty state, which is deleted at the end; "" for none
}

// close closes the state. It does nothing if none was opened.
func (o openedState) close() {
	if o.Store != nil {
		_ = o.Close()
	}
	if o.remove != "" {
		_ = os.RemoveAll(o.remove)
	}
}

// openStateOrEmpty opens the state of a config for a command that changes nothing in it. If there is none, it says so and opens an empty one,
// which is deleted at the end.
func (s streams) openStateOrEmpty(ctx context.Context, cfg *config.Config, data, sandbox string) (openedState, error) {
	store, err := instances.OpenExistingState(ctx, cfg, data, sandbox)
	var missing *state.MissingError
	if !errors.As(err, &missing) {
		return openedState{Store: store}, err
	}
	fmt.Fprintf(s.err, "note: %v\n", missing)
	dir, err := textfile.TemporaryDir("landfall-empty-*")
	if err != nil {
		return openedState{}, err
	}
	opened := openedState{remove: dir}
	if opened.Store, err = state.OpenSandbox(ctx, dir, sandbox); err != nil {
		opened.close()
		return openedState{}, err
	}
	opened.WithMaxFuture(cfg.Server.MaxFuture)
	return opened, nil
}
