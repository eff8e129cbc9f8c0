package destination

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/landfall-dev/landfall/framework/fault"
)

// DefaultDivisions is how often a Bisection divides refused requests unless it sets a limit. It finds one invalid item in a batch
// of any size, and some ten in a batch of 1,000.
const DefaultDivisions = 64

// Bisection sends items to a remote that refuses a whole request because of single items. A refused request is divided into halves,
// which are sent in order, until the refused items are alone. Each item is passed to Accept or to Fail, once.
//
// A Bisection is for one batch: its limit applies to all calls of Run together. It is not safe for concurrent use.
type Bisection[T any] struct {
	// Send sends items in one request. nil means that the remote has accepted them. An *ItemErrors tells items apart.
	Send func(ctx context.Context, items []T) error
	// Accept is called with items that the remote has accepted, before anything more is sent. If it returns an error, the items
	// fail with it and Run stops. nil does nothing.
	Accept func(items []T) error
	// Fail is called with items that were not accepted, and the reason.
	Fail func(items []T, err error)
	// Divisible reports whether a refusal may concern some of the items only. nil stands for status 400.
	Divisible func(err *fault.Error) bool
	// MaxDivisions limits the divisions, and with them the requests: one for each call of Run and two for each division. After that, the
	// items of a refused request fail together. 0 stands for DefaultDivisions.
	MaxDivisions int

	divisions int
}

// ItemErrors is an error of a request whose items have different results.
type ItemErrors struct {
	// Refusal is the error of the request as a whole. If it is set, the remote has accepted no item, and the items without an error are
	// sent again without the others. If it is nil, the remote has accepted the items without an error.
	Refusal error
	// Errors are the errors of items by their index in the request. An index outside of the request stands for all items that have no
	// error of their own.
	Errors map[int]error
}

func (e *ItemErrors) Error() string {
	if e.Refusal != nil {
		return e.Refusal.Error()
	}
	return "the remote has refused some items of the request"
}

// Unwrap returns the refusal of the request.
func (e *ItemErrors) Unwrap() error { return e.Refusal }

// unplaced returns the error whose index is outside of a request with n items, or nil.
func (e *ItemErrors) unplaced(n int) error {
	for _, i := range slices.Sorted(maps.Keys(e.Errors)) {
		if i < 0 || i >= n {
			return e.Errors[i]
		}
	}
	return nil
}

// Run sends items. It stops at the first error that concerns more than single items, such as a missing response or a refused key, or
// when ctx ends; the items that have not been sent then fail with the error that Run returns.
func (b *Bisection[T]) Run(ctx context.Context, items []T) error {
	if len(items) == 0 {
		return nil
	}
	err := b.Send(ctx, items)
	var parts *ItemErrors
	switch {
	case err == nil:
		return b.accept(items)
	case errors.As(err, &parts) && (parts.Refusal == nil || len(parts.Errors) > 0):
		return b.settleItems(ctx, items, parts)
	case !b.isDivisible(err):
		b.Fail(items, err)
		return NotSent(err)
	case len(items) == 1 || !b.mayDivide():
		b.Fail(items, err)
		return nil
	case ctx.Err() != nil: // which items are invalid is not known: they may all be retried
		return b.failRest(items, ctx.Err())
	}
	b.divisions++
	half := len(items) / 2
	if err := b.Run(ctx, items[:half]); err != nil {
		return b.failRest(items[half:], err)
	}
	return b.Run(ctx, items[half:])
}

// settleItems decides the items that have an error, and accepts or sends the others.
func (b *Bisection[T]) settleItems(ctx context.Context, items []T, parts *ItemErrors) error {
	var rest []T
	unplaced := parts.unplaced(len(items))
	for i := range items {
		if err := cmp.Or(parts.Errors[i], unplaced); err != nil {
			b.Fail(items[i:i+1], err)
			continue
		}
		rest = append(rest, items[i])
	}
	switch {
	case len(rest) == 0:
		return nil
	case parts.Refusal == nil:
		return b.accept(rest)
	case !b.mayDivide():
		b.Fail(rest, parts.Refusal)
		return nil
	case ctx.Err() != nil:
		return b.failRest(rest, ctx.Err())
	}
	b.divisions++
	return b.Run(ctx, rest)
}

func (b *Bisection[T]) accept(items []T) error {
	if b.Accept == nil {
		return nil
	}
	err := b.Accept(items)
	if err != nil {
		b.Fail(items, err)
	}
	return err
}

// failRest fails items that no further request contains.
func (b *Bisection[T]) failRest(items []T, err error) error {
	b.Fail(items, err)
	return err
}

func (b *Bisection[T]) mayDivide() bool {
	limit := b.MaxDivisions
	if limit == 0 {
		limit = DefaultDivisions
	}
	return b.divisions < limit
}

func (b *Bisection[T]) isDivisible(err error) bool {
	e := fault.As(err)
	if b.Divisible == nil {
		return e.Status == http.StatusBadRequest
	}
	return b.Divisible(e)
}
