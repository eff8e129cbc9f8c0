package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// opening is what the handlers of a plan share: it is opened before the first call of one, and closed after the last. It is safe for
// concurrent use. Nil stands for a destination that opens nothing.
type opening struct {
	open func(context.Context) (destination.Opened, error)
	log  *slog.Logger

	lock   chan struct{} // of what follows; a channel, so that waiting for it can be cancelled
	opened destination.Opened
	calls  int           // that use it
	ending bool          // it is closed when no call uses it
	ended  chan struct{} // closed when it is; nil before Close
}

func newOpening(open func(context.Context) (destination.Opened, error), log *slog.Logger) *opening {
	return &opening{open: open, log: log, lock: make(chan struct{}, 1)}
}

// acquire returns what was opened, and opens it if it is not open. The caller calls release when it no longer needs it.
func (o *opening) acquire(ctx context.Context) (opened destination.Opened, release func(), err error) {
	if o == nil {
		return nil, func() {}, nil
	}
	select {
	case o.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-o.lock }()
	if o.opened == nil {
		if o.opened, err = o.openOnce(ctx); err != nil {
			o.opened = nil
			return nil, nil, err
		}
	}
	o.calls++
	return o.opened, o.release, nil
}

// openOnce calls open. A panic becomes an internal error.
func (o *opening) openOnce(ctx context.Context) (opened destination.Opened, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &fault.Error{Code: fault.CodeInternal, Status: http.StatusInternalServerError, Message: fmt.Sprintf("opening the instance panicked: %v", r)}
		}
	}()
	opened, err = o.open(ctx)
	if err == nil && opened == nil {
		err = &fault.Error{Code: fault.CodeInternal, Status: http.StatusInternalServerError, Message: "Plugin.Open returned nothing and no error"}
	}
	return opened, err
}

// release ends a call. The last one after Close closes what was opened.
func (o *opening) release() {
	o.lock <- struct{}{}
	defer func() { <-o.lock }()
	o.calls--
	if o.ending {
		_ = o.closeIfUnusedLocked(context.Background()) // it is logged
	}
}

// closeIfUnusedLocked closes what was opened unless a call uses it.
func (o *opening) closeIfUnusedLocked(ctx context.Context) (err error) {
	if o.calls > 0 {
		return nil
	}
	if o.opened != nil {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("closing the instance panicked: %v", r)
			}
			if err != nil {
				o.log.Warn("an instance could not be closed", "error", err)
			}
		}()
		opened := o.opened
		o.opened = nil
		err = opened.Close(ctx)
	}
	if o.ended != nil {
		close(o.ended)
		o.ended = nil
	}
	return err
}

// close closes what was opened after the calls that use it, or returns the error of ctx. What is opened later is closed after its call.
func (o *opening) close(ctx context.Context) error {
	if o == nil {
		return nil
	}
	select {
	case o.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	o.ending = true
	if o.calls == 0 {
		defer func() { <-o.lock }()
		return o.closeIfUnusedLocked(ctx)
	}
	if o.ended == nil {
		o.ended = make(chan struct{})
	}
	ended := o.ended
	<-o.lock
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openDeps returns the dependencies of a call of a handler, with what the destination opens. The caller calls release after the call.
func (p *Plan) openDeps(ctx context.Context) (deps destination.Deps, release func(), err error) {
	deps = p.deps
	deps.Opened, release, err = p.opening.acquire(ctx)
	return deps, release, err
}

// Close closes what the destination opened for the instance (Plugin.Open), after the calls that are running. A program calls it when it no
// longer uses the plan; further calls are possible, but open and close each time. It does nothing for other destinations.
func (p *Plan) Close(ctx context.Context) error { return p.opening.close(ctx) }
