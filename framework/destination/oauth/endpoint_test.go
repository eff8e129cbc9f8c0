package oauth_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// endpoint is a token and revocation endpoint whose responses a test sets. It records the requests.
type endpoint struct {
	*httptest.Server
	mu       sync.Mutex
	status   int
	body     string
	requests []*http.Request
}

func (e *endpoint) answer(status int, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.body = status, body
}

// forms returns the forms of the requests so far.
func (e *endpoint) forms() (forms []url.Values) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.requests {
		forms = append(forms, r.PostForm)
	}
	return forms
}

// newEndpoint starts an endpoint and returns a client of it, with a clock that a test moves.
func newEndpoint(t *testing.T, spec string) (*endpoint, *oauth.Remote, *time.Time) {
	e := &endpoint{status: 200, body: `{"access_token":"a1","token_type":"bearer","expires_in":3600}`}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.requests = append(e.requests, r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(e.status)
		_, _ = w.Write([]byte(e.body))
	}))
	t.Cleanup(e.Close)
	parsed, err := oauth.ParseSpec(event.MustParse(spec), event.MustParse(fmt.Sprintf(`{"host":%q}`, e.URL)))
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	now := time.Now()
	return e, &oauth.Remote{Spec: parsed, ClientID: "client", ClientSecret: "s3cret", Base: transport, Now: func() time.Time { return now }}, &now
}

func newManager(t *testing.T, store oauth.Store) *oauth.Manager {
	box, err := oauth.NewBox(oauth.NewKey())
	require.NoError(t, err)
	return oauth.NewManager(store, box)
}

const (
	clientSpec  = `{"grant":"client_credentials","tokenUrl":"{{settings.host}}/token","revokeUrl":"{{settings.host}}/revoke","scopes":["read"]}`
	refreshSpec = `{"authorizeUrl":"{{settings.host}}/auth","tokenUrl":"{{settings.host}}/token","audience":"api","tokenParameters":{"resource":"r"},"clientAuthentication":"body"}`
)

// TestTokenRequests checks the parameters of a token request, and where the secret of the client stands.
func TestTokenRequests(t *testing.T) {
	e, remote, now := newEndpoint(t, clientSpec)
	token, err := remote.LoginAsClient(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"client_credentials", "read", "", ""}, values(e.forms()[0], "grant_type", "scope", "client_secret", "audience"))
	user, password, _ := e.requests[0].BasicAuth()
	assert.Equal(t, []string{"client", "s3cret"}, []string{user, password})
	assert.Equal(t, []string{"a1", "read"}, []string{token.Access, strings.Join(token.Scopes, " ")})
	assert.WithinDuration(t, now.Add(time.Hour), token.Expires, 5*time.Second)

	e, remote, now = newEndpoint(t, refreshSpec)
	manager := newManager(t, oauth.NewMemoryStore())
	old := oauth.Token{Access: "a0", Refresh: "refresh-0", Scopes: []string{"old"}, Expires: *now, Login: now.Add(-time.Hour).UTC()}
	require.NoError(t, manager.Put(t.Context(), "crm", old))
	assert.Equal(t, "a1", get(t, manager.Source("crm", remote), ""))
	assert.Equal(t, []string{"refresh_token", "refresh-0", "s3cret", "client", "api", "r", ""}, values(e.forms()[0], "grant_type", "refresh_token", "client_secret", "client_id", "audience", "resource", "scope"))
	assert.Empty(t, e.requests[0].Header.Get("Authorization"))
	kept, err := manager.Token(t.Context(), "crm")
	require.NoError(t, err)
	assert.Equal(t, []string{"a1", "refresh-0", "old"}, []string{kept.Access, kept.Refresh, strings.Join(kept.Scopes, " ")}, "without a new refresh token, the old one is kept")
	assert.True(t, kept.Login.Equal(old.Login))
	assert.True(t, kept.Refreshed.Equal(*now))

	e.answer(200, `{"access_token":"a2","refresh_token":"r2","token_type":"bearer","scope":"x,y z"}`)
	*now = now.Add(2 * time.Hour)
	assert.Equal(t, "a2", get(t, manager.Source("crm", remote), ""))
	kept, err = manager.Token(t.Context(), "crm")
	require.NoError(t, err)
	assert.Equal(t, []string{"r2", "x y z"}, []string{kept.Refresh, strings.Join(kept.Scopes, " ")})
	assert.True(t, kept.Expires.IsZero(), "without expires_in, the end is unknown")
	*now = now.Add(1000 * time.Hour)
	assert.Equal(t, "a2", get(t, manager.Source("crm", remote), ""), "a token without a known end is used until it is refused")
	assert.Len(t, e.forms(), 2)
}

func values(form url.Values, keys ...string) (list []string) {
	for _, key := range keys {
		list = append(list, form.Get(key))
	}
	return list
}

// TestErrorsOfTheTokenEndpoint checks which responses need a login, and which are retried.
func TestErrorsOfTheTokenEndpoint(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, want string
		login      bool
	}{
		{400, `{"error":"invalid_grant","error_description":"revoked refresh-0"}`, "the token endpoint answered invalid_grant: revoked", true},
		{401, `{"error":"invalid_client"}`, "the token endpoint answered invalid_client", true},
		{400, `{"error":"invalid_scope"}`, "the token endpoint answered invalid_scope", true},
		{400, `{"error":"temporarily_unavailable","error_description":"later s3cret"}`, "the token endpoint answered temporarily_unavailable: later", false},
		{403, `no JSON`, "the token endpoint answered 403 Forbidden", false},
		{503, ``, "503", false},
		{302, ``, "302", false},
		{200, `no JSON`, "no token from the token endpoint", false},
		{200, `{}`, "no token from the token endpoint", false},
		{200, strings.Repeat(" ", 1<<20) + `{"access_token":"a1"}`, "no token from the token endpoint", false},
	} {
		e, remote, now := newEndpoint(t, refreshSpec)
		manager := newManager(t, oauth.NewMemoryStore())
		require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "refresh-0", Expires: *now}))
		e.answer(c.status, c.body)
		source := manager.Source("crm", remote)
		_, err := source.Token(t.Context(), "")
		var known *fault.Error
		require.ErrorAs(t, err, &known, "%d %.60s", c.status, c.body)
		assert.Contains(t, known.Message, c.want)
		assert.True(t, known.Retry)
		assert.Equal(t, c.login, known.Code == fault.CodeLogin, c.body)
		for _, secret := range []string{"s3cret", "refresh-0"} {
			assert.NotContains(t, err.Error(), secret)
		}
		e.answer(200, `{"access_token":"a1","token_type":"bearer","expires_in":3600}`)
		*now = now.Add(time.Hour)
		_, err = source.Token(t.Context(), "")
		assert.Equal(t, c.login, err != nil, "a login is needed: %v", err)
	}
}

// TestRevoke checks the request for a token with and without a refresh token, and failures.
func TestRevoke(t *testing.T) {
	e, remote, _ := newEndpoint(t, clientSpec)
	for _, c := range []struct {
		token oauth.Token
		want  []string
	}{
		{oauth.Token{Access: "a", Refresh: "r"}, []string{"r", "refresh_token", ""}},
		{oauth.Token{Access: "a"}, []string{"a", "access_token", ""}},
	} {
		asked, err := remote.Revoke(t.Context(), c.token)
		require.NoError(t, err)
		assert.True(t, asked)
		forms := e.forms()
		assert.Equal(t, c.want, values(forms[len(forms)-1], "token", "token_type_hint", "client_id"))
		user, password, _ := e.requests[0].BasicAuth()
		assert.Equal(t, []string{"client", "s3cret"}, []string{user, password})
	}
	remote.Spec.InBody = true
	_, err := remote.Revoke(t.Context(), oauth.Token{Access: "a"})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "client", "s3cret"}, values(e.forms()[2], "token", "client_id", "client_secret"))
	remote.ClientSecret = ""
	_, err = remote.Revoke(t.Context(), oauth.Token{Access: "a"})
	require.NoError(t, err)
	assert.Equal(t, []string{"client", ""}, values(e.forms()[3], "client_id", "client_secret"))
	assert.NotContains(t, e.forms()[3], "client_secret")

	for status, want := range map[int]string{299: "", 300: "the remote answered 300", 400: "the remote answered 400 Bad Request", 503: "503"} {
		e.answer(status, "{}")
		asked, err := remote.Revoke(t.Context(), oauth.Token{Access: "a"})
		assert.True(t, asked)
		if want == "" {
			assert.NoError(t, err, status)
		} else {
			assert.ErrorContains(t, err, want)
		}
	}
	sent := len(e.forms())
	asked, err := remote.Revoke(t.Context(), oauth.Token{})
	assert.False(t, asked)
	assert.NoError(t, err, "there is no token")
	remote.Spec.RevokeURL = ""
	asked, err = remote.Revoke(t.Context(), oauth.Token{Access: "a"})
	assert.False(t, asked)
	assert.NoError(t, err, "the remote revokes no tokens")
	assert.Len(t, e.forms(), sent)
	remote.Spec.RevokeURL = e.URL
	e.Close()
	asked, err = remote.Revoke(t.Context(), oauth.Token{Access: "tok3n"})
	assert.True(t, asked)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "tok3n")
}

// TestErrorsOfACustomRefresh checks which errors of a protocol of its own need a login.
func TestErrorsOfACustomRefresh(t *testing.T) {
	for _, c := range []struct {
		err   error
		login bool
	}{
		{&fault.Error{Code: fault.CodeConnection, Status: 503, Retry: true, Message: "later refresh-0"}, false},
		{&fault.Error{Code: fault.CodeLogin, Status: 401, Message: "consent is missing"}, true},
		{&fault.Error{Code: fault.CodeInvalidPayload, Status: 400, Message: "refresh-0 is unknown"}, true},
		{errors.New("refresh-0 is gone"), true},
		{fmt.Errorf("wrapped: %w", &fault.Error{Code: fault.CodeConnection, Status: 503, Retry: true, Message: "later"}), false},
	} {
		_, remote, now := newEndpoint(t, refreshSpec)
		manager := newManager(t, oauth.NewMemoryStore())
		require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "refresh-0", Expires: *now, Scopes: []string{"s"}}))
		failure := c.err
		remote.RefreshToken = func(context.Context, oauth.Token) (oauth.Token, error) { return oauth.Token{Access: "a1"}, failure }
		source := manager.Source("crm", remote)
		_, err := source.Token(t.Context(), "")
		var known *fault.Error
		require.ErrorAs(t, err, &known)
		assert.Equal(t, c.login, known.Code == fault.CodeLogin, c.err)
		assert.NotContains(t, err.Error(), "refresh-0")
		failure = nil
		access, err := source.Token(t.Context(), "")
		assert.Equal(t, c.login, err != nil, c.err)
		if !c.login {
			assert.Equal(t, "a1", access)
			kept, err := manager.Token(t.Context(), "crm")
			require.NoError(t, err)
			assert.Equal(t, []string{"refresh-0", "s"}, []string{kept.Refresh, strings.Join(kept.Scopes, " ")})
		}
	}
}

// TestKeys checks the encodings of a key, and texts that are none.
func TestKeys(t *testing.T) {
	raw := []byte(strings.Repeat("\xfb\xff", 16))
	for _, key := range []string{
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw), base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
		hex.EncodeToString(raw), " " + hex.EncodeToString(raw) + "\n", oauth.NewKey(),
	} {
		_, err := oauth.NewBox(key)
		assert.NoError(t, err, key)
	}
	for _, key := range []string{"", hex.EncodeToString(raw[:31]), hex.EncodeToString(append(raw, 0)), base64.StdEncoding.EncodeToString(raw) + "!", base64.RawStdEncoding.EncodeToString(raw) + "!", hex.EncodeToString(raw) + "x", string(raw)} {
		_, err := oauth.NewBox(key)
		assert.ErrorContains(t, err, "should be 32 bytes in base64", key)
	}
	assert.NotEqual(t, oauth.NewKey(), oauth.NewKey())
}

// TestDamagedRecords checks that a record which cannot be read requires a login and is no token.
func TestDamagedRecords(t *testing.T) {
	_, remote, _ := newEndpoint(t, refreshSpec)
	store := oauth.NewMemoryStore()
	manager := newManager(t, store)
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "refresh-0"}))
	good, err := store.Get(t.Context(), "crm")
	require.NoError(t, err)
	for name, damaged := range map[string]oauth.Record{
		"no base64":      {Sealed: "?", About: good.About},
		"an end":         {Sealed: good.Sealed[:40], About: good.About},
		"a short text":   {Sealed: "AAAA", About: good.About},
		"nothing sealed": {About: good.About},
		"another letter": {Sealed: good.Sealed[:60] + "AA" + good.Sealed[62:], About: good.About},
		"no JSON":        {Sealed: good.Sealed, About: "{"},
	} {
		require.NoError(t, store.Update(t.Context(), "crm", func(context.Context, oauth.Record) (oauth.Record, error) { return damaged, nil }))
		token, err := manager.Token(t.Context(), "crm")
		assertLogin(t, err)
		assert.Empty(t, token.Access, name)
		access, err := manager.Source("crm", remote).Token(t.Context(), "")
		assertLogin(t, err)
		assert.Empty(t, access, name)
	}
}

// TestPastedAddresses checks what a user may paste at the end of a login on another machine.
func TestPastedAddresses(t *testing.T) {
	e, remote, _ := newEndpoint(t, refreshSpec)
	for pasted, want := range map[string]string{
		"http://127.0.0.1:1/callback?state=STATE&code=c1\n":                                        "",
		"http://[::1/callback?state=STATE&code=c1":                                                 "this is not a URL",
		"http://127.0.0.1:1/callback?state=other&code=c1":                                          "the redirect has the state of another login",
		"http://127.0.0.1:1/callback?state=STATE":                                                  "the redirect has no code",
		"http://127.0.0.1:1/callback?state=STATE&error=access_denied&code=c1":                      "the remote refused the login: access_denied",
		"http://127.0.0.1:1/callback?state=STATE&error=access_denied&error_description=no&code=c1": "the remote refused the login: access_denied: no",
	} {
		var asked url.Values
		sent := len(e.forms())
		token, err := remote.LoginWithPastedURL(t.Context(), 1, func(p oauth.Prompt) {
			u, err := url.Parse(p.URL)
			require.NoError(t, err)
			asked = u.Query()
		}, func() (string, error) { return strings.ReplaceAll(pasted, "STATE", asked.Get("state")), nil })
		if want != "" {
			assert.ErrorContains(t, err, want)
			assert.Len(t, e.forms(), sent, "no code is exchanged")
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, "a1", token.Access)
		assert.Equal(t, []string{"c1", "api", "r"}, values(e.forms()[sent], "code", "audience", "resource"))
		assert.NotEmpty(t, e.forms()[sent].Get("code_verifier"))
		assert.Equal(t, []string{"http://127.0.0.1:1/callback", "api", "S256"}, values(asked, "redirect_uri", "audience", "code_challenge_method"))
	}
	_, err := remote.LoginWithPastedURL(t.Context(), 1, func(oauth.Prompt) {}, func() (string, error) { return "", context.Canceled })
	assert.ErrorIs(t, err, context.Canceled)
}
