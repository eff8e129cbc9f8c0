package erasure

import "context"

// RunOnce carries out the erasures that are due, as one process.
func RunOnce(ctx context.Context, c Config) error { return RunUntil(ctx, c, nil) }

// RunUntil is RunOnce for a process that ends when afterStep returns an error.
func RunUntil(ctx context.Context, c Config, afterStep func(name string) error) error {
	e := newEraser(c)
	e.afterStep = afterStep
	if err := e.runOnce(ctx); err != nil { // it only sees them
		return err
	}
	return e.runOnce(ctx)
}
