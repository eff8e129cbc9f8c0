package cli

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/destination/oauth/oauthtest"
)

// TestLoginFromTheConsole logs an instance in from its console page; its waiting events are then delivered.
func TestLoginFromTheConsole(t *testing.T) {
	tokens, port := loginServer(t)
	braze := newBrazeSandbox(t)
	config := strings.Replace(serveConfig, "    subscriptions:", fmt.Sprintf(`    auth:
      clientId: %s
      clientSecret: "file:secret"
      authorizeUrl: %[2]s/auth
      tokenUrl: %[2]s/oauth/token
      scopes: [openid, offline_access]
    subscriptions:`, oauthtest.Web, tokens.URL), 1)
	s := newServed(t, "state: {key: \"file:key\"}\n"+config, "--sandbox-url", newGateway(t, braze.URL, tokens))
	for name, text := range map[string]string{"secret": oauthtest.Secret, "key": oauth.NewKey()} {
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
	}
	s.start()
	s.post(membership("m1", "ana", "Audience Entered", true))
	assert.Eventually(t, func() bool { return strings.Contains(s.page(""), `class="badge bad">stopped`) }, time.Minute, 100*time.Millisecond)
	assert.Contains(t, s.page("setup"), "not connected")

	work := s.connect(url.Values{"instance": {"braze-main"}, "port": {port}})
	address := regexp.MustCompile(`href="(http[^"]+)"[^>]*>Open the login page`)
	var found []string
	require.Eventually(t, func() bool { found = address.FindStringSubmatch(s.page(work)); return found != nil }, time.Minute, 50*time.Millisecond)
	_, _ = tokens.ApproveInBrowser(t, html.UnescapeString(found[1]), true)
	require.Eventually(t, func() bool { return strings.Contains(s.page(work), "Connected.") }, time.Minute, 50*time.Millisecond)
	assert.Contains(t, s.page("setup"), ">connected<")
	require.Eventually(t, func() bool { return members(t, braze.URL)["aud_vip"]["ana"] }, time.Minute, 100*time.Millisecond)
}

// page returns the content of a page of the server's console.
func (s *served) page(path string) string {
	answer, err := s.client.Get(s.admin.URL + "/console/" + path)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return string(text)
}

// connect clicks the Connect button of an instance, and returns the next page.
func (s *served) connect(form url.Values) string {
	request, err := http.NewRequest(http.MethodPost, s.admin.URL+"/console/setup/connect", strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", s.admin.URL)
	answer, err := s.client.Do(request)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	path, ok := strings.CutPrefix(answer.Request.URL.Path, "/console/")
	require.True(s.t, ok && strings.HasPrefix(path, "work/"), answer.Request.URL.Path)
	return path
}
