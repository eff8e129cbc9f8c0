// Package access decides who may use the parts of a server that are not for everybody: by a key, by the token of local commands,
// or, as long as no key is set, by being a program on the same machine. It finds a client's address behind trusted proxies, limits
// wrong keys by that address, and writes the audit log.
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

// ErrUnauthorized is the error of a request without a key, or with a wrong one.
var ErrUnauthorized = errors.New("the key is missing or wrong")

// LimitedError is the error of a request from an address that gave too many wrong keys. No key is looked at until After has
// passed.
type LimitedError struct{ After time.Duration }

func (e *LimitedError) Error() string {
	return fmt.Sprintf("too many wrong keys came from this address: try again in %d s", e.seconds())
}

func (e *LimitedError) seconds() int { return int(e.After/time.Second) + 1 }

// SetRetryAfter sets the header that tells a client when to come again.
func (e *LimitedError) SetRetryAfter(h http.Header) { h.Set("Retry-After", strconv.Itoa(e.seconds())) }

// Config says who may pass a Guard.
type Config struct {
	// Key returns the key as it is now, "" if none is set. With a key set, where a request comes from opens nothing.
	Key func() string
	// Token opens as the key does, for commands on the same machine; "" for none.
	Token string
	// AllowLocal lets programs on this machine in while no key is set. Set it only if nobody else can reach the listener.
	AllowLocal bool
	// Proxies returns the proxies that are trusted to name the client; nil for none.
	Proxies func() Proxies
	Log     *slog.Logger     // for the audit log; silent by default
	Now     func() time.Time // time.Now by default
}

// Guard decides who may use what is behind it. It is safe for concurrent use.
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

// Key returns the key as it is now.
func (g *Guard) Key() string { return g.config.Key() }

// Client returns the address that a request comes from, behind trusted proxies.
func (g *Guard) Client(r *http.Request) netip.Addr { return g.config.Proxies().Client(r) }

// Authenticate returns who makes a request: by the bearer token it has, or as a local program if no key is set. The error is
// ErrUnauthorized or a *LimitedError.
func (g *Guard) Authenticate(r *http.Request) (Actor, error) {
	if token := Bearer(r); token != "" {
		return g.check(r, token, "request")
	}
	if g.AllowsLocal(r) {
		return g.actor(r, "local program"), nil
	}
	return Actor{}, ErrUnauthorized
}

// AllowsLocal reports whether a request needs no key: none is set, and the request comes from a program on this machine.
func (g *Guard) AllowsLocal(r *http.Request) bool {
	return g.config.AllowLocal && !g.HasKey() && Local(r)
}

// LocalActor returns the actor of a request that AllowsLocal.
func (g *Guard) LocalActor(r *http.Request) Actor { return g.actor(r, "local program") }

// SignIn checks a key that a person has typed. The error is ErrUnauthorized or a *LimitedError.
func (g *Guard) SignIn(r *http.Request, key string) (Actor, error) {
	actor, err := g.check(r, key, "login")
	if err == nil {
		g.Record(WithActor(r.Context(), actor), "login", nil)
	}
	return actor, err
}

// check compares a key with those that are set. A wrong one counts against the client's address; while the address is blocked, no
// key is compared, so that nothing can be learned there. The token has too many bits to be guessed, and always opens.
func (g *Guard) check(r *http.Request, given, what string) (Actor, error) {
	if sameKey(given, g.config.Token) {
		return g.actor(r, "local command"), nil
	}
	client := g.Client(r)
	if wait := g.attempts.take(client); wait > 0 {
		return Actor{}, &LimitedError{wait}
	}
	if sameKey(given, g.config.Key()) {
		g.attempts.restore(client)
		return g.actor(r, "admin key"), nil
	}
	g.Record(WithActor(r.Context(), g.actor(r, "unknown")), what, ErrUnauthorized, "path", r.URL.Path)
	return Actor{}, ErrUnauthorized
}

func (g *Guard) actor(r *http.Request, who string) Actor {
	from := g.Client(r).String()
	if overUnixSocket(r) && g.Client(r).IsLoopback() {
		from = "unix socket"
	}
	return Actor{Who: who, From: from}
}
