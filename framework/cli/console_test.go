package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/internal/testport"
)

// TestConsole uses the console like a new user: a destination is set up, a user enters an audience and leaves
// it, credentials break and are fixed, and a dead letter is replayed.
func TestConsole(t *testing.T) {
	b := newBrowser(t)
	script := axe(t)
	sandbox := strictBraze(t)
	for name, value := range map[string]string{
		"WRITE_KEY": "wk", "BRAZE_COHORTS_CLIENT_SECRET": "good-secret", "PARTNER_KEY": "good-partner", "BROKEN_SECRET": "broken-secret",
	} {
		t.Setenv(name, value)
	}
	s := newServed(t, "", "--sandbox-url", sandbox)
	file := filepath.Join(s.dir, "landfall.yaml")
	require.NoError(t, os.Remove(file))

	b.url = authorsConsole(t, file, sandbox)
	b.checkPage("/console/setup", "setup-empty", script)
	setUpBraze(t, b, file)
	b.checkPage("/console/catalogue", "catalogue", script)
	b.checkPage("/console/catalogue/braze-cohorts", "destination", script)
	b.checkPage("/console/deliveries", "deliveries-none", script)

	s.start()
	b.url = s.admin.URL
	b.checkPage("/console/audiences", "audiences-empty", script)
	s.post(membership("m1", "ana", "Audience Entered", true))
	b.waitFor("/console/audiences?user=ana", "member")
	assert.True(t, members(t, sandbox)["aud_vip"]["ana"])
	s.post(membership("m2", "ana", "Audience Exited", false))
	b.waitFor("/console/audiences?user=ana", "not in audience")
	b.waitFor("/console/events?user=ana", "Audience Exited of ana")

	tryMistakes(b)
	changeSecret(s, b, "BROKEN_SECRET", "wrong")
	s.post(membership("m3", "bob", "Audience Entered", true))
	b.waitFor("/console/letters", "bob")
	assert.NotContains(t, b.words(), "broken-secret")
	visitPages(b, script)
	changeSecret(s, b, "BROKEN_SECRET", "") // the same name, so that nothing changes
	changeSecret(s, b, "BRAZE_COHORTS_CLIENT_SECRET", "right")
	b.open("/console/letters")
	b.press("Replay this event")
	b.waitFor("", "1 dead letter is being replayed")
	b.waitFor("/console/audiences?user=bob", "member")
	assert.True(t, members(t, sandbox)["aud_vip"]["bob"])
	emptyAudience(b, script)
	assert.False(t, members(t, sandbox)["aud_vip"]["bob"])
}

// strictBraze starts a sandbox that accepts only certain keys, and returns its URL.
func strictBraze(t *testing.T) string {
	for _, sb := range allSandboxes(destinations.All()) {
		if sb.Name == "braze" {
			server := httptest.NewServer(sb.New(map[string][]string{"client-secret": {"good-secret"}, "partner-key": {"good-partner"}}))
			t.Cleanup(server.Close)
			return server.URL
		}
	}
	require.Fail(t, "there is no sandbox of Braze")
	return ""
}

// authorsConsole runs `landfall console` in a separate process.
func authorsConsole(t *testing.T, file, sandbox string) string {
	program, err := binary()
	require.NoError(t, err)
	address := testport.Free(t)
	cmd := exec.Command(program, "console", "--config", file, "--listen", address, "--sandbox-url", sandbox)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		assert.NoError(t, cmd.Wait())
	})
	for range 1200 {
		if answer, err := http.Get("http://" + address + "/console/catalogue"); err == nil {
			_ = answer.Body.Close()
			return "http://" + address
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.Fail(t, "the console does not answer")
	return ""
}

// setUpBraze sets up Braze Cohorts without an existing config.
func setUpBraze(t *testing.T, b *browser, file string) {
	b.open("/")
	b.press("Set up Braze Cohorts")
	b.fill("#set-partner_api_key", "PARTNER_KEY")
	b.fill("#id", "braze-main")
	b.fill("#try-client_secret", "another's")
	b.press("Test credentials in the sandbox")
	b.press("Review changes…")
	b.waitFor("", "Changes")
	assert.NoFileExists(t, file)
	b.press("Write file")
	b.waitFor("", "Written.")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, line := range []string{"  - id: braze-main", "partner_api_key: ${PARTNER_KEY}", "client_secret: ${BRAZE_COHORTS_CLIENT_SECRET}", "writeKey: ${WRITE_KEY}"} {
		assert.Contains(t, string(text), line)
	}
	assert.NotContains(t, string(text), "another's")
	// the console must preserve comments that users add to the file
	require.NoError(t, os.WriteFile(file, append([]byte("# kept by hand\n"), text...), 0o600))
}

// membership returns an event of one user.
func membership(id, user, name string, in bool) []byte {
	return fmt.Appendf(nil, `{"batch":[{"type":"track","messageId":%q,"userId":%q,"event":%q,"timestamp":%q,"properties":{"audience_key":"vip","vip":%v},"context":{"personas":{"computation_class":"audience","computation_id":"aud_vip","computation_key":"vip"}}}]}`,
		id, user, name, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), in)
}

// tryMistakes checks that the form shows a mistake below its field while it is typed, and that the preview returns once it is
// fixed.
func tryMistakes(b *browser) {
	b.t.Helper()
	b.open("/console/setup/edit/braze-main")
	b.fill("#s-0-subscribe", `event = "Audience`)
	b.do("seeing the mistake", chromedp.WaitVisible(chromedp.CSS("#e-s-0-subscribe .error")))
	b.fill("#s-0-subscribe", `event = "Another's"`)
	b.do("seeing the preview", chromedp.WaitVisible(chromedp.Search(`//*[@id="preview"]//summary[contains(., "Not matched")]`)))
	b.fill("#s-0-f-personas_audience_key-text", "gold")
	editCard(b)
	b.open("/console/deliveries")
	assert.Equal(b.t, int32(1), b.asked.Load(), "the form asks before it is left")
	b.open("/console/setup/edit/braze-main")
	b.do("seeing the preview of the draft", chromedp.WaitVisible(chromedp.Search(`//*[@id="preview"]//summary[contains(., "Not matched")]`)))
	b.do("seeing the card of the draft", chromedp.WaitReady(chromedp.Search(`//*[@id="chips-s-0-f-device_id"]//b[.="@case"]`)))
	b.press("Discard changes")
	b.do("seeing the saved form", chromedp.WaitReady(chromedp.Search(`//form[@id="setup"]`)))
	assert.Equal(b.t, int32(1), b.asked.Load())
	assert.NotContains(b.t, b.words(), "not saved")
}

// editCard maps a field with a directive, whose inputs appear when it is chosen. The focus stays where it was.
func editCard(b *browser) {
	b.t.Helper()
	choose := func(selector, option string) {
		assert.True(b.t, ask[bool](b, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.focus(); e.value = %q; e.dispatchEvent(new Event("input", { bubbles: true })); return true; })()`, selector, option)))
	}
	choose("#s-0-f-device_id-mode", "card")
	b.do("seeing the directives", chromedp.WaitReady(chromedp.CSS(`select[name="s.0.f.device_id.directive"]`)))
	assert.Equal(b.t, "s-0-f-device_id-mode", ask[string](b, `document.activeElement.id`))
	choose(`select[name="s.0.f.device_id.directive"]`, "@case")
	b.do("seeing the arguments", chromedp.WaitReady(chromedp.CSS(`.directive[aria-label="@case"] select`)))
	b.do("seeing the result", chromedp.WaitReady(chromedp.Search(`//*[@id="chips-s-0-f-device_id"]//b[.="@case"]`)))
}

// changeSecret takes the client's secret from another variable, and waits until the server uses it.
func changeSecret(s *served, b *browser, name, becomes string) {
	t := s.t
	t.Helper()
	reloaded := s.reloadCount()
	b.open("/console/setup/edit/braze-main")
	b.fill("#set-client_secret", "${"+name+"}")
	b.press("Review changes…")
	if becomes == "" {
		b.waitFor("", "No changes.")
		return
	}
	b.press("Write file")
	b.waitFor("", "Written.")
	text, err := os.ReadFile(filepath.Join(s.dir, "landfall.yaml"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "client_secret: ${"+name+"}")
	assert.True(t, strings.HasPrefix(string(text), "# kept by hand\n"))
	s.waitReloaded(reloaded)
}

// reloadCount returns how often the server has reloaded the config.
func (s *served) reloadCount() int {
	text, err := os.ReadFile(s.log.Name())
	require.NoError(s.t, err)
	return strings.Count(string(text), "config reloaded")
}

// waitReloaded waits until the server has reloaded the config more than n times.
func (s *served) waitReloaded(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.reloadCount() > n }, time.Minute, 50*time.Millisecond)
}

// visitPages checks every page while it has content.
func visitPages(b *browser, script string) {
	b.t.Helper()
	for _, page := range []struct{ path, name string }{
		{"deliveries", "deliveries"}, {"history", "history"}, {"verdicts", "verdicts"}, {"changes", "changes"}, {"changes/config", "changes-config"}, {"events", "events"}, {"events?user=ana", "events-user"}, {"letters", "letters"}, {"cohorts", "audiences"}, {"audiences?user=ana", "audiences-user"},
		{"audiences/braze-main/aud_vip", "audience"}, {"test", "tester"}, {"setup", "setup"}, {"setup/edit/braze-main", "edit"}, {"login", "login"},
	} {
		b.checkPage("/console/"+page.path, page.name, script)
	}
	b.do("sizing", chromedp.EmulateViewport(1280, 900))
	for _, page := range []struct{ path, link, name string }{{"letters", "main tbody a", "letter"}, {"events?user=ana", "main tbody a", "event"}} {
		b.open("/console/" + page.path)
		at := ask[string](b, fmt.Sprintf(`document.querySelector(%q).pathname`, page.link))
		b.checkPage(at, page.name, script)
	}
	b.do("sizing", chromedp.EmulateViewport(1280, 900))
	b.open("/console/test")
	b.press("Explain")
	b.waitFor("", "would be delivered")
	b.saveScreenshot("tester-explained")
	if script != "" {
		b.runAxe("an explained event", script)
	}
	b.open("/console/setup/edit/braze-main")
	b.fill("#id", "other-name")
	b.press("Review changes…")
	b.saveScreenshot("review")
	if script != "" {
		b.runAxe("the review", script)
	}
	b.open("/console/setup/edit/braze-main") // what was reviewed, but not written, is still in the form
	b.press("Discard changes")
}

// emptyAudience empties the audience, which requires typing its name.
func emptyAudience(b *browser, script string) {
	b.t.Helper()
	b.open("/console/audiences/braze-main/aud_vip")
	b.fill("#users", "bob\ncarl")
	b.press("Compare")
	b.waitFor("", "1 in both, 0 only in the audience, 1 only in the list")
	b.fill("#confirm", "gold")
	b.press("Empty the audience")
	b.waitFor("", "the name you typed does not match")
	b.fill("#confirm", "vip")
	b.press("Empty the audience")
	b.waitFor("", "Done in")
	b.saveScreenshot("work")
	if script != "" {
		b.runAxe("a work", script)
	}
}
