package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/testport"
)

// newConsoleOptions returns the options of a console of a config in a new directory, on a free port.
func newConsoleOptions(t *testing.T, text string) ConsoleOptions {
	t.Helper()
	file := filepath.Join(t.TempDir(), "landfall.yaml")
	if text != "" {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	return ConsoleOptions{
		Config: file, Listen: "127.0.0.1:0", Target: instances.Target{Sandbox: true}, Catalog: instances.Catalog{Plugins: destinations.All()}, Log: slog.New(slog.DiscardHandler),
	}
}

// visitConsole runs a console until its page was requested from this machine, and returns the status and the text of the page.
func visitConsole(t *testing.T, o ConsoleOptions, page string) (status int, text string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	err := RunConsole(ctx, o, func(at string) {
		go func() {
			defer stop()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			response, err := client.Get(at + page)
			if assert.NoError(t, err) {
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				assert.NoError(t, err)
				status, text = response.StatusCode, string(body)
			}
		}()
	})
	require.NoError(t, err)
	return status, text
}

// TestConsoleWithoutServer checks which pages a console without a queue has, and who can see them.
func TestConsoleWithoutServer(t *testing.T) {
	t.Parallel()
	const keyed = servedConfig + "admin: {key: a-long-admin-key}\n"
	for name, c := range map[string]struct {
		config, page string
		status       int
		text         string
	}{
		"no config":   {"", "/console/setup", 200, "Set up"},
		"a config":    {servedConfig, "/console/setup", 200, "cohorts"},
		"the root":    {servedConfig, "/", 303, "/console/"},
		"a key":       {keyed, "/console/setup", 303, "/console/login"},
		"no queue":    {servedConfig, "/console/deliveries", 200, "landfall serve"},
		"no admin":    {servedConfig, "/admin/status", 404, ""},
		"broken YAML": {"sources: [", "/console/setup", 303, "/console/login"},
	} {
		status, text := visitConsole(t, newConsoleOptions(t, c.config), c.page)
		assert.Equal(t, c.status, status, name)
		assert.True(t, strings.Contains(text, c.text), name)
	}
}

// TestConsoleCannotStart checks what is said of options with which a console cannot start.
func TestConsoleCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for name, c := range map[string]struct {
		change func(*ConsoleOptions)
		want   string
		option bool
	}{
		"the config is a directory":  {func(o *ConsoleOptions) { o.Config = filepath.Dir(o.Config) }, "--config ", true},
		"the data is a file":         {func(o *ConsoleOptions) { o.Data = o.Config }, "--data ", true},
		"an open port without a key": {func(o *ConsoleOptions) { o.Listen = "0.0.0.0:0" }, "requires admin.key", true},
		"the port of a server":       {func(o *ConsoleOptions) { o.Listen = config.AdminOnIngest }, "--listen ingest", true},
		"a port in use":              {func(o *ConsoleOptions) { o.Listen = taken.Addr().String() }, "give another address with --listen", false},
		"a damaged state": {func(o *ConsoleOptions) {
			dir := filepath.Join(filepath.Dir(o.Config), instances.DefaultData)
			require.NoError(t, os.MkdirAll(filepath.Join(dir, state.File("sandbox")), 0o700))
		}, "state", false},
	} {
		o := newConsoleOptions(t, servedConfig)
		c.change(&o)
		ctx, stop := context.WithTimeout(t.Context(), patience)
		err := RunConsole(ctx, o, func(string) { stop() })
		stop()
		require.ErrorContains(t, err, c.want, name)
		var option OptionError
		assert.Equal(t, c.option, errors.As(err, &option), name)
	}
	for _, data := range []string{"", "none"} {
		o := newConsoleOptions(t, "")
		if data != "" {
			o.Data = filepath.Join(filepath.Dir(o.Config), data)
		}
		assert.NoError(t, o.checkPaths(), "what does not exist yet is created later")
	}
}

// TestConsoleListensOnAFreePort checks that a console listens on a free port if its default one is in use, but never instead of one that was asked for.
func TestConsoleListensOnAFreePort(t *testing.T) {
	testport.Hold(t, DefaultAdmin)
	o := newConsoleOptions(t, "")
	o.Listen = ""
	listener, err := o.openListener(false)
	require.NoError(t, err)
	assert.NotEqual(t, DefaultAdmin, listener.Addr().String())
	assert.True(t, isPrivate(listener.Addr()))
	require.NoError(t, listener.Close())
	o.Listen = DefaultAdmin
	_, err = o.openListener(false)
	assert.ErrorContains(t, err, "give another address with --listen")
}

// TestConsoleOpensStateThatExists checks that a console creates no state, unless the config has a key for what the state will keep.
func TestConsoleOpensStateThatExists(t *testing.T) {
	dir := t.TempDir()
	open := func(text string) *state.Store {
		t.Helper()
		cfg, problems := config.Parse(filepath.Join(dir, "landfall.yaml"), []byte(text), config.Env{})
		require.Empty(t, problems)
		store, err := openExistingState(t.Context(), cfg, "", "sandbox")
		require.NoError(t, err)
		if store != nil {
			t.Cleanup(func() { _ = store.Close() })
		}
		return store
	}
	assert.Nil(t, open(firstConfig))
	assert.NoDirExists(t, filepath.Join(dir, instances.DefaultData))
	store, err := openExistingState(t.Context(), nil, dir, "sandbox")
	require.NoError(t, err)
	assert.Nil(t, store, "a config that cannot be read")
	assert.NotNil(t, open(servedConfig))
	assert.NotNil(t, open(firstConfig), "it exists by now")
}

// TestPlansOfTheConsole checks where the plans of each target send, and which ledgers they use.
func TestPlansOfTheConsole(t *testing.T) {
	o := newConsoleOptions(t, servedConfig)
	dir := filepath.Join(filepath.Dir(o.Config), instances.DefaultData)
	store, err := state.OpenSandbox(t.Context(), dir, "sandbox")
	require.NoError(t, err)
	defer store.Close()
	p := consoleHost{path: o.Config, catalog: o.Catalog, live: o.Target, store: store, log: o.Log}
	cfg, problems := config.Load(o.Config, config.Env{})
	require.Empty(t, problems)
	for to, keeps := range map[console.Target]bool{console.DryRun: false, console.Sandbox: false, console.Real: true} {
		list, err := p.makePlans(cfg, nil, to, nil)
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, "cohorts", list[0].Plan.ID())
		assert.Equal(t, keeps, list[0].Ledger != nil, to)
	}
	running, err := p.runningInstances()
	require.NoError(t, err)
	assert.Len(t, running, 1)
	host := instances.Options{Target: &o.Target, Catalog: o.Catalog, Store: store, Use: instances.ClaimLedgers}
	p.host = &host
	list, err := p.makePlans(cfg, nil, console.Real, nil)
	require.NoError(t, err)
	assert.NotNil(t, list[0].Ledger)

	// A ledger of another remote is refused for the real target only.
	change := []destination.Change{{Identity: "external_id:a", Member: true, At: time.Now()}}
	require.NoError(t, store.Ledger("cohorts").Record(t.Context(), destination.Audience{ID: "vips", Name: "VIPs"}, change))
	err = store.Ledger("cohorts").Retarget(t.Context(), state.Target{Sandbox: "sandbox", Destination: "webhook"})
	require.NoError(t, err)
	for to, refused := range map[console.Target]bool{console.DryRun: false, console.Sandbox: false, console.Real: true} {
		for _, with := range []*instances.Options{&host, nil} {
			p.host = with
			_, err = p.makePlans(cfg, nil, to, nil)
			assert.Equal(t, refused, err != nil, "%s: %v", to, err)
		}
	}
	p.path = filepath.Join(dir, "none.yaml")
	_, err = p.makePlans(nil, nil, console.DryRun, nil)
	assert.ErrorContains(t, err, "set up a destination to create it")
	p.path = o.Config
	require.NoError(t, os.WriteFile(o.Config, []byte("sources: ["), 0o600))
	_, err = p.runningInstances()
	assert.ErrorContains(t, err, "landfall.yaml")
	_, err = p.openLogins()
	assert.ErrorContains(t, err, "landfall.yaml")
	p.store = nil
	running, err = p.runningInstances()
	assert.NoError(t, err)
	assert.Empty(t, running, "without a state nothing delivers")
}

// TestSecretsOfTheConsole checks that secrets are kept in the state of the real destinations only, whatever the console's target is.
func TestSecretsOfTheConsole(t *testing.T) {
	for _, sandbox := range []bool{true, false} {
		o := newConsoleOptions(t, servedConfig)
		o.Target = instances.Target{Sandbox: sandbox, Live: !sandbox}
		cfg, problems := config.Load(o.Config, config.Env{})
		require.Empty(t, problems)
		p := consoleHost{path: o.Config, catalog: o.Catalog, live: o.Target, log: o.Log}
		_, err := p.openLogins()
		assert.ErrorContains(t, err, "there is no state to keep tokens in")
		p.store, err = instances.OpenState(t.Context(), cfg, "", o.Target.SandboxName())
		require.NoError(t, err)
		defer p.store.Close()
		logins, err := p.openLogins()
		require.NoError(t, err)
		assert.NotNil(t, logins)
		require.NoError(t, p.saveSecrets(t.Context(), cfg, map[string]string{"A_KEY": "typed", "ANOTHER": "typed as well"}))
		real, err := instances.OpenState(t.Context(), cfg, "", "")
		require.NoError(t, err)
		defer real.Close()
		for _, name := range []string{"A_KEY", "ANOTHER"} {
			sealed, err := real.Secret(t.Context(), name)
			require.NoError(t, err)
			assert.NotEmpty(t, sealed)
			assert.NotContains(t, sealed, "typed")
			sealed, err = p.store.Secret(t.Context(), name)
			require.NoError(t, err)
			assert.Equal(t, sandbox, sealed == "")
		}
		noKey, problems := config.Parse(o.Config, []byte(firstConfig), config.Env{})
		require.Empty(t, problems)
		assert.Error(t, p.saveSecrets(t.Context(), noKey, map[string]string{"A_KEY": "typed"}), "there is no key to encrypt it with")
		require.NoError(t, os.MkdirAll(filepath.Join(o.Config+".d", state.FileName), 0o700))
		p.data, p.store = o.Config+".d", nil
		assert.Error(t, p.saveSecrets(t.Context(), cfg, map[string]string{"A_KEY": "typed"}), "a state that cannot be opened")
	}
}
