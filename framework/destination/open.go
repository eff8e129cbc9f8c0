package destination

import (
	"context"

	"github.com/landfall-dev/landfall/framework/event"
)

// Opened is what Plugin.Open prepared for an instance. Its methods are called by handlers, which may run concurrently.
type Opened interface {
	// Close ends what Open began. It is called once, when the last handler of the instance has returned.
	Close(ctx context.Context) error
}

// OpenInput is the input of Plugin.Open.
type OpenInput struct {
	Deps     // Deps.Opened is nil
	Settings event.Value
}
