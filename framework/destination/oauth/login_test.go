package oauth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/destination/oauth/oauthtest"
)

func TestABrowserLogsIn(t *testing.T) {
	w, source, token := loggedIn(t)
	assert.True(t, w.IsValid(token.Access))
	assert.NotEmpty(t, token.Refresh)
	assert.Equal(t, []string{"openid", "offline_access"}, token.Scopes)
	assert.WithinDuration(t, time.Now().Add(5*time.Minute), token.Expires, time.Minute)
	assert.Equal(t, token.Access, get(t, source, ""))
	assert.Zero(t, w.Refreshes())
}

func TestBrowserOnAnotherMachineLogsIn(t *testing.T) {
	w := newWorld(t, codeSpec)
	var address string
	token, err := w.remote.LoginWithPastedURL(t.Context(), w.port, func(a oauth.Prompt) { address = a.URL }, func() (string, error) {
		end, _ := w.ApproveInBrowser(t, address, false)
		return end + "\n", nil
	})
	require.NoError(t, err)
	assert.True(t, w.IsValid(token.Access))
}

func TestADeviceLogsIn(t *testing.T) {
	w := newWorld(t, `{"grant":"device_code","deviceUrl":"{{settings.host}}/device_authorization","tokenUrl":"{{settings.host}}/oauth/token","scopes":["openid"]}`)
	w.remote.ClientID = oauthtest.Device
	token, err := w.remote.LoginWithDevice(t.Context(), func(a oauth.Prompt) {
		assert.Contains(t, a.URL, w.URL)
		w.ApproveDevice(t, a.Code)
	})
	require.NoError(t, err)
	assert.True(t, w.IsValid(token.Access))
}

// TestClientCredentials checks that client credentials need no login, now or later.
func TestClientCredentials(t *testing.T) {
	w := newWorld(t, `{"grant":"client_credentials","tokenUrl":"{{settings.host}}/oauth/token","scopes":["openid"]}`)
	w.remote.ClientID, w.remote.ClientSecret = oauthtest.Service, oauthtest.ServiceKey
	source := w.keeper.Source("crm", w.remote)
	first := get(t, source, "")
	assert.NotEmpty(t, first)
	w.pass(10 * time.Minute)
	assert.NotEqual(t, first, get(t, source, ""))
	w.remote.ClientSecret = "another"
	w.pass(10 * time.Minute)
	_, err := w.keeper.Source("crm", w.remote).Token(t.Context(), "")
	assertLogin(t, err)
}

type through func(*http.Request) (*http.Response, error)

func (f through) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A code without the verifier gets no token.
func TestPKCEMismatch(t *testing.T) {
	w := newWorld(t, codeSpec)
	base := w.remote.Base
	w.remote.Base = through(func(r *http.Request) (*http.Response, error) {
		text, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(text))
		assert.NotEmpty(t, form.Get("code_verifier"))
		form.Set("code_verifier", strings.Repeat("x", 43))
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form.Encode())), int64(len(form.Encode()))
		return base.RoundTrip(r)
	})
	var end, page string
	agreed := make(chan struct{})
	_, err := w.remote.LoginInBrowser(t.Context(), w.port, func(a oauth.Prompt) {
		go func() { defer close(agreed); end, page = w.ApproveInBrowser(t, a.URL, true) }()
	})
	<-agreed
	assert.ErrorContains(t, err, "the token endpoint answered invalid_")
	assert.Contains(t, page, "Not logged in")
	assert.Contains(t, end, "state=")
}

// TestStateOfAnotherLoginIsRefused checks that a redirect with a wrong state neither logs in nor ends another login.
func TestStateOfAnotherLoginIsRefused(t *testing.T) {
	w := newWorld(t, codeSpec)
	var browser sync.WaitGroup
	_, err := w.remote.LoginInBrowser(t.Context(), w.port, func(a oauth.Prompt) {
		browser.Go(func() {
			response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/callback?code=stolen&state=guessed", w.port))
			if assert.NoError(t, err) {
				_ = response.Body.Close()
				assert.Equal(t, http.StatusBadRequest, response.StatusCode)
			}
			_, _ = w.ApproveInBrowser(t, a.URL, true)
		})
	})
	browser.Wait()
	assert.NoError(t, err)
}

func TestTheRemoteRefusesALogin(t *testing.T) {
	w := newWorld(t, codeSpec)
	var browser sync.WaitGroup
	_, err := w.remote.LoginInBrowser(t.Context(), w.port, func(a oauth.Prompt) {
		u, _ := url.Parse(a.URL)
		browser.Go(func() {
			response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/callback?error=access_denied&error_description=%%3Cb%%3Eno&state=%s", w.port, u.Query().Get("state")))
			if assert.NoError(t, err) {
				text, _ := io.ReadAll(response.Body)
				_ = response.Body.Close()
				assert.NotContains(t, string(text), "<b>no")
			}
		})
	})
	browser.Wait()
	assert.EqualError(t, err, "the remote refused the login: access_denied: <b>no")
}

func TestLogout(t *testing.T) {
	w, source, token := loggedIn(t)
	asked, err := w.remote.Revoke(t.Context(), token)
	require.NoError(t, err)
	assert.True(t, asked)
	assert.False(t, w.IsValid(token.Access))
	require.NoError(t, w.keeper.Put(t.Context(), "crm", oauth.Token{}))
	w.pass(3 * time.Second)
	_, err = source.Token(t.Context(), "")
	assertLogin(t, err)
}
