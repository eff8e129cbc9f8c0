// Package oauth gets access tokens for the requests of an instance, keeps them encrypted, and keeps them fresh.
//
// A Keeper has the tokens of all instances, in a Store that several machines may share; a Source has those of one instance. A
// token is refreshed ahead of its end, and when a remote has refused it; one refresh is under way for a token at a time, across
// goroutines and machines, and what it brings is durable before it is used. Where a remote gives no token any more, only a
// person can help: the error has fault.CodeLogin until somebody has logged in.
//
// The protocol is spoken by golang.org/x/oauth2. The package knows nothing of destinations. All of it is safe for concurrent use.
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
	refreshMargin     = 2 * time.Minute  // before its end a token is refreshed, or a fifth of its life
	recheckAfter      = 2 * time.Second  // what is held is looked up again after this time: another process may have changed it
	failureGrace      = 30 * time.Second // after a refresh ahead of time has failed
	minForcedInterval = 10 * time.Second // a refresh because of a refused token follows another after this time at least
	refreshTimeout    = 45 * time.Second // the most that a refresh and the wait for it may take
)

// Manager keeps tokens.
type Manager struct {
	store Store
	box   *Box
}

// NewManager makes a Keeper on a store.
func NewManager(store Store, box *Box) *Manager { return &Manager{store, box} }

// Token is what is kept for an instance; one without Access where there is none. It refreshes nothing.
func (k *Manager) Token(ctx context.Context, instance string) (Token, error) {
	r, err := k.store.Get(ctx, instance)
	if err != nil {
		return Token{}, err
	}
	return k.box.openToken(instance, r)
}

// Put keeps the token of a login. An empty one forgets what there was.
func (k *Manager) Put(ctx context.Context, instance string, t Token) error {
	return k.store.Update(ctx, instance, func(context.Context, Record) (Record, error) {
		if t.Access == "" {
			return Record{}, nil
		}
		return k.box.sealToken(instance, t)
	})
}

// Source is where the requests of an instance get their token.
func (k *Manager) Source(instance string, r *Remote) *Source {
	return &Source{manager: k, instance: instance, remote: r}
}

// Source gives the token of one instance.
type Source struct {
	manager  *Manager
	instance string
	remote   *Remote
	flight   singleflight.Group
	loadMu   sync.Mutex // one look or refresh at a time; guards unsaved

	unsaved     *Token // that a refresh brought and the store did not take
	unsavedFrom string // the refresh token that it was made of

	mu         sync.Mutex
	token      Token
	readAt     time.Time // when token was looked up; zero where it must be
	graceUntil time.Time // until when a token that is due is used all the same
	forcedAt   time.Time // when a refused token was last refreshed
}

// Token is an access token that should be good. Where a remote has answered 401 to one, that is refused, and another is given,
// or the same where there is no other for now. An error is a *fault.Error, or that of ctx.
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

// cachedToken is the token in memory, where that will do.
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

// isDue tells whether it is time for another token.
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

// isUsable tells whether a token will do for now.
func (s *Source) isUsable(t Token, refused string, now time.Time) bool {
	return t.Access != "" && t.Refused == "" && t.Access != refused && !s.isDue(t, now)
}

func (s *Source) cacheToken(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.readAt = t, s.remote.currentTime()
}

// loadOrRefresh looks up the token, and refreshes it where that is needed.
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

// loginError is the error where only a login can help.
func (s *Source) loginError(t Token) error {
	const how = ": run landfall auth login --config FILE --instance %s"
	switch {
	case t.Refused != "":
		return loginRequired("%s"+how, t.Refused, s.instance)
	case t.Access == "" && s.remote.Spec.Grant != ClientCredentials:
		return loginRequired("nobody has logged in yet"+how, s.instance)
	}
	return nil
}

// refreshStored refreshes the token, unless somebody else has done so meanwhile.
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

// fallbackToken is what there is when a look or a refresh fails: the token of before, as long as it is good.
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
	return "", &fault.Error{Code: fault.CodeConnection, Status: 503, Retry: true, Message: "no token: " + err.Error(), Cause: err}
}
