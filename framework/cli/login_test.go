package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/destination/oauth/oauthtest"
	"github.com/landfall-dev/landfall/internal/testport"
)

// loginServer starts an OAuth server, and returns it with the port of its redirects.
func loginServer(t *testing.T) (server *oauthtest.Server, port string) {
	_, port, err := net.SplitHostPort(testport.Free(t))
	require.NoError(t, err)
	return oauthtest.Start(t, "http://127.0.0.1:"+port+"/callback"), port
}

// newGateway starts a gateway to a Braze sandbox that accepts only valid tokens.
func newGateway(t *testing.T, braze string, tokens *oauthtest.Server) string {
	to, err := url.Parse(braze)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !tokens.IsValid(access) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"message":"the token %s is not good"}`, access)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// landfall runs a command until it ends and returns all of its output. see is called for each line of standard error.
func landfall(t *testing.T, see func(line string), args ...string) (out string, ok bool) {
	file, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(file, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout = &stdout
	pipe, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for lines := bufio.NewScanner(io.TeeReader(pipe, &stderr)); lines.Scan(); {
		if see != nil {
			see(lines.Text())
		}
	}
	err = cmd.Wait()
	return stdout.String() + stderr.String(), err == nil
}

// TestLoginLifecycle follows an instance from its first login: events wait for the login, tokens are refreshed automatically, the
// instance stops when the remote issues no more tokens, and continues after the next login. No output contains a secret.
func TestLoginLifecycle(t *testing.T) {
	tokens, port := loginServer(t)
	braze := newBrazeSandbox(t)
	key := oauth.NewKey()
	config := strings.Replace(serveConfig, "    subscriptions:", fmt.Sprintf(`    auth:
      clientId: %s
      clientSecret: "file:secret"
      authorizeUrl: %[2]s/auth
      tokenUrl: %[2]s/oauth/token
      revokeUrl: %[2]s/revoke
      scopes: [openid, offline_access]
    subscriptions:`, oauthtest.Web, tokens.URL), 1)
	gateway := newGateway(t, braze.URL, tokens)
	s := newServed(t, config, "--sandbox-url", gateway)
	file := filepath.Join(s.dir, "landfall.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "secret"), []byte(oauthtest.Secret), 0o600))
	var printed strings.Builder
	command := func(ok bool, see func(string), args ...string) string {
		if args[0] == "auth" && args[1] != "test" {
			args = append(args, "--sandbox-url", gateway)
		}
		out, good := landfall(t, see, append(args, "--config", file)...)
		require.Equal(t, ok, good, "%v: %s", args, out)
		printed.WriteString(out)
		return out
	}

	require.Contains(t, command(false, nil, "auth", "status"), "landfall auth key")
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "key"), []byte(key), 0o600))
	require.NoError(t, os.WriteFile(file, []byte("state: {key: \"file:key\"}\n"+config), 0o600))
	require.Contains(t, command(true, nil, "auth", "status"), "not logged in")

	address := regexp.MustCompile(`http\S+`)
	login := func() {
		out := command(true, func(line string) {
			if found := address.FindString(line); found != "" {
				go func() { _, _ = tokens.ApproveInBrowser(t, found, true) }()
			}
		}, "auth", "login", "--no-browser", "--port", port)
		require.Contains(t, out, "logged in")
	}
	stopped := func() {
		require.Eventually(t, func() bool { return strings.Contains(command(true, nil, "status"), "nothing is sent: ") }, time.Minute, 200*time.Millisecond)
	}
	load := newLoad(100, 3)
	send := func() {
		for range 3 {
			s.post(load.batch(100, 0, 1))
		}
	}

	s.start()
	send()
	stopped()
	login()
	assert.EqualValues(t, 300, s.waitSettled(300)["delivered"]+s.waitSettled(300)["skipped"])

	access, refresh := tokens.Newest()
	tokens.Revoke(t, access)
	tokens.Revoke(t, refresh)
	send()
	stopped()
	s.kill(syscall.SIGKILL)
	s.start()
	send()
	stopped()
	require.Contains(t, command(true, nil, "auth", "status", "--json"), `"state":"login needed"`)
	login()
	counts := s.waitSettled(900)
	assert.EqualValues(t, 900, counts["delivered"]+counts["skipped"])
	load.check(t, braze.URL)

	before := tokens.Refreshes()
	access, _ = tokens.Newest()
	tokens.Revoke(t, access)
	send()
	counts = s.waitSettled(1200)
	assert.EqualValues(t, 1200, counts["delivered"]+counts["skipped"])
	assert.Equal(t, before+1, tokens.Refreshes())
	require.Contains(t, command(true, nil, "auth", "test", "--sandbox-url", gateway), "the credentials are valid")
	require.Contains(t, command(true, nil, "auth", "status"), "refreshed")
	require.Contains(t, command(true, nil, "auth", "logout"), "the remote has revoked the token")
	require.NotContains(t, command(true, nil, "dead", "list", "--json"), "{", "nothing has died")
	s.kill(syscall.SIGTERM)
	load.check(t, braze.URL)

	seen := printed.String()
	require.NoError(t, filepath.Walk(s.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || filepath.Base(path) == "secret" || filepath.Base(path) == "key" {
			return err
		}
		text, err := os.ReadFile(path)
		seen += string(text)
		return err
	}))
	answer, err := http.Get(braze.URL + "/__sandbox/requests")
	if err == nil {
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		seen += string(text)
	}
	for _, secret := range append(tokens.Secrets(), key) {
		assert.NotContains(t, seen, secret)
	}
}
