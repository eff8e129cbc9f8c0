package cli

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testport"
)

// emptyServer is landfall serve, started in a directory without a config.
type emptyServer struct {
	t              *testing.T
	dir, admin, in string
	flags          []string
	cmd            *exec.Cmd
	out            *os.File // everything that it prints
}

func newEmptyServer(t *testing.T, flags ...string) *emptyServer {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	s := &emptyServer{t: t, dir: t.TempDir(), admin: testport.Free(t), in: testport.Free(t), flags: flags, out: out}
	t.Cleanup(func() { s.stop(syscall.SIGTERM); _ = out.Close() })
	s.start()
	return s
}

// start starts the server and waits until the console answers.
func (s *emptyServer) start() {
	s.t.Helper()
	program, err := binary()
	require.NoError(s.t, err)
	s.cmd = exec.Command(program, append([]string{"serve", "--listen", s.in, "--admin-listen", s.admin}, s.flags...)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.out, s.out
	require.NoError(s.t, s.cmd.Start())
	require.Eventually(s.t, func() bool {
		answer, err := http.Get("http://" + s.admin + "/console/wizard")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond)
}

func (s *emptyServer) stop(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	_ = s.cmd.Wait() // a killed process has no clean end
	s.cmd = nil
}

// files returns the content of all files that the server has written, and of its output.
func (s *emptyServer) files() string {
	var all bytes.Buffer
	for _, dir := range []string{s.dir, filepath.Dir(s.out.Name())} {
		require.NoError(s.t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // files of the queue come and go
			}
			text, _ := os.ReadFile(path)
			all.Write(text)
			return nil
		}))
	}
	return all.String()
}

// TestWizard goes from an empty directory to a member in the sandbox of Braze, with a restart in the middle and a kill after a save. The
// sandbox accepts only certain credentials. They must not be in any page, log or file.
func TestWizard(t *testing.T) {
	b := newBrowser(t)
	script := axe(t)
	sandbox := strictBraze(t)
	s := newEmptyServer(t, "--sandbox-url", sandbox)
	b.url = "http://" + s.admin
	seen := ""
	look := func() {
		page := ask[string](b, `document.documentElement.outerHTML`)
		assert.Less(t, len(page), 150<<10)
		seen += page
	}

	b.open("/")
	b.waitFor("", "Choose a destination")
	entries, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	assert.Empty(t, entries, "nothing is created before a save")
	b.checkPage("/console/wizard", "wizard-1", script)
	b.checkPage("/console/wizard/new/braze-cohorts", "wizard-2", script)
	b.do("sizing", chromedp.EmulateViewport(1280, 900))
	b.open("/console/wizard")
	b.press("Set up Braze Cohorts")
	b.fill("#name", "Größe S")
	b.fill("#try-partner_api_key", "good-partner")
	b.fill("#try-client_secret", "wrong-secret")
	b.press("Test credentials in the sandbox")
	b.waitFor("", "The credentials are not valid.")
	look()

	s.stop(syscall.SIGTERM) // a restart in the middle
	s.start()
	b.open("/console/wizard/new/braze-cohorts")
	b.fill("#name", "Größe S")
	b.fill("#try-partner_api_key", "good-partner")
	b.fill("#try-client_secret", "good-secret")
	b.press("Save and continue")
	b.waitFor("", "Which audiences?")
	look()
	s.stop(syscall.SIGKILL)
	s.start()
	file := filepath.Join(s.dir, "landfall.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, line := range []string{"id: grosse-s", "name: Größe S", "enabled: false", "client_secret: secret:grosse-s/client_secret", "key: file:landfall.key"} {
		assert.Contains(t, strings.ReplaceAll(string(text), `"`, ""), line)
	}
	for _, name := range []string{"landfall.yaml", "landfall.key"} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}

	b.open("/console/wizard")
	b.press("Continue with Größe S")
	b.checkPage("/console/wizard/at/grosse-s/audiences", "wizard-3", script)
	b.do("sizing", chromedp.EmulateViewport(1280, 900))
	b.do("choosing", chromedp.Click(chromedp.CSS(`input[name=all][value=""]`)))
	b.fill("#keys", "vip\ngold \"1\"")
	b.press("Continue")
	b.waitFor("", "How are users identified?")
	look()
	if script != "" {
		b.runAxe("identifiers", script)
	}
	b.saveScreenshot("wizard-4")
	b.do("choosing", chromedp.Evaluate[chromedp.Void](`(() => { const e = document.querySelector('[name="s.0.f.personas_audience_key.mode"]'); e.value = "default"; })()`))
	b.press("Save and continue")
	b.waitFor("", "Nothing was saved: with these fields, events would be refused.")
	look()
	b.do("choosing", chromedp.Evaluate[chromedp.Void](`(() => { const e = document.querySelector('[name="s.0.f.personas_audience_key.mode"]'); e.value = "path"; })()`))
	b.fill("#s-0-f-personas_audience_key-text", "$.context.personas.computation_key")
	b.press("Save and continue")
	b.waitFor("", "Send a test event")
	b.press("Send to the sandbox")
	b.waitFor("", "Delivered to the sandbox")
	assert.True(t, members(t, sandbox)["aud_test"]["ana-17"])
	if script != "" {
		b.runAxe("test", script)
	}
	b.saveScreenshot("wizard-5")
	look()
	b.press("Turn on")
	b.waitFor("", "Waiting for your first event…")
	if script != "" {
		b.runAxe("done", script)
	}
	key := ask[string](b, `document.querySelector("#write-key").textContent`)
	assert.Contains(t, ask[string](b, `document.querySelector("#curl").textContent`), "curl -u "+key+": http://"+s.in+"/v1/track")
	look()
	post(t, "http://"+s.in+"/v1/batch", key, membership("w1", "eva", "Audience Entered", true))
	b.waitFor("", "First event received") // the page notices it by itself
	b.saveScreenshot("wizard-6")
	require.Eventually(t, func() bool { return members(t, sandbox)["aud_vip"]["eva"] }, time.Minute, 100*time.Millisecond)

	b.open("/console/setup/edit/grosse-s")
	look()
	for _, secret := range []string{"good-secret", "good-partner", "wrong-secret"} {
		assert.NotContains(t, seen, secret)
		assert.NotContains(t, s.files(), secret)
	}
}

// post sends a request to the tracking API.
func post(t *testing.T, url, key string, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth(key, "")
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	_ = answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
}

// TestWizardByKeyboard uses only keys: Tab, Enter and Space.
func TestWizardByKeyboard(t *testing.T) {
	b := newBrowser(t)
	s := newEmptyServer(t, "--sandbox")
	b.url = "http://" + s.admin
	b.open("/console/wizard")
	b.tabTo("Set up Braze Cohorts")
	b.enter()
	b.tabTo("Client Secret Key")
	b.keys("typed-by-keyboard")
	b.tabTo("Partner API Key")
	b.keys("partner-by-keyboard")
	b.enter() // the first button of the form saves
	b.waitFor("", "Which audiences?")
	b.tabTo("Continue")
	b.enter()
	b.waitFor("", "How are users identified?")
	b.tabTo("Save and continue")
	b.enter()
	b.waitFor("", "Send a test event")
	b.tabTo("Send to the sandbox")
	b.enter()
	b.waitFor("", "Delivered to the sandbox")
	b.tabTo("Turn on")
	b.enter()
	b.waitFor("", "Waiting for your first event…")
	assert.NotContains(t, s.files(), "by-keyboard")
}

// tabTo presses Tab until the element with a label or text has the focus.
func (b *browser) tabTo(name string) {
	b.t.Helper()
	for range 120 {
		b.keys(kb.Tab)
		found := ask[string](b, `(() => { const e = document.activeElement; return ((e.labels && e.labels.length ? e.labels[0].innerText : "") || e.innerText || "").replace(/\s+/g, " ").trim(); })()`)
		if found == name || strings.HasPrefix(found, name+" required") {
			return
		}
	}
	require.Fail(b.t, "the focus does not reach "+name, "%s", b.words())
}

func (b *browser) keys(text string) {
	b.t.Helper()
	b.do("typing", chromedp.KeyEvent(text))
}

// enter presses Enter and waits for the next page.
func (b *browser) enter() {
	b.t.Helper()
	before := ask[float64](b, `performance.timeOrigin`)
	b.keys(kb.Enter)
	for range 1200 {
		b.do("waiting", chromedp.WaitReady(chromedp.CSS("main")))
		if ask[float64](b, `performance.timeOrigin`) != before {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.Fail(b.t, "no page follows", "%s", b.words())
}
