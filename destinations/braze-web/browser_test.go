package brazeweb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/internal/brazesandbox"
	"github.com/landfall-dev/landfall/internal/chromium"
)

// sdkFiles is where npm ci puts the SDKs.
const sdkFiles = "testdata/sdk/node_modules"

// oldSDK and newSDK are settings for the SDKs on the page's server: the last one whose global is appboy, and a recent one, which consists of
// modules.
const (
	oldSDK = `"sdkVersion":"3.5","sdkUrl":"/sdk/braze3/appboy.min.js"`
	newSDK = `"sdkVersion":"6.10","sdkUrl":"/sdk6.mjs"`
)

// site is a page with browser.js in a browser, and the Braze sandbox that its SDK sends to.
type site struct {
	t       *testing.T
	browser context.Context
	page    *httptest.Server
	braze   *httptest.Server

	mu         sync.Mutex
	signatures []string // of the requests that Braze received
}

// newSite starts the servers of a page, and opens it as a new visitor.
func newSite(t *testing.T, browser context.Context) *site {
	s := &site{t: t}
	sandbox := brazesandbox.New(brazesandbox.Config{})
	s.braze = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			s.mu.Lock()
			s.signatures = append(s.signatures, r.Header.Get("X-Braze-Auth-Signature"))
			s.mu.Unlock()
		}
		sandbox.ServeHTTP(w, r)
	}))
	mux := http.NewServeMux()
	mux.Handle("/sdk/", http.StripPrefix("/sdk/", http.FileServer(http.Dir(sdkFiles))))
	mux.HandleFunc("/sdk6.mjs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, `import * as braze from "/sdk/braze6/src/index.js"; window.braze = { ...braze };`)
	})
	mux.HandleFunc("/other.js", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/javascript") })
	mux.HandleFunc("/browser.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "browser.js") })
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/page.html") })
	s.page = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.page.Close()
		s.braze.Close()
	})
	s.browser = chromium.NewVisitor(t, browser)
	s.open()
	return s
}

func (s *site) open() {
	s.t.Helper()
	require.NoError(s.t, chromedp.Do(s.browser, chromedp.Navigate(s.page.URL+"/"))) // modules have run when the page has loaded
	require.True(s.t, chromium.Ask[bool](s.t, s.browser, "window.pageIsReady"))
}

// load loads the destination with settings, and returns the error of the module. The key of the app is the name of the test, since cookies of
// the SDK are stored by it.
func (s *site) load(settings string) string {
	s.t.Helper()
	return chromium.Ask[string](s.t, s.browser, fmt.Sprintf(`load({"api_key":%q,"endpoint":%q,"doNotLoadFontAwesome":true,%s})`, s.t.Name(), s.braze.URL, settings))
}

// perform performs an action.
func (s *site) perform(action, payload string) {
	s.t.Helper()
	chromium.Ask[any](s.t, s.browser, fmt.Sprintf(`perform(%q, %s).then(() => null)`, action, payload))
}

func (s *site) flush() {
	s.t.Helper()
	chromium.Ask[bool](s.t, s.browser, `flush()`)
}

// list returns the JSON of a list on the page.
func (s *site) list(name string) string {
	s.t.Helper()
	return chromium.Ask[string](s.t, s.browser, `JSON.stringify(`+name+`)`)
}

// state returns a part of the sandbox's state.
func (s *site) state(key string) string {
	s.t.Helper()
	answer, err := http.Get(s.braze.URL + "/__sandbox/state")
	require.NoError(s.t, err)
	defer answer.Body.Close()
	var whole map[string]json.RawMessage
	require.NoError(s.t, json.NewDecoder(answer.Body).Decode(&whole))
	return string(whole[key])
}

// user is a user in the sandbox.
type user struct {
	ExternalID string                     `json:"external_id"`
	Email      string                     `json:"email"`
	Phone      string                     `json:"phone"`
	Attributes map[string]json.RawMessage `json:"attributes"`
	Events     []string                   `json:"events"`
	Purchases  []string                   `json:"purchases"`
}

// waitForUsers returns the sandbox's users as soon as pass accepts them.
func (s *site) waitForUsers(pass func([]user) bool) []user {
	s.t.Helper()
	var users []user
	require.Eventually(s.t, func() bool {
		users = nil
		if text := s.state("users"); text != "" {
			require.NoError(s.t, json.Unmarshal([]byte(text), &users))
		}
		return pass(users)
	}, time.Minute, 50*time.Millisecond, "the sandbox has %s and warns of %s; the page says %s", s.state("users"), s.state("warnings"), s.list("logs"))
	return users
}

// TestInBrowser runs every test as a visitor of its own in one browser, most of them with each of the SDKs.
func TestInBrowser(t *testing.T) {
	if _, err := os.Stat(filepath.Join(sdkFiles, "braze6")); err != nil {
		t.Skip("the Braze Web SDK is not installed: npm ci in destinations/braze-web/testdata/sdk")
	}
	browser := chromium.Start(t)
	for name, test := range map[string]func(*testing.T, *site, string){
		"profile": testProfileReachesBraze, "events and purchases": testEventsAndPurchasesReachBraze, "unknown visitors": testUnknownVisitorsAreNotSent,
		"settings": testSettingsAreOptionsOfTheSDK, "signatures": testSignaturesOfUsers, "refused values": testRefusedValuesAreLogged,
	} {
		for version, sdk := range map[string]string{"3": oldSDK, "6": newSDK} {
			t.Run(name+" with SDK "+version, func(t *testing.T) {
				t.Parallel()
				test(t, newSite(t, browser), sdk)
			})
		}
	}
	for name, test := range map[string]func(*testing.T, *site){
		"script": testScriptThatCannotBeLoaded, "dates and genders": testFormsOfDatesAndGenders, "debounce": testDebounce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newSite(t, browser))
		})
	}
}

const profile = `{"external_id":"u1","country":"DE","dob":"1990-04-15T00:00:00.000Z","email":"ann@example.com","email_subscribe":"opted_in",
	"first_name":"Ann","last_name":"Lee","gender":"Female","home_city":"Berlin","image_url":"https://example.com/ann.png","language":"de",
	"phone":"+49 30 1","push_subscribe":"unsubscribed","current_location":{"key":"office","latitude":52.5,"longitude":13.4},
	"subscription_groups":[{"subscription_group_id":"g1","subscription_group_state":"subscribed"},{"subscription_group_id":"g2","subscription_group_state":"unsubscribed"}],
	"custom_attributes":{"plan":"gold","seats":5,"trial":true,"tags":["a","b"],"sizes":[38,39],"email":"x","firstName":"x","braze_subscription_groups":[],"gone":null%s}}`

// testProfileReachesBraze sets every attribute, and compares the user in Braze.
func testProfileReachesBraze(t *testing.T, s *site, sdk string) {
	require.Empty(t, s.load(sdk))
	nested, further := "", map[string]string{"image_url": `"https://example.com/ann.png"`}
	if sdk == newSDK {
		nested = `,"company":{"name":"Acme","size":{"max":9}},"cars":[{"doors":4}]`
		further = map[string]string{"company": `{"name":"Acme","size":{"max":9}}`, "cars": `[{"doors":4}]`}
	}
	s.perform("updateUserProfile", fmt.Sprintf(profile, nested))
	s.flush()
	users := s.waitForUsers(func(users []user) bool { return len(users) == 1 && users[0].Email != "" })
	want := map[string]string{
		"country": `"DE"`, "dob": `"1990-4-15"`, "email_subscribe": `"opted_in"`, "first_name": `"Ann"`, "last_name": `"Lee"`, "gender": `"f"`,
		"home_city": `"Berlin"`, "language": `"de"`, "push_subscribe": `"unsubscribed"`,
		"office": `{"latitude":52.5,"longitude":13.4}`, "current_location": `{"latitude":52.5,"longitude":13.4}`,
		"subscription_groups": `[{"subscription_group_id":"g1","subscription_state":"subscribed"},{"subscription_group_id":"g2","subscription_state":"unsubscribed"}]`,
		"plan":                `"gold"`, "seats": `5`, "trial": `true`, "tags": `["a","b"]`, "sizes": `["38","39"]`,
	}
	for key, value := range further {
		want[key] = value
	}
	got := map[string]string{}
	for key, value := range users[0].Attributes {
		got[key] = string(value)
	}
	assert.Equal(t, want, got)
	assert.Equal(t, user{ExternalID: "u1", Email: "ann@example.com", Phone: "+49 30 1"}, user{ExternalID: users[0].ExternalID, Email: users[0].Email, Phone: users[0].Phone})
	assert.JSONEq(t, `[]`, s.list("logs"))
	assert.JSONEq(t, `[]`, s.state("warnings"))

	s.perform("updateUserProfile", `{"external_id":"u1","dob":null,"email":null,"phone":null,"country":null,"gender":null,"first_name":null,"last_name":null,"home_city":null,"language":null,
			"current_location":null,"custom_attributes":{"plan":null}}`)
	s.flush()
	users = s.waitForUsers(func(users []user) bool { return len(users) == 1 && users[0].Email == "" })
	for _, key := range []string{"dob", "country", "gender", "first_name", "last_name", "home_city", "language", "plan"} {
		assert.NotContains(t, users[0].Attributes, key)
	}
	assert.Empty(t, users[0].Phone)
	assert.JSONEq(t, `[]`, s.list("logs"))
}

// testEventsAndPurchasesReachBraze records them for an anonymous visitor, who then signs in.
func testEventsAndPurchasesReachBraze(t *testing.T, s *site, sdk string) {
	require.Empty(t, s.load(sdk))
	s.perform("trackEvent", `{"eventName":"Product Viewed","eventProperties":{"sku":"a","nested":{"x":[1]}}}`)
	s.perform("trackEvent", `{"eventName":"No Properties"}`)
	s.perform("trackPurchase", `{"products":[{"product_id":"a","price":12.345,"currency":"EUR","quantity":2},{"product_id":7,"price":1}],
			"purchaseProperties":{"order_id":"o1","price":99,"currency":"EUR","quantity":3,"product_id":"x"}}`)
	s.perform("trackPurchase", `{"purchaseProperties":{"order_id":"o2"}}`)
	s.flush()
	s.waitForUsers(func(users []user) bool {
		return len(users) == 1 && users[0].ExternalID == "" && len(users[0].Purchases) == 2
	})
	s.perform("updateUserProfile", `{"external_id":"u1","email":"ann@example.com"}`)
	s.flush()
	users := s.waitForUsers(func(users []user) bool { return len(users) == 1 && users[0].Email != "" })
	assert.Equal(t, "u1", users[0].ExternalID)
	assert.Equal(t, []string{"Product Viewed", "No Properties"}, users[0].Events)
	assert.Equal(t, []string{"a", "7"}, users[0].Purchases)
	sent := s.requests()
	assert.Contains(t, sent, `{"c":"EUR","p":"12.35","pid":"a","pr":{"order_id":"o1"},"q":2}`)
	assert.Contains(t, sent, `{"c":"USD","p":"1.00","pid":"7","pr":{"order_id":"o1"},"q":1}`)
	assert.Contains(t, sent, `"sg"`, "the SDK says that it was loaded by an integration")
	assert.JSONEq(t, `[]`, s.list("logs"))
	assert.JSONEq(t, `[]`, s.state("warnings"))
}

// requests returns the requests that Braze has received.
func (s *site) requests() string {
	s.t.Helper()
	answer, err := http.Get(s.braze.URL + "/__sandbox/requests")
	require.NoError(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return string(text)
}

// testUnknownVisitorsAreNotSent checks that with Only Track Known Users the SDK starts when the user is known, and not before.
func testUnknownVisitorsAreNotSent(t *testing.T, s *site, sdk string) {
	require.Empty(t, s.load(sdk+`,"deferUntilIdentified":true`))
	s.perform("trackEvent", `{"eventName":"Anonymous"}`)
	s.perform("trackPurchase", `{"products":[{"product_id":"a","price":1}]}`)
	s.perform("updateUserProfile", `{"external_id":"u1"}`)
	assert.NotContains(t, s.list("calls"), "initialize")
	assert.Equal(t, "[]\n", s.requests())
	assert.NotContains(t, chromium.Ask[string](t, s.browser, `document.cookie`), t.Name())

	chromium.Ask[any](t, s.browser, `(visitor.id = 'u1', null)`)
	s.perform("updateUserProfile", `{"external_id":"u1","first_name":"Ann"}`)
	s.perform("trackEvent", `{"eventName":"Known"}`)
	s.flush()
	users := s.waitForUsers(func(users []user) bool { return len(users) == 1 && len(users[0].Events) == 1 })
	assert.Equal(t, []string{"Known"}, users[0].Events)
	assert.Empty(t, users[0].Purchases)
}

// testScriptThatCannotBeLoaded checks what the operator reads in the console of the browser.
func testScriptThatCannotBeLoaded(t *testing.T, s *site) {
	assert.Equal(t, "the Braze SDK cannot be loaded from http://127.0.0.1:1/braze.js: it may be blocked by an extension or by the page's Content-Security-Policy",
		s.load(`"sdkVersion":"6.10","sdkUrl":"http://127.0.0.1:1/braze.js"`))
	assert.Equal(t, "/other.js is not the Braze SDK: it defines neither braze nor appboy", s.load(`"sdkVersion":"6.10","sdkUrl":"/other.js"`))
	for version, url := range map[string]string{
		"3.1": "https://js.appboycdn.com/web-sdk/3.1/appboy.no-amd.min.js", "6.10": "https://js.appboycdn.com/web-sdk/6.10/braze.no-module.min.js",
	} {
		chromium.Ask[any](t, s.browser, `(tools.script = async (url) => { window.asked = url; throw new Error('offline') }, null)`)
		assert.Contains(t, s.load(fmt.Sprintf(`"sdkVersion":%q`, version)), "cannot be loaded from "+url)
		assert.Equal(t, url, chromium.Ask[string](t, s.browser, `window.asked`))
	}
	assert.Equal(t, "[]\n", s.requests())
}

// testSettingsAreOptionsOfTheSDK checks that every setting reaches the SDK, and that empty ones are left to it.
func testSettingsAreOptionsOfTheSDK(t *testing.T, s *site, sdk string) {
	options := `"allowCrawlerActivity":true,"allowUserSuppliedJavascript":false,"appVersion":"1.2","contentSecurityNonce":"n1","devicePropertyAllowlist":["os"," "],
		"disablePushTokenMaintenance":true,"enableLogging":false,"enableSdkAuthentication":false,"inAppMessageZIndex":7,"localization":"de",
		"manageServiceWorkerExternally":true,"minimumIntervalBetweenTriggerActionsInSeconds":5,"noCookies":true,"openCardsInNewTab":true,
		"openInAppMessagesInNewTab":true,"requireExplicitInAppMessageDismissal":true,"safariWebsitePushId":"web.x","serviceWorkerLocation":"/sw.js","sessionTimeoutInSeconds":60`
	require.Empty(t, s.load(sdk+`,"automaticallyDisplayMessages":true,"deferUntilIdentified":false,`+options))
	want := fmt.Sprintf(`["initialize",%q,{"baseUrl":"%s/api/v3","doNotLoadFontAwesome":true,%s}]`, t.Name(), s.braze.URL, strings.Replace(options, `["os"," "]`, `["os"]`, 1))
	assert.JSONEq(t, want, s.list("calls[0]"))
	assert.NotContains(t, chromium.Ask[string](t, s.browser, `document.cookie`), t.Name(), "noCookies")

	s.open()
	require.Empty(t, s.load(sdk+`,"appVersion":"","devicePropertyAllowlist":[""],"contentSecurityNonce":null`))
	assert.JSONEq(t, fmt.Sprintf(`["initialize",%q,{"baseUrl":"%s/api/v3","doNotLoadFontAwesome":true}]`, t.Name(), s.braze.URL), s.list("calls[0]"))

	s.open()
	chromium.Ask[any](t, s.browser, `(tools.nonce = 'of-the-page', null)`)
	require.Empty(t, s.load(sdk))
	assert.Contains(t, s.list("calls[0]"), `"contentSecurityNonce":"of-the-page"`)
}

// testSignaturesOfUsers checks that a signature is sent if the setting allows it, and that a newer one replaces it.
func testSignaturesOfUsers(t *testing.T, s *site, sdk string) {
	require.Empty(t, s.load(sdk+`,"enableSdkAuthentication":true`))
	for _, signature := range []string{`"jwt-1"`, `"jwt-2"`, `" "`, `{"token":"jwt-3"}`} {
		s.perform("updateUserProfile", `{"external_id":"u1","first_name":"Ann","sdk_auth_signature":`+signature+`}`)
		s.flush()
	}
	s.waitForUsers(func(users []user) bool { return len(users) == 1 })
	s.mu.Lock()
	assert.Contains(t, s.signatures, "jwt-1")
	assert.Equal(t, "jwt-2", s.signatures[len(s.signatures)-1])
	s.mu.Unlock()
	assert.NotContains(t, s.list("logs"), "jwt")
	assert.NotContains(t, s.list("calls"), "jwt-3")

	s.open()
	require.Empty(t, s.load(sdk))
	s.perform("updateUserProfile", `{"external_id":"u1","sdk_auth_signature":"jwt-4"}`)
	assert.Contains(t, s.list("calls"), `["changeUser","u1"]`)
}

// testRefusedValuesAreLogged checks that the console names what the SDK refuses, but shows no value of the user, and that the rest is sent.
func testRefusedValuesAreLogged(t *testing.T, s *site, sdk string) {
	require.Empty(t, s.load(sdk))
	s.perform("updateUserProfile", `{"external_id":"u1","phone":"private","email_subscribe":"private","dob":"private","first_name":"Ann",
			"current_location":{"latitude":"private","longitude":2},"custom_attributes":{"mixed":["private",{"a":1}],"fine":1}}`)
	s.perform("updateUserProfile", `{"current_location":{"key":"office"}}`)
	s.perform("trackEvent", `{"eventName":"","eventProperties":{}}`)
	s.perform("trackPurchase", `{"products":[{"product_id":"a","price":1,"quantity":101},{"product_id":"b","price":1}]}`)
	s.flush()
	users := s.waitForUsers(func(users []user) bool {
		return len(users) == 1 && len(users[0].Purchases) == 1 && users[0].Attributes["fine"] != nil
	})
	logs := s.list("logs")
	for _, what := range []string{"phone", "email_subscribe", "dob", "the custom attribute mixed", "the event ", "the purchase of a"} {
		assert.Contains(t, logs, "warn: the Braze SDK has refused "+what)
	}
	assert.NotContains(t, logs, "private")
	assert.JSONEq(t, `1`, string(users[0].Attributes["fine"]))
	assert.JSONEq(t, `"Ann"`, string(users[0].Attributes["first_name"]))
}

// testFormsOfDatesAndGenders checks values that need no SDK of a version.
func testFormsOfDatesAndGenders(t *testing.T, s *site) {
	require.Empty(t, s.load(newSDK))
	for _, c := range []struct{ payload, attribute, want string }{
		{`"dob":"1990-04-15"`, "dob", `"1990-4-15"`},
		{`"dob":"1990-12-31T23:30:00.000Z"`, "dob", `"1990-12-31"`},
		{`"dob":"1/31/1990"`, "dob", `"1990-1-31"`},
		{`"dob":"April 15, 1990"`, "dob", `"1990-4-15"`},
		{`"gender":"MAN"`, "gender", `"m"`}, {`"gender":"w"`, "gender", `"f"`}, {`"gender":"O"`, "gender", `"o"`}, {`"gender":"unknown"`, "gender", `"u"`},
		{`"gender":"Not Applicable"`, "gender", `"n"`}, {`"gender":" prefer not to say"`, "gender", `"p"`},
	} {
		s.perform("updateUserProfile", `{"external_id":"u1",`+c.payload+`}`)
		s.flush()
		s.waitForUsers(func(users []user) bool { return len(users) == 1 && string(users[0].Attributes[c.attribute]) == c.want })
	}
	assert.JSONEq(t, `[]`, s.list("logs"))
}

// testDebounce checks which events are held back: those that change neither the user nor a trait.
func testDebounce(t *testing.T, s *site) {
	identify := func(user, traits string) string {
		return chromium.Ask[string](t, s.browser, fmt.Sprintf(`(Object.assign(visitor, {id: %s, traits: %s}),
			perform('debounce', {}, {type: 'identify', userId: visitor.id, anonymousId: visitor.anonymousId, traits: visitor.traits}).then((r) => JSON.stringify(r) ?? 'passed'))`, user, traits))
	}
	const held = `{"integrations":{"Braze Web Mode (Actions)":false,"Braze Cloud Mode (Actions)":false,"Appboy":false}}`
	assert.Equal(t, "passed", identify(`null`, `{}`), "the first event of a page")
	assert.Equal(t, held, identify(`null`, `{}`))
	assert.Equal(t, "passed", identify(`'u1'`, `{}`), "another user")
	assert.Equal(t, "passed", identify(`'u1'`, `{plan: 'gold'}`), "another trait")
	assert.Equal(t, held, identify(`'u1'`, `{plan: 'gold'}`))
	assert.Equal(t, "passed", identify(`'u1'`, `{plan: 'free'}`))
	assert.Equal(t, "passed", identify(`'u2'`, `{plan: 'free'}`))
	chromium.Ask[any](t, s.browser, `(visitor.anonymousId = 'other', null)`)
	assert.Equal(t, "passed", identify(`'u2'`, `{plan: 'free'}`), "another anonymous id")
	assert.Equal(t, held, identify(`'u2'`, `{plan: 'free'}`))
	chromium.Ask[any](t, s.browser, `(tools.instance = 'other', null)`)
	assert.Equal(t, "passed", identify(`'u2'`, `{plan: 'free'}`), "the first event of another instance")
	group := `perform('debounce', {}, {type: 'group', userId: 'u2', anonymousId: 'other', traits: {name: 'Acme'}}).then((r) => JSON.stringify(r) ?? 'passed')`
	assert.Equal(t, "passed", chromium.Ask[string](t, s.browser, group), "traits of a group are not those of the user")
}
