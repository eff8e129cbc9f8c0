package cli

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// TestConsoleOfAudienceSyncs uses the pages of audience syncs: a sync runs, a preview shows what the next run would do, and an operator approves a
// run that waits.
func TestConsoleOfAudienceSyncs(t *testing.T) {
	b, script := newBrowser(t), axe(t)
	path := filepath.Join(t.TempDir(), "shop.db")
	shop, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(60000)")
	require.NoError(t, err)
	t.Cleanup(func() { _ = shop.Close() })
	_, err = shop.Exec(`CREATE TABLE vips (id INTEGER PRIMARY KEY); WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1200) INSERT INTO vips SELECT i FROM n`)
	require.NoError(t, err)
	s := newServed(t, serveConfig+`
audienceSyncs:
  - id: vips
    audience: aud_vip
    name: VIP Gold
    from: "sqlite:`+path+`"
    query: |
      -- customers who have bought in the last year
      SELECT id AS external_id
      FROM vips
    every: 700h
`, "--sandbox")
	s.start()
	b.url = s.admin.URL
	b.checkPage("/console/syncs", "syncs-new", script)
	b.open("/console/syncs")
	b.press("vips")
	b.waitFor("", "Nothing has run yet.")
	b.press("Run now")
	b.waitFor("", "1\u202f200")
	b.checkPage("/console/syncs", "syncs", script)
	b.open("/console/audiences/braze-main/aud_vip")
	b.waitFor("", "This audience is read from a query")
	b.press("vips")

	_, err = shop.Exec("DELETE FROM vips WHERE id <= 300; INSERT INTO vips VALUES (5001)")
	require.NoError(t, err)
	b.press("Preview")
	b.waitFor("", "A run would wait for an approval: 300 of 1\u202f200 members would be removed, more than 10 %")
	b.waitFor("", "external_id:5001")
	b.checkPage(ask[string](b, `location.pathname`), "sync-preview", script)
	b.press("Back to the sync")
	b.press("Run now")
	b.waitFor("", "Approve 300 removals")
	b.checkPage("/console/syncs/braze-main/vips", "sync-waiting", script)
	b.open("/console/syncs/braze-main/vips")
	b.press("Approve 300 removals")
	b.waitFor("", "approval by")
	b.waitFor("/console/audiences/braze-main/aud_vip", "901 members")
}
