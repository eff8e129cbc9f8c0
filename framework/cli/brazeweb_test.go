package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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

	"github.com/landfall-dev/landfall/internal/chromium"
)

// The directories where npm ci puts the clients of pages.
const (
	analyticsFiles = "../server/devicemode/testdata/sdk/node_modules/@segment/analytics-next/dist/umd"
	brazeFiles     = "../../destinations/braze-web/testdata/sdk/node_modules"
)

// webConfig has a source for each kind of page, whose events go to Braze Web Mode and to a cohort. SITE is the server of the pages, BRAZE
// the sandbox, and ANALYTICS the directory of analytics.js.
const webConfig = `
sources: [{id: six, writeKey: six}, {id: three, writeKey: three}, {id: blocked, writeKey: blocked}, {id: asking, writeKey: asking}, {id: engage, writeKey: wk}]
delivery: {linger: 50ms}
ingest: {publicURL: "http://127.0.0.1:1", origins: ["SITE"], analyticsJS: ANALYTICS}
destinations:
  - id: braze-main
    destination: braze-cohorts
    settings: {endpoint: "https://rest.iad-01.braze.com", client_secret: s, partner_api_key: p}
    subscriptions:
      - name: Audiences
        action: syncAudiences
        subscribe: event = "Audience Entered" or event = "Audience Exited"
        mapping: {personas_audience_key: {"@path": $.context.personas.computation_key}}
` + webInstance + `
    sources: [six]
    settings: {api_key: six, endpoint: BRAZE, sdkVersion: "6.13", sdkUrl: SITE/lib/six.mjs}
` + webInstance + `
    sources: [three]
    settings: {api_key: three, endpoint: BRAZE, sdkVersion: "3.5", sdkUrl: SITE/lib/three/appboy.min.js}
` + webInstance + `
    sources: [blocked]
    settings: {api_key: blocked, endpoint: BRAZE, sdkUrl: SITE/lib/braze.js}
` + webInstance + `
    sources: [asking]
    consent: [ads]
    settings: {api_key: asking, endpoint: BRAZE, sdkVersion: "6.13", sdkUrl: SITE/lib/six.mjs}
`

// webInstance is the part that all instances of Braze Web Mode have.
const webInstance = `
  - id: web-INDEX
    destination: braze-web
    subscriptions:
      - {name: Users, action: updateUserProfile, subscribe: type = "identify" or type = "group"}
      - {name: Orders, action: trackPurchase, subscribe: event = "Order Completed"}
      - {name: Events, action: trackEvent, subscribe: type = "track" and event != "Order Completed" and event != "Audience Entered"}
`

// shopPage is a page with analytics-next. Its scripts have a nonce, and what they write to the console is kept.
const shopPage = `<!doctype html><title>Shop</title>
<script nonce="n1">
	window.logs = [];
	for (const level of ["error", "warn"]) { const say = console[level]; console[level] = (...words) => { logs.push(words.map(String).join(" ")); say(...words); }; }
	window.analytics = {_cdn: %[3]q}; // where the UMD build looks for its parts
	const entered = () => ajs.track("Audience Entered", {audience_key: "vip", vip: true},
		{context: {personas: {computation_class: "audience", computation_id: "aud_vip", computation_key: "vip"}}});
	const buy = async () => {
		await ajs.track("Order Completed", {order_id: "o1", currency: "EUR", products: [{product_id: "shoe", price: 40, quantity: 2}]});
		await ajs.track("Article Read", {title: "News"});
	};
	const flush = () => new Promise((resolve) => (window.appboy ?? window.braze).requestImmediateDataFlush(resolve));
	%[1]s
</script>
<script nonce="n1" src="/lib/app/index.js"></script>
<script nonce="n1">window.ajs = AnalyticsNext.AnalyticsBrowser.load({writeKey: %[2]q, cdnURL: %[3]q})</script>`

// webStory is a server, the Braze sandbox and the server of pages, which all visitors share.
type webStory struct {
	t       *testing.T
	server  *served
	braze   *httptest.Server
	site    *httptest.Server
	browser context.Context
}

// visit is a new visitor of a page.
type visit struct {
	key     string   // the write key
	before  string   // a script that runs before all others
	policy  string   // the page's Content-Security-Policy
	refused []string // patterns of URLs that the browser does not load, as with an extension
}

// newWebStory starts the servers and the browser. It skips the test if the clients are not installed.
func newWebStory(t *testing.T) *webStory {
	for _, dir := range []string{analyticsFiles, filepath.Join(brazeFiles, "braze6")} {
		if _, err := os.Stat(dir); err != nil {
			t.Skip("a client of pages is not installed: run npm ci in framework/server/devicemode/testdata/sdk and in destinations/braze-web/testdata/sdk")
		}
	}
	w := &webStory{t: t, browser: chromium.Start(t), braze: newBrazeSandbox(t)}
	mux := http.NewServeMux()
	for path, dir := range map[string]string{"app": analyticsFiles, "three": brazeFiles + "/braze3", "six": brazeFiles + "/braze6"} {
		mux.Handle("/lib/"+path+"/", http.StripPrefix("/lib/"+path+"/", http.FileServer(http.Dir(dir))))
	}
	mux.HandleFunc("/lib/six.mjs", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/javascript")
		rw.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = io.WriteString(rw, `import * as braze from "/lib/six/src/index.js"; window.braze = { ...braze };`)
	})
	mux.HandleFunc("/{$}", w.servePage)
	w.site = httptest.NewServer(mux)
	t.Cleanup(w.site.Close)
	copyOfAnalytics, err := filepath.Abs(analyticsFiles)
	require.NoError(t, err)
	config := strings.NewReplacer("ANALYTICS", copyOfAnalytics, "SITE", w.site.URL, "BRAZE", w.braze.URL).Replace(webConfig)
	for _, key := range []string{"six", "three", "blocked", "asking"} {
		config = strings.Replace(config, "web-INDEX", "web-"+key, 1)
	}
	w.server = newServed(t, config, "--sandbox-url", w.braze.URL)
	w.server.start()
	w.server.rewrite("http://127.0.0.1:1", w.server.url)
	w.server.logs("config reloaded")
	return w
}

func (w *webStory) servePage(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if policy := q.Get("policy"); policy != "" {
		rw.Header().Set("Content-Security-Policy", policy)
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(rw, shopPage, q.Get("before"), q.Get("key"), w.server.url)
}

// open opens a page for a new visitor and waits until analytics-next is ready.
func (w *webStory) open(t *testing.T, v visit) context.Context {
	t.Helper()
	tab := chromium.NewVisitor(t, w.browser)
	if len(v.refused) > 0 {
		// The modules of the SDK have names of their own, which a bundled SDK has not.
		patterns := []*network.BlockPattern{{URLPattern: "*://*:*/lib/six/*", Block: false}}
		for _, pattern := range v.refused {
			patterns = append(patterns, &network.BlockPattern{URLPattern: pattern, Block: true})
		}
		_, err := chromedp.Call(tab, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: patterns})
		require.NoError(t, err)
	}
	w.load(t, tab, v)
	return tab
}

func (w *webStory) load(t *testing.T, tab context.Context, v visit) {
	t.Helper()
	query := url.Values{"key": {v.key}, "before": {v.before}, "policy": {v.policy}}
	require.NoError(t, chromedp.Do(tab, chromedp.Navigate(w.site.URL+"/?"+query.Encode())))
	require.Equal(t, "ready", chromium.Ask[string](t, tab, `ajs.then(() => "ready", (e) => String(e))`), pageLogs(t, tab))
}

func runInPage(t *testing.T, tab context.Context, script string) {
	t.Helper()
	problem := chromium.Ask[string](t, tab, "(async () => { "+script+"; return ''; })().catch(String)")
	require.Empty(t, problem, pageLogs(t, tab))
}

func pageLogs(t *testing.T, tab context.Context) string {
	return chromium.Ask[string](t, tab, `logs.join("\n")`)
}

// brazeUser is a user in the sandbox.
type brazeUser struct {
	ExternalID string   `json:"external_id"`
	Email      string   `json:"email"`
	Events     []string `json:"events"`
	Purchases  []string `json:"purchases"`
}

// brazeState is what the sandbox has: its users, and the ids in the cohort.
type brazeState struct {
	Users    []brazeUser `json:"users"`
	Warnings []string    `json:"warnings"`
	Cohorts  map[string]struct {
		Members, Unknown struct {
			UserIDs []string `json:"user_ids"`
		}
	} `json:"cohorts"`
}

func (w *webStory) state(t *testing.T) brazeState {
	t.Helper()
	answer, err := http.Get(w.braze.URL + "/__sandbox/state")
	require.NoError(t, err)
	defer answer.Body.Close()
	var state brazeState
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&state))
	return state
}

// user waits until Braze has a user with an external id, and returns it.
func (w *webStory) user(t *testing.T, id string, pass func(brazeUser) bool) brazeUser {
	t.Helper()
	var found brazeUser
	require.Eventually(t, func() bool {
		for _, u := range w.state(t).Users {
			if found = u; u.ExternalID == id && pass(u) {
				return true
			}
		}
		return false
	}, time.Minute, 50*time.Millisecond, id)
	return found
}

// waitForCohort waits until Braze has got a user for the cohort, known or not.
func (w *webStory) waitForCohort(t *testing.T, id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		vip := w.state(t).Cohorts["aud_vip"]
		return slices.Contains(append(vip.Members.UserIDs, vip.Unknown.UserIDs...), id)
	}, time.Minute, 50*time.Millisecond, id)
}

// TestUsersOfPagesInCohorts has visitors of pages with unmodified clients from npm. Braze Web Mode creates their users in Braze, so that a
// cohort can hold them when Engage sends them to the server. Without it, Braze does not know them.
func TestUsersOfPagesInCohorts(t *testing.T) {
	t.Parallel()
	w := newWebStory(t)
	t.Run("pages", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"SDK 6": w.testSDK6, "SDK 3": w.testSDK3, "blocked SDK": w.testBlockedSDK, "consent": w.testConsent, "short cookies": w.testShortCookies,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
	w.server.post(entered("never-on-a-page", "vip"))
	w.waitForCohort(t, "never-on-a-page")
	vip := w.state(t).Cohorts["aud_vip"]
	assert.Equal(t, []string{"six", "three"}, vip.Members.UserIDs)
	assert.Equal(t, []string{"blocked", "never-on-a-page"}, vip.Unknown.UserIDs, "no page has told Braze about them")
	assert.Empty(t, w.state(t).Warnings)
}

// vendors are patterns of extensions that block addresses by names of vendors.
var vendors = []string{"*://*:*/*braze*", "*://*:*/*appboy*", "*://*:*/*segment*", "*://*:*/*analytics*", "*://*:*/*landfall*"}

// testSDK6 runs in a page with a strict policy and an extension that blocks the names of vendors.
func (w *webStory) testSDK6(t *testing.T) {
	policy := fmt.Sprintf("default-src 'none'; script-src 'nonce-n1' %s; connect-src %s %s", w.server.url, w.server.url, w.braze.URL)
	tab := w.open(t, visit{key: "six", policy: policy, refused: vendors})
	runInPage(t, tab, `await ajs.identify("six", {email: "six@example.com"}); await buy(); await flush()`)
	u := w.user(t, "six", func(u brazeUser) bool { return len(u.Events) == 1 && len(u.Purchases) == 1 })
	assert.Equal(t, brazeUser{ExternalID: "six", Email: "six@example.com", Events: []string{"Article Read"}, Purchases: []string{"shoe"}}, u)
	w.server.post(entered("six", "vip"))
	w.waitForCohort(t, "six")
	assert.Empty(t, pageLogs(t, tab))
}

func (w *webStory) testSDK3(t *testing.T) {
	tab := w.open(t, visit{key: "three"})
	runInPage(t, tab, `await ajs.identify("three", {email: "three@example.com"}); await buy(); await flush()`)
	u := w.user(t, "three", func(u brazeUser) bool { return len(u.Events) == 1 && len(u.Purchases) == 1 })
	assert.Equal(t, "three@example.com", u.Email)
	w.server.post(entered("three", "vip"))
	w.waitForCohort(t, "three")
	assert.Equal(t, "undefined", chromium.Ask[string](t, tab, `typeof window.braze`))
}

// testBlockedSDK checks that events still reach the server, and that Braze then does not know the user.
func (w *webStory) testBlockedSDK(t *testing.T) {
	tab := w.open(t, visit{key: "blocked", refused: vendors})
	runInPage(t, tab, `await ajs.identify("blocked"); await entered()`)
	w.waitForCohort(t, "blocked")
	assert.Contains(t, pageLogs(t, tab), "Landfall, web-blocked: the Braze SDK cannot be loaded from "+w.site.URL+"/lib/braze.js: it may be blocked by an extension")
	assert.Contains(t, pageLogs(t, tab), "events still reach the server")
}

// testConsent checks that before consent the page loads no SDK and stores nothing of Braze.
func (w *webStory) testConsent(t *testing.T) {
	tab := w.open(t, visit{key: "asking"})
	runInPage(t, tab, `window.consent = (ads) => ({context: {consent: {categoryPreferences: {ads}}}});
		await ajs.identify("asked", {}, consent(false)); await ajs.track("Refused", {}, consent(false))`)
	assert.Equal(t, "undefined", chromium.Ask[string](t, tab, `typeof window.braze`))
	assert.NotContains(t, chromium.Ask[string](t, tab, `document.cookie + Object.keys(localStorage)`), "ab.storage")
	runInPage(t, tab, `await ajs.identify("asked", {email: "asked@example.com"}, consent(true)); await ajs.track("Agreed", {}, consent(true)); await flush()`)
	u := w.user(t, "asked", func(u brazeUser) bool { return len(u.Events) > 0 })
	assert.Equal(t, []string{"Agreed"}, u.Events)
}

// shortCookies limits cookies of scripts to seven days, as Safari does.
const shortCookies = `const own = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
	Object.defineProperty(document, "cookie", {get: () => own.get.call(document),
		set: (text) => own.set.call(document, /max-age=(0|-)|expires=Thu, 01 Jan 1970/i.test(text) ? text : text.replace(/;\s*(expires|max-age)=[^;]*/gi, "") + "; max-age=604800")});`

// testShortCookies has a visitor who returns after the browser has deleted cookies and storage, and signs in again.
func (w *webStory) testShortCookies(t *testing.T) {
	v := visit{key: "six", before: shortCookies}
	tab := w.open(t, v)
	runInPage(t, tab, `await ajs.identify("returning"); await ajs.track("First"); await flush()`)
	w.user(t, "returning", func(u brazeUser) bool { return len(u.Events) == 1 })
	before := chromium.Ask[string](t, tab, `ajs.user().then((user) => user.anonymousId())`)
	w.load(t, tab, v)
	assert.Equal(t, before, chromium.Ask[string](t, tab, `ajs.user().then((user) => user.anonymousId())`), "within seven days")
	runInPage(t, tab, `for (const cookie of document.cookie.split("; ")) document.cookie = cookie.split("=")[0] + "=; max-age=0; path=/";
		localStorage.clear()`)
	require.NoError(t, chromedp.Do(tab, chromedp.Navigate("about:blank")))
	w.load(t, tab, v)
	assert.NotEqual(t, before, chromium.Ask[string](t, tab, `ajs.user().then((user) => user.anonymousId())`))
	runInPage(t, tab, `await ajs.identify("returning"); await ajs.track("Second"); await flush()`)
	u := w.user(t, "returning", func(u brazeUser) bool { return len(u.Events) == 2 })
	assert.Equal(t, []string{"First", "Second"}, u.Events)
	assert.Empty(t, pageLogs(t, tab))
}
