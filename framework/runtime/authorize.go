package runtime

import (
	"context"
	"errors"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// NeedsLogin reports whether an instance requires a login, unless its host supplies tokens.
func NeedsLogin(d *destination.Definition, in config.Instance) bool {
	return d.TakesToken && in.AccessToken == "" && (d.Scheme.NeedsLogin() || in.Auth.Len() > 0)
}

// compileAuth returns the source of the instance's tokens: its config, the host or a login. It returns nil if the instance takes none.
func (c *compiler) compileAuth(p *Plan) tokens {
	place, auth := c.instance.Pointer+"/auth", c.instance.Auth
	host, instance := c.host.Token, c.instance.ID
	switch {
	case !c.definition.TakesToken:
		if auth.Len() > 0 {
			c.problems.Add(place, "%s does not use an access token: remove auth", c.definition.Name)
		}
		return nil
	case c.instance.AccessToken != "":
		return func(context.Context, string) (string, error) { return c.instance.AccessToken, nil }
	}
	spec := destination.Overlay(c.definition.OAuth, oauth.SelectSpec(auth.Without("clientId", "clientSecret"))) // these are no templates
	if NeedsLogin(c.definition, c.instance) && (host == nil || auth.Len() > 0) {
		p.login = c.compileLogin(spec, p.settings)
	}
	switch {
	case host != nil:
		return func(ctx context.Context, refused string) (string, error) { return host(ctx, instance, refused) }
	case p.login != nil && c.host.Logins != nil:
		return c.host.Logins.Source(instance, p.login).Token
	case p.login != nil:
		return func(context.Context, string) (string, error) {
			return "", &fault.Error{Code: fault.CodeLogin, Status: 401, Retry: true, Message: "this command stores no tokens, so there is no token: use the data directory in which you have logged in"}
		}
	case c.definition.Scheme.NeedsToken() && len(c.problems) == 0:
		c.problems.Add(c.instance.Pointer, "needs a token: set auth: {accessToken: \"${TOKEN}\"}")
	}
	return nil
}

// compileLogin returns the remote that issues tokens for the instance after a login.
func (c *compiler) compileLogin(spec, settings event.Value) *oauth.Remote {
	auth, place := c.instance.Auth, c.instance.Pointer
	if auth.Len() > 0 {
		place += "/auth"
	}
	parsed, err := oauth.ParseSpec(spec, settings)
	id, secret := auth.Get("clientId").Str(), auth.Get("clientSecret").Str()
	if err == nil && id == "" {
		id, secret = parsed.ClientID, parsed.ClientSecret
	}
	switch {
	case id == "" && !spec.Get("clientId").Exists():
		c.problems.Add(place, "needs the OAuth client that you have registered with %s: auth: {clientId: …, clientSecret: \"${SECRET}\"}", c.definition.Name)
		return nil
	case err != nil:
		c.problems.AddUnder(place, err)
		return nil
	case id == "":
		c.problems.Add(place, "needs the OAuth client that you have registered with %s: the settings have none", c.definition.Name)
		return nil
	}
	r := &oauth.Remote{Spec: parsed, ClientID: id, ClientSecret: secret, Base: c.host.TokenTransport, Log: c.host.Log, Now: c.host.Now}
	if refresh := c.plugin.Refresh; refresh != nil {
		redactor := c.newRedactor(settings)
		client := destination.NewClient(httpx.New(httpx.Config{Base: c.host.TokenTransport, Redactor: redactor, Log: c.host.Log, Limiter: c.tokenLimiter}), redactor.Redact)
		r.RefreshToken = func(ctx context.Context, old oauth.Token) (oauth.Token, error) {
			return refresh(ctx, destination.RefreshInput{Client: client, Settings: settings, Old: old, ClientID: id, ClientSecret: secret, Now: c.host.clockFunc()})
		}
	}
	return r
}

// Resume ends the pauses that the remote requested with its rate limits. The next request is sent at once.
func (p *Plan) Resume() {
	p.limiter.Resume()
	if p.gate != nil {
		p.gate.Resume()
	}
	p.tokenLimiter.Resume()
}

// Login returns the remote that issues tokens after a login, or nil if the instance needs no login.
func (p *Plan) Login() *oauth.Remote { return p.login }

// CheckLogin returns the reason why the instance needs a login before it can deliver, or nil.
func (p *Plan) CheckLogin(ctx context.Context) error {
	if p.tokens == nil {
		return nil
	}
	_, err := p.tokens(ctx, "")
	var known *fault.Error
	if errors.As(err, &known) && known.Code == fault.CodeLogin {
		return known
	}
	return nil
}
