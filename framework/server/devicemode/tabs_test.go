package devicemode_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/chromium"
)

// testTabs lets events wait in two tabs. Each tab performs its own, and the next page takes over those of a closed one, once.
func testTabs(t *testing.T, browser context.Context) {
	one := openPage(t, browser, pageOptions{settings: "site: a"})
	one.server.setDown(true)
	two := one.newTab()
	one.run(`for (const name of ["A", "B"]) ajs.track(name)`)
	one.waitsWith(2)
	two.run(`ajs.track("C")`)
	two.waitsWith(3)
	require.NoError(t, chromedp.Do(one.browser, chromedp.Navigate("about:blank")))
	two.seesLeft()
	one.server.setDown(false)
	two.recordedNames("C")
	three := two.newTab()
	three.recordedNames("A B")

	// Of pages that ended without a word, events are taken over when they are old enough. A list is the form of earlier versions.
	three.run(`const event = (event) => ({type: "track", event, messageId: event, userId: "u", timestamp: new Date().toISOString()});
		const kept = {"": [event("D")], "/old": {at: Date.now() - 200000, events: [event("E")]}, "/new": {at: Date.now() - 20000, events: [event("F")]}, "/bad": 3};
		for (const [key, value] of Object.entries(kept)) localStorage.setItem("_landfall_wk_probe-web" + key, JSON.stringify(value))`)
	two.sees(`localStorage.getItem("_landfall_wk_probe-web/bad") !== null`)
	four := three.newTab()
	four.recordedNames("D E")
	keys := chromium.Ask[string](t, four.browser, `Object.keys(localStorage).filter((key) => key.startsWith("_landfall")).join(" ")`)
	assert.Equal(t, "_landfall_wk_probe-web/new", keys, "what was performed is removed")
}

// sees waits until a condition about the storage is true in this tab. What another tab has stored takes a moment to be seen.
func (p *page) sees(condition string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return chromium.Ask[bool](p.t, p.browser, condition) }, patience, 20*time.Millisecond, condition)
}

// seesLeft waits until this tab sees what a page has left for the next one.
func (p *page) seesLeft() {
	p.t.Helper()
	p.sees(`Object.keys(localStorage).some((key) => key.startsWith("_landfall_wk_probe-web/") && JSON.parse(localStorage.getItem(key)).at === 0)`)
}

// testTabsAtOnce opens several tabs at the same time, and a closed page has left an event. Reading storage takes long, so that they would
// all find it.
func testTabsAtOnce(t *testing.T, browser context.Context) {
	const slow = `const read = Storage.prototype.getItem; Storage.prototype.getItem = function (key) {
		const value = read.call(this, key);
		if (key.startsWith("_landfall_wk_probe-web/")) { const start = Date.now(); while (Date.now() - start < 200); }
		return value;
	}`
	one := openPage(t, browser, pageOptions{settings: "site: a", first: slow, load: "disable: true"})
	tabs := []*page{one, one, one}
	for i := range tabs {
		tabs[i] = one.newTab()
	}
	const old = `localStorage.setItem("_landfall_wk_probe-web/old", JSON.stringify({at: 0, events: [{type: "track", event: "A", messageId: "m", userId: "u", timestamp: new Date().toISOString()}]}))`
	one.run(old)
	for _, tab := range tabs {
		require.Eventually(t, func() bool {
			return chromium.Ask[bool](t, tab.browser, `localStorage.getItem("_landfall_wk_probe-web/old") !== null`)
		}, patience, 10*time.Millisecond)
	}
	at := time.Now().Add(500 * time.Millisecond).UnixMilli()
	for _, tab := range tabs {
		tab.run(fmt.Sprintf(`setTimeout(() => { window.ajs = AnalyticsNext.AnalyticsBrowser.load({writeKey: "wk", cdnURL: cdn}) }, %d - Date.now())`, at))
	}
	recorded := func() (count int) {
		for _, tab := range tabs {
			count += chromium.Ask[int](t, tab.browser, `probe.filter(({kind}) => kind === "record").length`)
		}
		return count
	}
	require.Eventually(t, func() bool { return recorded() > 0 }, patience, 50*time.Millisecond)
	for _, tab := range tabs {
		tab.run(`await ajs; await ajs.page(); await ajs.track("Last", {}, {integrations: {"Probe (Actions)": false}})`)
	}
	assert.Equal(t, 1, recorded())
}

// testBackButton returns to a page whose waiting events another page has taken over meanwhile.
func testBackButton(t *testing.T, browser context.Context) {
	// Timers of a frozen page, such as the delay before another attempt, do not run.
	const freezable = `const later = setTimeout; window.setTimeout = (call, ms) => later(call, window.frozen && ms > 350 ? 1e8 : ms)`
	one := openPage(t, browser, pageOptions{settings: "site: a", first: freezable})
	watching := one.newTab()
	one.server.setDown(true)
	one.run(`window.frozen = true; ajs.track("A")`)
	require.Eventually(t, func() bool { return strings.Contains(one.logs(), "events wait") }, patience, 20*time.Millisecond)
	one.run(`window.dispatchEvent(new Event("pagehide"))`)
	watching.seesLeft()
	one.server.setDown(false)
	one.newTab().recordedNames("A")
	one.waitsWith(0) // this tab sees that the other one has them
	one.run(`window.frozen = false; ajs.track("B"); window.dispatchEvent(new Event("online"))`)
	one.recordedNames("B")
}
