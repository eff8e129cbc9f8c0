package state_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/destination/oauth/oauthtest"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/testport"
)

func remoteOf(t *testing.T, server string) *oauth.Remote {
	spec, err := oauth.ParseSpec(event.MustParse(`{"authorizeUrl":"{{settings.s}}/auth","tokenUrl":"{{settings.s}}/oauth/token","scopes":["openid","offline_access"]}`),
		event.MustParse(fmt.Sprintf(`{"s":%q}`, server)))
	require.NoError(t, err)
	return &oauth.Remote{Spec: spec, ClientID: oauthtest.Web, ClientSecret: oauthtest.Secret}
}

func keeperOf(t *testing.T, location, key string) *oauth.Manager {
	box, err := oauth.NewBox(key)
	require.NoError(t, err)
	return oauth.NewManager(open(t, location).Tokens(), box)
}

// Processes that find the same token refused refresh it only once, and all use the result.
func TestConcurrentRefreshHappensOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		port := testport.Number(t)
		server, key := oauthtest.Start(t, fmt.Sprintf("http://127.0.0.1:%d/callback", port)), oauth.NewKey()
		token, err := remoteOf(t, server.URL).LoginInBrowser(t.Context(), port, func(a oauth.Prompt) { go func() { _, _ = server.ApproveInBrowser(t, a.URL, true) }() })
		require.NoError(t, err)
		keeper := keeperOf(t, location, key)
		require.NoError(t, keeper.Put(t.Context(), "crm", token))
		server.Revoke(t, token.Access)
		server.SetBehavior(300*time.Millisecond, 0)
		const processes = 3
		results := make(chan string, processes)
		for range processes {
			go func() {
				cmd := exec.Command(os.Args[0], "-test.run=^TestHelperRefreshes$")
				cmd.Env = append(os.Environ(), "LANDFALL_HELPER="+strings.Join([]string{location, key, server.URL, token.Access}, "\n"))
				out, _ := cmd.CombinedOutput()
				results <- string(out)
			}()
		}
		kept := map[string]bool{}
		for range processes {
			out := <-results
			_, access, ok := strings.Cut(out, "token=")
			require.True(t, ok, "%s", out)
			kept[strings.Fields(access)[0]] = true
		}
		assert.Len(t, kept, 1)
		assert.Equal(t, 1, server.Refreshes())
		now, err := keeper.Token(t.Context(), "crm")
		require.NoError(t, err)
		assert.True(t, kept[now.Access])
		assert.True(t, server.IsValid(now.Access))
	})
}

// TestHelperRefreshes runs in the processes of TestConcurrentRefreshHappensOnce.
func TestHelperRefreshes(t *testing.T) {
	args := strings.Split(os.Getenv("LANDFALL_HELPER"), "\n")
	if len(args) != 4 {
		t.Skip("run by another test")
	}
	access, err := keeperOf(t, args[0], args[1]).Source("crm", remoteOf(t, args[2])).Token(t.Context(), args[3])
	require.NoError(t, err)
	fmt.Printf("token=%s\n", access)
	os.Exit(0) // connections stay open
}

func TestTokenChangesAreSerialized(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		one, two := open(t, location).Tokens(), open(t, location).Tokens()
		none, err := one.Get(t.Context(), "crm")
		require.NoError(t, err)
		assert.Zero(t, none)
		done := make(chan error, 40)
		for i := range cap(done) {
			go func() {
				done <- []state.Tokens{one, two}[i%2].Update(t.Context(), "crm", func(_ context.Context, r oauth.Record) (oauth.Record, error) {
					return oauth.Record{Sealed: r.Sealed + "x", About: "{}"}, nil
				})
			}()
		}
		for range cap(done) {
			require.NoError(t, <-done)
		}
		failure := errors.New("no")
		require.ErrorIs(t, one.Update(t.Context(), "crm", func(context.Context, oauth.Record) (oauth.Record, error) { return oauth.Record{}, failure }), failure)
		got, err := two.Get(t.Context(), "crm")
		require.NoError(t, err)
		assert.Equal(t, oauth.Record{Sealed: strings.Repeat("x", 40), About: "{}"}, got)
	})
}
