package httpx

import (
	"context"
	"errors"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
)

// exchangeError is the cause of a failed request's error, with the exchange that failed.
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

// KeepExchanges returns a context whose failed requests, and answers of 300 and above, keep their exchange: ExchangeOf finds it in
// their error, AnswerExchange in their answer.
func KeepExchanges(ctx context.Context) context.Context {
	return context.WithValue(ctx, keepKey{}, true)
}

func keepsExchanges(ctx context.Context) bool { return ctx.Value(keepKey{}) != nil }

// ExchangeOf returns the exchange that an error came from, or nil if it came from none or its context does not keep exchanges.
func ExchangeOf(err error) *Exchange {
	var c *exchangeError
	if errors.As(err, &c) {
		return c.exchange
	}
	return nil
}

// WithExchange returns a cause for an error that came from an exchange. It returns cause itself if the exchange is nil.
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
	kept.Message, kept.Cause = e.Error(), WithExchange(x, e.Cause)
	return &kept
}

type exchangeKey struct{}

// requestWithExchange returns the request of an answer, with the exchange that the answer belongs to.
func requestWithExchange(r *http.Request, x *Exchange) *http.Request {
	if x == nil {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
}

// ResponseExchange returns the exchange that an answer of 300 and above belongs to, or nil if its context does not keep exchanges.
func ResponseExchange(response *http.Response) *Exchange {
	if response == nil || response.Request == nil {
		return nil
	}
	x, _ := response.Request.Context().Value(exchangeKey{}).(*Exchange)
	return x
}
