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
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// tokens returns an access token, or "" for none. If the remote refused a token, it is passed as refused and another is returned.
type tokens func(ctx context.Context, refused string) (string, error)

// newClient returns the client for the instance's requests. It redacts passwords in settings, values from the environment and the
// host's secrets everywhere, even in responses.
func (c *compiler) newClient(settings event.Value, give tokens, redactor *httpx.Redactor) destination.Client {
	config := httpx.Config{Base: c.host.Transport, Redactor: redactor, Observe: c.host.Observe, Log: c.host.Log, Egress: c.host.Egress, Limiter: c.limiter, Gate: c.host.Gate}
	if base := c.definition.Request; base != nil {
		config.RateLimit = httpx.RateHeaders(base.RateLimit)
	}
	switch authorize := c.definition.Authorize(settings); {
	case give != nil && !c.definition.PlacesToken():
		config.Authorize, config.Renew = setBearerToken(give), renewToken(give)
	case authorize != nil:
		config.Authorize = authorize
	}
	return destination.NewClient(httpx.New(config), redactor.Redact).Extend(c.definition, settings, templateToken(give, redactor)).WithClock(c.host.clockFunc())
}

func (c *compiler) newRedactor(settings event.Value) *httpx.Redactor {
	var s secrets
	s.add(c.definition.Settings, settings)
	for _, a := range c.definition.Actions {
		s.add(a.Fields, event.Value{})
	}
	values := slices.Concat(c.looked, c.host.Secrets, s.values)
	return httpx.NewRedactor(s.names, append(values, c.instance.AccessToken, c.instance.Auth.Get("clientSecret").Str()))
}

// secrets are the keys of password fields and their values.
type secrets struct{ names, values []string }

// add adds the password fields of an object, at any depth.
func (s *secrets) add(fields fieldschema.Fields, v event.Value) {
	for _, f := range fields {
		m := v.Get(f.Key)
		if f.Type != fieldschema.Password {
			s.add(f.Properties, m)
			for _, item := range m.Items() {
				s.add(f.Properties, item)
			}
			continue
		}
		s.names = append(s.names, f.Key)
		s.addValue(m)
		for _, item := range m.Items() {
			s.addValue(item)
		}
	}
}

func (s *secrets) addValue(v event.Value) {
	if v.IsString() {
		s.values = append(s.values, v.Str())
	}
}

// templateToken returns tokens for requests whose template places the token. It returns nil if the instance has no tokens.
func templateToken(give tokens, redactor *httpx.Redactor) func(context.Context) (string, error) {
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

func setBearerToken(give tokens) func(context.Context, *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		token, err := give(ctx, "")
		if err == nil && token != "" {
			r.Header.Set("Authorization", bearerPrefix+token)
			attemptOf(ctx).token.Store(&token)
		}
		return err
	}
}

func renewToken(give tokens) func(context.Context, *http.Request) (bool, error) {
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

// attempt records how one call of a handler used tokens.
type attempt struct {
	token   atomic.Pointer[string] // the last one sent
	renewed atomic.Bool            // the client replaced a token after a 401
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return &attempt{}
}

// callHandler calls the handler. If the results of some payloads have status 401, it retries those once with a new token, unless the
// client has already replaced the token.
func (p *Plan) callHandler(ctx context.Context, s *Subscription, in destination.Input) *destination.MultiStatus {
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
