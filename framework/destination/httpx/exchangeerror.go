package httpx

import (
	"context"
	"errors"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
)

// exchangeError is the cause of a failed request's error. It carries the failed exchange.
type exchangeError struct {
	exchange *Exchange
	cause    error // may be nil
}

func (c *exchangeError) Error() string {
	if c.cause == nil {
		return http.StatusText(c.exchange.Status)
	}
	return c.cause.Error()
}

func (c *exchangeError) Unwrap() error { return c.cause }

type keepKey struct{}

// KeepExchanges returns a context whose failed requests, and responses of 300 and above, keep their exchange: ExchangeOf finds
// it in the error, ResponseExchange in the response.
func KeepExchanges(ctx context.Context) context.Context {
	return context.WithValue(ctx, keepKey{}, true)
}

func keepsExchanges(ctx context.Context) bool { return ctx.Value(keepKey{}) != nil }

type observerKey struct{}

// WithObserver returns a context whose requests are passed to f, with their responses and without secrets. f may be called concurrently.
func WithObserver(ctx context.Context, f func(Exchange)) context.Context {
	return context.WithValue(ctx, observerKey{}, f)
}

func observerOf(ctx context.Context) func(Exchange) {
	f, _ := ctx.Value(observerKey{}).(func(Exchange))
	return f
}

type shownKey struct{}

// WithShownBytes returns a context whose exchanges show at most n bytes of each body, which costs less than Config.MaxShownBytes.
// Config.Observe receives these all the same.
func WithShownBytes(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, shownKey{}, n)
}

// shownBytes returns the n of WithShownBytes, or otherwise.
func shownBytes(ctx context.Context, otherwise int) int {
	if n, ok := ctx.Value(shownKey{}).(int); ok {
		return n
	}
	return otherwise
}

// ExchangeOf returns the exchange that an error carries, or nil.
func ExchangeOf(err error) *Exchange {
	var c *exchangeError
	if errors.As(err, &c) {
		return c.exchange
	}
	return nil
}

// WithExchange returns a cause that carries an exchange. If x is nil, it returns cause.
func WithExchange(x *Exchange, cause error) error {
	if x == nil {
		return cause
	}
	return &exchangeError{exchange: x, cause: cause}
}

// attachExchange returns a copy of a request's error that carries the exchange.
func attachExchange(e *fault.Error, x *Exchange) *fault.Error {
	if x == nil {
		return e
	}
	kept := *e
	kept.Message, kept.Err = e.Error(), WithExchange(x, e.Err)
	return &kept
}

type exchangeKey struct{}

// requestWithExchange returns the request of a response with the response's exchange in its context.
func requestWithExchange(r *http.Request, x *Exchange) *http.Request {
	if x == nil {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
}

// ResponseExchange returns the exchange of a response of 300 and above, or nil if its context does not keep exchanges.
func ResponseExchange(response *http.Response) *Exchange {
	if response == nil || response.Request == nil {
		return nil
	}
	x, _ := response.Request.Context().Value(exchangeKey{}).(*Exchange)
	return x
}
