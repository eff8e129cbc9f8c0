package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

// requestTimeout limits each token request. A lock on a record lasts longer.
const requestTimeout = 20 * time.Second

// Remote requests tokens from an authorization server as an OAuth client.
type Remote struct {
	Spec         *Spec
	ClientID     string
	ClientSecret string
	Base         http.RoundTripper // httpx.NewTransport by default
	Log          *slog.Logger      // logs nothing by default
	// RefreshToken gets a new token from a remote with a protocol of its own; nil uses the standard one. An error that is not a
	// retryable *fault.Error requires a login. If the result has no Refresh, the old one is kept.
	RefreshToken func(ctx context.Context, old Token) (Token, error)
	Now          func() time.Time // time.Now by default
}

func (r *Remote) currentTime() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// withClient returns a context for x/oauth2 whose requests go through a chain, which limits them and follows no redirect.
func (r *Remote) withClient(ctx context.Context) context.Context {
	chain := httpx.New(httpx.Config{
		Base: r.Base, Log: r.Log, Timeout: requestTimeout, MaxResponseBytes: 1 << 20,
		Redactor: httpx.NewRedactor([]string{"code", "code_verifier", "device_code", "user_code"}, []string{r.ClientSecret}),
	})
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport: chain, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
}

func (r *Remote) authStyle() oauth2.AuthStyle {
	if r.Spec.InBody || r.ClientSecret == "" {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

func (r *Remote) oauthConfig(redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: r.ClientID, ClientSecret: r.ClientSecret, RedirectURL: redirect, Scopes: r.Spec.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: r.Spec.AuthorizeURL, DeviceAuthURL: r.Spec.DeviceURL, TokenURL: r.Spec.TokenURL, AuthStyle: r.authStyle()},
	}
}

// authOptions returns further parameters of a request as options.
func (r *Remote) authOptions(all map[string]string) []oauth2.AuthCodeOption {
	var options []oauth2.AuthCodeOption
	for key, value := range all {
		options = append(options, oauth2.SetAuthURLParam(key, value))
	}
	if r.Spec.Audience != "" {
		options = append(options, oauth2.SetAuthURLParam("audience", r.Spec.Audience))
	}
	return options
}

// requestToken gets a token for a refresh or for the client's own credentials.
func (r *Remote) requestToken(ctx context.Context, scopes []string, values url.Values) (*oauth2.Token, error) {
	for key, value := range r.Spec.TokenParameters {
		values.Set(key, value)
	}
	if r.Spec.Audience != "" {
		values.Set("audience", r.Spec.Audience)
	}
	c := clientcredentials.Config{
		ClientID: r.ClientID, ClientSecret: r.ClientSecret, TokenURL: r.Spec.TokenURL, Scopes: scopes, EndpointParams: values, AuthStyle: r.authStyle(),
	}
	return c.Token(r.withClient(ctx))
}

// LoginAsClient gets a token with the client credentials grant.
func (r *Remote) LoginAsClient(ctx context.Context) (Token, error) {
	response, err := r.requestToken(ctx, r.Spec.Scopes, url.Values{})
	if err != nil {
		return Token{}, r.tokenError(err, Token{})
	}
	return r.newToken(response, Token{}), nil
}

// refreshToken gets a new token for one that has expired or was refused.
func (r *Remote) refreshToken(ctx context.Context, old Token) (Token, error) {
	switch {
	case r.RefreshToken != nil:
		fresh, err := r.RefreshToken(ctx, old)
		if err != nil {
			return Token{}, r.tokenError(err, old)
		}
		fresh.Refresh, fresh.Login, fresh.Refreshed = cmp.Or(fresh.Refresh, old.Refresh), old.Login, r.currentTime().UTC()
		if fresh.Scopes == nil {
			fresh.Scopes = old.Scopes
		}
		return fresh, nil
	case r.Spec.Grant == ClientCredentials:
		fresh, err := r.LoginAsClient(ctx)
		if err == nil && !old.Login.IsZero() {
			fresh.Login, fresh.Refreshed = old.Login, fresh.Login
		}
		return fresh, err
	case old.Refresh == "":
		return Token{}, loginRequired("the remote issued no refresh token")
	}
	response, err := r.requestToken(ctx, nil, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Refresh}})
	if err != nil {
		return Token{}, r.tokenError(err, old)
	}
	return r.newToken(response, old), nil
}

// canRefresh reports whether a token can be refreshed.
func (r *Remote) canRefresh(t Token) bool {
	return t.Refresh != "" || r.RefreshToken != nil || r.Spec.Grant == ClientCredentials
}

// newToken converts a response to a Token.
func (r *Remote) newToken(response *oauth2.Token, old Token) Token {
	now := r.currentTime().UTC()
	t := Token{Access: response.AccessToken, Refresh: cmp.Or(response.RefreshToken, old.Refresh), Scopes: old.Scopes, Login: now}
	if !old.Login.IsZero() {
		t.Login, t.Refreshed = old.Login, now
	}
	if !response.Expiry.IsZero() {
		t.Expires = now.Add(time.Until(response.Expiry)) // relative to the configured clock
	}
	if scope, _ := response.Extra("scope").(string); scope != "" {
		t.Scopes = strings.FieldsFunc(scope, func(c rune) bool { return c == ' ' || c == ',' })
	} else if t.Scopes == nil {
		t.Scopes = r.Spec.Scopes
	}
	return t
}

// permanentErrors are the error codes of RFC 6749, 5.2, and RFC 8628, 3.5, that need action by a user.
var permanentErrors = []string{"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "access_denied", "expired_token"}

// tokenError returns the error of a token request without secrets: one with fault.CodeLogin, or a retryable one.
func (r *Remote) tokenError(err error, old Token) error {
	redactor := httpx.NewRedactor(nil, []string{r.ClientSecret, old.Access, old.Refresh})
	var known *fault.Error
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &answered):
		status := 0
		if answered.Response != nil {
			status = answered.Response.StatusCode
		}
		said := strings.TrimSuffix(answered.ErrorCode+": "+answered.ErrorDescription, ": ")
		if answered.ErrorCode == "" {
			said = fmt.Sprintf("%d %s", status, http.StatusText(status))
		}
		said = redactor.Redact("the token endpoint answered " + said)
		if slices.Contains(permanentErrors, answered.ErrorCode) {
			return loginRequired("%s", said)
		}
		return &fault.Error{Code: fault.CodeConnection, Status: http.StatusServiceUnavailable, Retry: true, Message: said}
	case errors.As(err, &known) && (known.Retry || known.Code == fault.CodeLogin):
		return redactor.Error(known)
	case r.RefreshToken != nil:
		return loginRequired("%s", redactor.Redact(err.Error()))
	}
	return &fault.Error{Code: fault.CodeConnection, Status: http.StatusServiceUnavailable, Retry: true,
		Message: redactor.Redact("no token from the token endpoint: " + err.Error())}
}

// Revoke revokes a token at the remote: the refresh token if it has one, otherwise the access token. It reports whether the
// remote supports it.
func (r *Remote) Revoke(ctx context.Context, t Token) (bool, error) {
	token, hint := t.Refresh, "refresh_token"
	if token == "" {
		token, hint = t.Access, "access_token"
	}
	if r.Spec.RevokeURL == "" || token == "" {
		return false, nil
	}
	form := url.Values{"token": {token}, "token_type_hint": {hint}}
	inHeader := r.authStyle() == oauth2.AuthStyleInHeader
	if !inHeader {
		form.Set("client_id", r.ClientID)
		if r.ClientSecret != "" {
			form.Set("client_secret", r.ClientSecret)
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Spec.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if inHeader {
		request.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(r.ClientSecret))
	}
	client, _ := r.withClient(ctx).Value(oauth2.HTTPClient).(*http.Client)
	response, err := client.Do(request)
	if err != nil {
		return true, r.tokenError(err, t)
	}
	_ = response.Body.Close() // the body is in memory
	if response.StatusCode >= 300 {
		return true, fmt.Errorf("the remote answered %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	return true, nil
}
