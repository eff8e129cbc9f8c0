// Package access controls access to the admin API, the console and the metrics of a server. A request is allowed with the admin key, with
// the token of local commands, or, if no admin key is set, from a program on the same machine. The package finds the client's address
// behind trusted proxies, limits wrong keys per address, and writes the audit log. It must not know what it protects.
package access

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// ErrUnauthorized is returned for a request without a key or with a wrong one.
var ErrUnauthorized = errors.New("the key is missing or wrong")

// LimitedError is returned for a request from an address with too many wrong keys. Keys from the address are not checked until After has
// passed.
type LimitedError struct{ After time.Duration }

func (e *LimitedError) Error() string {
	return fmt.Sprintf("too many wrong keys from this address: try again in %d s", e.retrySeconds())
}

func (e *LimitedError) retrySeconds() int { return int(e.After/time.Second) + 1 }

// SetRetryAfter sets the Retry-After header.
func (e *LimitedError) SetRetryAfter(h http.Header) {
	h.Set("Retry-After", strconv.Itoa(e.retrySeconds()))
}

// Config configures a Guard.
type Config struct {
	// Key returns the current admin key; "" if none is set. With a key, local requests need it too.
	Key func() string
	// Token is accepted in place of the key, for commands on the same machine; "" for none.
	Token string
	// AllowLocal allows requests from programs on this machine if no key is set. Set it only if other machines cannot reach the listener.
	AllowLocal bool
	// Proxies returns the proxies whose X-Forwarded-For header is trusted; may be nil.
	Proxies func() Proxies
	Log     *slog.Logger     // audit log; discards by default
	Observe func(Entry)      // receives each entry of the audit log; may be nil
	Now     func() time.Time // time.Now by default
}

// Guard authenticates requests. It is safe for concurrent use.
type Guard struct {
	config   Config
	attempts attempts
}

// NewGuard returns a Guard.
func NewGuard(c Config) *Guard {
	if c.Key == nil {
		c.Key = func() string { return "" }
	}
	if c.Proxies == nil {
		c.Proxies = func() Proxies { return nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Guard{config: c, attempts: attempts{now: c.Now}}
}

// HasKey reports whether a key is set.
func (g *Guard) HasKey() bool { return g.config.Key() != "" }

// Key returns the current admin key; "" if none is set.
func (g *Guard) Key() string { return g.config.Key() }

// Client returns the client address of a request, taking trusted proxies into account.
func (g *Guard) Client(r *http.Request) netip.Addr { return g.config.Proxies().Client(r) }

// Authenticate returns the actor of a request: by its bearer token, or as a local program if no key is set. The error is ErrUnauthorized
// or a *LimitedError.
func (g *Guard) Authenticate(r *http.Request) (Actor, error) {
	if token := Bearer(r); token != "" {
		return g.checkKey(r, token, "request")
	}
	if g.AllowsLocal(r) {
		return g.newActor(r, "local program"), nil
	}
	return Actor{}, ErrUnauthorized
}

// AllowsLocal reports whether a request needs no key because none is set and it comes from a program on this machine.
func (g *Guard) AllowsLocal(r *http.Request) bool {
	return g.config.AllowLocal && !g.HasKey() && Local(r)
}

// LocalActor returns the actor of a request for which AllowsLocal is true.
func (g *Guard) LocalActor(r *http.Request) Actor { return g.newActor(r, "local program") }

// SignIn checks a key that a user typed. The error is ErrUnauthorized or a *LimitedError.
func (g *Guard) SignIn(r *http.Request, key string) (Actor, error) {
	actor, err := g.checkKey(r, key, "login")
	if err == nil {
		g.Record(WithActor(r.Context(), actor), "login", nil)
	}
	return actor, err
}

// checkKey compares a key with the token and the admin key. A wrong key counts against the client's address. While an address is blocked,
// its keys are not compared, so that it learns nothing about them. The token is too long to be guessed, and is always accepted. action
// is the name for the audit log.
func (g *Guard) checkKey(r *http.Request, given, action string) (Actor, error) {
	if sameKey(given, g.config.Token) {
		return g.newActor(r, "local command"), nil
	}
	client := g.Client(r)
	if wait := g.attempts.countAttempt(client); wait > 0 {
		return Actor{}, &LimitedError{wait}
	}
	if sameKey(given, g.config.Key()) {
		g.attempts.undoAttempt(client)
		return g.newActor(r, "admin key"), nil
	}
	g.Record(WithActor(r.Context(), g.newActor(r, "unknown")), action, ErrUnauthorized, "path", r.URL.Path)
	return Actor{}, ErrUnauthorized
}

// newActor returns the actor of a request with the client's address.
func (g *Guard) newActor(r *http.Request, who string) Actor {
	from := g.Client(r).String()
	if overUnixSocket(r) && g.Client(r).IsLoopback() {
		from = "unix socket"
	}
	return Actor{Who: who, From: from}
}
