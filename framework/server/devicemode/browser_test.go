package devicemode_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/internal/chromium"
)

// clients is where npm ci puts the clients of pages.
const clients = "testdata/sdk/node_modules"

// page is a page of another origin than the server's, with analytics-next from npm.
type page struct {
	t       *testing.T
	browser context.Context
	server  *landfall
	site    *httptest.Server
}

// patience is how long a test waits for a page of a busy machine.
const patience = 4 * time.Minute

// pageOptions are what differs between pages.
type pageOptions struct {
	hookTime string // how long events wait for actions that run before them, in milliseconds; by default so long that a slow machine holds up no action
	settings string // of the instance probe-web
	load     string // options of AnalyticsBrowser.load
	first    string // a script that runs before all others
	policy   string // the Content-Security-Policy; SERVER is the server's origin
}

// openPage opens a page with analytics-next, as a new visitor, and waits until it is ready.
func openPage(t *testing.T, browser context.Context, o pageOptions) *page {
	t.Helper()
	p := &page{t: t, server: startLandfall(t)}
	p.server.hookTime = cmp.Or(o.hookTime, "60000")
	mux := http.NewServeMux()
	mux.Handle("/npm/", http.StripPrefix("/npm", npmFiles()))
	mux.HandleFunc("/library.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, "window.library = document.currentScript.dataset.by;")
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		if o.policy != "" {
			w.Header().Set("Content-Security-Policy", strings.ReplaceAll(o.policy, "SERVER", p.server.URL))
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, pageText, p.server.URL, o.first, o.load)
	})
	p.site = httptest.NewServer(mux)
	t.Cleanup(p.site.Close)
	p.browser = chromium.NewVisitor(t, browser)
	site := probeSite(t, p.server.URL, o.settings)
	site.AnalyticsJS = filepath.Join(clients, "@segment/analytics-next/dist/umd")
	require.NoError(t, p.server.handler.SetSite(site))
	p.open()
	return p
}

// newTab opens the page again in another tab.
func (p *page) newTab() *page {
	p.t.Helper()
	tab := *p
	tab.browser = chromium.NewTab(p.t, p.browser)
	tab.open()
	return &tab
}

func (p *page) open() {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.browser, chromedp.Navigate(p.site.URL+"/")))
	require.Equal(p.t, "ready", chromium.Ask[string](p.t, p.browser, `ajs.then(() => "ready", (e) => String(e))`), p.logs())
}

// pageText is a page with an inline script first, and the address of the server as cdnURL.
const pageText = `<!doctype html><title>Shop</title>
<script nonce="n1">
	window.logs = []; window.probe = []; window.cdn = %q;
	for (const level of ["error", "warn"]) { const say = console[level]; console[level] = (...words) => { logs.push(words.map(String).join(" ")); say(...words); }; }
	window.analytics = {_cdn: cdn};
	%s
</script>
<script nonce="n1" src="/npm/@segment/analytics-next/dist/umd/index.js"></script>
<script nonce="n1">window.ajs = AnalyticsNext.AnalyticsBrowser.load({writeKey: "wk", cdnURL: cdn}, {%s});</script>`

func (p *page) run(script string) {
	p.t.Helper()
	chromium.Ask[any](p.t, p.browser, "(async () => { "+script+"; return null; })()")
}

func (p *page) logs() string {
	return chromium.Ask[string](p.t, p.browser, `logs.join("\n")`)
}

// deviceScripts returns how many scripts of destinations the page has loaded.
func (p *page) deviceScripts() int {
	return chromium.Ask[int](p.t, p.browser, `document.querySelectorAll("script[src*='/device/']").length`)
}

// recorded returns what the destination got, as JSON, without messageIds.
func (p *page) recorded() string {
	return chromium.Ask[string](p.t, p.browser, `JSON.stringify(probe.filter(({kind}) => kind !== "load").map(({messageId, ...rest}) => rest))`)
}

// eventually waits until the destination got what is wanted and the server has received the events, in any order: a client sends each in a request of its
// own, and waits for none.
func (p *page) eventually(recorded string, received ...string) {
	p.t.Helper()
	slices.Sort(received)
	passed := assert.Eventually(p.t, func() bool {
		return p.recorded() == recorded && slices.Equal(slices.Sorted(slices.Values(p.server.received())), received)
	}, patience, 50*time.Millisecond)
	if !passed {
		p.t.Fatalf("the destination got %s, the server received %v, the console says %s", p.recorded(), p.server.received(), p.logs())
	}
}

// waitsWith waits until the pages of the visitor have stored n events that wait for the server.
func (p *page) waitsWith(n int) {
	p.t.Helper()
	const stored = `Object.keys(localStorage).filter((key) => key.startsWith("_landfall_wk_probe-web/")).reduce((n, key) => n + JSON.parse(localStorage.getItem(key)).events.length, 0)`
	require.Eventually(p.t, func() bool { return chromium.Ask[int](p.t, p.browser, stored) == n }, patience, 20*time.Millisecond, "%d events", n)
}

func (p *page) setOffline(offline bool) {
	p.t.Helper()
	_, err := chromedp.Call(p.browser, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1}},
	})
	require.NoError(p.t, err)
	_, err = chromedp.Call(p.browser, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1})
	require.NoError(p.t, err)
}

// Every case opens a page as a new visitor, so that storage and cookies are empty.
func TestPagesWithAnalyticsNext(t *testing.T) {
	if _, err := os.Stat(filepath.Join(clients, "@segment")); err != nil {
		t.Skip("analytics-next is not installed: npm ci in framework/server/devicemode/testdata/sdk")
	}
	browser := chromium.Start(t)
	for name, test := range map[string]func(*testing.T, context.Context){
		"identify and track": testIdentifyAndTrack, "integrations": testIntegrations, "consent": testConsent, "before": testBeforeAction,
		"blocked script": testBlockedScript, "offline": testOffline, "server down": testServerDown, "order": testOrder, "storage refused": testStorageRefused,
		"policy": testContentSecurityPolicy, "obfuscated": testObfuscated, "kept for the next page": testKeptForNextPage,
		"script tag": testScriptTag, "tabs": testTabs, "back button": testBackButton, "stuck action": testStuckAction,
		"tabs at once": testTabsAtOnce, "consent wrapper, opt-in": testOptIn, "consent wrapper, opt-out": testOptOut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, browser)
		})
	}
}

func testIdentifyAndTrack(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: shop.example"})
	p.run(`await ajs.identify("u1", {plan: "pro"}); await ajs.track("Order", {total: 5})`)
	p.eventually(`[{"kind":"profile","id":"u1"},{"kind":"record","name":"Order","total":5,"site":"shop.example"}]`, "identify", "track Order")
	loaded := event.MustParse(chromium.Ask[string](t, p.browser, `JSON.stringify(probe[0])`))
	assert.Equal(t, `{"site":"shop.example"}`, loaded.Get("settings").JSON())
	assert.Empty(t, p.logs())
}

func testIntegrations(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a"})
	p.run(`await ajs.track("A", {}, {integrations: {"Probe (Actions)": false}});
		await ajs.track("B", {}, {integrations: {All: false, "Segment.io": true, "Probe (Actions)": true}});
		await ajs.track("C", {}, {integrations: {All: false, "Segment.io": true}});
		await ajs.track("D", {}, {integrations: {probe: false}})`)
	p.eventually(`[{"kind":"record","name":"B","site":"a"}]`, "track A", "track B", "track C", "track D")

	off := openPage(t, browser, pageOptions{settings: "site: a", load: `integrations: {"Probe (Actions)": false}`})
	off.run(`await ajs.track("A")`)
	off.eventually(`[]`, "track A")
	assert.Equal(t, 0, off.deviceScripts())
}

func testConsent(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a"})
	p.run(`window.of = (ads) => ({context: {consent: {categoryPreferences: {ads}}}}); await ajs.track("A", {}, of(false))`)
	assert.Equal(t, 0, chromium.Ask[int](t, p.browser, `probe.length`), "the module is not loaded before consent")
	p.run(`await ajs.track("B", {}, of(true))`)
	p.eventually(`[{"kind":"record","name":"B","site":"a"}]`, "track A", "track B")
}

func testBeforeAction(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a"})
	p.run(`await ajs.track("Secret", {}, {integrations: {Other: true}})`)
	p.eventually(`[{"kind":"record","name":"Secret","site":"a"}]`, "track Secret")
	assert.JSONEq(t, `{"Other":true,"Shop":false,"Probe":true}`, p.server.events[0].Value.Get("integrations").JSON())
	p.run(`await ajs.track("Secret", {hold: true}); await ajs.track("Open")`)
	p.eventually(`[{"kind":"record","name":"Secret","site":"a"},{"kind":"record","name":"Open","site":"a"}]`, "track Secret", "track Secret", "track Open")
	assert.JSONEq(t, `{"Shop":false,"Probe":false}`, p.server.events[1].Value.Get("integrations").JSON(), "an action can hold an event back from its own destination")
}

// An action that never ends holds up its event for a time, and the events after it keep their order.
func testStuckAction(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a", hookTime: "5000"})
	p.run(`await Promise.all([ajs.track("Secret", {stuck: true}), ajs.track("Secret"), ajs.track("Open")])`)
	p.recordedNames("Secret Secret Open")
	assert.Contains(t, p.logs(), "goes on without an action that took longer than 5000 ms")
	require.Eventually(t, func() bool { return len(p.server.received()) == 3 }, patience, 20*time.Millisecond)
	for _, e := range p.server.events {
		want := map[string]string{"Secret": `{"Shop":false,"Probe":true}`, "Open": `{}`}[e.Value.Get("event").Str()]
		if e.Value.Get("properties").Get("stuck").Exists() {
			want = `{}`
		}
		assert.JSONEq(t, want, e.Value.Get("integrations").JSON(), e.Value.JSON())
	}
}

func testBlockedScript(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "library: /blocked.js"})
	p.run(`await ajs.track("A")`)
	p.eventually(`[]`, "track A")
	assert.Contains(t, p.logs(), "Landfall, probe-web: the script /blocked.js cannot be loaded; events still reach the server")
}

func testOffline(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a"})
	p.setOffline(true)
	defer p.setOffline(false)
	p.run(`for (let i = 0; i < 200; i++) await ajs.track("E" + i)`)
	assert.Equal(t, `[]`, p.recorded())
	p.setOffline(false)
	require.Eventually(t, func() bool {
		return len(p.server.received()) >= 200 && chromium.Ask[int](t, p.browser, `probe.length`) > 200
	}, patience, 100*time.Millisecond, "%v", p.logs())
	assert.Equal(t, true, chromium.Ask[bool](t, p.browser, `probe.filter(({kind}) => kind === "record").map(({name}) => name).join() === Array.from({length: 200}, (_, i) => "E" + i).join()`))
}

func testServerDown(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a"})
	p.server.setDown(true)
	p.run(`for (const name of ["A", "B", "C"]) ajs.track(name)`)
	require.Eventually(t, func() bool { return strings.Contains(p.logs(), "events wait") }, patience, 20*time.Millisecond)
	p.server.setDown(false)
	passed := assert.Eventually(t, func() bool { return p.recorded() == recordedABC }, patience, 50*time.Millisecond)
	require.True(t, passed, "%s %s", p.recorded(), p.logs())
}

const recordedABC = `[{"kind":"record","name":"A","site":"a"},{"kind":"record","name":"B","site":"a"},{"kind":"record","name":"C","site":"a"}]`

// The answer for the first event arrives last. analytics-next sends the events to the tracking API at once, in any order.
func testOrder(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a"})
	p.server.setSlow("A")
	p.run(`await Promise.all(["A", "B", "C"].map((name) => ajs.track(name)))`)
	passed := assert.Eventually(t, func() bool { return p.recorded() == recordedABC && len(p.server.received()) == 3 }, patience, 50*time.Millisecond)
	require.True(t, passed, "%s %s", p.recorded(), p.logs())
}

// storageRefused refuses storage and ignores cookies, as browsers do in frames of other sites.
const storageRefused = `for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, {get() { throw new DOMException("refused", "SecurityError"); }});
	Object.defineProperty(document, "cookie", {get() { return ""; }, set() {}});`

func testStorageRefused(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a", first: storageRefused})
	p.server.setDown(true)
	p.run(`ajs.track("A"); ajs.track("B")`)
	require.Eventually(t, func() bool { return strings.Contains(p.logs(), "events wait") }, patience, 20*time.Millisecond)
	p.server.setDown(false)
	require.Eventually(t, func() bool {
		return p.recorded() == `[{"kind":"record","name":"A","site":"a"},{"kind":"record","name":"B","site":"a"}]`
	}, patience, 50*time.Millisecond)
}

func testContentSecurityPolicy(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "library: /library.js", policy: "default-src 'none'; script-src 'nonce-n1' SERVER; connect-src SERVER"})
	p.run(`await ajs.track("A")`)
	p.eventually(`[{"kind":"record","name":"A","site":"main"}]`, "track A")
	assert.Equal(t, "probe n1", chromium.Ask[string](t, p.browser, `window.library + " " + probe[0].nonce`))
}

func testObfuscated(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a", load: "obfuscate: true"})
	p.run(`await ajs.track("A")`)
	p.eventually(`[{"kind":"record","name":"A","site":"a"}]`, "track A")
}

func testKeptForNextPage(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a"})
	p.server.setDown(true)
	p.run(`ajs.track("A"); ajs.track("B")`)
	p.waitsWith(2)
	p.open()
	p.server.setDown(false) // after the first page has closed, which would try again
	require.Eventually(t, func() bool {
		return p.recorded() == `[{"kind":"record","name":"A","site":"a"},{"kind":"record","name":"B","site":"a"}]`
	}, patience, 50*time.Millisecond, "%v", p.logs())
}

// testScriptTag loads the server's copy of analytics.js as the snippet of a page does, with a call before it is there.
func testScriptTag(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a", load: "disable: true"})
	p.run(`window.analytics = Object.assign([], {_writeKey: "wk", _cdn: cdn, _loadOptions: {}});
		for (const name of ["track", "ready"]) analytics[name] = (...args) => analytics.push([name, ...args]);
		analytics.track("Early");
		await new Promise((resolve, reject) => {
			const script = document.createElement("script");
			Object.assign(script, {src: cdn + "/analytics.js/v1/wk/analytics.min.js", onload: resolve, onerror: reject});
			document.head.append(script);
		});
		await new Promise((resolve) => analytics.ready(resolve));
		await analytics.track("Late")`)
	p.eventually(`[{"kind":"record","name":"Early","site":"a"},{"kind":"record","name":"Late","site":"a"}]`, "track Early", "track Late")
}

// recordedNames waits until the destination has recorded as many events on this page as are named, and compares them.
func (p *page) recordedNames(names string) {
	p.t.Helper()
	const list = `probe.filter(({kind}) => kind === "record").map(({name}) => name).join(" ")`
	require.Eventually(p.t, func() bool { return chromium.Ask[string](p.t, p.browser, list) == names }, patience, 50*time.Millisecond, "%s", p.logs())
}
