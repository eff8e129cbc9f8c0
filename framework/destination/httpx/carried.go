package httpx

import (
	"context"
	"errors"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
)

// carried is the cause of a failed request's error, with the exchange that failed.
type carried struct {
	exchange *Exchange
	cause    error // may be nil
}

func (c *carried) Error() string {
	if c.cause == nil {
		return http.StatusText(c.exchange.Status)
	}
	return c.cause.Error()
}

func (c *carried) Unwrap() error { return c.cause }

type keepKey struct{}

// KeepExchanges returns a context whose failed requests, and answers of 300 and above, keep their exchange: ExchangeOf finds it in
// their error, AnswerExchange in their answer.
func KeepExchanges(ctx context.Context) context.Context {
	return context.WithValue(ctx, keepKey{}, true)
}

func keepsExchanges(ctx context.Context) bool { return ctx.Value(keepKey{}) != nil }

// ExchangeOf returns the exchange that an error came from, or nil if it came from none or its context does not keep exchanges.
func ExchangeOf(err error) *Exchange {
	var c *carried
	if errors.As(err, &c) {
		return c.exchange
	}
	return nil
}

// Carrying returns a cause for an error that came from an exchange. It returns cause itself if the exchange is nil.
func Carrying(x *Exchange, cause error) error {
	if x == nil {
		return cause
	}
	return &carried{exchange: x, cause: cause}
}

// withExchange returns a copy of a request's error that carries the exchange.
func withExchange(e *fault.Error, x *Exchange) *fault.Error {
	if x == nil {
		return e
	}
	kept := *e
	kept.Message, kept.Cause = e.Error(), Carrying(x, e.Cause)
	return &kept
}

type answerKey struct{}

// answered returns the request of an answer, with the exchange that the answer belongs to.
func answered(r *http.Request, x *Exchange) *http.Request {
	if x == nil {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), answerKey{}, x))
}

// AnswerExchange returns the exchange that an answer of 300 and above belongs to, or nil if its context does not keep exchanges.
func AnswerExchange(answer *http.Response) *Exchange {
	if answer == nil || answer.Request == nil {
		return nil
	}
	x, _ := answer.Request.Context().Value(answerKey{}).(*Exchange)
	return x
}
