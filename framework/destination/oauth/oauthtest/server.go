// Package oauthtest starts a real OAuth 2 and OpenID Connect server for a test, and acts as its user's browser.
//
// The server is zitadel/oidc with the storage of its examples. It is certified, runs in the process without a database, and
// supports codes with PKCE, devices, client credentials, rotating refresh tokens, and revocation.
package oauthtest

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// The clients of a Server and their secret. The redirect URI of Web is the one passed to Start.
const (
	Web        = "web"
	Device     = "device"
	Secret     = "client-secret-of-the-test"
	Service    = "sid1" // the service user of the example
	ServiceKey = "verysecret"
)

// Server is a running OAuth server.
type Server struct {
	URL       string
	storage   *storage.Storage
	storageMu sync.Mutex // the example's storage is not safe for concurrent use

	mu        sync.Mutex
	refreshes int
	slow      time.Duration
	status    int
	secrets   []string
	newest    [2]string // access and refresh token
}

// Start starts a server that stops when the test ends. Its access tokens are valid for five minutes.
func Start(tb testing.TB, redirect string) *Server {
	listening := httptest.NewUnstartedServer(nil)
	s := &Server{URL: "http://" + listening.Listener.Addr().String()}
	s.storage = storage.NewStorageWithClients(storage.NewUserStore(s.URL), map[string]*storage.Client{
		Web: storage.WebClient(Web, Secret, redirect), Device: storage.DeviceClient(Device, Secret),
	})
	inner := exampleop.SetupServer(s.URL, s.storage, slog.New(slog.DiscardHandler), false)
	listening.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveRequest(inner, w, r) })
	listening.Start()
	tb.Cleanup(listening.Close)
	return s
}

func (s *Server) serveRequest(inner http.Handler, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/oauth/token" {
		s.storageMu.Lock()
		defer s.storageMu.Unlock()
		inner.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	slow, status := s.slow, s.status
	s.mu.Unlock()
	time.Sleep(slow)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	_ = r.ParseForm()
	response := httptest.NewRecorder()
	s.storageMu.Lock()
	inner.ServeHTTP(response, r)
	s.storageMu.Unlock()
	s.recordTokens(r.Form, response)
	for name, values := range response.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(response.Code)
	_, _ = io.Copy(w, bytes.NewReader(response.Body.Bytes()))
}

func (s *Server) recordTokens(form url.Values, response *httptest.ResponseRecorder) {
	var given map[string]any
	_ = json.Unmarshal(response.Body.Bytes(), &given)
	s.mu.Lock()
	defer s.mu.Unlock()
	if form.Get("grant_type") == "refresh_token" {
		s.refreshes++
	}
	for i, key := range []string{"access_token", "refresh_token", "id_token"} {
		if text, _ := given[key].(string); text != "" {
			s.secrets = append(s.secrets, text)
			if i < len(s.newest) {
				s.newest[i] = text
			}
		}
	}
	for _, key := range []string{"code", "code_verifier", "device_code"} {
		if text := form.Get(key); text != "" {
			s.secrets = append(s.secrets, text)
		}
	}
}

// Refreshes returns the number of refresh requests.
func (s *Server) Refreshes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refreshes
}

// Newest returns the latest tokens.
func (s *Server) Newest() (access, refresh string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest[0], s.newest[1]
}

// Secrets returns all secrets that the server has sent or received.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{Secret}, s.secrets...)
}

// SetBehavior makes the token endpoint slow, or answer with a status; 0 for a normal response.
func (s *Server) SetBehavior(slow time.Duration, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow, s.status = slow, status
}

// IsValid reports whether a resource server accepts an access token.
func (s *Server) IsValid(access string) bool {
	request, err := http.NewRequest(http.MethodGet, s.URL+"/userinfo", nil)
	if err != nil {
		return false
	}
	request.Header.Set("Authorization", "Bearer "+access)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Revoke revokes a token of the client Web.
func (s *Server) Revoke(tb testing.TB, token string) {
	request, err := http.NewRequest(http.MethodPost, s.URL+"/revoke", strings.NewReader(url.Values{"token": {token}}.Encode()))
	require.NoError(tb, err)
	request.SetBasicAuth(Web, Secret)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	require.NoError(tb, err)
	_ = response.Body.Close()
	require.Equal(tb, http.StatusOK, response.StatusCode)
}

// ApproveInBrowser acts as a user with a browser: it opens an address, logs in, and returns the last address and page. If
// follow is false, it does not open the redirect URI.
func (s *Server) ApproveInBrowser(tb testing.TB, address string, follow bool) (end string, page string) {
	jar, err := cookiejar.New(nil)
	require.NoError(tb, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		end = r.URL.String()
		if !follow && !strings.HasPrefix(end, s.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	response, err := browser.Get(address)
	require.NoError(tb, err)
	_ = response.Body.Close()
	id := response.Request.URL.Query().Get("authRequestID")
	require.NotEmpty(tb, id, "the address leads to no login: %s", response.Request.URL)
	response, err = browser.PostForm(s.URL+"/login/username", url.Values{"username": {"test-user2"}, "password": {"verysecure"}, "id": {id}})
	require.NoError(tb, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	return end, string(text)
}

// ApproveDevice acts as a user who enters the code of a device.
func (s *Server) ApproveDevice(tb testing.TB, code string) {
	s.storageMu.Lock()
	defer s.storageMu.Unlock()
	require.NoError(tb, s.storage.CompleteDeviceAuthorization(tb.Context(), code, "id2"))
}
