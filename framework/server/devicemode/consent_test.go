package devicemode_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// npmFiles serves the packages of npm. Their modules import each other without an extension, by the name of a file or a directory.
func npmFiles() http.Handler {
	files := http.FileServer(http.Dir(clients))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, end := range []string{".js", "/index.js"} {
			info, err := os.Stat(filepath.Join(clients, filepath.FromSlash(r.URL.Path)) + end)
			if err == nil && info.Mode().IsRegular() {
				http.Redirect(w, r, "/npm"+r.URL.Path+end, http.StatusFound) // relative imports are relative to the file
				return
			}
		}
		files.ServeHTTP(w, r)
	})
}

// wrapConsent loads analytics.js through Segment's consent tools, with a consent banner in window.banner.
const wrapConsent = `
	const map = document.createElement("script");
	map.type = "importmap";
	map.textContent = JSON.stringify({imports: {
		"tslib": "/npm/tslib/tslib.es6.js", "@segment/analytics-generic-utils": "/npm/@segment/analytics-generic-utils/dist/esm/index.js",
	}});
	document.head.append(map);
	const {createWrapper} = await import("/npm/@segment/analytics-consent-tools/dist/esm/index");
	window.wrapped = new AnalyticsNext.AnalyticsBrowser();
	window.loadWith = (consentModel) => createWrapper({
		shouldLoadSegment: (context) => context.load({consentModel}),
		getCategories: () => banner,
		registerOnConsentChanged: (change) => { window.setConsent = (categories) => { window.banner = categories; change(categories); }; },
	})(wrapped).load({writeKey: "wk", cdnURL: cdn});`

func testOptIn(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a", load: "disable: true"})
	p.run(wrapConsent + `window.banner = {ads: false, mail: true}; loadWith("opt-in"); await wrapped.track("A")`)
	p.eventually(`[]`, "track A")
	consent := p.server.events[0].Value.Get("context").Get("consent").Get("categoryPreferences")
	assert.JSONEq(t, `{"ads":false,"mail":true}`, consent.JSON())
	assert.Equal(t, 0, p.deviceScripts())

	allowed := openPage(t, browser, pageOptions{settings: "site: a", load: "disable: true"})
	allowed.run(wrapConsent + `window.banner = {ads: true, mail: false}; loadWith("opt-in"); await wrapped.track("A")`)
	allowed.eventually(`[{"kind":"record","name":"A","site":"a"}]`, "track A")
}

func testOptOut(t *testing.T, browser context.Context) {
	p := openPage(t, browser, pageOptions{settings: "site: a", load: "disable: true"})
	p.run(wrapConsent + `window.banner = {ads: false, mail: true}; loadWith("opt-out"); await wrapped.track("A")`)
	p.eventually(`[]`, "track A")
	p.run(`setConsent({ads: true, mail: true}); await wrapped.track("B")`)
	require.Eventually(t, func() bool { return len(p.server.received()) == 3 }, patience, 20*time.Millisecond, p.logs())
	assert.ElementsMatch(t, []string{"track A", "track Segment Consent Preference Updated", "track B"}, p.server.received())
	p.recordedNames("Segment Consent Preference Updated B")
	p.run(`setConsent({ads: false, mail: false}); await wrapped.track("C"); setConsent({ads: true, mail: false}); await wrapped.track("D")`)
	p.recordedNames("Segment Consent Preference Updated B Segment Consent Preference Updated D")
	assert.NotContains(t, p.server.received(), "track C", "without any consent nothing is sent")
}
