package runtime

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// tokens give an access token, or another one where a remote has refused one; "" for none.
type tokens func(ctx context.Context, refused string) (string, error)

// client is the way of the instance's requests. Its secrets are the password settings, what came from the environment and
// what the host names; they show nowhere, also where a remote repeats them.
func (c *compiler) client(settings event.Value, give tokens, redactor *httpx.Redactor) destination.Client {
	config := httpx.Config{Base: c.host.Transport, Redactor: redactor, Observe: c.host.Observe, Log: c.host.Log, Egress: c.host.Egress, Limiter: c.limiter}
	if base := c.definition.Request; base != nil {
		config.RateLimit = httpx.RateHeaders(base.RateLimit)
	}
	switch {
	case give != nil && !c.definition.PlacesToken():
		config.Authorize, config.Renew = bearer(give), renew(give)
	case c.definition.Scheme == "basic":
		config.Authorize = func(_ context.Context, r *http.Request) error {
			r.SetBasicAuth(settings.Get("username").Text(), settings.Get("password").Text())
			return nil
		}
	}
	return destination.NewClient(httpx.New(config), redactor.Redact).Extend(c.definition, settings, placed(give, redactor))
}

func (c *compiler) redactor(settings event.Value) *httpx.Redactor {
	names := c.definition.Secrets()
	values := append(slices.Clone(c.looked), c.host.Secrets...)
	for _, name := range names {
		if v := settings.Get(name); v.IsString() {
			values = append(values, v.Str())
		}
	}
	return httpx.NewRedactor(names, append(values, c.instance.AccessToken, c.instance.Auth.Get("clientSecret").Str()))
}

// placed gives tokens to requests that say themselves where they stand; nil where there are none.
func placed(give tokens, redactor *httpx.Redactor) func(context.Context) (string, error) {
	if give == nil {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		token, err := give(ctx, "")
		if err == nil && token != "" {
			redactor.AddValue(token)
			attemptOf(ctx).token.Store(&token)
		}
		return token, err
	}
}

const bearerPrefix = "Bearer "

func bearer(give tokens) func(context.Context, *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		token, err := give(ctx, "")
		if err == nil && token != "" {
			r.Header.Set("Authorization", bearerPrefix+token)
			attemptOf(ctx).token.Store(&token)
		}
		return err
	}
}

func renew(give tokens) func(context.Context, *http.Request) (bool, error) {
	return func(ctx context.Context, sent *http.Request) (bool, error) {
		refused, ok := strings.CutPrefix(sent.Header.Get("Authorization"), bearerPrefix)
		if !ok {
			return false, nil
		}
		attemptOf(ctx).renewed.Store(true)
		fresh, err := give(ctx, refused)
		return fresh != refused && fresh != "", err
	}
}

// attempt is what one call of a handler has done with tokens.
type attempt struct {
	token   atomic.Pointer[string] // that went along last
	renewed atomic.Bool            // a 401 was met with a fresh one
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return &attempt{}
}

// call calls the handler. Of payloads that the remote answers with 401 each on their own, those alone are tried again with a
// fresh token, once.
func (p *Plan) call(ctx context.Context, s *Subscription, in destination.Input) *destination.MultiStatus {
	ctx = httpx.WithConfiguredURLs(ctx, s.written)
	if p.tokens == nil {
		return s.handler.Perform(ctx, in)
	}
	a := &attempt{}
	results := s.handler.Perform(context.WithValue(ctx, attemptKey{}, a), in)
	var refused []int
	for i := range results.Len() {
		if r := results.Result(i); r.Err != nil && r.Err.Status == http.StatusUnauthorized && r.Err.Code != fault.CodeLogin {
			refused = append(refused, i)
		}
	}
	token := a.token.Load()
	if len(refused) == 0 || a.renewed.Load() || token == nil {
		return results
	}
	fresh, err := p.tokens(ctx, *token)
	if err != nil {
		for _, i := range refused {
			r := results.Result(i)
			r.Err = fault.As(err)
			results.Set(i, r)
		}
		return results
	}
	if fresh == *token || fresh == "" {
		return results
	}
	again := in
	again.Payloads, again.Events = nil, nil
	for _, i := range refused {
		again.Payloads, again.Events = append(again.Payloads, in.Payloads[i]), append(again.Events, in.Events[i])
	}
	second := s.handler.Perform(context.WithValue(ctx, attemptKey{}, &attempt{}), again)
	for i, at := range refused {
		results.Set(at, second.Result(i))
	}
	return results
}
