package console_test

import (
	"database/sql"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/state"
)

// newSyncPage returns a console of a server with the sync vips of 100 users, and the database that its query reads.
func newSyncPage(t *testing.T) (*page, *sql.DB) {
	dir := t.TempDir()
	shop, err := sql.Open("sqlite", filepath.Join(dir, "shop.db")+"?_pragma=busy_timeout(60000)")
	require.NoError(t, err)
	t.Cleanup(func() { _ = shop.Close() })
	_, err = shop.Exec(`CREATE TABLE vips (id INTEGER PRIMARY KEY); WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO vips SELECT i FROM n`)
	require.NoError(t, err)
	store, err := state.OpenSandbox(t.Context(), dir, "sandbox")
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	cfg, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - id: main
    destination: braze-cohorts
    settings: {endpoint: https://rest.iad-01.braze.com, client_secret: s, partner_api_key: p}
    subscriptions: []
audienceSyncs:
  - {id: vips, audience: aud_1, name: "VIP <b>", from: "sqlite:`+filepath.Join(dir, "shop.db")+`", query: "SELECT id AS external_id FROM vips /* <script> */", every: 700h}
  - {id: few, from: "sqlite:`+filepath.Join(dir, "shop.db")+`", query: "SELECT id AS external_id, id AS segment FROM vips", audienceColumn: segment, cron: 0 0 1 1 *}
`), config.Env{})
	require.Empty(t, problems)
	list, err := instances.Load(cfg, problems, instances.Options{
		Target: &instances.Target{Sandbox: true}, Catalog: instances.Catalog{Plugins: []destination.Plugin{brazecohorts.Plugin()}}, Store: store,
	})
	require.NoError(t, err)
	scheduler := audienceruns.New(audienceruns.Config{
		Store: store, Log: slog.New(slog.DiscardHandler),
		Syncs: func() []config.AudienceSync { return cfg.AudienceSyncs }, Instances: func() []instances.Instance { return list },
	})
	t.Cleanup(scheduler.Close)
	p := newPageOf(t, "", "", func(c *console.Config) {
		c.Syncs = scheduler
		c.Running = func() ([]console.Instance, error) {
			return []console.Instance{{Plan: list[0].Plan, Plugin: list[0].Plugin, Ledger: list[0].Ledger}}, nil
		}
	})
	return p, shop
}

// waitFor reloads a page until it has a text, and returns it.
func (p *page) waitFor(path, text string) (body string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { body = p.get(path); return strings.Contains(body, text) }, time.Minute, 10*time.Millisecond, "%s", text)
	return body
}

// preview returns the page of a preview that has ended.
func (p *page) preview() string {
	p.t.Helper()
	w := p.do(http.MethodPost, "syncs/main/vips", url.Values{"do": {"preview"}}, nil)
	require.Equal(p.t, http.StatusSeeOther, w.Code, w.Body.String())
	job := strings.TrimPrefix(w.Header().Get("Location"), "/console/")
	var body string
	require.Eventually(p.t, func() bool { body = p.get(job + "?part=1"); return !strings.Contains(body, "Nothing is sent.") }, time.Minute, 5*time.Millisecond)
	return body
}

var waitingRun = regexp.MustCompile(`name="run" value="([^"]+)"`)

// TestAudienceSyncs runs a sync, looks at a preview, and approves a run that waits.
func TestAudienceSyncs(t *testing.T) {
	p, shop := newSyncPage(t)
	assert.Contains(t, p.get("syncs"), `href="/console/syncs/main/vips"`)
	assert.Contains(t, p.get("syncs/main/few"), "Only the rows whose column <code>segment</code> has <code>few</code> are used.")
	body := p.get("syncs/main/vips")
	assert.Contains(t, body, "Nothing has run yet")
	assert.Contains(t, body, "/* &lt;script&gt; */")
	body = p.preview()
	assert.Contains(t, body, "A run would send 100 entries and 0 exits")
	assert.Equal(t, 100, strings.Count(body, "<code>external_id:"))
	assert.Contains(t, p.get("audiences"), "No audiences yet", "a preview changes nothing")

	require.Equal(t, http.StatusSeeOther, p.do(http.MethodPost, "syncs/main/vips", url.Values{"do": {"run"}}, nil).Code)
	body = p.waitFor("syncs/main/vips?part=1", "<bdi>local program") // in the list of runs that have ended
	assert.NotContains(t, body, "<html")
	assert.Contains(t, body, "local program", "the record says who has started the run")
	assert.Contains(t, p.get("audiences/main/aud_1"), `href="/console/syncs/main/vips"`)
	assert.Contains(t, p.get("syncs/main/vips"), `href="/console/audiences/main/aud_1"`)

	_, err := shop.Exec("DELETE FROM vips WHERE id <= 30")
	require.NoError(t, err)
	body = p.preview()
	assert.Contains(t, body, "A run would wait for an approval: 30 of 100 members would be removed, more than 10 %")
	assert.Contains(t, body, "external_id:30<")
	p.post("syncs/main/vips", url.Values{"do": {"run"}})
	body = p.waitFor("syncs/main/vips?part=1", "Approve 30 removals")
	run := waitingRun.FindStringSubmatch(body)
	require.NotNil(t, run)
	w := p.do(http.MethodPost, "syncs/main/vips", url.Values{"do": {"approve"}, "run": {"another"}}, nil)
	assert.Equal(t, http.StatusConflict, w.Code, "the page shows another run")
	require.Equal(t, http.StatusSeeOther, p.do(http.MethodPost, "syncs/main/vips", url.Values{"do": {"approve"}, "run": {run[1]}}, nil).Code)
	p.waitFor("syncs/main/vips?part=1", "<bdi>approval by") // in the list of runs that have ended
	assert.Contains(t, p.get("audiences/main/aud_1"), "<strong>70</strong> members")
	assert.Contains(t, p.log.String(), `action=audience.sync.approve who="local program" from=127.0.0.1 outcome=ok sync=vips instance=main`)

	_, err = shop.Exec("DROP TABLE vips")
	require.NoError(t, err)
	assert.Contains(t, p.preview(), "no such table: vips")
}

func TestUnknownAudienceSyncs(t *testing.T) {
	p, _ := newSyncPage(t)
	for _, path := range []string{"syncs/main/nope", "syncs/other/vips"} {
		assert.Equal(t, http.StatusNotFound, p.do(http.MethodGet, path, nil, nil).Code, path)
		assert.Equal(t, http.StatusNotFound, p.do(http.MethodPost, path, url.Values{"do": {"run"}}, nil).Code, path)
	}
	assert.Equal(t, http.StatusConflict, p.do(http.MethodPost, "syncs/main/vips", url.Values{"do": {"empty"}}, nil).Code)
	assert.Contains(t, newPage(t, written).get("syncs"), "This console has no queue")
}
