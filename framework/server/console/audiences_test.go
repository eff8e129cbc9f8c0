package console_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/state"
)

// newAudiencePage returns a console with an instance whose audience aud_1, named vip, has the members u1 and u2, and its ledger.
func newAudiencePage(t *testing.T) (*page, *state.Ledger) {
	p, ledger, _ := newAudiencePageWithRemote(t)
	return p, ledger
}

// newAudiencePageWithRemote is newAudiencePage with what the remote is sent.
func newAudiencePageWithRemote(t *testing.T) (*page, *state.Ledger, *sentBodies) {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	in := console.Instance{Plugin: plugin, Ledger: store.Ledger("main")}
	settings := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s","partner_api_key":"k"}}`))
	sent := &sentBodies{next: sandbox.Transport(plugin.Sandbox.New(nil)), let: make(chan struct{})}
	close(sent.let)
	in.Plan, err = runtime.New(plugin, definition, settings, runtime.Host{State: in.Ledger, Members: in.Ledger, Transport: sent})
	require.NoError(t, err)
	rows, err := audiencesync.NewRows(strings.NewReader("external_id\nu1\nu2\n"), plugin.Audiences.Identifiers, nil)
	require.NoError(t, err)
	keeper := audiencesync.Syncer{Plan: in.Plan, Audiences: plugin.Audiences, Ledger: in.Ledger}
	_, err = keeper.Sync(t.Context(), destination.Audience{ID: "aud_1", Name: "vip"}, rows, audiencesync.Add, 1)
	require.NoError(t, err)
	log := &bytes.Buffer{}
	c, err := console.New(console.Config{
		Running: func() ([]console.Instance, error) { return []console.Instance{in}, nil },
		History: console.HistorySource{Sizes: keptHistory(nil).Sizes},
		Guard:   access.NewGuard(access.Config{Key: func() string { return "" }, AllowLocal: true, Log: slog.New(slog.NewTextHandler(log, nil))}),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	sent.take()
	return &page{t: t, http: c.Handler(), log: log}, in.Ledger, sent
}

func TestCompareUsersWithAudience(t *testing.T) {
	p, _ := newAudiencePage(t)
	for _, c := range []struct {
		name, users string
		want        []string
	}{
		{"ids", "u1\nu3\n", []string{"1 in both", "1 only in the audience, 1 only in the list"}},
		{"a header", "external_id;email\nu1;a\n", []string{"1 in both", "A column is ignored"}},
		{"a header of another column", "email\nu1\n", []string{"No column identifies users: the file has email;"}},
		{"a header in camel case", "userId\nu1\n", []string{"No column identifies users: the file has userId;"}},
		{"a row that cannot be read", "external_id,size\nu1,1\nu2,5\" pipe\n", []string{"1 in both", "1 unreadable lines", "line 3: column 2 has a quote"}},
		{"no row that can be read", "external_id,size\nu1\n", []string{"The file has no readable user, so nothing was sent: line 2"}},
	} {
		body := p.post("audiences/main/aud_1", url.Values{"do": {"diff"}, "users": {c.users}})
		for _, want := range c.want {
			assert.Contains(t, body, want, c.name)
		}
	}
}

// TestResyncDecidesFromItsStart sends the audience again with the console's button. Earlier changes have no effect afterwards.
func TestResyncDecidesFromItsStart(t *testing.T) {
	p, ledger := newAudiencePage(t)
	older := []destination.Change{{Identity: "external_id:u1", At: time.Now()}}
	p.post("audiences/main/aud_1", url.Values{"do": {"resync"}})
	require.Eventually(t, func() bool { return strings.Contains(p.get("audiences/main/aud_1"), ": done<") }, time.Minute, 20*time.Millisecond)
	require.NoError(t, ledger.Record(t.Context(), destination.Audience{ID: "aud_1"}, older))
	assert.Contains(t, p.get("audiences?user=u1"), `<span class="badge good">member</span>`)
}

func TestAudiencesOfAUser(t *testing.T) {
	p, _ := newAudiencePage(t)
	assert.Contains(t, p.get("audiences?user=u1"), `<span class="badge good">member</span>`)
	assert.Contains(t, p.get("audiences?user=u9"), "The ledger has no entry for this user")
	audience := p.get("audiences/main/aud_1?window=30d")
	assert.Contains(t, audience, "<strong>2</strong> members")
	assert.Contains(t, audience, "Size in the last 30 days: from 40 to 2 members, between 1 and 40")
	assert.Contains(t, audience, `href="?window=30d" aria-current="true"`)
	assert.Regexp(t, `aria-label="From 40 to 2 members since \d`, p.get("audiences"))
}

// TestEarlierPathsOfAudiences checks that bookmarks of earlier versions lead to the pages of audiences, and nowhere else.
func TestEarlierPathsOfAudiences(t *testing.T) {
	p, _ := newAudiencePage(t)
	for from, to := range map[string]string{
		"cohorts":                      "/console/audiences",
		"cohorts?user=a%26b":           "/console/audiences?user=a%26b",
		"cohorts/":                     "/console/audiences/",
		"cohorts/main/aud_1?window=7d": "/console/audiences/main/aud_1?window=7d",
		"cohorts/main/a%2Fb%20c":       "/console/audiences/main/a%2Fb%20c",
		"cohorts/main/~..":             "/console/audiences/main/~..",
	} {
		w := p.do(http.MethodGet, from, nil, nil)
		assert.Equal(t, http.StatusPermanentRedirect, w.Code, from)
		assert.Equal(t, to, w.Header().Get("Location"), from)
	}
	w := p.do(http.MethodPost, "cohorts/main/aud_1", url.Values{"do": {"diff"}, "users": {"u1"}}, nil)
	assert.Equal(t, http.StatusPermanentRedirect, w.Code, "a form of a page that was open during the upgrade keeps its method and content")
}
