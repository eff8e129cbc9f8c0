// Package oauth gets access tokens for an instance's requests, stores them encrypted, and refreshes them.
//
// A Manager has the tokens of all instances in a Store, which several machines may share; a Source has the token of one
// instance. A token is refreshed before it expires, and when a remote has refused it. Only one refresh of a token runs at a
// time, across goroutines and machines, and its result is durable before it is used. If a remote refuses to issue a token, the
// error has fault.CodeLogin until a user logs in.
//
// golang.org/x/oauth2 implements the protocol. The package must not know destinations. Everything in it is safe for concurrent
// use.
package oauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/landfall-dev/landfall/framework/fault"
)

const (
	refreshMargin     = 2 * time.Minute  // a token is refreshed this long before it expires, at most a fifth of its life
	recheckAfter      = 2 * time.Second  // how long a token in memory is used before the store is read again: another process may have changed it
	failureGrace      = 30 * time.Second // how long the old token is used after an early refresh has failed
	minForcedInterval = 10 * time.Second // the minimum time between two refreshes because of a refused token
	refreshTimeout    = 45 * time.Second // the maximum time for a refresh, including the wait for it
)

// Manager stores the tokens of instances.
type Manager struct {
	store Store
	box   *Box
}

// NewManager returns a Manager with a store.
func NewManager(store Store, box *Box) *Manager { return &Manager{store, box} }

// Token returns the stored token of an instance, without refreshing it. If there is none, Access is "".
func (k *Manager) Token(ctx context.Context, instance string) (Token, error) {
	r, err := k.store.Get(ctx, instance)
	if err != nil {
		return Token{}, err
	}
	return k.box.openToken(instance, r)
}

// Put stores the token of a login. An empty token deletes the stored one.
func (k *Manager) Put(ctx context.Context, instance string, t Token) error {
	return k.store.Update(ctx, instance, func(context.Context, Record) (Record, error) {
		if t.Access == "" {
			return Record{}, nil
		}
		return k.box.sealToken(instance, t)
	})
}

// Source returns the source of an instance's tokens.
func (k *Manager) Source(instance string, r *Remote) *Source {
	return &Source{manager: k, instance: instance, remote: r}
}

// Source provides the token of one instance.
type Source struct {
	manager  *Manager
	instance string
	remote   *Remote
	flight   singleflight.Group
	loadMu   sync.Mutex // held while the token is loaded or refreshed; guards unsaved

	unsaved     *Token // the result of a refresh that could not be stored
	unsavedFrom string // the refresh token that unsaved was made from

	mu         sync.Mutex
	token      Token
	readAt     time.Time // when token was loaded; zero to load it again
	graceUntil time.Time // until when an expiring token is used although it should be refreshed
	forcedAt   time.Time // when the token was last refreshed because it was refused
}

// Token returns an access token. If a remote has answered 401 to a token, pass it as refused to get another; the same token is
// returned if no other is available yet. The error is a *fault.Error or that of ctx.
func (s *Source) Token(ctx context.Context, refused string) (string, error) {
	if access := s.cachedToken(refused); access != "" {
		return access, nil
	}
	done := s.flight.DoChan(refused, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		return s.loadOrRefresh(ctx, refused)
	})
	select {
	case r := <-done:
		access, _ := r.Val.(string)
		return access, r.Err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// cachedToken returns the token in memory if it can be used, otherwise "".
func (s *Source) cachedToken(refused string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.remote.currentTime()
	t := s.token
	if t.Access == "" || t.Refused != "" || now.Sub(s.readAt) > recheckAfter || now.Before(s.readAt) {
		return ""
	}
	if t.Access == refused {
		if now.Sub(s.forcedAt) < minForcedInterval {
			return refused
		}
		return ""
	}
	if s.isDue(t, now) && !now.Before(s.graceUntil) {
		return ""
	}
	return t.Access
}

// isDue reports whether a token should be refreshed.
func (s *Source) isDue(t Token, now time.Time) bool {
	if t.Expires.IsZero() {
		return false
	}
	margin := min(refreshMargin, t.Expires.Sub(t.issuedAt())/5)
	if !s.remote.canRefresh(t) {
		margin = 0
	}
	return !now.Add(margin).Before(t.Expires)
}

// isUsable reports whether a token can be used without a refresh.
func (s *Source) isUsable(t Token, refused string, now time.Time) bool {
	return t.Access != "" && t.Refused == "" && t.Access != refused && !s.isDue(t, now)
}

func (s *Source) cacheToken(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.readAt = t, s.remote.currentTime()
}

// loadOrRefresh loads the token, and refreshes it if needed.
func (s *Source) loadOrRefresh(ctx context.Context, refused string) (string, error) {
	s.loadMu.Lock()
	defer s.loadMu.Unlock()
	now := s.remote.currentTime()
	t, err := s.manager.Token(ctx, s.instance)
	if err != nil {
		return s.fallbackToken(refused, now, err)
	}
	if s.isUsable(t, refused, now) {
		s.cacheToken(t)
		return t.Access, nil
	}
	if err := s.loginError(t); err != nil {
		s.cacheToken(t)
		return "", err
	}
	s.mu.Lock()
	wait := refused != "" && now.Sub(s.forcedAt) < minForcedInterval || refused == "" && now.Before(s.graceUntil)
	s.mu.Unlock()
	if wait && t.Access != "" && (t.Expires.IsZero() || now.Before(t.Expires)) {
		s.cacheToken(t)
		return t.Access, nil
	}
	t, err = s.refreshStored(ctx, refused)
	if err != nil {
		return s.fallbackToken(refused, now, err)
	}
	s.cacheToken(t)
	return t.Access, s.loginError(t)
}

// loginError returns an error if only a login can provide a token.
func (s *Source) loginError(t Token) error {
	const how = ": run landfall auth login --config FILE --instance %s"
	switch {
	case t.Refused != "":
		return loginRequired("%s"+how, t.Refused, s.instance)
	case t.Access == "" && s.remote.Spec.Grant != ClientCredentials:
		return loginRequired("no user has logged in yet"+how, s.instance)
	}
	return nil
}

// refreshStored refreshes the token, unless another process has done so in the meantime.
func (s *Source) refreshStored(ctx context.Context, refused string) (Token, error) {
	var t Token
	err := s.manager.store.Update(ctx, s.instance, func(ctx context.Context, r Record) (Record, error) {
		var err error
		if t, err = s.manager.box.openToken(s.instance, r); err != nil {
			return r, err
		}
		if s.isUsable(t, refused, s.remote.currentTime()) || s.loginError(t) != nil {
			return r, nil
		}
		if s.unsaved == nil || s.unsavedFrom != t.Refresh {
			fresh, err := s.remote.refreshToken(ctx, t)
			var known *fault.Error
			switch {
			case err == nil:
				s.unsaved, s.unsavedFrom = &fresh, t.Refresh
			case errors.As(err, &known) && known.Code == fault.CodeLogin:
				t.Refused = known.Message
				return s.manager.box.sealToken(s.instance, t)
			default:
				return r, err
			}
		}
		t = *s.unsaved
		return s.manager.box.sealToken(s.instance, t)
	})
	if err != nil {
		return Token{}, err
	}
	s.unsaved = nil
	if refused != "" {
		s.mu.Lock()
		s.forcedAt = s.remote.currentTime()
		s.mu.Unlock()
	}
	return t, nil
}

// fallbackToken returns the token in memory after loading or refreshing has failed, if it is still valid.
func (s *Source) fallbackToken(refused string, now time.Time, err error) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.token
	if t.Access != "" && t.Access != refused && t.Refused == "" && (t.Expires.IsZero() || now.Before(t.Expires)) {
		s.graceUntil, s.readAt = now.Add(failureGrace), now
		return t.Access, nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return "", known
	}
	return "", &fault.Error{Code: fault.CodeConnection, Status: 503, Retry: true, Message: "no token: " + err.Error(), Err: err}
}
