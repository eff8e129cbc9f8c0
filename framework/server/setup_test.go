package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/internal/testport"
)

const firstConfig = `
sources: [{id: web, writeKey: wk}]
destinations: [{id: a, destination: webhook, subscriptions: []}]
`

// get returns the status of a page, after redirects; 0 if there is no response.
func get(client *http.Client, url string) int {
	r, err := client.Get(url)
	if err != nil {
		return 0
	}
	_ = r.Body.Close()
	return r.StatusCode
}

func TestServerWithoutConfigWaitsForOne(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"missing": "", "empty": "\n", "only comments": "# nothing yet\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "landfall.yaml")
			if name != "missing" {
				require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			}
			var log strings.Builder
			links := make(chan [2]string, 1)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, Options{
					Config: file, Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Target: instances.Target{Sandbox: true}, Grace: time.Second,
					Catalog: instances.Catalog{Plugins: destinations.All()}, Log: slog.New(slog.NewTextHandler(&log, nil)),
					Started: func(console, link string) { links <- [2]string{console, link} },
				})
			}()
			at := <-links
			ready := strings.Replace(at[0], "/console/", "/readyz", 1)
			assert.Equal(t, http.StatusOK, get(http.DefaultClient, at[0]))
			assert.Equal(t, http.StatusServiceUnavailable, get(http.DefaultClient, ready))
			assert.NoDirExists(t, filepath.Join(dir, instances.DefaultData), "nothing is created before a save")

			for _, mistake := range []string{strings.Replace(firstConfig, "webhook", "webhok", 1), firstConfig + `audienceSyncs: [{id: vips, from: "sqlite:shop.db", query: SELECT 1, every: 1h}]`} {
				require.NoError(t, os.WriteFile(file, []byte(mistake), 0o600))
				time.Sleep(3 * setupPoll)
				assert.Equal(t, http.StatusServiceUnavailable, get(http.DefaultClient, ready), "a config with mistakes is not used")
			}
			require.NoError(t, os.WriteFile(file, []byte(firstConfig), 0o600))
			require.Eventually(t, func() bool { return get(http.DefaultClient, ready) == http.StatusOK }, patience, 50*time.Millisecond)
			stop()
			require.NoError(t, <-ended)
			assert.NotContains(t, log.String(), strings.SplitN(at[1], "token=", 2)[1], "the log must not have the token")
		})
	}
}

func TestLinkSignsIn(t *testing.T) {
	t.Parallel()
	links := make(chan string, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Config: filepath.Join(t.TempDir(), "landfall.yaml"), AdminListen: testport.Free(t), Target: instances.Target{Sandbox: true}, Grace: time.Second,
			Catalog: instances.Catalog{Plugins: destinations.All()}, Log: slog.New(slog.DiscardHandler), Started: func(_, link string) { links <- link },
		})
	}()
	link := <-links
	// A request through a tunnel has another Host, so that it does not count as local.
	ask := func(url string, cookies ...*http.Cookie) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		require.NoError(t, err)
		r.Host = "tunnel.example"
		for _, c := range cookies {
			r.AddCookie(c)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		_ = answer.Body.Close()
		return answer
	}
	page, _, _ := strings.Cut(link, "login")
	assert.Equal(t, "/console/login", ask(page+"setup").Header.Get("Location"))
	assert.Equal(t, http.StatusUnauthorized, ask(page+"login?token=wrong").StatusCode)
	signedIn := ask(link)
	require.Len(t, signedIn.Cookies(), 1)
	assert.Equal(t, http.StatusOK, ask(page+"setup", signedIn.Cookies()...).StatusCode)
	stop()
	require.NoError(t, <-ended)
	assert.Zero(t, get(http.DefaultClient, page), "the port is closed")
}

// TestServerStartsWithItsSetup sets up the first instance in the console, and checks what the server that starts then knows of it.
func TestServerStartsWithItsSetup(t *testing.T) {
	t.Parallel()
	s := &served{T: t, file: filepath.Join(t.TempDir(), "new", "landfall.yaml"), ended: make(chan error, 1)}
	links := make(chan string, 1)
	began := make(chan struct{})
	go func() {
		defer close(began)
		s.start(func(o *Options) { o.Started = func(console, _ string) { links <- console } })
	}()
	root := strings.TrimSuffix(<-links, "/console/")
	visitor := &served{T: t} // s is used by the goroutine that starts the server
	status, _ := visitor.call(http.MethodGet, root+"/readyz", "")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	status, text := visitor.call(http.MethodGet, root+"/console/", "")
	assert.Equal(t, http.StatusSeeOther, status)
	visitor.shows(text, "/console/wizard", "the console")
	post := func(path string, form url.Values) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, root+"/console/"+path, strings.NewReader(form.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		response, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusSeeOther, response.StatusCode, path)
		return response.Header.Get("Location")
	}
	next := post("wizard/connect", url.Values{"slug": {"braze-cohorts"}, "name": {"Braze"}, "try.client_secret": {"typed"}, "try.partner_api_key": {"typed too"}, "do": {"save"}})
	assert.Equal(t, "/console/wizard/at/braze/audiences", next)
	<-began
	assert.Equal(t, root, s.at.URL, "the server uses the listener of the setup")
	s.shows(s.get("/console/changes/config"), "the setup in the console", "the list of configs")
	post("wizard/at/braze/identifiers", url.Values{"chosen": {"1"}, "all": {"1"}, "option": {"preset:0"}})
	asked := time.Now()
	post("wizard/at/braze/on", nil)
	if time.Since(asked) < 5*time.Second { // which it waits at most
		assert.Contains(t, s.statuses(), "braze", "the answer waits until the server uses the config")
	}
	s.eventually(func() bool { _, used := s.statuses()["braze"]; return used })
	s.end()
}

// TestAdminListenerOfTheSetup checks that the server uses the listener of the setup, or closes it if the config names another address.
func TestAdminListenerOfTheSetup(t *testing.T) {
	for name, c := range map[string]struct {
		option, listen string
		used           bool
	}{
		"by default":         {"", "", true},
		"an option":          {"127.0.0.1:0", "127.0.0.1:1", true},
		"another address":    {"", "127.0.0.1:0", false},
		"the port of events": {"", config.AdminOnIngest, false},
	} {
		kept, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		v := &server{Options: Options{AdminListen: c.option, Log: slog.New(slog.DiscardHandler)}, keptAdmin: kept}
		cfg := &config.Config{}
		cfg.Server.AdminListen, cfg.Server.AdminKey = c.listen, "a-key"
		opened, err := v.openAdmin(cfg, nil)
		require.NoError(t, err, name)
		assert.Nil(t, v.keptAdmin, name)
		assert.Equal(t, c.used, opened == kept, name)
		if opened != nil && opened != kept {
			require.NoError(t, opened.Close())
		}
		if c.used {
			require.NoError(t, kept.Close(), name)
		} else {
			assert.ErrorIs(t, kept.Close(), net.ErrClosed, name)
		}
	}
}
