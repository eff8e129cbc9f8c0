package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/destination/oauth/oauthtest"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/loglines"
	"github.com/landfall-dev/landfall/internal/testport"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// world is an OAuth server, and an instance that can log in there.
type world struct {
	*oauthtest.Server
	remote *oauth.Remote
	store  oauth.Store
	keeper *oauth.Manager
	port   int
	log    *loglines.Buffer
	mu     sync.Mutex
	passed time.Duration // the clock is ahead
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.passed)
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed += d
}

func newWorld(t *testing.T, spec string) *world {
	w := &world{port: testport.Number(t), store: oauth.NewMemoryStore(), log: &loglines.Buffer{}}
	w.Server = oauthtest.Start(t, fmt.Sprintf("http://127.0.0.1:%d/callback", w.port))
	settings := event.MustParse(fmt.Sprintf(`{"host":%q}`, w.URL))
	parsed, err := oauth.ParseSpec(event.MustParse(spec), settings)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	w.remote = &oauth.Remote{
		Spec: parsed, ClientID: oauthtest.Web, ClientSecret: oauthtest.Secret, Base: transport, Now: w.now,
		Log: w.log.NewLogger(slog.LevelDebug),
	}
	box, err := oauth.NewBox(oauth.NewKey())
	require.NoError(t, err)
	w.keeper = oauth.NewManager(w.store, box)
	t.Cleanup(func() {
		for _, secret := range w.Secrets() {
			assert.NotContains(t, w.log.String(), secret, "a secret is in the log")
		}
	})
	return w
}

const codeSpec = `{"authorizeUrl":"{{settings.host}}/auth","tokenUrl":"{{settings.host}}/oauth/token","revokeUrl":"{{settings.host}}/revoke","scopes":["openid","offline_access"]}`

func (w *world) login(t *testing.T) oauth.Token {
	var browser sync.WaitGroup
	token, err := w.remote.LoginInBrowser(t.Context(), w.port, func(a oauth.Prompt) {
		browser.Go(func() { _, _ = w.ApproveInBrowser(t, a.URL, true) })
	})
	browser.Wait()
	require.NoError(t, err)
	require.NoError(t, w.keeper.Put(t.Context(), "crm", token))
	return token
}

// loggedIn returns a world after a login, and the token source of its instance.
func loggedIn(t *testing.T) (*world, *oauth.Source, oauth.Token) {
	w := newWorld(t, codeSpec)
	token := w.login(t)
	return w, w.keeper.Source("crm", w.remote), token
}

func get(t *testing.T, s *oauth.Source, refused string) string {
	access, err := s.Token(t.Context(), refused)
	require.NoError(t, err)
	return access
}

func assertLogin(t *testing.T, err error) {
	t.Helper()
	var known *fault.Error
	require.ErrorAs(t, err, &known)
	assert.Equal(t, fault.CodeLogin, known.Code)
	assert.Contains(t, known.Message, "landfall auth login")
}

// TestOneRefreshAtATime checks that an expired or refused token is refreshed once for a thousand concurrent requests.
func TestOneRefreshAtATime(t *testing.T) {
	for name, refused := range map[string]bool{"expired": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			w, source, token := loggedIn(t)
			asked := ""
			if refused {
				asked = token.Access
				w.Revoke(t, token.Access)
			} else {
				w.pass(6 * time.Minute)
			}
			w.SetBehavior(50*time.Millisecond, 0)
			got := make([]string, 1000)
			var all sync.WaitGroup
			for i := range got {
				all.Go(func() { got[i], _ = source.Token(t.Context(), asked) })
			}
			all.Wait()
			assert.Equal(t, 1, w.Refreshes())
			for _, access := range got {
				require.Equal(t, got[0], access)
			}
			assert.NotEqual(t, token.Access, got[0])
			assert.True(t, w.IsValid(got[0]))
			kept, err := w.keeper.Token(t.Context(), "crm")
			require.NoError(t, err)
			assert.Equal(t, got[0], kept.Access)
			assert.NotEqual(t, token.Refresh, kept.Refresh, "the refresh token is rotated")
			assert.True(t, kept.Login.Equal(token.Login))
			assert.False(t, kept.Refreshed.IsZero())
		})
	}
}

// TestRefreshAhead checks that a token is refreshed before it expires, and is used while it is valid if the token endpoint fails.
func TestRefreshAhead(t *testing.T) {
	w, source, token := loggedIn(t)
	assert.Equal(t, token.Access, get(t, source, ""))
	w.pass(4*time.Minute + 20*time.Second)
	w.SetBehavior(0, 500)
	assert.Equal(t, token.Access, get(t, source, ""))
	w.SetBehavior(0, 0)
	assert.Equal(t, token.Access, get(t, source, ""), "it does not ask at each request")
	w.pass(31 * time.Second)
	assert.NotEqual(t, token.Access, get(t, source, ""))
	assert.Equal(t, 1, w.Refreshes())
}

func TestTheTokenEndpointFails(t *testing.T) {
	w, source, token := loggedIn(t)
	w.pass(6 * time.Minute)
	for _, status := range []int{500, 429, 404} {
		w.SetBehavior(0, status)
		_, err := source.Token(t.Context(), "")
		var known *fault.Error
		require.ErrorAs(t, err, &known)
		assert.True(t, known.Retry)
		assert.NotEqual(t, fault.CodeLogin, known.Code)
		assert.Contains(t, known.Message, fmt.Sprint(status))
	}
	w.SetBehavior(0, 0)
	assert.NotEqual(t, token.Access, get(t, source, ""))
}

// TestTheTokenEndpointIsSlow checks that a refresh continues if one of its callers stops waiting.
func TestTheTokenEndpointIsSlow(t *testing.T) {
	w, source, token := loggedIn(t)
	w.pass(6 * time.Minute)
	base, answers := w.remote.Base, make(chan struct{})
	w.remote.Base = through(func(r *http.Request) (*http.Response, error) { <-answers; return base.RoundTrip(r) })
	hasty, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := source.Token(hasty, "")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	close(answers)
	assert.NotEqual(t, token.Access, get(t, source, ""))
	assert.Equal(t, 1, w.Refreshes())
}

// TestRevokedTokenStopsTheInstance checks that an instance whose token is refused for good sends no token request until the next
// login.
func TestRevokedTokenStopsTheInstance(t *testing.T) {
	w, source, token := loggedIn(t)
	w.Revoke(t, token.Refresh)
	w.pass(6 * time.Minute)
	for range 3 {
		_, err := source.Token(t.Context(), "")
		assertLogin(t, err)
		assert.NotContains(t, err.Error(), token.Refresh)
		w.pass(time.Hour)
	}
	assert.Equal(t, 1, w.Refreshes())
	kept, err := w.keeper.Token(t.Context(), "crm")
	require.NoError(t, err)
	assert.Contains(t, kept.Refused, "invalid_grant")
	again := w.login(t)
	assert.Equal(t, again.Access, get(t, source, ""))
}

func TestWithoutLoginNothingIsSent(t *testing.T) {
	w := newWorld(t, codeSpec)
	_, err := w.keeper.Source("crm", w.remote).Token(t.Context(), "")
	assertLogin(t, err)
}

// TestTheKeyOfTheStateHasChanged checks that a token encrypted with another key requires a login, and that events wait until then.
func TestTheKeyOfTheStateHasChanged(t *testing.T) {
	w, _, _ := loggedIn(t)
	box, err := oauth.NewBox(oauth.NewKey())
	require.NoError(t, err)
	other := oauth.NewManager(w.store, box)
	source := other.Source("crm", w.remote)
	_, err = source.Token(t.Context(), "")
	assertLogin(t, err)
	assert.ErrorContains(t, err, "state.key")
	token, err := w.keeper.Token(t.Context(), "crm")
	require.NoError(t, err)
	require.NoError(t, other.Put(t.Context(), "crm", token))
	assert.Equal(t, token.Access, get(t, source, ""))
}

// TestRepeatedlyRefusedToken checks that a remote that refuses every token does not get a token request for each request.
func TestRepeatedlyRefusedToken(t *testing.T) {
	w, source, token := loggedIn(t)
	access := get(t, source, token.Access)
	for range 5 {
		assert.Equal(t, access, get(t, source, access))
	}
	assert.Equal(t, 1, w.Refreshes())
	w.pass(11 * time.Second)
	assert.NotEqual(t, access, get(t, source, access))
}

// TestClockSkew checks that a machine whose clock is behind refreshes an expired token after a 401.
func TestClockSkew(t *testing.T) {
	w, _, token := loggedIn(t)
	behind := *w.remote
	behind.Now = func() time.Time { return w.now().Add(-10 * time.Minute) }
	source := w.keeper.Source("crm", &behind)
	w.pass(6 * time.Minute)
	assert.Equal(t, token.Access, get(t, source, ""))
	fresh := get(t, source, token.Access)
	assert.True(t, w.IsValid(fresh))
	w.pass(3 * time.Second)
	other := w.keeper.Source("crm", w.remote)
	assert.NotEmpty(t, get(t, other, ""))
}

// broken is a store whose next writes fail.
type broken struct {
	oauth.Store
	failures int
}

func (b *broken) Update(ctx context.Context, instance string, f func(context.Context, oauth.Record) (oauth.Record, error)) error {
	return b.Store.Update(ctx, instance, func(ctx context.Context, r oauth.Record) (oauth.Record, error) {
		r, err := f(ctx, r)
		if err == nil && b.failures > 0 {
			b.failures--
			err = errors.New("the disk is full")
		}
		return r, err
	})
}

// TestTheStoreFails checks that a rotated refresh token that cannot be stored is stored later, and that its access token is not
// used before.
func TestTheStoreFails(t *testing.T) {
	w := newWorld(t, codeSpec)
	store := &broken{Store: w.store}
	box, err := oauth.NewBox(oauth.NewKey())
	require.NoError(t, err)
	w.keeper = oauth.NewManager(store, box)
	w.login(t)
	source := w.keeper.Source("crm", w.remote)
	w.pass(6 * time.Minute)
	store.failures = 2
	for range 2 {
		_, err := source.Token(t.Context(), "")
		assert.ErrorContains(t, err, "the disk is full")
	}
	access := get(t, source, "")
	assert.True(t, w.IsValid(access))
	assert.Equal(t, 1, w.Refreshes())
	w.pass(6 * time.Minute)
	assert.NotEqual(t, access, get(t, source, ""), "the refresh token that was kept is good")
}

func TestCustomRefresh(t *testing.T) {
	w, _, token := loggedIn(t)
	var known error
	w.remote.RefreshToken = func(_ context.Context, old oauth.Token) (oauth.Token, error) {
		assert.Equal(t, token.Refresh, old.Refresh)
		return oauth.Token{Access: "by-hand", Expires: w.now().Add(time.Hour)}, known
	}
	source := w.keeper.Source("crm", w.remote)
	w.pass(6 * time.Minute)
	assert.Equal(t, "by-hand", get(t, source, ""))
	known = fmt.Errorf("no more of %s", token.Refresh)
	w.pass(2 * time.Hour)
	_, err := source.Token(t.Context(), "")
	assertLogin(t, err)
	assert.NotContains(t, err.Error(), token.Refresh)
}

func TestTokensAreStoredEncrypted(t *testing.T) {
	w, _, token := loggedIn(t)
	record, err := w.store.Get(t.Context(), "crm")
	require.NoError(t, err)
	for _, secret := range []string{token.Access, token.Refresh} {
		assert.NotContains(t, record.Sealed+record.About, secret)
	}
	other, err := oauth.NewBox(oauth.NewKey())
	require.NoError(t, err)
	_, err = oauth.NewManager(w.store, other).Token(t.Context(), "crm")
	assert.ErrorContains(t, err, "cannot be decrypted with the key in state.key")
	require.NoError(t, w.store.Update(t.Context(), "else", func(context.Context, oauth.Record) (oauth.Record, error) { return record, nil }))
	_, err = w.keeper.Token(t.Context(), "else")
	assert.Error(t, err, "a record of another instance")
	_, err = oauth.NewBox("short")
	assert.Error(t, err)
}

func TestSpecs(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                 "needs tokenUrl",
		`{"tokenUrl":"https://a.example/t"}`: "needs authorizeUrl for the grant authorization_code",
		`{"grant":"device_code","tokenUrl":"https://a.example/t"}`:                                        "needs deviceUrl",
		`{"grant":"client_credentials","tokenUrl":"http://a.example/t"}`:                                  "should be an https URL",
		`{"grant":"client_credentials","tokenUrl":"https://{{settings.nothing}}/t"}`:                      "should be an https URL",
		`{"grant":"client_credentials","tokenUrl":"https://{{settings.site}}.example/t"}`:                 "",
		`{"grant":"client_credentials","tokenUrl":"http://127.0.0.1:1/t","scopes":["{{settings.x}}"]}`:    "",
		`{"grant":"client_credentials","tokenUrl":{"@expr":"'https://' + settings.site + '.example/t'"}}`: "",
		`{"grant":"client_credentials","tokenUrl":{"@path":"$.settings.nothing"}}`:                        "/tokenUrl should be a URL, but there is none",
	} {
		_, err := oauth.ParseSpec(event.MustParse(text), event.MustParse(`{"site":"eu"}`))
		if want == "" {
			assert.NoError(t, err, text)
		} else {
			assert.ErrorContains(t, err, want, text)
		}
	}
}
