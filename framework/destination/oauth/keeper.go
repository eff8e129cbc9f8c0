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
	ahead     = 2 * time.Minute  // before its end a token is refreshed, or a fifth of its life
	recheck   = 2 * time.Second  // what is held is looked up again after this time: another process may have changed it
	respite   = 30 * time.Second // after a refresh ahead of time has failed
	insist    = 10 * time.Second // a refresh because of a refused token follows another after this time at least
	refreshIn = 45 * time.Second // the most that a refresh and the wait for it may take
)

// Keeper keeps tokens.
type Keeper struct {
	store Store
	box   *Box
}

// NewKeeper makes a Keeper on a store.
func NewKeeper(store Store, box *Box) *Keeper { return &Keeper{store, box} }

// Token is what is kept for an instance; one without Access where there is none. It refreshes nothing.
func (k *Keeper) Token(ctx context.Context, instance string) (Token, error) {
	r, err := k.store.Get(ctx, instance)
	if err != nil {
		return Token{}, err
	}
	return k.box.open(instance, r)
}

// Put keeps the token of a login. An empty one forgets what there was.
func (k *Keeper) Put(ctx context.Context, instance string, t Token) error {
	return k.store.Change(ctx, instance, func(context.Context, Record) (Record, error) {
		if t.Access == "" {
			return Record{}, nil
		}
		return k.box.seal(instance, t)
	})
}

// Source is where the requests of an instance get their token.
func (k *Keeper) Source(instance string, r *Remote) *Source {
	return &Source{keeper: k, instance: instance, remote: r}
}

// Source gives the token of one instance.
type Source struct {
	keeper   *Keeper
	instance string
	remote   *Remote
	flight   singleflight.Group
	one      sync.Mutex // one look or refresh at a time; guards unsaved

	unsaved *Token // that a refresh brought and the store did not take
	base    string // the refresh token that it was made of

	mu     sync.Mutex
	token  Token
	read   time.Time // when token was looked up; zero where it must be
	late   time.Time // until when a token that is due is used all the same
	forced time.Time // when a refused token was last refreshed
}

// Token is an access token that should be good. Where a remote has answered 401 to one, that is refused, and another is given,
// or the same where there is no other for now. An error is a *fault.Error, or that of ctx.
func (s *Source) Token(ctx context.Context, refused string) (string, error) {
	if access := s.held(refused); access != "" {
		return access, nil
	}
	done := s.flight.DoChan(refused, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshIn)
		defer cancel()
		return s.obtain(ctx, refused)
	})
	select {
	case r := <-done:
		access, _ := r.Val.(string)
		return access, r.Err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// held is the token in memory, where that will do.
func (s *Source) held(refused string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.remote.now()
	t := s.token
	if t.Access == "" || t.Refused != "" || now.Sub(s.read) > recheck || now.Before(s.read) {
		return ""
	}
	if t.Access == refused {
		if now.Sub(s.forced) < insist {
			return refused
		}
		return ""
	}
	if s.due(t, now) && !now.Before(s.late) {
		return ""
	}
	return t.Access
}

// due tells whether it is time for another token.
func (s *Source) due(t Token, now time.Time) bool {
	if t.Expires.IsZero() {
		return false
	}
	margin := min(ahead, t.Expires.Sub(t.issued())/5)
	if !s.remote.renewable(t) {
		margin = 0
	}
	return !now.Add(margin).Before(t.Expires)
}

// usable tells whether a token will do for now.
func (s *Source) usable(t Token, refused string, now time.Time) bool {
	return t.Access != "" && t.Refused == "" && t.Access != refused && !s.due(t, now)
}

func (s *Source) hold(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.read = t, s.remote.now()
}

// obtain looks up the token, and refreshes it where that is needed.
func (s *Source) obtain(ctx context.Context, refused string) (string, error) {
	s.one.Lock()
	defer s.one.Unlock()
	now := s.remote.now()
	t, err := s.keeper.Token(ctx, s.instance)
	if err != nil {
		return s.fallback(refused, now, err)
	}
	if s.usable(t, refused, now) {
		s.hold(t)
		return t.Access, nil
	}
	if err := s.stopped(t); err != nil {
		s.hold(t)
		return "", err
	}
	s.mu.Lock()
	wait := refused != "" && now.Sub(s.forced) < insist || refused == "" && now.Before(s.late)
	s.mu.Unlock()
	if wait && t.Access != "" && (t.Expires.IsZero() || now.Before(t.Expires)) {
		s.hold(t)
		return t.Access, nil
	}
	t, err = s.renew(ctx, refused)
	if err != nil {
		return s.fallback(refused, now, err)
	}
	s.hold(t)
	return t.Access, s.stopped(t)
}

// stopped is the error where only a login can help.
func (s *Source) stopped(t Token) error {
	const how = ": run landfall auth login --config FILE --instance %s"
	switch {
	case t.Refused != "":
		return loginRequired("%s"+how, t.Refused, s.instance)
	case t.Access == "" && s.remote.Spec.Grant != ClientCredentials:
		return loginRequired("nobody has logged in yet"+how, s.instance)
	}
	return nil
}

// renew refreshes the token, unless somebody else has done so meanwhile.
func (s *Source) renew(ctx context.Context, refused string) (Token, error) {
	var t Token
	err := s.keeper.store.Change(ctx, s.instance, func(ctx context.Context, r Record) (Record, error) {
		var err error
		if t, err = s.keeper.box.open(s.instance, r); err != nil {
			return r, err
		}
		if s.usable(t, refused, s.remote.now()) || s.stopped(t) != nil {
			return r, nil
		}
		if s.unsaved == nil || s.base != t.Refresh {
			fresh, err := s.remote.refresh(ctx, t)
			var known *fault.Error
			switch {
			case err == nil:
				s.unsaved, s.base = &fresh, t.Refresh
			case errors.As(err, &known) && known.Code == fault.CodeLogin:
				t.Refused = known.Message
				return s.keeper.box.seal(s.instance, t)
			default:
				return r, err
			}
		}
		t = *s.unsaved
		return s.keeper.box.seal(s.instance, t)
	})
	if err != nil {
		return Token{}, err
	}
	s.unsaved = nil
	if refused != "" {
		s.mu.Lock()
		s.forced = s.remote.now()
		s.mu.Unlock()
	}
	return t, nil
}

// fallback is what there is when a look or a refresh fails: the token of before, as long as it is good.
func (s *Source) fallback(refused string, now time.Time, err error) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.token
	if t.Access != "" && t.Access != refused && t.Refused == "" && (t.Expires.IsZero() || now.Before(t.Expires)) {
		s.late, s.read = now.Add(respite), now
		return t.Access, nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return "", known
	}
	return "", &fault.Error{Code: fault.CodeConnection, Status: 503, Retry: true, Message: "no token: " + err.Error(), Cause: err}
}
