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

// requestTimeout bounds each request for a token; a lock on a record lasts longer.
const requestTimeout = 20 * time.Second

// Remote is who gives the tokens of an instance, and as which client they are asked for.
type Remote struct {
	Spec         *Spec
	ClientID     string
	ClientSecret string
	Base         http.RoundTripper // httpx.NewTransport by default
	Log          *slog.Logger      // silent by default
	// RefreshToken gets a fresh token where the remote has a way of its own; nil for the usual one. An error that is no
	// retryable *fault.Error is for good. Where it gives no Refresh, the old one stays.
	RefreshToken func(ctx context.Context, old Token) (Token, error)
	Now          func() time.Time // time.Now by default
}

func (r *Remote) currentTime() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// withClient is ctx for x/oauth2: its requests go through a chain, which bounds them and follows no redirect.
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

// authOptions are further ones of a request, as options.
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

// requestToken gets a token by values alone: those of a refresh, or of the client's own credentials.
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

// LoginAsClient gets a token for the client itself.
func (r *Remote) LoginAsClient(ctx context.Context) (Token, error) {
	response, err := r.requestToken(ctx, r.Spec.Scopes, url.Values{})
	if err != nil {
		return Token{}, r.tokenError(err, Token{})
	}
	return r.newToken(response, Token{}), nil
}

// refreshToken gets a fresh token for one that has expired or is refused.
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
		return Token{}, loginRequired("the remote gave nothing to refresh the token with")
	}
	response, err := r.requestToken(ctx, nil, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Refresh}})
	if err != nil {
		return Token{}, r.tokenError(err, old)
	}
	return r.newToken(response, old), nil
}

// canRefresh tells whether a token can be refreshed at all.
func (r *Remote) canRefresh(t Token) bool {
	return t.Refresh != "" || r.RefreshToken != nil || r.Spec.Grant == ClientCredentials
}

// newToken is an answer as a Token.
func (r *Remote) newToken(response *oauth2.Token, old Token) Token {
	now := r.currentTime().UTC()
	t := Token{Access: response.AccessToken, Refresh: cmp.Or(response.RefreshToken, old.Refresh), Scopes: old.Scopes, Login: now}
	if !old.Login.IsZero() {
		t.Login, t.Refreshed = old.Login, now
	}
	if !response.Expiry.IsZero() {
		t.Expires = now.Add(time.Until(response.Expiry)) // by the clock of now, as everything else
	}
	if scope, _ := response.Extra("scope").(string); scope != "" {
		t.Scopes = strings.FieldsFunc(scope, func(c rune) bool { return c == ' ' || c == ',' })
	} else if t.Scopes == nil {
		t.Scopes = r.Spec.Scopes
	}
	return t
}

// permanentErrors are the errors of RFC 6749, 5.2, and RFC 8628, 3.5, that stay until somebody does something.
var permanentErrors = []string{"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "access_denied", "expired_token"}

// tokenError is the error of a request for a token, without secrets: one that asks for a login, or one that may pass.
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
		said = redactor.Redact("the token endpoint answers " + said)
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

// Revoke takes a token back at the remote, the refresh token where there is one. It tells whether the remote can.
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
	_ = response.Body.Close() // in memory
	if response.StatusCode >= 300 {
		return true, fmt.Errorf("the remote answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	return true, nil
}
