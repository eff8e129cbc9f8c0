// Package httpx sends requests to remote APIs through a chain of http.RoundTrippers:
//
//	trace    reads the request body, reports the redacted exchange, turns every failure into a *fault.Error
//	limit    waits for the local rate and for the remote's rate-limit headers
//	auth     adds credentials; after a 401, once, new ones
//	gated    waits for the budget and the concurrency of the instance; sends nothing while the remote is down
//	bounds   reads the whole response, within a time and a size, and names the program in User-Agent if the request has none
//	guard    refuses hosts that an event chose and that are not public, if the base is the network
//	base     NewTransport, or Redirect to a sandbox
//
// No other link repeats a request, and none follows a redirect: a 3xx is a response. An http.Client on top of the chain must
// not follow redirects either; otherwise the remote decides where credentials go.
//
// The package must not know destinations, events or delivery. A chain, a Limiter and a Redactor are safe for concurrent use and
// start no goroutine.
package httpx

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// Defaults of a Config.
const (
	DefaultMaxBytes = 4 << 20          // of a request body, and of a response body
	DefaultTimeout  = 30 * time.Second // from sending a request to the end of its answer
	DefaultMaxShown = 64 << 10         // of each body in an Exchange
)

// Config configures a chain. Zero fields have defaults.
type Config struct {
	Base     http.RoundTripper // NewTransport by default
	Redactor *Redactor         // by default one that knows the usual names of secrets and no values
	// RateLimit holds the names of the remote's rate-limit headers, if they are not the usual ones.
	RateLimit RateHeaders
	Gate      *budget.Gate // limits the requests that are sent; nil limits nothing
	Limiter   *Limiter     // shared by all chains of an instance; by default one without a local rate

	// Authorize adds credentials to a request. It may change the headers and the URL; it must not read the body, but may call
	// GetBody. It is called for every request, whatever its host, and decides which hosts to trust. An error that is neither a
	// *fault.Error nor the end of the context is final. Nil adds nothing.
	Authorize func(context.Context, *http.Request) error

	// Renew is called after a 401 response. It reports whether there are credentials other than those of the request that was
	// sent; then Authorize is called again and the request is sent again. Its errors are like those of Authorize. It may be
	// nil.
	Renew func(ctx context.Context, sent *http.Request) (bool, error)

	Observe func(Exchange) // called for every request, before its caller has the response; may be nil
	Log     *slog.Logger   // responses at debug level, failures as warnings; nil logs nothing

	// Egress allows hosts for requests of FromEvent, if Base is the network. Nil allows public addresses only.
	Egress *Egress

	MaxRequestBytes  int64         // of a request body; a larger one is not sent
	MaxResponseBytes int64         // of a response body after decompression; a larger one is an error
	MaxShownBytes    int           // of each body in an Exchange; the rest is cut off with a note
	Timeout          time.Duration // from sending a request to the end of its response, excluding waits for the rate limit
}

// New returns a chain. The body of a response is in memory: reading it cannot fail, it is an io.Seeker, and it need not be
// closed. A failure is always a *fault.Error without secrets. errors.Is finds the end of a context in it.
func New(c Config) http.RoundTripper {
	c = c.withDefaults()
	var chain http.RoundTripper = &bounds{next: c.RateLimit.wrapTransport(withGuard(c.Base, c.Egress, c.Redactor)), maxBytes: c.MaxResponseBytes, timeout: c.Timeout}
	if c.Gate != nil {
		chain = &gated{next: chain, gate: c.Gate, maxPause: c.Limiter.maxPause}
	}
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

// positiveOr returns n if it is positive, otherwise the default.
func positiveOr[N ~int | ~int64](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}
