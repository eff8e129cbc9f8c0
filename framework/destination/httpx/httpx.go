// Package httpx is the way of a request to a remote API: a chain of http.RoundTrippers, each of which does one thing.
//
//	trace    reads the request body, reports the exchange redacted, turns every failure into a *fault.Error
//	limit    waits for the local rate and for what the remote's rate-limit headers ask
//	auth     adds credentials; after a 401, once, fresh ones
//	bounds   reads the answer whole, within a time and a size
//	guard    refuses hosts that an event chose and that are not public, if the base is the network
//	base     NewTransport, or Redirect to a sandbox
//
// No other link sends a request again, and none follows a redirect: an answer of 3xx is an answer. Put the chain under an
// http.Client only if that does not follow redirects either; otherwise credentials go wherever the remote points.
//
// The package knows nothing of destinations, events or delivery. A chain, a Limiter and a Redactor are safe for
// concurrent use and own no goroutine.
package httpx

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Bounds that hold where a Config does not say otherwise.
const (
	DefaultMaxBytes = 4 << 20          // of a request body, and of an answer's
	DefaultTimeout  = 30 * time.Second // from sending a request to the end of its answer
	DefaultMaxShown = 64 << 10         // of each body in an Exchange
)

// Config is what a chain is made of. Zero fields have working defaults.
type Config struct {
	Base     http.RoundTripper // NewTransport by default
	Redactor *Redactor         // by default one that knows the usual names of secrets and no values
	// RateLimit are the headers in which the remote tells of its limits, where they have names of their own.
	RateLimit RateHeaders
	Limiter   *Limiter // shared by all chains of an instance; by default one without a local rate

	// Authorize adds credentials to a request, of which it may change the headers and the URL; it must not read the
	// body, but may call GetBody. It is asked for every request, whatever its host: it decides whom it trusts. An error
	// that is no *fault.Error is final, unless it is the end of the context. Nil adds nothing.
	Authorize func(context.Context, *http.Request) error

	// Renew is asked after an answer of 401 whether there are other credentials than those of the request that was sent; then
	// Authorize is asked again, and the request sent once more. Its errors are as those of Authorize. Nil has no others.
	Renew func(ctx context.Context, sent *http.Request) (bool, error)

	Observe func(Exchange) // called for every request, before its caller has the answer; may be nil
	Log     *slog.Logger   // answers at debug level, failures as warnings; nil is silent

	// Egress allows hosts to requests of FromEvent, if Base is the network; nil allows public addresses only.
	Egress *Egress

	MaxRequestBytes  int64         // of a request body; a larger one is not sent
	MaxResponseBytes int64         // of an answer's body, decompressed; a larger one is an error
	MaxShownBytes    int           // of each body in an Exchange; the rest is cut off with a note
	Timeout          time.Duration // from sending a request to the end of its answer, the waits before not included
}

// New makes a chain. The body of an answer is in memory: reading it cannot fail, it is an io.Seeker, and closing it is
// not needed. A failure is always a *fault.Error without secrets; errors.Is sees a context's end through it.
func New(c Config) http.RoundTripper {
	c = c.withDefaults()
	var chain http.RoundTripper = &bounds{next: c.RateLimit.wrapTransport(withGuard(c.Base, c.Egress, c.Redactor)), maxBytes: c.MaxResponseBytes, timeout: c.Timeout}
	if c.Authorize != nil {
		chain = &auth{next: chain, authorize: c.Authorize, renew: c.Renew, redactor: c.Redactor}
	}
	chain = &limit{next: chain, limiter: c.Limiter}
	return &trace{
		next: chain, redactor: c.Redactor, observe: c.Observe, log: c.Log,
		maxBytes: c.MaxRequestBytes, maxShown: c.MaxShownBytes,
	}
}

func (c Config) withDefaults() Config {
	if c.Base == nil {
		c.Base = NewTransport(TransportConfig{})
	}
	if c.Redactor == nil {
		c.Redactor = NewRedactor(nil, nil)
	}
	if c.Limiter == nil {
		c.Limiter = NewLimiter(LimiterConfig{})
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.MaxRequestBytes = positiveOr(c.MaxRequestBytes, DefaultMaxBytes)
	c.MaxResponseBytes = positiveOr(c.MaxResponseBytes, DefaultMaxBytes)
	c.MaxShownBytes = positiveOr(c.MaxShownBytes, DefaultMaxShown)
	c.Timeout = positiveOr(c.Timeout, DefaultTimeout)
	return c
}

// positiveOr is n where that is above zero, else the default.
func positiveOr[N ~int | ~int64](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}
